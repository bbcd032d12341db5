package ipkt

import (
	"encoding/binary"
	"errors"
	"net/netip"
)

// ErrMalformed says that bytes are no IPv4 or IPv6 packet.
var ErrMalformed = errors.New("ipkt: malformed packet")

// Protocol numbers of IPv4 and next headers of IPv6.
const (
	ProtocolICMP     = 1
	ProtocolTCP      = 6
	ProtocolUDP      = 17
	ProtocolFragment = 44
	ProtocolICMPv6   = 58
)

const (
	ipv4HeaderLen = 20
	ipv6HeaderLen = 40
	tcpHeaderLen  = 20
	udpHeaderLen  = 8
	icmpHeaderLen = 8
	fragHeaderLen = 8
)

// Packet is one IP packet, cut to the length that its header states. The zero
// Packet is none.
type Packet struct {
	// Bytes is the packet, header included.
	Bytes []byte
	// HeaderLen is the length of the IP header in bytes, with the options of
	// IPv4 or the fragment header of IPv6.
	HeaderLen int
	// Protocol is the transport protocol.
	Protocol uint8
	// Offset is the place of the payload in the packet before fragmentation,
	// in bytes; transport headers are to be read at 0 only.
	Offset int
	// More says that more fragments follow.
	More bool
}

// Parse checks the IP header of b and returns the packet, which lies in b.
// Bytes of b behind the packet's end are cut off. The checksum of an IPv4
// header is verified.
func Parse(b []byte) (Packet, error) {
	if len(b) == 0 {
		return Packet{}, ErrMalformed
	}
	switch b[0] >> 4 {
	case 4:
		return parse4(b)
	case 6:
		return parse6(b)
	}
	return Packet{}, ErrMalformed
}

// parse4 reads the header of RFC 791 section 3.1.
func parse4(b []byte) (Packet, error) {
	if len(b) < ipv4HeaderLen {
		return Packet{}, ErrMalformed
	}
	headerLen, total := int(b[0]&15)*4, int(binary.BigEndian.Uint16(b[2:]))
	if headerLen < ipv4HeaderLen || total < headerLen || total > len(b) {
		return Packet{}, ErrMalformed
	}
	if Checksum(b[:headerLen], 0) != 0xffff {
		return Packet{}, ErrMalformed
	}
	flags := binary.BigEndian.Uint16(b[6:])
	p := Packet{Bytes: b[:total], HeaderLen: headerLen, Protocol: b[9], Offset: int(flags&0x1fff) * 8, More: flags&0x2000 != 0}
	if p.Offset+total-headerLen > 0xffff-headerLen {
		return Packet{}, ErrMalformed // would reassemble to more than 65,535 bytes
	}
	return p, nil
}

// parse6 reads the header of RFC 8200 section 3 and a fragment header, section
// 4.5, right behind it.
func parse6(b []byte) (Packet, error) {
	if len(b) < ipv6HeaderLen {
		return Packet{}, ErrMalformed
	}
	total := ipv6HeaderLen + int(binary.BigEndian.Uint16(b[4:]))
	if total > len(b) {
		return Packet{}, ErrMalformed
	}
	p := Packet{Bytes: b[:total], HeaderLen: ipv6HeaderLen, Protocol: b[6]}
	if p.Protocol != ProtocolFragment {
		return p, nil
	}
	if total < ipv6HeaderLen+fragHeaderLen {
		return Packet{}, ErrMalformed
	}
	flags := binary.BigEndian.Uint16(b[ipv6HeaderLen+2:])
	p.HeaderLen, p.Protocol = ipv6HeaderLen+fragHeaderLen, b[ipv6HeaderLen]
	p.Offset, p.More = int(flags&^7), flags&1 != 0
	return p, nil
}

// Is4 reports whether the packet is IPv4.
func (p Packet) Is4() bool { return p.Bytes[0]>>4 == 4 }

// Source returns the source address.
func (p Packet) Source() netip.Addr {
	if p.Is4() {
		return netip.AddrFrom4([4]byte(p.Bytes[12:16]))
	}
	return netip.AddrFrom16([16]byte(p.Bytes[8:24]))
}

// Destination returns the destination address.
func (p Packet) Destination() netip.Addr {
	if p.Is4() {
		return netip.AddrFrom4([4]byte(p.Bytes[16:20]))
	}
	return netip.AddrFrom16([16]byte(p.Bytes[24:40]))
}

// Payload returns what is behind the IP header.
func (p Packet) Payload() []byte { return p.Bytes[p.HeaderLen:] }

// DontFragment reports whether routers must not cut the packet: IPv6, or DF.
func (p Packet) DontFragment() bool { return !p.Is4() || p.Bytes[6]&0x40 != 0 }

// Fragment reports whether the packet is a part of a larger one.
func (p Packet) Fragment() bool { return p.More || p.Offset != 0 }
