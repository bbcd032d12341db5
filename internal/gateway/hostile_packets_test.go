package gateway

import (
	"bytes"
	"encoding/binary"
	"math/rand/v2"
	"net/netip"

	"github.com/culvert-vpn/culvert/tenant/ipkt"
)

// hostile makes packets, frames and messages that are right but for something.
type hostile struct {
	*rand.Rand
	from, from6 netip.Addr
	tunnel      uint16   // an L2TP tunnel's number as the server has it
	cookies     [16]byte // of IKE
}

var (
	hostileTo = []netip.Addr{
		netip.MustParseAddr("10.100.1.1"), netip.MustParseAddr("198.18.0.2"), netip.MustParseAddr("198.18.0.2"), netip.MustParseAddr("198.18.0.3"),
		netip.MustParseAddr("10.100.1.3"), netip.MustParseAddr("255.255.255.255"), netip.MustParseAddr("224.0.0.251"), netip.MustParseAddr("127.0.0.1"),
	}
	hostileTo6 = []netip.Addr{
		netip.MustParseAddr("2001:db8:1::1"), far, far, netip.MustParseAddr("2001:db8:ffff::2"), netip.MustParseAddr("2001:db8:1:3::1"),
		allRouters, allServers, netip.IPv6LinkLocalAllNodes(), netip.MustParseAddr("fe80::1"), netip.IPv6Loopback(), netip.MustParseAddr("::ffff:127.0.0.1"),
	}
	hostilePorts = []uint16{7, 53, 67, 68, 80, 123, 500, 546, 547, 1701, 4500, 0, 65535}
)

func (h hostile) junk(n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(h.Uint32())
	}
	return b
}

func oneOf[T any](h hostile, list []T) T { return list[h.IntN(len(list))] }

// options are of a type, a length that is right more often than not, and a value.
func (h hostile) options(room, header int) (b []byte) {
	for n := h.IntN(6); n > 0; n-- {
		v := h.junk(h.IntN(12))
		length := header + len(v)
		if h.IntN(4) == 0 {
			length = h.IntN(256)
		}
		b = append(append(b, byte(h.IntN(60)), byte(length)), v...)
	}
	return b[:min(len(b), room)]
}

// packet is an IP packet of the client's, of either family, changed somewhere or not.
func (h hostile) packet() []byte {
	six := h.from6.IsValid() && h.IntN(2) == 0
	proto, body := h.body(six)
	b := h.ip4(proto, body)
	if six {
		b = h.ip6(proto, body)
	}
	if h.IntN(3) == 0 {
		for range 1 + h.IntN(4) {
			b[h.IntN(len(b))] = byte(h.Uint32())
		}
	}
	if h.IntN(8) == 0 {
		b = b[:1+h.IntN(len(b))]
	}
	return b
}

// body is what an IP packet carries.
func (h hostile) body(six bool) (proto uint8, b []byte) {
	switch h.IntN(8) {
	case 0, 1:
		return ipkt.ProtocolTCP, h.segment()
	case 2:
		return h.quoting(six)
	case 3:
		return uint8(h.IntN(256)), h.junk(h.IntN(200))
	case 4:
		if six {
			return ipkt.ProtocolICMPv6, append([]byte{byte(128 + h.IntN(10)), 0, 0, 0, 0, 0, 0, 0}, h.options(200, 8)...)
		}
		return ipkt.ProtocolICMP, append([]byte{byte(h.IntN(20)), byte(h.IntN(3)), 0, 0, 0, 1, 0, 1}, h.junk(h.IntN(100))...)
	case 5:
		return ipkt.ProtocolUDP, h.datagram(53, h.question())
	case 6:
		if six {
			return ipkt.ProtocolUDP, h.datagram(547, append([]byte{byte(h.IntN(14)), 1, 2, 3}, h.wideOptions(false)...))
		}
		return ipkt.ProtocolUDP, h.datagram(67, h.inform())
	}
	return ipkt.ProtocolUDP, h.datagram(oneOf(h, hostilePorts), h.junk(h.IntN(300)))
}

// segment is of TCP, with a data offset that points anywhere.
func (h hostile) segment() []byte {
	b := append(make([]byte, 20), append(h.options(40, 2), h.junk(h.IntN(60))...)...)
	binary.BigEndian.PutUint16(b, uint16(1024+h.IntN(64)))
	binary.BigEndian.PutUint16(b[2:], oneOf(h, hostilePorts))
	copy(b[4:12], h.junk(8))
	b[12], b[13] = byte(h.IntN(16)<<4), byte(h.Uint32())
	if h.IntN(2) == 0 {
		b[12], b[13] = byte(5+h.IntN(2))<<4, 2
	}
	copy(b[14:20], h.junk(6))
	return b
}

func (h hostile) datagram(to uint16, payload []byte) []byte {
	b := binary.BigEndian.AppendUint16(nil, oneOf(h, hostilePorts))
	length := 8 + len(payload)
	if h.IntN(6) == 0 {
		length = h.IntN(65536)
	}
	for _, n := range []uint16{to, uint16(length), 0} {
		b = binary.BigEndian.AppendUint16(b, n)
	}
	return append(b, payload...)
}

// quoting is an ICMP error with a packet in it, which is cut, changed, or of another
// family.
func (h hostile) quoting(six bool) (uint8, []byte) {
	inner := h.ip4(oneOf(h, []uint8{1, 6, 17, 58}), h.junk(h.IntN(60)))
	if six != (h.IntN(8) == 0) {
		inner = h.ip6(oneOf(h, []uint8{6, 17, 44, 58}), h.junk(h.IntN(60)))
	}
	inner = inner[:h.IntN(len(inner)+1)]
	if six {
		return ipkt.ProtocolICMPv6, append([]byte{byte(1 + h.IntN(4)), byte(h.IntN(6)), 0, 0, 0, 0, byte(h.Uint32()), byte(h.Uint32())}, inner...)
	}
	return ipkt.ProtocolICMP, append([]byte{oneOf(h, []byte{3, 4, 5, 11, 12}), byte(h.IntN(16)), 0, 0, 0, 0, byte(h.Uint32()), byte(h.Uint32())}, inner...)
}

// question is a DNS message, whose names may point at themselves.
func (h hostile) question() []byte {
	b := append(h.junk(2), 1, 0, 0, byte(h.IntN(4)), 0, byte(h.IntN(2)), 0, 0, 0, byte(h.IntN(3)))
	for n := h.IntN(6); n > 0; n-- {
		switch label := h.junk(h.IntN(70)); h.IntN(3) {
		case 0:
			b = append(b, 0xc0, byte(h.IntN(40)))
		default:
			b = append(append(b, byte(len(label))), label...)
		}
	}
	return append(b, 0, 0, byte(h.IntN(260)), 0, 1)
}

// inform is a DHCPINFORM.
func (h hostile) inform() []byte {
	b := make([]byte, 240)
	b[0], b[1], b[2] = 1, 1, 6
	copy(b[12:], h.from.AsSlice())
	copy(b[236:], []byte{99, 130, 83, 99, 53, 1, 8})
	return append(append(b, 53, 1, byte(h.IntN(10))), append(h.options(200, 0), 255)...)
}

// wideOptions are of 16 bits each for type and length: DHCPv6, or the AVPs of L2TP.
func (h hostile) wideOptions(avps bool) (b []byte) {
	for n := h.IntN(8); n > 0; n-- {
		v := h.junk(h.IntN(40))
		length := len(v)
		if avps {
			length += 6
		}
		if h.IntN(4) == 0 {
			length = h.IntN(1024)
		}
		if avps {
			b = binary.BigEndian.AppendUint16(b, uint16(length)|uint16(h.IntN(64))<<10)
			b = append(b, 0, byte(h.IntN(20)/19), 0, byte(h.IntN(48)))
		} else {
			b = binary.BigEndian.AppendUint16(append(b, 0, byte(h.IntN(32))), uint16(length))
		}
		b = append(b, v...)
	}
	return b
}

// ip4 lays a header with or without options, of a whole packet or of a fragment.
func (h hostile) ip4(proto uint8, body []byte) []byte {
	n := 20
	if h.IntN(4) == 0 {
		n += 4 * h.IntN(11)
	}
	b := make([]byte, n)
	if n > 20 {
		copy(b[20:], h.options(n-20, 2))
	}
	b[0], b[8], b[9] = 0x40|byte(n/4), byte(h.IntN(65)), proto
	if h.IntN(4) == 0 {
		copy(b[4:8], []byte{0, byte(h.IntN(4)), byte(h.IntN(64)), byte(h.IntN(256))})
	}
	copy(b[12:], h.from.AsSlice())
	copy(b[16:], oneOf(h, hostileTo).AsSlice())
	b = append(b, body...)
	binary.BigEndian.PutUint16(b[2:], uint16(len(b)))
	ipkt.SetHeaderChecksum(b[:n])
	sum(b, n, proto)
	return b
}

// ip6 lays a header and now and then extension headers.
func (h hostile) ip6(proto uint8, body []byte) []byte {
	b := append(make([]byte, 40), body...)
	from := h.from6
	if h.IntN(6) == 0 {
		from = linkLocal
	}
	b[0], b[6], b[7] = 0x60, proto, byte(h.IntN(256))
	copy(b[8:], from.AsSlice())
	copy(b[24:], oneOf(h, hostileTo6).AsSlice())
	sum(b, 40, proto)
	for h.IntN(3) == 0 {
		ext := append([]byte{b[6], 0}, append(h.options(6, 2), make([]byte, 6)...)[:6]...)
		kind := oneOf(h, []byte{0, 43, 44, 51, 60, 135})
		if kind == 44 {
			ext = []byte{b[6], 0, byte(h.IntN(256)), byte(h.IntN(256)), 0, 0, 0, byte(h.IntN(4))}
		}
		b = append(append(append(make([]byte, 0, len(b)+8), b[:40]...), ext...), b[40:]...)
		b[6] = kind
	}
	binary.BigEndian.PutUint16(b[4:], uint16(len(b)-40))
	return b
}

// sum puts the checksum of the body right, where there is room for one.
func sum(b []byte, header int, proto uint8) {
	at, ok := map[uint8]int{ipkt.ProtocolTCP: 16, ipkt.ProtocolUDP: 6, ipkt.ProtocolICMP: 2, ipkt.ProtocolICMPv6: 2}[proto]
	if body := b[header:]; ok && len(body) >= at+2 {
		p := ipkt.Packet{Bytes: b, HeaderLen: header, Protocol: proto}
		start := uint16(0)
		if proto != ipkt.ProtocolICMP {
			start = p.PseudoChecksum(len(body))
		}
		binary.BigEndian.PutUint16(body[at:], 0)
		binary.BigEndian.PutUint16(body[at:], ^ipkt.Checksum(body, start))
	}
}

// frame is a PPP frame: of an IP packet, of a control protocol, or nothing.
func (h hostile) frame() []byte {
	if h.IntN(2) == 0 {
		b := h.packet()
		if b[0]>>4 == 6 {
			return append([]byte{0xff, 3, 0, 0x57}, b...)
		}
		return append([]byte{0xff, 3, 0, 0x21}, b...)
	}
	if h.IntN(8) == 0 {
		return h.junk(h.IntN(60))
	}
	b := oneOf(h, [][]byte{
		{0xff, 3, 0xc0, 0x21}, {0xff, 3, 0x80, 0x21}, {0xff, 3, 0x80, 0x57}, {0xff, 3, 0xc2, 0x23}, {0xff, 3, 0xc2, 0x27},
		{0xff, 3, 0xc0, 0x23}, {0xff, 3, 0x80, 0xfd}, {0xff, 3, 0xc0, 0x25}, {0xc0, 0x21}, {0x80, 0x57},
	})
	body := h.options(200, 2)
	switch b[len(b)-2] {
	case 0xc2: // CHAP and EAP: a size, or a type, and a value
		body = append([]byte{byte(h.IntN(64))}, h.junk(h.IntN(80))...)
	}
	length := 4 + len(body)
	if h.IntN(4) == 0 {
		length = h.IntN(300)
	}
	head := []byte{byte(h.IntN(16)), byte(h.IntN(8)), byte(length >> 8), byte(length)}
	return append(append(bytes.Clone(b), head...), body...)
}

// control is an L2TP control message, that of the client's own tunnel which is next,
// or any; or one of data with a header that is not what it says.
func (h hostile) control() []byte {
	switch h.IntN(4) {
	case 0:
		return append([]byte{byte(h.IntN(256)), byte(h.IntN(16)), byte(h.IntN(256)), byte(h.IntN(256))}, h.junk(h.IntN(60))...)
	case 1:
		return append([]byte{byte(h.IntN(128)), 2, byte(h.tunnel >> 8), byte(h.tunnel)}, h.junk(h.IntN(30))...)
	}
	avps := h.wideOptions(true)
	if h.IntN(4) > 0 {
		avps = append([]byte{0x80, 8, 0, 0, 0, 0, 0, oneOf(h, []byte{1, 2, 3, 6, 7, 8, 10, 11, 12, 15, 16, 17})}, avps...)
	}
	tunnel := h.tunnel
	if h.IntN(8) == 0 {
		tunnel = uint16(h.Uint32())
	}
	return inTunnel(tunnel, uint16(nextNs+h.IntN(6)), uint16(h.IntN(4)), avps)
}

// ike is a message of either version, by nobody or with the client's cookies, of
// payloads whose lengths are right more often than not.
func (h hostile) ike() []byte {
	b := h.junk(16)
	if h.IntN(2) == 0 {
		copy(b, h.cookies[:])
	} else if h.IntN(2) == 0 {
		clear(b[8:])
	}
	next := []byte{1, 4, 5, 6, 8, 9, 10, 11, 12, 13, 14, 20, 33, 34, 35, 36, 39, 40, 41, 42, 43, 44, 45, 46, 48, 53, 132}
	version := oneOf(h, []byte{0x10, 0x20, 0x20, 0x21})
	b = append(b, oneOf(h, next), version, oneOf(h, []byte{2, 4, 5, 6, 32, 34, 35, 36, 37, 43}), byte(h.IntN(64)), 0, 0, 0, byte(h.IntN(4)), 0, 0, 0, 0)
	for n := h.IntN(8); n > 0; n-- {
		v := h.junk(h.IntN(100))
		length := 4 + len(v)
		if h.IntN(5) == 0 {
			length = h.IntN(1024)
		}
		b = append(append(b, oneOf(h, append(next, 0)), 0, byte(length>>8), byte(length)), v...)
	}
	binary.BigEndian.PutUint32(b[24:], uint32(len(b)))
	return b
}
