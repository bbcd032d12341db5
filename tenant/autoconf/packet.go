package autoconf

import (
	"encoding/binary"
	"net/netip"

	"github.com/culvert-vpn/culvert/tenant/ipkt"
)

const (
	ipv4HeaderLen = 20
	ipv6HeaderLen = 40
	udpHeaderLen  = 8
)

// consumeUDP returns the payload of a UDP datagram to that port, whose checksum
// is right.
func consumeUDP(p ipkt.Packet, port uint16) (from uint16, payload []byte, err error) {
	b := p.Payload()
	if len(b) < udpHeaderLen {
		return 0, nil, ErrMalformed
	}
	if binary.BigEndian.Uint16(b[2:]) != port {
		return 0, nil, ErrIgnored
	}
	n := int(binary.BigEndian.Uint16(b[4:]))
	if n < udpHeaderLen || n > len(b) {
		return 0, nil, ErrMalformed
	}
	// Zero is none over IPv4, RFC 768; over IPv6 there must be one, RFC 8200 section 8.1.
	none := p.Is4() && b[6] == 0 && b[7] == 0
	if !none && ipkt.Checksum(b[:n], p.PseudoChecksum(n)) != 0xffff {
		return 0, nil, ErrMalformed
	}
	return binary.BigEndian.Uint16(b), b[udpHeaderLen:n], nil
}

// udp4 makes an IPv4 packet with a UDP datagram.
func udp4(from, to netip.AddrPort, payload []byte) []byte {
	n := ipv4HeaderLen + udpHeaderLen + len(payload)
	b := make([]byte, 0, n)
	b = append(b, 0x45, 0, byte(n>>8), byte(n), 0, 0, 0x40, 0, 64, ipkt.ProtocolUDP, 0, 0) // DF, as it fits
	b = append(b, from.Addr().AsSlice()...)
	b = append(b, to.Addr().AsSlice()...)
	ipkt.SetHeaderChecksum(b)
	b = appendUDP(b, from.Port(), to.Port(), payload)
	return withChecksum(b, ipv4HeaderLen, ipkt.ProtocolUDP, 6)
}

// udp6 makes an IPv6 packet with a UDP datagram.
func udp6(from, to netip.AddrPort, payload []byte) []byte {
	b := appendIPv6(nil, from.Addr(), to.Addr(), ipkt.ProtocolUDP, udpHeaderLen+len(payload))
	b = appendUDP(b, from.Port(), to.Port(), payload)
	return withChecksum(b, ipv6HeaderLen, ipkt.ProtocolUDP, 6)
}

// icmp6 makes an IPv6 packet with an ICMPv6 message, whose checksum field is zero.
func icmp6(from, to netip.Addr, message []byte) []byte {
	b := appendIPv6(nil, from, to, ipkt.ProtocolICMPv6, len(message))
	b = append(b, message...)
	return withChecksum(b, ipv6HeaderLen, ipkt.ProtocolICMPv6, 2)
}

// appendIPv6 appends a header with hop limit 255: what neighbour discovery
// demands (RFC 4861 section 7.1), and no harm to others on a link.
func appendIPv6(b []byte, from, to netip.Addr, next uint8, length int) []byte {
	b = append(b, 0x60, 0, 0, 0, byte(length>>8), byte(length), next, 255)
	b = append(b, from.AsSlice()...)
	return append(b, to.AsSlice()...)
}

func appendUDP(b []byte, from, to uint16, payload []byte) []byte {
	b = binary.BigEndian.AppendUint16(b, from)
	b = binary.BigEndian.AppendUint16(b, to)
	b = binary.BigEndian.AppendUint16(b, uint16(udpHeaderLen+len(payload)))
	return append(append(b, 0, 0), payload...)
}

// withChecksum writes the checksum of what is behind the IP header at that
// offset of it.
func withChecksum(b []byte, headerLen int, protocol uint8, at int) []byte {
	p := ipkt.Packet{Bytes: b, HeaderLen: headerLen, Protocol: protocol}
	sum := ^ipkt.Checksum(p.Payload(), p.PseudoChecksum(len(p.Payload())))
	if sum == 0 && protocol == ipkt.ProtocolUDP {
		sum = 0xffff
	}
	binary.BigEndian.PutUint16(b[headerLen+at:], sum)
	return b
}
