package netstack

import (
	"bytes"
	"encoding/binary"
	"math/rand/v2"
	"net/netip"
	"testing"

	"gvisor.dev/gvisor/pkg/buffer"
	"gvisor.dev/gvisor/pkg/tcpip/header"
	"gvisor.dev/gvisor/pkg/tcpip/stack"

	"github.com/culvert-vpn/culvert/tenant"
	"github.com/culvert-vpn/culvert/tenant/ipkt"
)

// segment is a TCP packet of a test.
type segment struct {
	src, dst netip.Addr
	port     uint16
	seq      uint32
	flags    header.TCPFlags
	options  []byte
	payload  []byte
}

func testSegment(seq uint32, payload []byte) segment {
	return segment{src: clientIP, dst: serverIP, port: 4000, seq: seq, flags: header.TCPFlagAck, payload: payload}
}

// tcp is the segment's TCP header and payload with a valid checksum.
func (s segment) tcp() []byte {
	b := make([]byte, header.TCPMinimumSize, header.TCPMinimumSize+len(s.options)+len(s.payload))
	header.TCP(b).Encode(&header.TCPFields{
		SrcPort: s.port, DstPort: 80, SeqNum: s.seq, AckNum: 77, WindowSize: 1000,
		DataOffset: uint8(header.TCPMinimumSize + len(s.options)), Flags: s.flags,
	})
	b = append(append(b, s.options...), s.payload...)
	sum := header.PseudoHeaderChecksum(header.TCPProtocolNumber, addressOf(s.src), addressOf(s.dst), uint16(len(b)))
	binary.BigEndian.PutUint16(b[tcpSumAt:], ^ipkt.Checksum(b, sum))
	return b
}

func (s segment) packet() []byte { return quote(s.src, s.dst, ipkt.ProtocolTCP, s.tcp()) }

// wantIntact checks lengths and checksums of a TCP packet.
func wantIntact(t *testing.T, b []byte) *ipkt.Packet {
	t.Helper()
	p, err := ipkt.Parse(b)
	if err != nil || len(p.Bytes) != len(b) {
		t.Fatalf("%v: % x", err, b[:min(len(b), 80)])
	}
	if sum := ipkt.Checksum(p.Payload(), p.PseudoChecksum(len(p.Payload()))); sum != 0xffff {
		t.Fatalf("TCP checksum is wrong, sum %#x", sum)
	}
	return &p
}

// piece makes what the stack emits for a segment, in views of a random size.
func piece(t *testing.T, rng *rand.Rand, s segment, mss uint16) *stack.PacketBuffer {
	t.Helper()
	var payload buffer.Buffer
	for rest := s.payload; len(rest) > 0; {
		n := min(len(rest), 1+rng.IntN(40000))
		payload.Append(buffer.NewViewWithData(rest[:n]))
		rest = rest[n:]
	}
	whole := s.packet()
	p, err := ipkt.Parse(whole)
	if err != nil {
		t.Fatal(err)
	}
	headers := len(whole) - len(s.payload)
	pkt := stack.NewPacketBuffer(stack.PacketBufferOptions{ReserveHeaderBytes: headers, Payload: payload})
	tcp := pkt.TransportHeader().Push(headers - p.HeaderLen)
	copy(tcp, whole[p.HeaderLen:])
	binary.BigEndian.PutUint16(tcp[tcpSumAt:], p.PseudoChecksum(len(p.Payload())))
	copy(pkt.NetworkHeader().Push(p.HeaderLen), whole)
	pkt.GSOOptions = stack.GSO{Type: stack.GSOTCPv4, NeedsCsum: true, MSS: mss}
	return pkt
}

func randomBytes(rng *rand.Rand, n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(rng.Uint32())
	}
	return b
}

// What is cut has every byte once, in packets that are valid each, and what
// was cut and joined again is what it was.
func TestCutAndJoin(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	for i := range 200 {
		s := testSegment(rng.Uint32(), randomBytes(rng, rng.IntN(60000)))
		s.flags |= []header.TCPFlags{0, header.TCPFlagPsh, header.TCPFlagFin | header.TCPFlagPsh}[rng.IntN(3)]
		s.options = make([]byte, 4*rng.IntN(4))
		if i%2 == 1 {
			s.src, s.dst = netip.MustParseAddr("2001:db8::1"), netip.MustParseAddr("2001:db8:ffff::2")
		}
		mtu, mss := 1400, uint16(500+rng.IntN(1000))
		c := newCutter(mtu)
		c.start(piece(t, rng, s, mss))
		w := &writer{}
		got, seq := []byte(nil), s.seq
		for buf, off, ok := c.next(); ok; buf, off, ok = c.next() {
			if off < tenant.Headroom || cap(buf)-len(buf) < tenant.Tailroom || len(buf)-off > mtu {
				t.Fatalf("lent %d bytes at %d of %d", len(buf), off, cap(buf))
			}
			b := bytes.Clone(buf[off:])
			tcp := header.TCP(wantIntact(t, b).Payload())
			if tcp.SequenceNumber() != seq {
				t.Fatalf("sequence number %d, want %d", tcp.SequenceNumber(), seq)
			}
			got = append(got, tcp.Payload()...)
			seq += uint32(len(tcp.Payload()))
			if last := len(got) == len(s.payload); last != (tcp.Flags() == s.flags) && s.flags != header.TCPFlagAck {
				t.Fatalf("flags %v at %d of %d bytes", tcp.Flags(), len(got), len(s.payload))
			}
			w.Commit(b)
		}
		if !bytes.Equal(got, s.payload) {
			t.Fatalf("%d of %d bytes, or others", len(got), len(s.payload))
		}
		if s.flags.Contains(header.TCPFlagFin) {
			continue
		}
		joined := joinAll(w)
		if len(joined) != 1 {
			t.Fatalf("%d packets of one segment of %d bytes", len(joined), len(s.payload))
		}
		if tcp := header.TCP(wantIntact(t, joined[0]).Payload()); !bytes.Equal(tcp, s.tcp()) {
			t.Fatal("another segment than the one that was cut")
		}
	}
}

// joinAll returns what a writer would deliver.
func joinAll(w *writer) (all [][]byte) {
	w.after = make([]int, len(w.batch))
	for i := range w.batch {
		w.place(i)
	}
	for i := range w.runs {
		pkt := w.build(&w.runs[i])
		v := pkt.ToView()
		all = append(all, bytes.Clone(v.AsSlice()))
		v.Release()
		pkt.DecRef()
	}
	w.batch, w.runs = nil, nil
	return all
}

// Flows that alternate are joined each; nothing is lost, and each keeps its
// order whatever its packets are.
func TestJoinKeepsFlowsApart(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 4))
	for range 200 {
		w := &writer{}
		next := map[uint16]uint32{}
		want := map[uint16][]byte{}
		for range 64 {
			s := testSegment(0, randomBytes(rng, rng.IntN(100)))
			s.port = uint16(rng.IntN(20))
			s.seq = next[s.port]
			if rng.IntN(5) == 0 {
				s.flags |= header.TCPFlagUrg
			}
			next[s.port] += uint32(len(s.payload))
			want[s.port] = append(want[s.port], s.payload...)
			w.Commit(s.packet())
		}
		packets := len(w.batch)
		all := joinAll(w)
		if len(all) >= packets {
			t.Errorf("%d of %d packets: nothing was joined", len(all), packets)
		}
		got := map[uint16][]byte{}
		for _, b := range all {
			tcp := header.TCP(wantIntact(t, b).Payload())
			if int(tcp.SequenceNumber()) != len(got[tcp.SourcePort()]) {
				t.Fatalf("flow %d: sequence number %d behind %d bytes", tcp.SourcePort(), tcp.SequenceNumber(), len(got[tcp.SourcePort()]))
			}
			got[tcp.SourcePort()] = append(got[tcp.SourcePort()], tcp.Payload()...)
		}
		for port, b := range want {
			if !bytes.Equal(got[port], b) {
				t.Fatalf("flow %d: %d bytes of %d", port, len(got[port]), len(b))
			}
		}
	}
}

func TestJoinLeavesAlone(t *testing.T) {
	data := make([]byte, 100)
	first := testSegment(1000, data).packet()
	follower := func(change func(*segment)) []byte {
		s := testSegment(1100, data)
		change(&s)
		return s.packet()
	}
	cases := map[string][]byte{
		"gap":         follower(func(s *segment) { s.seq++ }),
		"again":       follower(func(s *segment) { s.seq = 1000 }),
		"other port":  follower(func(s *segment) { s.port++ }),
		"other host":  follower(func(s *segment) { s.dst = netip.MustParseAddr("198.51.100.8") }),
		"FIN":         follower(func(s *segment) { s.flags |= header.TCPFlagFin }),
		"SYN":         follower(func(s *segment) { s.flags |= header.TCPFlagSyn }),
		"RST":         follower(func(s *segment) { s.flags |= header.TCPFlagRst }),
		"no data":     follower(func(s *segment) { s.payload = nil }),
		"options":     follower(func(s *segment) { s.options = []byte{1, 1, 1, 1} }),
		"TTL":         follower(func(*segment) {}),
		"bad header":  follower(func(*segment) {}),
		"short":       follower(func(*segment) {})[:60],
		"bad offset":  follower(func(*segment) {}),
		"fragment":    follower(func(*segment) {}),
		"other proto": follower(func(*segment) {}),
	}
	change := func(name string, at int, to byte) {
		cases[name][at] = to
		ipkt.SetHeaderChecksum(cases[name][:header.IPv4MinimumSize])
	}
	change("TTL", 8, 9)
	change("bad offset", header.IPv4MinimumSize+header.TCPDataOffset, 0xf0)
	change("fragment", 6, 0x20)
	change("other proto", 9, ipkt.ProtocolUDP)
	cases["bad header"][10] ^= 1
	for name, b := range cases {
		w := &writer{batch: [][]byte{first, b}}
		if all := joinAll(w); len(all) != 2 || !bytes.Equal(all[0], first) || !bytes.Equal(all[1], b) {
			t.Errorf("%s: %d packets, or changed", name, len(all))
		}
	}
}

// A packet whose checksum is wrong makes that of the whole wrong.
func TestJoinKeepsErrors(t *testing.T) {
	for damaged := range 3 {
		w := &writer{}
		for i := range 3 {
			b := testSegment(uint32(i*101), make([]byte, 101)).packet()
			if i == damaged {
				b[90] ^= 0x40
			}
			w.Commit(b)
		}
		all := joinAll(w)
		if len(all) != 1 {
			t.Fatalf("%d packets", len(all))
		}
		p, err := ipkt.Parse(all[0])
		if err != nil {
			t.Fatal(err)
		}
		if ipkt.Checksum(p.Payload(), p.PseudoChecksum(len(p.Payload()))) == 0xffff {
			t.Errorf("packet %d was damaged, and the whole is valid", damaged)
		}
	}
}

// No more is joined than an IP packet can be.
func TestJoinIsBounded(t *testing.T) {
	w := &writer{}
	for i := range 64 {
		w.Commit(testSegment(uint32(i*1348), make([]byte, 1348)).packet())
	}
	all := joinAll(w)
	if len(all) != 2 {
		t.Errorf("%d packets, want 2", len(all))
	}
	for _, b := range all {
		wantIntact(t, b)
	}
}

func TestWriterAllocatesLittle(t *testing.T) {
	d := newDevice(t, nil)
	w := d.Writer()
	var packets [][]byte
	for i := range 40 {
		packets = append(packets, testSegment(uint32(i*1348), make([]byte, 1348)).packet())
	}
	n := testing.AllocsPerRun(200, func() {
		for _, p := range packets {
			w.Commit(p)
		}
		w.Flush()
	})
	if n > 20 { // the stack answers with RST
		t.Errorf("%v allocations for %d packets", n, len(packets))
	}
}

// FuzzJoin gives a writer two packets of anybody's: whatever they are, what is
// delivered has as many bytes of payload, and is parsed as what was committed.
func FuzzJoin(f *testing.F) {
	first, second := testSegment(5, make([]byte, 9)), testSegment(14, make([]byte, 30))
	f.Add(first.packet(), second.packet())
	first.src, first.dst = netip.MustParseAddr("2001:db8::1"), netip.MustParseAddr("2001:db8::2")
	second.src, second.dst = first.src, first.dst
	f.Add(first.packet(), second.packet())
	f.Fuzz(func(t *testing.T, a, b []byte) {
		pieces := newFragments(func(a netip.Addr) netip.Addr { return a }, func(netip.Addr, []byte) {})
		defer pieces.close()
		w := &writer{fragments: pieces, clients: newClients(64)}
		w.Commit(a)
		w.Commit(b)
		if len(w.batch) != 2 {
			return
		}
		all := joinAll(w)
		if len(all) == 2 {
			if !bytes.Equal(all[0], a) || !bytes.Equal(all[1], b) {
				t.Fatal("changed")
			}
			return
		}
		r, s := begin(0, a), begin(1, b)
		if len(all) != 1 || len(all[0]) != len(a)+s.total || !bytes.HasSuffix(all[0], b[s.headerLen:]) {
			t.Fatalf("% x and % x became % x", a, b, all)
		}
		valid := func(b []byte) bool {
			p, err := ipkt.Parse(b)
			return err == nil && ipkt.Checksum(p.Payload(), p.PseudoChecksum(len(p.Payload()))) == 0xffff
		}
		if valid(a) && valid(b) && !valid(all[0]) || valid(a) != valid(b) && valid(all[0]) || r.total == 0 {
			t.Fatalf("valid %v and %v, together %v", valid(a), valid(b), valid(all[0]))
		}
	})
}
