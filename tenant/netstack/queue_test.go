package netstack

import (
	"errors"
	"net/netip"
	"os"
	"testing"
	"time"

	"gvisor.dev/gvisor/pkg/buffer"
	"gvisor.dev/gvisor/pkg/tcpip/header"
	"gvisor.dev/gvisor/pkg/tcpip/stack"

	"github.com/culvert-vpn/culvert/tenant/ipkt"
)

func newPacket(b ...byte) *stack.PacketBuffer {
	return stack.NewPacketBuffer(stack.PacketBufferOptions{Payload: buffer.MakeWithData(b)})
}

// packetFor makes an IPv4 packet of a flow to a client, of size bytes.
func packetFor(client netip.Addr, flow uint32, size int) *stack.PacketBuffer {
	payload := make([]byte, size-header.IPv4MinimumSize)
	header.UDP(payload).SetSourcePort(uint16(flow))
	return newPacket(quote(serverIP, client, uint8(header.UDPProtocolNumber), payload)...)
}

func putOne(q *queue, pkt *stack.PacketBuffer) bool {
	defer pkt.DecRef()
	return q.put([]*stack.PacketBuffer{pkt}) == 1
}

func clientAt(i int) netip.Addr { return netip.AddrFrom4([4]byte{10, 100, byte(i >> 8), byte(i)}) }

// One flow fills a third of the queue, one client half of it, and whoever
// comes anew finds room.
func TestQueueIsBounded(t *testing.T) {
	const packets, size = 600, 1400
	q := newQueue(packets * (size + packetCost))
	fill := func(client netip.Addr, flow uint32) (n int) {
		for putOne(q, packetFor(client, flow, size)) {
			n++
		}
		return n
	}
	if n := fill(clientAt(1), 0); n != packets/3 {
		t.Errorf("one flow: %d packets, want %d", n, packets/3)
	}
	second := 0
	for flow := uint32(1); flow < lanes; flow++ {
		second += fill(clientAt(1), flow)
	}
	if n := packets/3 + second; n < packets*45/100 || n > packets/2 {
		t.Errorf("one client: %d packets, want almost %d", n, packets/2)
	}
	if n := fill(clientAt(2), 0); n < packets/8 {
		t.Errorf("another client: %d packets", n)
	}
	if q.bytes > q.limit || q.dropped.Load() != lanes+1 {
		t.Errorf("%d bytes of %d, dropped %d", q.bytes, q.limit, q.dropped.Load())
	}
}

// Packets of a flow keep their order; everything that was put comes out.
func TestQueueKeepsOrder(t *testing.T) {
	q := newQueue(1 << 20)
	for i := range 100 {
		pkt := packetFor(clientAt(i%3), uint32(i%2), 30+i)
		if !putOne(q, pkt) {
			t.Fatal("no room")
		}
	}
	s := newSource(q, 1400)
	last, n := map[[2]int]int{}, 0
	for n < 100 {
		if err := s.Read(); err != nil {
			t.Fatal(err)
		}
		var coming []netip.Addr
		for i := 0; s.Peek(i) != nil; i++ {
			p := ipkt.Packet{Bytes: s.Peek(i)}
			coming = append(coming, p.Destination())
		}
		for buf, off, ok := s.Next(); ok; buf, off, ok = s.Next() {
			if p := (ipkt.Packet{Bytes: buf[off:]}); len(coming) == 0 || coming[0] != p.Destination() {
				t.Fatalf("a packet to %v came, not to %v", p.Destination(), coming)
			}
			coming = coming[1:]
			i := len(buf[off:]) - 30
			flow := [2]int{i % 3, i % 2}
			if at, ok := last[flow]; ok && i < at {
				t.Errorf("packet %d behind %d", i, at)
			}
			last[flow] = i
			n++
		}
	}
	if q.bytes != 0 || q.turn != nil || len(q.clients) != 0 {
		t.Errorf("%d bytes are left for %d clients", q.bytes, len(q.clients))
	}
}

// A client with a long queue does not hold up one with a short one, nor a flow
// another of the same client.
func TestQueueTakesTurns(t *testing.T) {
	q := newQueue(8 << 20)
	for range 1000 {
		putOne(q, packetFor(clientAt(1), 0, 1400))
	}
	putOne(q, packetFor(clientAt(1), 1, 100))
	putOne(q, packetFor(clientAt(2), 0, 200))
	before := map[int]int{}
	for n := 0; q.turn != nil; n++ {
		pkt := q.pop()
		before[pkt.Size()] = n
		pkt.DecRef()
	}
	if before[100] > 1 {
		t.Errorf("the short flow of the same client came behind %d packets", before[100])
	}
	if most := quantum/1400 + 2; before[200] > most {
		t.Errorf("the other client came behind %d packets, want at most %d", before[200], most)
	}
}

// A client that wants its data in the smallest packets that the stack makes has its
// turn end as soon as one that takes whole ones: by the work that it makes.
func TestTinyPacketsCostWhatTheyTake(t *testing.T) {
	const least, few = 48, 20
	q := newQueue(64 << 20)
	pieces := func(pkt *stack.PacketBuffer) int {
		if mss := int(pkt.GSOOptions.MSS); mss > 0 {
			return (pkt.Size() + mss - 1) / mss
		}
		return 1
	}
	for range 100 {
		pkt := packetFor(clientAt(1), 0, 16<<10)
		pkt.GSOOptions = stack.GSO{Type: stack.GSOTCPv4, NeedsCsum: true, MSS: least}
		putOne(q, pkt)
	}
	for range few {
		putOne(q, packetFor(clientAt(2), 0, 1400))
	}
	before, honest := 0, 0
	for q.turn != nil && honest < few {
		pkt := q.pop()
		if pkt.Size() == 1400 {
			honest++
		} else {
			before += pieces(pkt)
		}
		pkt.DecRef()
	}
	if honest != few || before > 500 {
		t.Errorf("%d packets of the other client came behind %d tiny ones", honest, before)
	}
	q.close()
}

func TestQueueGivesMemoryBack(t *testing.T) {
	q := newQueue(1 << 20)
	for round := range 10 {
		for i := range 300 {
			putOne(q, packetFor(clientAt(round*300+i), 0, 100))
		}
		for q.turn != nil {
			q.pop().DecRef()
		}
	}
	if len(q.nodes) > 300 || len(q.spare) > spares || len(q.clients) != 0 {
		t.Errorf("%d nodes, %d spare and %d clients", len(q.nodes), len(q.spare), len(q.clients))
	}
}

func TestQueueClose(t *testing.T) {
	q := newQueue(1 << 20)
	s := newSource(q, 100)
	ended := make(chan error)
	go func() { ended <- s.Read() }()
	time.Sleep(10 * time.Millisecond)
	q.close()
	if err := <-ended; !errors.Is(err, os.ErrClosed) {
		t.Errorf("got %v", err)
	}
	pkt := newPacket(1)
	if q.put([]*stack.PacketBuffer{pkt}) != 0 {
		t.Error("a closed queue takes packets")
	}
	if err := s.Read(); !errors.Is(err, os.ErrClosed) {
		t.Errorf("again: %v", err)
	}
}

func TestSourceDoesNotAllocate(t *testing.T) {
	q := newQueue(1 << 20)
	s := newSource(q, 2000)
	pkt := newPacket(make([]byte, 1400)...)
	batch := []*stack.PacketBuffer{pkt, pkt, pkt}
	n := testing.AllocsPerRun(1000, func() {
		q.put(batch)
		s.Read()
		for _, _, ok := s.Next(); ok; _, _, ok = s.Next() {
		}
	})
	if n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// A client that never completes its handshake does not hold up Close.
func TestCloseDuringHandshake(t *testing.T) {
	port := echoTCP(t)
	d := newDevice(t, nil)
	answer := payloadsOf(d)
	tcp := make([]byte, header.TCPMinimumSize)
	header.TCP(tcp).Encode(&header.TCPFields{SrcPort: 4000, DstPort: port, SeqNum: 1, DataOffset: header.TCPMinimumSize, Flags: header.TCPFlagSyn, WindowSize: 1000})
	sum := header.PseudoHeaderChecksum(header.TCPProtocolNumber, addressOf(clientIP), addressOf(serverIP), header.TCPMinimumSize)
	header.TCP(tcp).SetChecksum(^header.TCP(tcp).CalculateChecksum(sum))
	send(t, d.Writer(), quote(clientIP, serverIP, uint8(header.TCPProtocolNumber), tcp))
	p, ok := answer()
	if !ok || header.TCP(p).Flags() != header.TCPFlagSyn|header.TCPFlagAck {
		t.Fatalf("got % x, want SYN and ACK", p)
	}
	start := time.Now()
	d.Close()
	if took := time.Since(start); took > patience/2 {
		t.Errorf("Close took %v", took)
	}
}

// payloadsOf returns what waits for the next IPv4 packet's payload.
func payloadsOf(d *Device) func() ([]byte, bool) {
	packets := make(chan []byte, 10)
	go lend(d, packets)
	return func() ([]byte, bool) {
		select {
		case p := <-packets:
			return header.IPv4(p).Payload(), true
		case <-time.After(patience):
			return nil, false
		}
	}
}

// lend copies what a device sends into a channel until it is closed.
func lend(d *Device, packets chan<- []byte) {
	s := d.Sources()[0]
	for s.Read() == nil {
		for buf, off, ok := s.Next(); ok; buf, off, ok = s.Next() {
			packets <- append([]byte(nil), buf[off:]...)
		}
	}
}

// IPv6 takes the same ways.
func TestEcho6(t *testing.T) {
	own, client, silent := netip.MustParseAddr("fd00::1"), netip.MustParseAddr("fd00::2"), netip.MustParseAddr("2001:db8::9")
	d := newDevice(t, func(cfg *Config) {
		withICMP(cfg)
		cfg.Addresses = append(cfg.Addresses, netip.PrefixFrom(own, 64))
		cfg.Pool = append(cfg.Pool, netip.MustParsePrefix("fd00::/64"))
	})
	packets := make(chan []byte, 10)
	go lend(d, packets)
	for _, tc := range []struct {
		dst  netip.Addr
		want int // ICMPv6 type, or none
	}{{own, 129}, {silent, -1}, {netip.MustParseAddr("fd00::77"), 1}} {
		icmp := header.ICMPv6([]byte{128, 0, 0, 0, 0, 1, 0, 2, 'x'})
		icmp.SetChecksum(header.ICMPv6Checksum(header.ICMPv6ChecksumParams{Header: icmp, Src: addressOf(client), Dst: addressOf(tc.dst)}))
		send(t, d.Writer(), quote(client, tc.dst, uint8(header.ICMPv6ProtocolNumber), icmp))
		if tc.want < 0 {
			continue // what answers the next one is the next packet
		}
		got := -1
		for got < 0 {
			select {
			case p := <-packets:
				if header.IPv6(p).DestinationAddress() == addressOf(client) && (p[40] == 129 || p[40] < 128) {
					got = int(p[40])
				}
				continue
			case <-time.After(patience):
			}
			break
		}
		if got != tc.want {
			t.Errorf("%v: got type %d, want %d", tc.dst, got, tc.want)
		}
	}
}
