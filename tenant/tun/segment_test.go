package tun

import (
	"bytes"
	"math/rand/v2"
	"net/netip"
	"testing"

	"golang.org/x/sys/unix"
	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/checksum"
	"gvisor.dev/gvisor/pkg/tcpip/header"

	"github.com/culvert-vpn/culvert/tenant"
)

// stream describes packets of one flow.
type stream struct {
	is6, udp bool
	options  int // bytes of TCP options
	payloads []int
	flags    header.TCPFlags // of the last packet, besides ACK
}

var (
	addr4 = [2]tcpip.Address{tcpip.AddrFrom4([4]byte{10, 0, 0, 1}), tcpip.AddrFrom4([4]byte{10, 0, 0, 2})}
	addr6 = [2]tcpip.Address{
		tcpip.AddrFromSlice(netip.MustParseAddr("fd00::1").AsSlice()),
		tcpip.AddrFromSlice(netip.MustParseAddr("fd00::2").AsSlice()),
	}
)

// packets makes the stream's packets as a host without offload sends them.
func (s stream) packets() [][]byte {
	var all [][]byte
	random := rand.New(rand.NewPCG(1, 2))
	seq := uint32(0xfffffff0) // runs over
	for i, size := range s.payloads {
		payload := make([]byte, size)
		for j := range payload {
			payload[j] = byte(random.Uint32())
		}
		flags := header.TCPFlagAck
		if i == len(s.payloads)-1 {
			flags |= s.flags
		}
		all = append(all, s.packet(seq, uint16(0xfffe+i), flags, payload))
		seq += uint32(size)
	}
	return all
}

func (s stream) packet(seq uint32, id uint16, flags header.TCPFlags, payload []byte) []byte {
	transportLen := header.TCPMinimumSize + s.options
	proto := header.TCPProtocolNumber
	if s.udp {
		transportLen, proto = header.UDPMinimumSize, header.UDPProtocolNumber
	}
	length := transportLen + len(payload)
	var pkt []byte
	addrs := addr4
	if s.is6 {
		addrs = addr6
		pkt = make([]byte, header.IPv6MinimumSize+length)
		header.IPv6(pkt).Encode(&header.IPv6Fields{PayloadLength: uint16(length), TransportProtocol: proto, HopLimit: 64, SrcAddr: addrs[0], DstAddr: addrs[1]})
	} else {
		pkt = make([]byte, header.IPv4MinimumSize+length)
		ip := header.IPv4(pkt)
		ip.Encode(&header.IPv4Fields{TotalLength: uint16(len(pkt)), ID: id, TTL: 64, Protocol: uint8(proto), SrcAddr: addrs[0], DstAddr: addrs[1]})
		ip.SetChecksum(^ip.CalculateChecksum())
	}
	transport := pkt[len(pkt)-length:]
	copy(transport[transportLen:], payload)
	sum := checksum.Checksum(payload, header.PseudoHeaderChecksum(proto, addrs[0], addrs[1], uint16(length)))
	if s.udp {
		udp := header.UDP(transport)
		udp.Encode(&header.UDPFields{SrcPort: 1000, DstPort: 2000, Length: uint16(length)})
		udp.SetChecksum(^udp.CalculateChecksum(sum))
		return pkt
	}
	tcp := header.TCP(transport)
	tcp.Encode(&header.TCPFields{SrcPort: 1000, DstPort: 2000, SeqNum: seq, AckNum: 77, DataOffset: uint8(transportLen), Flags: flags, WindowSize: 500})
	for i := range s.options {
		transport[header.TCPMinimumSize+i] = header.TCPOptionNOP
	}
	tcp.SetChecksum(^tcp.CalculateChecksum(sum))
	return pkt
}

// wantValid checks a packet with a parser that is not ours.
func wantValid(t *testing.T, pkt []byte) {
	t.Helper()
	var ip header.Network = header.IPv6(pkt)
	if header.IPVersion(pkt) == 4 {
		v4 := header.IPv4(pkt)
		if !v4.IsValid(len(pkt)) || !v4.IsChecksumValid() || int(v4.TotalLength()) != len(pkt) {
			t.Fatalf("IPv4 header % x", pkt[:20])
		}
		ip = v4
	} else if !header.IPv6(pkt).IsValid(len(pkt)) || int(header.IPv6(pkt).PayloadLength())+40 != len(pkt) {
		t.Fatalf("IPv6 header % x", pkt[:40])
	}
	src, dst := ip.SourceAddress(), ip.DestinationAddress()
	switch ip.TransportProtocol() {
	case header.TCPProtocolNumber:
		tcp := header.TCP(ip.Payload())
		data := tcp[tcp.DataOffset():]
		if !tcp.IsChecksumValid(src, dst, checksum.Checksum(data, 0), uint16(len(data))) {
			t.Fatalf("TCP checksum of % x", pkt[:60])
		}
	case header.UDPProtocolNumber:
		udp := header.UDP(ip.Payload())
		if int(udp.Length()) != len(udp) || !udp.IsChecksumValid(src, dst, checksum.Checksum(udp[8:], 0)) {
			t.Fatalf("UDP header % x", udp[:8])
		}
	}
}

// segments cuts a packet with a vnet header, and writes over all that a
// borrower may.
func segments(t *testing.T, vnet []byte) [][]byte {
	t.Helper()
	s := &source{vnet: true, buf: make([]byte, tenant.Headroom+maxPiece+tenant.Tailroom)}
	n := copy(s.buf[tenant.Headroom-vnetLen:], vnet)
	end := tenant.Headroom - vnetLen + n
	if err := s.cut.start(s.buf, tenant.Headroom, end, parseVnet(vnet)); err != nil {
		t.Fatal(err)
	}
	var all [][]byte
	for buf, off, ok := s.Next(); ok; buf, off, ok = s.Next() {
		if off < tenant.Headroom || cap(buf)-len(buf) < tenant.Tailroom {
			t.Fatalf("lent %d bytes at %d of %d", len(buf), off, cap(buf))
		}
		all = append(all, bytes.Clone(buf[off:]))
		for i := off - tenant.Headroom; i < len(buf)+tenant.Tailroom; i++ {
			buf[:cap(buf)][i] = 0xee
		}
	}
	return all
}

var streams = map[string]stream{
	"tcp4":         {payloads: []int{1400, 1400, 1400, 300}},
	"tcp4 push":    {payloads: []int{1448, 1448, 1448}, options: 12, flags: header.TCPFlagPsh},
	"tcp6":         {is6: true, payloads: []int{1400, 1400, 1}},
	"tcp4 small":   {payloads: []int{10, 10, 10, 10, 10, 10, 10, 3}},
	"tcp4 odd":     {payloads: []int{101, 101, 101, 101}, options: 40},
	"tcp4 largest": {payloads: repeat(1400, 45)},
	"udp4":         {udp: true, payloads: []int{1200, 1200, 1200, 7}},
	"udp6":         {udp: true, is6: true, payloads: []int{33, 33, 33}},
}

func repeat(n, times int) []int {
	all := make([]int, times)
	for i := range all {
		all[i] = n
	}
	return all
}

// What join makes of packets is what segmenter makes packets of: the same ones.
func TestJoinAndSegment(t *testing.T) {
	for name, s := range streams {
		t.Run(name, func(t *testing.T) {
			packets := s.packets()
			run := join(packets, true)
			if len(run.packets) != len(packets) {
				t.Fatalf("joined %d of %d", len(run.packets), len(packets))
			}
			vnet := run.appendHeaders(nil)
			for _, p := range packets {
				vnet = append(vnet, p[run.headerLen:]...)
			}
			got := segments(t, vnet)
			if len(got) != len(packets) {
				t.Fatalf("%d segments, want %d", len(got), len(packets))
			}
			for i := range got {
				wantValid(t, got[i])
				if !bytes.Equal(got[i], packets[i]) {
					t.Errorf("segment %d:\n% x\nwant\n% x", i, got[i][:60], packets[i][:60])
				}
			}
		})
	}
}

// FIN is the last segment's, CWR the first one's.
func TestSegmentFlags(t *testing.T) {
	s := stream{payloads: []int{100, 100, 50}}
	packets := s.packets()
	run := join(packets, true)
	vnet := run.appendHeaders(nil)
	vnet[vnetLen+20+13] |= tcpFIN | tcpPSH | tcpCWR
	for _, p := range packets {
		vnet = append(vnet, p[run.headerLen:]...)
	}
	vnet[1] |= unix.VIRTIO_NET_HDR_GSO_ECN
	want := []header.TCPFlags{header.TCPFlagAck | tcpCWR, header.TCPFlagAck, header.TCPFlagAck | header.TCPFlagFin | header.TCPFlagPsh}
	for i, p := range segments(t, vnet) {
		wantValid(t, p)
		if got := header.TCPFlags(p[20+13]); got != want[i] {
			t.Errorf("segment %d: flags %v, want %v", i, got, want[i])
		}
	}
}

// A packet that is to be lent whole may lack its checksum.
func TestSingleChecksum(t *testing.T) {
	for _, s := range []stream{{payloads: []int{100}}, {udp: true, payloads: []int{99}}, {is6: true, payloads: []int{5}}} {
		want := s.packets()[0]
		run, ok := joinable(want, true)
		if !ok {
			t.Fatal("not joinable")
		}
		run.packets = [][]byte{want}
		vnet := append(run.appendHeaders(nil), want[run.headerLen:]...)
		vnet[1], vnet[4], vnet[5] = unix.VIRTIO_NET_HDR_GSO_NONE, 0, 0
		got := segments(t, vnet)
		if len(got) != 1 || !bytes.Equal(got[0], want) {
			t.Errorf("got % x\nwant % x", got, want)
		}
	}
}

func TestNotJoined(t *testing.T) {
	base := stream{payloads: []int{100, 100}}
	change := map[string]func(a, b []byte) [][]byte{
		"gap":             func(a, b []byte) [][]byte { return [][]byte{a, edit(b, func(b []byte) { b[27]++ })} },
		"other port":      func(a, b []byte) [][]byte { return [][]byte{a, edit(b, func(b []byte) { b[21]++ })} },
		"other ack":       func(a, b []byte) [][]byte { return [][]byte{a, edit(b, func(b []byte) { b[31]++ })} },
		"SYN":             func(a, b []byte) [][]byte { return [][]byte{a, edit(b, func(b []byte) { b[33] |= tcpSYN })} },
		"TTL":             func(a, b []byte) [][]byte { return [][]byte{a, edit(b, func(b []byte) { b[8]-- })} },
		"id":              func(a, b []byte) [][]byte { return [][]byte{a, edit(b, func(b []byte) { b[5] += 3 })} },
		"pushed before":   func(a, b []byte) [][]byte { return [][]byte{edit(a, func(a []byte) { a[33] |= tcpPSH }), b} },
		"fragment":        func(a, b []byte) [][]byte { return [][]byte{a, edit(b, func(b []byte) { b[6] |= 0x20 })} },
		"first corrupt":   func(a, b []byte) [][]byte { a[50]++; return [][]byte{a, b} },
		"second corrupt":  func(a, b []byte) [][]byte { b[50]++; return [][]byte{a, b} },
		"trailing bytes":  func(a, b []byte) [][]byte { return [][]byte{a, append(b, 0)} },
		"truncated":       func(a, b []byte) [][]byte { return [][]byte{a, b[:30]} },
		"no IP":           func(_, b []byte) [][]byte { return [][]byte{{1}, b} },
		"first is longer": func(a, b []byte) [][]byte { return [][]byte{b, a} },
	}
	for name, f := range change {
		p := base.packets()
		if got := join(f(p[0], p[1]), true); len(got.packets) != 1 {
			t.Errorf("%s: joined", name)
		}
	}
	u := stream{udp: true, payloads: []int{100, 100}}.packets()
	if got := join(u, false); len(got.packets) != 1 {
		t.Error("UDP joined though the kernel does not cut it")
	}
}

// edit changes a TCP packet and makes its checksums right again.
func edit(pkt []byte, change func([]byte)) []byte {
	change(pkt)
	ip := header.IPv4(pkt)
	ip.SetChecksum(0)
	ip.SetChecksum(^ip.CalculateChecksum())
	tcp := header.TCP(ip.Payload())
	tcp.SetChecksum(0)
	data := tcp[tcp.DataOffset():]
	sum := header.PseudoHeaderChecksum(header.TCPProtocolNumber, ip.SourceAddress(), ip.DestinationAddress(), uint16(len(tcp)))
	tcp.SetChecksum(^tcp.CalculateChecksum(checksum.Checksum(data, sum)))
	return pkt
}

func TestBadVnetHeaders(t *testing.T) {
	packets := stream{payloads: []int{100, 100}}.packets()
	run := join(packets, true)
	good := run.appendHeaders(nil)
	for _, p := range packets {
		good = append(good, p[run.headerLen:]...)
	}
	random := rand.New(rand.NewPCG(3, 4))
	for range 20000 {
		bad := bytes.Clone(good[:vnetLen+random.IntN(len(good)-vnetLen+1)])
		for range random.IntN(4) {
			bad[random.IntN(vnetLen)] = byte(random.Uint32())
		}
		for range random.IntN(2) {
			bad[random.IntN(len(bad))] = byte(random.Uint32())
		}
		s := &source{vnet: true, buf: make([]byte, tenant.Headroom+len(bad)+tenant.Tailroom)}
		end := tenant.Headroom - vnetLen + copy(s.buf[tenant.Headroom-vnetLen:], bad)
		if s.cut.start(s.buf, tenant.Headroom, end, parseVnet(bad)) != nil {
			continue
		}
		for _, _, ok := s.Next(); ok; _, _, ok = s.Next() {
		}
	}
}

func TestSegmentAndJoinDoNotAllocate(t *testing.T) {
	packets := stream{payloads: repeat(1400, 40)}.packets()
	run := join(packets, true)
	vnet := run.appendHeaders(nil)
	for _, p := range packets {
		vnet = append(vnet, p[run.headerLen:]...)
	}
	s := &source{vnet: true, buf: make([]byte, tenant.Headroom+maxPiece+tenant.Tailroom)}
	headers := make([]byte, 0, vnetLen+maxHeaders)
	allocs := testing.AllocsPerRun(100, func() {
		n := copy(s.buf[tenant.Headroom-vnetLen:], vnet)
		s.cut.start(s.buf, tenant.Headroom, tenant.Headroom-vnetLen+n, parseVnet(vnet))
		for _, _, ok := s.Next(); ok; _, _, ok = s.Next() {
		}
		run := join(packets, true)
		headers = run.appendHeaders(headers[:0])
	})
	if allocs != 0 {
		t.Errorf("%v allocations", allocs)
	}
}
