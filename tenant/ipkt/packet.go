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
func Parse(b []byte) (p Packet, err error) {
	err = p.parse(b)
	return p, err
}

func (p *Packet) parse(b []byte) error {
	if len(b) == 0 {
		return ErrMalformed
	}
	switch b[0] >> 4 {
	case 4:
		return p.parse4(b)
	case 6:
		return p.parse6(b)
	}
	return ErrMalformed
}

// parse4 reads the header of RFC 791 section 3.1.
func (p *Packet) parse4(b []byte) error {
	if len(b) < ipv4HeaderLen {
		return ErrMalformed
	}
	headerLen, total := int(b[0]&15)*4, int(binary.BigEndian.Uint16(b[2:]))
	if headerLen < ipv4HeaderLen || total < headerLen || total > len(b) || !headerIntact(b[:headerLen]) {
		return ErrMalformed
	}
	flags := binary.BigEndian.Uint16(b[6:])
	offset := int(flags&0x1fff) * 8
	if offset+total-headerLen > 0xffff-headerLen {
		return ErrMalformed // would reassemble to more than 65,535 bytes
	}
	p.Bytes, p.HeaderLen, p.Protocol, p.Offset, p.More = b[:total], headerLen, b[9], offset, flags&0x2000 != 0
	return nil
}

// parse6 reads the header of RFC 8200 section 3 and a fragment header, section
// 4.5, right behind it.
func (p *Packet) parse6(b []byte) error {
	if len(b) < ipv6HeaderLen {
		return ErrMalformed
	}
	total := ipv6HeaderLen + int(binary.BigEndian.Uint16(b[4:]))
	if total > len(b) {
		return ErrMalformed
	}
	next := b[6]
	if next != ProtocolFragment {
		p.Bytes, p.HeaderLen, p.Protocol = b[:total], ipv6HeaderLen, next
		return nil
	}
	if total < ipv6HeaderLen+fragHeaderLen {
		return ErrMalformed
	}
	flags := binary.BigEndian.Uint16(b[ipv6HeaderLen+2:])
	p.Bytes, p.HeaderLen, p.Protocol = b[:total], ipv6HeaderLen+fragHeaderLen, b[ipv6HeaderLen]
	p.Offset, p.More = int(flags&^7), flags&1 != 0
	return nil
}

// Is4 reports whether the packet is IPv4.
func (p *Packet) Is4() bool { return p.Bytes[0]>>4 == 4 }

// Source returns the source address.
func (p *Packet) Source() netip.Addr {
	if p.Is4() {
		return netip.AddrFrom4([4]byte(p.Bytes[12:16]))
	}
	return netip.AddrFrom16([16]byte(p.Bytes[8:24]))
}

// Destination returns the destination address.
func (p *Packet) Destination() netip.Addr {
	if p.Is4() {
		return netip.AddrFrom4([4]byte(p.Bytes[16:20]))
	}
	return netip.AddrFrom16([16]byte(p.Bytes[24:40]))
}

// Payload returns what is behind the IP header.
func (p *Packet) Payload() []byte { return p.Bytes[p.HeaderLen:] }

// DontFragment reports whether routers must not cut the packet: IPv6, or DF.
func (p *Packet) DontFragment() bool { return !p.Is4() || p.Bytes[6]&0x40 != 0 }

// Fragment reports whether the packet is a part of a larger one.
func (p *Packet) Fragment() bool { return p.More || p.Offset != 0 }
