package ipkt

import (
	"encoding/binary"
	"net/netip"
)

// Reason is why a packet was not carried, in the words of the ICMP error that
// says so.
type Reason uint8

// Reasons, and the codes that they have in ICMP (RFC 792, RFC 1122, RFC 1812)
// and ICMPv6 (RFC 4443).
const (
	ReasonTooBig     Reason = iota // v4: 3/4 fragmentation needed; v6: 2/0
	ReasonNoRoute                  // v4: 3/0; v6: 1/0
	ReasonHost                     // v4: 3/1; v6: 1/3
	ReasonPort                     // v4: 3/3; v6: 1/4
	ReasonProhibited               // v4: 3/13; v6: 1/1
	ReasonTTL                      // v4: 11/0; v6: 3/0
	numReasons
)

// codes are type and code of each reason: ICMP, then ICMPv6.
var codes = [numReasons][4]uint8{
	ReasonTooBig:     {3, 4, 2, 0},
	ReasonNoRoute:    {3, 0, 1, 0},
	ReasonHost:       {3, 1, 1, 3},
	ReasonPort:       {3, 3, 1, 4},
	ReasonProhibited: {3, 13, 1, 1},
	ReasonTTL:        {11, 0, 3, 0},
}

// Message is what an ICMP or ICMPv6 error says.
type Message struct {
	Type, Code uint8
	// MTU of the next hop in bytes, where the packet was too big; else 0.
	MTU int
}

// message is how a reason is said in the family of p.
func (p *Packet) message(reason Reason, mtu int) Message {
	c := codes[reason]
	m := Message{Type: c[2], Code: c[3]}
	if p.Is4() {
		m = Message{Type: c[0], Code: c[1]}
	}
	if reason == ReasonTooBig {
		m.MTU = mtu
	}
	return m
}

const (
	maxError4 = 576  // RFC 1812 section 4.3.2.3
	maxError6 = 1280 // RFC 4443 section 2.4 (c)
	errorTTL  = 64
)

// ErrorLen is the most bytes that AppendError appends.
const ErrorLen = maxError6

// AppendError appends an ICMP or ICMPv6 packet that tells the sender of p why
// it was not carried. mtu is the next hop's in bytes and counts for
// ReasonTooBig only; from is the source of the error, an address of the same
// family as p. Nothing is appended about packets that no error may be sent
// about: ICMP errors, fragments but the first, and packets from or to
// addresses that are not one host's (RFC 1122 section 3.2.2, RFC 4443 section
// 2.4 (e)). dst and p do not overlap; with capacity enough in dst nothing is
// allocated.
func AppendError(dst []byte, p *Packet, reason Reason, mtu int, from netip.Addr) []byte {
	return AppendMessage(dst, p, p.message(reason, mtu), from)
}

// AppendMessage appends an ICMP or ICMPv6 error in the words of m, of the family
// of p; all else is as AppendError has it. It is for passing on what somebody
// else said.
func AppendMessage(dst []byte, p *Packet, m Message, from netip.Addr) []byte {
	if p.Is4() != from.Is4() || p.Offset != 0 || !p.mayBeAnswered() {
		return dst
	}
	start := len(dst)
	if p.Is4() {
		dst = appendError4(dst, p, m, from)
		SetHeaderChecksum(dst[start : start+ipv4HeaderLen])
		icmp := dst[start+ipv4HeaderLen:]
		binary.BigEndian.PutUint16(icmp[2:], ^Checksum(icmp, 0))
		return dst
	}
	dst = appendError6(dst, p, m, from)
	whole := Packet{Bytes: dst[start:], HeaderLen: ipv6HeaderLen, Protocol: ProtocolICMPv6}
	icmp := whole.Payload()
	binary.BigEndian.PutUint16(icmp[2:], ^Checksum(icmp, whole.PseudoChecksum(len(icmp))))
	return dst
}

func appendError4(dst []byte, p *Packet, m Message, from netip.Addr) []byte {
	quote := min(len(p.Bytes), maxError4-ipv4HeaderLen-icmpHeaderLen)
	total := ipv4HeaderLen + icmpHeaderLen + quote
	src := from.As4()
	dst = append(dst, 0x45, 0xc0, uint8(total>>8), uint8(total), 0, 0, 0, 0, errorTTL, ProtocolICMP, 0, 0)
	dst = append(dst, src[:]...)
	dst = append(dst, p.Bytes[12:16]...)
	next := uint16(min(m.MTU, 0xffff)) // RFC 1191 section 4
	dst = append(dst, m.Type, m.Code, 0, 0, 0, 0, uint8(next>>8), uint8(next))
	return append(dst, p.Bytes[:quote]...)
}

func appendError6(dst []byte, p *Packet, m Message, from netip.Addr) []byte {
	quote := min(len(p.Bytes), maxError6-ipv6HeaderLen-icmpHeaderLen)
	length := icmpHeaderLen + quote
	src := from.As16()
	dst = append(dst, 0x60, 0, 0, 0, uint8(length>>8), uint8(length), ProtocolICMPv6, errorTTL)
	dst = append(dst, src[:]...)
	dst = append(dst, p.Bytes[8:24]...)
	dst = append(dst, m.Type, m.Code, 0, 0)
	dst = binary.BigEndian.AppendUint32(dst, uint32(m.MTU))
	return append(dst, p.Bytes[:quote]...)
}

// mayBeAnswered reports whether an ICMP error may be sent about p.
func (p *Packet) mayBeAnswered() bool {
	src, dst := p.Source(), p.Destination()
	if src.IsUnspecified() || src.IsMulticast() || src.IsLoopback() {
		return false
	}
	payload := p.Payload()
	if p.Is4() {
		isError := p.Protocol == ProtocolICMP && (len(payload) == 0 || !informational4(payload[0]))
		return !isError && !dst.IsMulticast() && p.Bytes[16] != 255 && src != limitedBroadcast
	}
	return p.Protocol != ProtocolICMPv6 || len(payload) > 0 && payload[0] >= 128
}

var limitedBroadcast = netip.AddrFrom4([4]byte{255, 255, 255, 255})

// informational4 reports whether an ICMP type is a query or its answer, of
// those still in use.
func informational4(icmpType uint8) bool {
	switch icmpType {
	case 0, 8, 13, 14:
		return true
	}
	return false
}
