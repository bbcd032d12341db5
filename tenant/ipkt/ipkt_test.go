package ipkt

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"net/netip"
	"testing"

	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/checksum"
	"gvisor.dev/gvisor/pkg/tcpip/header"
)

var (
	src4, dst4 = netip.MustParseAddr("10.0.0.1"), netip.MustParseAddr("192.0.2.7")
	src6, dst6 = netip.MustParseAddr("fd00::1"), netip.MustParseAddr("2001:db8::7")
	router4    = netip.MustParseAddr("10.0.0.254")
	router6    = netip.MustParseAddr("fd00::fe")
)

func address(a netip.Addr) tcpip.Address { return tcpip.AddrFromSlice(a.AsSlice()) }

// ip4 and ip6 make packets with a library that is not ours.
func ip4(proto tcpip.TransportProtocolNumber, flags uint8, options, payload []byte) []byte {
	b := make([]byte, header.IPv4MinimumSize+len(options), header.IPv4MinimumSize+len(options)+len(payload))
	ip := header.IPv4(b)
	ip.Encode(&header.IPv4Fields{TotalLength: uint16(cap(b)), ID: 77, TTL: 64, Flags: flags, Protocol: uint8(proto), SrcAddr: address(src4), DstAddr: address(dst4)})
	copy(b[header.IPv4MinimumSize:], options)
	b[0] = 0x40 | uint8(len(b)/4)
	ip.SetChecksum(0)
	ip.SetChecksum(^checksum.Checksum(b, 0))
	return append(b, payload...)
}

func ip6(proto tcpip.TransportProtocolNumber, payload []byte) []byte {
	b := make([]byte, header.IPv6MinimumSize)
	header.IPv6(b).Encode(&header.IPv6Fields{PayloadLength: uint16(len(payload)), TransportProtocol: proto, HopLimit: 64, SrcAddr: address(src6), DstAddr: address(dst6)})
	return append(b, payload...)
}

func tcpSegment(src, dst netip.Addr, flags header.TCPFlags, options []byte) []byte {
	b := make([]byte, header.TCPMinimumSize+len(options)+5)
	tcp := header.TCP(b)
	tcp.Encode(&header.TCPFields{SrcPort: 1, DstPort: 2, SeqNum: 3, DataOffset: uint8(header.TCPMinimumSize + len(options)), Flags: flags, WindowSize: 9})
	copy(b[header.TCPMinimumSize:], options)
	copy(b[header.TCPMinimumSize+len(options):], "hello")
	tcp.SetChecksum(^checksum.Checksum(b, header.PseudoHeaderChecksum(header.TCPProtocolNumber, address(src), address(dst), uint16(len(b)))))
	return b
}

func parse(t testing.TB, b []byte) *Packet {
	t.Helper()
	p, err := Parse(b)
	if err != nil {
		t.Fatalf("%v: % x", err, b[:min(len(b), 60)])
	}
	return &p
}

func TestChecksum(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 1))
	for range 2000 {
		b := make([]byte, random.IntN(700))
		for i := range b {
			b[i] = byte(random.Uint32())
		}
		initial := uint16(random.Uint32())
		got, want := Checksum(b, initial), checksum.Checksum(b, initial)
		if got != want && !(got%0xffff == 0 && want%0xffff == 0) {
			t.Fatalf("%d bytes: %#x, want %#x", len(b), got, want)
		}
	}
	large := bytes.Repeat([]byte{0xff}, 65535)
	if got, want := Checksum(large, 0xffff), checksum.Checksum(large, 0xffff); got != want {
		t.Errorf("%#x, want %#x", got, want)
	}
}

func TestParse(t *testing.T) {
	p := parse(t, append(ip4(17, header.IPv4FlagDontFragment, make([]byte, 4), []byte("payload")), 1, 2, 3))
	if p.HeaderLen != 24 || string(p.Payload()) != "payload" || p.Source() != src4 || p.Destination() != dst4 || p.Protocol != 17 || !p.DontFragment() || p.Fragment() {
		t.Errorf("%+v", p)
	}
	p = parse(t, ip6(6, []byte("payload")))
	if p.HeaderLen != 40 || string(p.Payload()) != "payload" || p.Source() != src6 || p.Destination() != dst6 || !p.DontFragment() {
		t.Errorf("%+v", p)
	}
	p = parse(t, ip6(44, []byte{6, 0, 0, 17, 0, 0, 0, 1, 'x'}))
	if p.HeaderLen != 48 || p.Protocol != 6 || p.Offset != 16 || !p.More || !p.Fragment() || string(p.Payload()) != "x" {
		t.Errorf("%+v", p)
	}
}

func TestParseTruncated(t *testing.T) {
	for _, whole := range [][]byte{ip4(6, 0, make([]byte, 8), []byte("payload")), ip6(44, make([]byte, 12))} {
		for n := range whole {
			if _, err := Parse(whole[:n]); !errors.Is(err, ErrMalformed) {
				t.Errorf("%d of %d bytes: %v", n, len(whole), err)
			}
		}
	}
	tooLong := ip4(17, 0, nil, make([]byte, 100))
	tooLong[6], tooLong[7] = 0x1f, 0xff
	SetHeaderChecksum(tooLong[:20])
	if _, err := Parse(tooLong); err == nil {
		t.Error("a fragment behind the end of any packet")
	}
}

func TestClampMSS(t *testing.T) {
	mss := func(n uint16) []byte { return []byte{2, 4, byte(n >> 8), byte(n)} }
	odd := append(append([]byte{1}, mss(1460)...), 1, 1, 1)
	syn := header.TCPFlagSyn
	for name, tc := range map[string]struct {
		flags   header.TCPFlags
		options []byte
		mtu     int
		want4   []byte // options afterwards
	}{
		"lowered":        {syn, mss(1460), 1400, mss(1360)},
		"SYN and ACK":    {syn | header.TCPFlagAck, mss(1460), 1400, mss(1360)},
		"fits":           {syn, mss(1300), 1400, mss(1300)},
		"odd offset":     {syn, odd, 1400, append(append([]byte{1}, mss(1360)...), 1, 1, 1)},
		"no SYN":         {header.TCPFlagAck, mss(1460), 1400, mss(1460)},
		"no option":      {syn, []byte{1, 1, 1, 0}, 1400, []byte{1, 1, 1, 0}},
		"after end":      {syn, append([]byte{0, 1, 1, 1}, mss(1460)...), 1400, append([]byte{0, 1, 1, 1}, mss(1460)...)},
		"broken option":  {syn, []byte{3, 0, 2, 4}, 1400, []byte{3, 0, 2, 4}},
		"option too far": {syn, []byte{1, 1, 2, 4}, 1400, []byte{1, 1, 2, 4}},
		"mtu too small":  {syn, mss(1460), 30, mss(1460)},
	} {
		pkt := ip4(6, 0, nil, tcpSegment(src4, dst4, tc.flags, tc.options))
		changed := parse(t, pkt).ClampMSS(tc.mtu)
		tcp := header.TCP(pkt[20:])
		if got := tcp.Options(); !bytes.Equal(got, tc.want4) || changed != !bytes.Equal(tc.options, tc.want4) {
			t.Errorf("%s: options % x, changed %v", name, got, changed)
		}
		if !tcp.IsChecksumValid(address(src4), address(dst4), checksum.Checksum([]byte("hello"), 0), 5) {
			t.Errorf("%s: checksum", name)
		}
	}
	pkt := ip6(6, tcpSegment(src6, dst6, syn, mss(1440)))
	if !parse(t, pkt).ClampMSS(1400) || !bytes.Equal(header.TCP(pkt[40:]).Options(), mss(1340)) {
		t.Errorf("IPv6: % x", pkt[60:64])
	}
	if !header.TCP(pkt[40:]).IsChecksumValid(address(src6), address(dst6), checksum.Checksum([]byte("hello"), 0), 5) {
		t.Error("IPv6: checksum")
	}
}

func TestAppendError4(t *testing.T) {
	pkt := ip4(17, header.IPv4FlagDontFragment, nil, make([]byte, 1400))
	for reason, want := range map[Reason][2]uint8{ReasonTooBig: {3, 4}, ReasonNoRoute: {3, 0}, ReasonHost: {3, 1}, ReasonPort: {3, 3}, ReasonProhibited: {3, 13}} {
		got := AppendError([]byte("before"), parse(t, pkt), reason, 1380, router4)[6:]
		ip := header.IPv4(got)
		if !ip.IsValid(len(got)) || !ip.IsChecksumValid() || len(got) != 576 || ip.SourceAddress() != address(router4) || ip.DestinationAddress() != address(src4) {
			t.Fatalf("IP header % x", got[:20])
		}
		icmp := header.ICMPv4(ip.Payload())
		if uint8(icmp.Type()) != want[0] || uint8(icmp.Code()) != want[1] || checksum.Checksum(icmp, 0) != 0xffff {
			t.Errorf("reason %d: % x", reason, icmp[:8])
		}
		if reason == ReasonTooBig && icmp.MTU() != 1380 {
			t.Errorf("MTU %d", icmp.MTU())
		}
		if !bytes.Equal(icmp[8:], pkt[:len(icmp)-8]) {
			t.Error("quotes something else")
		}
	}
}

func TestAppendError6(t *testing.T) {
	pkt := ip6(17, make([]byte, 1400))
	got := AppendError(nil, parse(t, pkt), ReasonTooBig, 1280, router6)
	ip := header.IPv6(got)
	icmp := header.ICMPv6(ip.Payload())
	if !ip.IsValid(len(got)) || len(got) != 1280 || icmp.Type() != header.ICMPv6PacketTooBig || icmp.MTU() != 1280 || !bytes.Equal(icmp[8:], pkt[:len(icmp)-8]) {
		t.Fatalf("% x", got[:60])
	}
	if sum := checksum.Checksum(icmp, header.PseudoHeaderChecksum(58, address(router6), address(src6), uint16(len(icmp)))); sum != 0xffff {
		t.Errorf("checksum %#x", sum)
	}
}

// No errors about errors, about later fragments, and to nobody or many.
func TestNoErrorAbout(t *testing.T) {
	later := ip4(17, 0, nil, make([]byte, 8))
	later[7] = 1
	group, nobody := ip4(17, 0, nil, nil), ip4(17, 0, nil, nil)
	group[16] = 224
	clear(nobody[12:16])
	for name, pkt := range map[string][]byte{
		"ICMP error": ip4(1, 0, nil, []byte{3, 1, 0, 0, 0, 0, 0, 0}), "ICMP without type": ip4(1, 0, nil, nil),
		"ICMPv6 error": ip6(58, []byte{1, 0, 0, 0, 0, 0, 0, 0}), "fragment": later, "to a group": group, "from nobody": nobody,
	} {
		from := router4
		if pkt[0]>>4 == 6 {
			from = router6
		} else {
			SetHeaderChecksum(pkt[:20])
		}
		if got := AppendError(nil, parse(t, pkt), ReasonHost, 0, from); got != nil {
			t.Errorf("%s: % x", name, got)
		}
	}
	if AppendError(nil, parse(t, ip4(1, 0, nil, []byte{8, 0, 0, 0})), ReasonHost, 0, router4) == nil {
		t.Error("none about an echo")
	}
	if AppendError(nil, parse(t, ip4(17, 0, nil, nil)), ReasonHost, 0, router6) != nil {
		t.Error("from another family")
	}
}

// fragments cuts a packet and writes over all that emit may.
func fragments(t *testing.T, pkt []byte, mtu int) ([][]byte, bool) {
	t.Helper()
	const headroom = 128
	buf := make([]byte, headroom+len(pkt), headroom+len(pkt)+FragmentTailroom)
	copy(buf[headroom:], pkt)
	var all [][]byte
	ok := Fragment(buf, headroom, mtu, func(b []byte, off int) {
		if off < headroom || cap(b)-len(b) < FragmentTailroom {
			t.Fatalf("lent %d bytes at %d of %d", len(b), off, cap(b))
		}
		all = append(all, bytes.Clone(b[off:]))
		for i := off - headroom; i < len(b)+FragmentTailroom; i++ {
			b[:cap(b)][i] = 0xee
		}
	})
	return all, ok
}

func TestFragment(t *testing.T) {
	payload := make([]byte, 5003)
	for i := range payload {
		payload[i] = byte(i * 7)
	}
	copied, uncopied := []byte{0x94, 4, 0, 0}, []byte{7, 7, 4, 0, 0, 0, 0, 0}
	for _, tc := range []struct {
		options []byte
		mtu     int
		headers []int // length of the first and of the others
	}{
		{nil, 1400, []int{20, 20}},
		{nil, 68, []int{20, 20}},
		{nil, 5022, []int{20, 20}},
		{copied, 1001, []int{24, 24}},
		{uncopied, 1400, []int{28, 20}},
		{append(bytes.Clone(copied), uncopied...), 576, []int{32, 24}},
	} {
		got, ok := fragments(t, ip4(17, 0, tc.options, payload), tc.mtu)
		if !ok || len(got) < 2 {
			t.Fatalf("mtu %d: %d fragments, %v", tc.mtu, len(got), ok)
		}
		var whole []byte
		for i, b := range got {
			ip := header.IPv4(b)
			if !ip.IsValid(len(b)) || !ip.IsChecksumValid() || len(b) > tc.mtu || int(ip.TotalLength()) != len(b) || ip.ID() != 77 {
				t.Fatalf("mtu %d: fragment %d: % x", tc.mtu, i, b[:20])
			}
			more := ip.Flags()&header.IPv4FlagMoreFragments != 0
			if int(ip.HeaderLength()) != tc.headers[min(i, 1)] || int(ip.FragmentOffset()) != len(whole) || more != (i < len(got)-1) {
				t.Errorf("mtu %d: fragment %d: header of %d bytes, at %d of %d, more %v", tc.mtu, i, ip.HeaderLength(), ip.FragmentOffset(), len(whole), more)
			}
			whole = append(whole, ip.Payload()...)
		}
		if !bytes.Equal(whole, payload) {
			t.Errorf("mtu %d: other payload", tc.mtu)
		}
	}
}

// A fragment may be cut further.
func TestFragmentOfFragment(t *testing.T) {
	first, _ := fragments(t, ip4(17, 0, nil, make([]byte, 3000)), 1400)
	again, ok := fragments(t, first[1], 600)
	if !ok || len(again) != 3 {
		t.Fatalf("%d fragments, %v", len(again), ok)
	}
	last := parse(t, again[2])
	if !last.More || parse(t, again[0]).Offset != parse(t, first[1]).Offset {
		t.Errorf("%+v", last)
	}
}

func TestFragmentRefuses(t *testing.T) {
	if _, ok := fragments(t, ip4(17, header.IPv4FlagDontFragment, nil, make([]byte, 2000)), 1400); ok {
		t.Error("cut in spite of DF")
	}
	if _, ok := fragments(t, ip6(17, make([]byte, 2000)), 1400); ok {
		t.Error("cut IPv6")
	}
	if _, ok := fragments(t, []byte{1}, 1400); ok {
		t.Error("cut rubbish")
	}
	fits := ip4(17, 0, nil, make([]byte, 20))
	if got, ok := fragments(t, fits, 1400); !ok || len(got) != 1 || !bytes.Equal(got[0], fits) {
		t.Error("changed what fits")
	}
}

func TestNoAllocations(t *testing.T) {
	syn := ip4(6, 0, nil, tcpSegment(src4, dst4, header.TCPFlagSyn, []byte{2, 4, 5, 180}))
	large := ip4(17, 0, nil, make([]byte, 4000))
	const headroom = 128
	buf := make([]byte, headroom+len(large), headroom+len(large)+FragmentTailroom)
	room := make([]byte, 0, ErrorLen)
	emit := func([]byte, int) {}
	n := testing.AllocsPerRun(100, func() {
		p, _ := Parse(syn)
		p.ClampMSS(1400)
		AppendError(room, &p, ReasonTooBig, 1400, router4)
		copy(buf[headroom:], large)
		Fragment(buf, headroom, 1400, emit)
	})
	if n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// Nothing panics, and what comes out is well-formed.
func FuzzPacket(f *testing.F) {
	f.Add(ip4(6, 0, nil, tcpSegment(src4, dst4, header.TCPFlagSyn, []byte{2, 4, 5, 180})), uint16(1000))
	f.Add(ip6(6, tcpSegment(src6, dst6, header.TCPFlagSyn, []byte{1, 2, 4, 5, 180, 0, 0, 0})), uint16(1300))
	f.Add(ip4(17, 0, []byte{0x94, 4, 0, 0}, make([]byte, 500)), uint16(100))
	f.Fuzz(func(t *testing.T, b []byte, mtu uint16) {
		p, err := Parse(b)
		if err != nil {
			return
		}
		p.ClampMSS(int(mtu))
		from := router4
		if !p.Is4() {
			from = router6
		}
		if e := AppendError(nil, &p, ReasonTooBig, int(mtu), from); e != nil {
			parse(t, e)
		}
		got, _ := fragments(t, p.Bytes, int(mtu))
		for _, fragment := range got {
			parse(t, fragment)
		}
	})
}
