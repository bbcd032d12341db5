package policy

import (
	"encoding/binary"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/culvert-vpn/culvert/tenant/ipkt"
)

// numbered is a segment with sequence numbers, data and options.
func numbered(t testing.TB, from, to string, flags byte, seq, acks uint32, window uint16, data int, options ...byte) *ipkt.Packet {
	t.Helper()
	bare := segment(t, from, to, flags)
	b := append(slices.Clone(bare.Bytes), append(options, make([]byte, data)...)...)
	b[32] = byte(5+len(options)/4) << 4
	binary.BigEndian.PutUint32(b[24:], seq)
	binary.BigEndian.PutUint32(b[28:], acks)
	binary.BigEndian.PutUint16(b[34:], window)
	binary.BigEndian.PutUint16(b[2:], uint16(len(b)))
	ipkt.SetHeaderChecksum(b[:20])
	ip, err := ipkt.Parse(b)
	if err != nil {
		t.Fatal(err)
	}
	return &ip
}

// scaled is the option that shifts windows.
func scaled(by byte) []byte { return []byte{optionNop, optionScale, 3, by} }

// connection has the flows of one client that talks to a web server.
type connection struct {
	t   *testing.T
	f   *Flows
	ann *Party
}

func newConnection(t *testing.T) *connection {
	return &connection{t, NewFlows(Bounds{Session: 10, Tenant: 10}, compile(t, web())), client("10.1.0.7", nil)}
}

// up and down report whether a segment goes on.
func (c *connection) up(flags byte, seq, acks uint32, window uint16, data int, options ...byte) bool {
	return c.f.Judge(Now{1, 1}, c.ann, nil, numbered(c.t, annWeb, webAnn, flags, seq, acks, window, data, options...)).Allow
}

func (c *connection) down(flags byte, seq, acks uint32, window uint16, data int, options ...byte) bool {
	return c.f.Judge(Now{1, 1}, nil, c.ann, numbered(c.t, webAnn, annWeb, flags, seq, acks, window, data, options...)).Allow
}

// open has the client at 1001 and the server at 5001; the client takes 1 MiB and more.
func (c *connection) open() {
	c.t.Helper()
	if !c.up(syn, 1000, 0, 64000, 0, scaled(7)...) || !c.down(synAck, 5000, 1001, 64000, 0, scaled(2)...) || !c.up(ack, 1001, 5001, 8192, 0) {
		c.t.Fatal("it does not open")
	}
}

// TestSegmentsOutOfAnyWindow: what no host of the connection can have sent does not pass,
// and what it can have does.
func TestSegmentsOutOfAnyWindow(t *testing.T) {
	const rst = tcpRST
	for name, try := range map[string]struct {
		segment func(c *connection) bool
		passes  bool
	}{
		"data":                                 {func(c *connection) bool { return c.down(ack, 5001, 1001, 500, 1000) }, true},
		"the last of the room":                 {func(c *connection) bool { return c.down(ack, 5001+1<<20-1, 1001, 500, 1) }, true},
		"a probe of no room":                   {func(c *connection) bool { return c.down(ack, 5001+1<<20, 1001, 500, 1) }, true},
		"beyond the room":                      {func(c *connection) bool { return c.down(ack, 5001+1<<20+2, 1001, 500, 1) }, false},
		"far beyond the room":                  {func(c *connection) bool { return c.down(ack, 5001+1<<31-1, 1001, 500, 1) }, false},
		"a keepalive":                          {func(c *connection) bool { return c.down(ack, 5000, 1001, 500, 1) }, true},
		"long ago":                             {func(c *connection) bool { return c.down(ack, 5001+1<<32-1<<21, 1001, 500, 1) }, false},
		"the client's data":                    {func(c *connection) bool { return c.up(ack, 1001, 5001, 500, 1000) }, true},
		"the client's, beyond the room":        {func(c *connection) bool { return c.up(ack, 1001+64002, 5001, 500, 1) }, false},
		"acknowledges what nobody sent":        {func(c *connection) bool { return c.down(ack, 5001, 1002, 500, 0) }, false},
		"acknowledges what is of another time": {func(c *connection) bool { return c.down(ack, 5001, 1001+1<<32-1<<24, 500, 0) }, false},
		"a reset":                              {func(c *connection) bool { return c.down(rst, 5001, 0, 0, 0) }, true},
		"a reset by chance":                    {func(c *connection) bool { return c.down(rst, 5001+1<<30, 0, 0, 0) }, false},
		"a reset that acknowledges":            {func(c *connection) bool { return c.down(rst|ack, 0, 1001, 0, 0) }, true},
		"an end":                               {func(c *connection) bool { return c.down(tcpFIN|ack, 5001, 1001, 500, 0) }, true},
		"an end by chance":                     {func(c *connection) bool { return c.down(tcpFIN|ack, 1<<30, 1001, 500, 0) }, false},
		"an answer that nobody asked for":      {func(c *connection) bool { return c.down(synAck, 1<<30, 1001, 500, 0) }, false},
		"the answer once more":                 {func(c *connection) bool { return c.down(synAck, 5000, 1001, 64000, 0, scaled(2)...) }, true},
	} {
		t.Run(name, func(t *testing.T) {
			c := newConnection(t)
			c.open()
			if got := try.segment(c); got != try.passes {
				t.Errorf("passes: %v", got)
			}
			if stray := c.f.Counts().Stray; stray == 0 != try.passes {
				t.Errorf("%d are counted", stray)
			}
			if !c.up(ack, 1001, 5001, 8192, 10) {
				t.Error("the connection is none any more")
			}
		})
	}
}

// TestSegmentsBeforeTheAnswer: whoever answers a SYN acknowledges it.
func TestSegmentsBeforeTheAnswer(t *testing.T) {
	c := newConnection(t)
	if !c.up(syn, 1000, 0, 64000, 0) || c.down(synAck, 5000, 77777, 64000, 0) || c.down(tcpRST|ack, 0, 999000, 0, 0) {
		t.Error("an answer of something else passes")
	}
	if !c.down(ack, 123, 456, 500, 0) || !c.up(tcpRST, 456, 0, 0, 0) || !c.up(syn, 1000, 0, 64000, 0) {
		t.Error("a server with an old connection cannot say so")
	}
	if !c.down(synAck, 5000, 1001, 64000, 0) || !c.up(ack, 1001, 5001, 8192, 0) {
		t.Error("it does not open then")
	}
	if c.down(ack, 5001+70000, 1001, 500, 0) {
		t.Error("a window is shifted that nobody shifts")
	}
}

// TestConnectionsBeginAgain: a SYN in an open connection changes nothing before the other end
// agrees, and then everything.
func TestConnectionsBeginAgain(t *testing.T) {
	c := newConnection(t)
	c.open()
	if !c.up(syn, 900000, 0, 64000, 0, scaled(7)...) {
		t.Fatal("a client that began again is cut off")
	}
	if !c.down(ack, 5001, 1001, 500, 100) || c.down(ack, 5001+1<<30, 1001, 500, 100) {
		t.Error("a SYN has moved the window")
	}
	if !c.down(synAck, 70000, 900001, 64000, 0, scaled(2)...) || !c.up(ack, 900001, 70001, 500, 10) || c.up(ack, 1001, 5001, 500, 10) {
		t.Error("the new connection is not the one that goes on")
	}
}

// TestFlowsWithoutABeginning: a connection that was there before its rules is not cut.
func TestFlowsWithoutABeginning(t *testing.T) {
	c := newConnection(t)
	if !c.up(ack, 1<<30, 7, 500, 10) || !c.down(ack, 1<<31, 9, 500, 10) || !c.up(ack, 5, 77, 500, 10) {
		t.Error("it is cut")
	}
}

// TestErrorsQuoteWhatWasSent: an error that quotes a segment which nobody can have sent is
// not passed on.
func TestErrorsQuoteWhatWasSent(t *testing.T) {
	c := newConnection(t)
	c.open()
	for seq, want := range map[uint32]bool{1001: true, 1000: true, 1001 + 1<<30: false, 1001 + 1<<32 - 1<<30: false} {
		quoted := numbered(t, annWeb, webAnn, ack, seq, 5001, 500, 0)
		b := frame(quoted.Destination(), quoted.Source(), ipkt.ProtocolICMP, append([]byte{3, 4, 0, 0, 0, 0, 5, 0}, quoted.Bytes...), 0, 0, false, nil)
		ip, err := ipkt.Parse(b)
		if err != nil {
			t.Fatal(err)
		}
		if d := c.f.Judge(Now{1, 1}, nil, c.ann, &ip); d.Allow != want {
			t.Errorf("quoting %d: %+v", seq, d)
		}
	}
}

// host is one end of a connection that keeps to its windows.
type host struct {
	next, sent, acked uint32 // of its own: to send, ever sent, acknowledged
	room              uint32 // behind the last one that it may send
	got               uint32 // of the other's, in order
	window            uint32 // that it says
	scale             byte
}

// segment is what a host sends next: new data, old data, or an acknowledgement of late.
func (h *host) segment(r *rand.Rand) (seq, end, acks uint32, window uint16) {
	if r.IntN(8) == 0 {
		h.next = h.acked // it was lost
	}
	h.window = uint32(r.IntN(65536)) << h.scale
	seq = h.next
	if left := int32(h.room - h.next); left > 0 && r.IntN(3) > 0 {
		h.next += uint32(r.IntN(int(min(left, 60000)) + 1))
	}
	if after(h.next, h.sent) > 0 {
		h.sent = h.next
	}
	return seq, h.next, h.got, uint16(h.window >> h.scale)
}

// hears takes a segment of the other end.
func (h *host) hears(seq, end, acks uint32, window uint32) {
	if after(acks, h.acked) > 0 {
		h.acked = acks
	}
	if after(h.next, h.acked) < 0 {
		h.next = h.acked
	}
	if after(acks+window, h.room) > 0 {
		h.room = acks + window
	}
	if after(seq, h.got) <= 0 && after(end, h.got) > 0 {
		h.got = end
	}
}

// TestHonestConnectionsPass: whatever is lost behind us, comes late or is said again, hosts
// that keep to their windows are never cut, also where numbers run round.
func TestHonestConnectionsPass(t *testing.T) {
	for seed := range uint64(16) {
		r := rand.New(rand.NewPCG(seed, 1))
		c := newConnection(t)
		scales := [2]byte{byte(r.IntN(15)), byte(r.IntN(15))}
		isn := [2]uint32{-uint32(r.IntN(1 << 20)), r.Uint32()}
		if !c.up(syn, isn[0], 0, 60000, 0, scaled(scales[0])...) || !c.down(synAck, isn[1], isn[0]+1, 60000, 0, scaled(scales[1])...) {
			t.Fatal("it does not open")
		}
		ends := [2]host{}
		for i := range ends {
			own, other := isn[i]+1, isn[1-i]+1
			ends[i] = host{next: own, sent: own, acked: own, room: own + 60000, got: other, scale: scales[i]}
		}
		for n := range 2000 {
			from := r.IntN(2)
			seq, end, acks, window := ends[from].segment(r)
			send := c.up
			if from == 1 {
				send = c.down
			}
			if !send(ack, seq, acks, window, int(end-seq)) {
				t.Fatalf("seed %d: segment %d is cut: %d to %d of %+v", seed, n, seq, end, ends)
			}
			if r.IntN(10) > 0 {
				ends[1-from].hears(seq, end, acks, uint32(window)<<scales[from])
			}
		}
	}
}
