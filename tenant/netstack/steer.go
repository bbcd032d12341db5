package netstack

import (
	"encoding/binary"

	"gvisor.dev/gvisor/pkg/tcpip/header"

	"github.com/culvert-vpn/culvert/tenant/ipkt"
)

// The stack believes every ICMP error: it makes the packets of the connection that
// is quoted smaller, or ends it, whoever says so. And it cannot tell, since all
// addresses are its own. So what a client says has to be about what was sent to
// that client; and nobody says which way to send.

// steers reports whether a packet is an ICMP message that a client must not send:
// an error about what another was sent, a redirect, what only routers send; and
// what could be one, since it begins in a fragment that does not show it.
func (c *clients) steers(b []byte) bool {
	p := ipkt.Packet{Bytes: b}
	if b[0]>>4 == 4 {
		return len(b) > 9 && b[9] == ipkt.ProtocolICMP && c.steers4(b)
	}
	if len(b) < header.IPv6MinimumSize || b[6] == ipkt.ProtocolTCP || b[6] == ipkt.ProtocolUDP {
		return false
	}
	message, whole, shown := icmpv6(b)
	switch {
	case !shown:
		return true
	case message == nil:
		return false
	}
	switch kind := header.ICMPv6Type(message[0]); {
	case kind == header.ICMPv6PacketTooBig && binary.BigEndian.Uint32(message[4:]) < header.IPv6MinimumMTU:
		return true // RFC 8201 section 4
	case kind < header.ICMPv6EchoRequest:
		return !whole || !c.about(&p, message[icmpErrorLen:], header.IPv6MinimumSize)
	case kind == header.ICMPv6RouterAdvert, kind == header.ICMPv6NeighborAdvert, kind == header.ICMPv6RedirectMsg:
		return true
	}
	return false
}

// icmpErrorLen is what is before the packet that an ICMP error quotes.
const icmpErrorLen = 8

func (c *clients) steers4(b []byte) bool {
	p, err := ipkt.Parse(b)
	if err != nil || p.Offset != 0 {
		return false // for the stack to refuse, or to put behind what is looked at here
	}
	message := p.Payload()
	if len(message) < icmpErrorLen {
		return true
	}
	switch header.ICMPv4Type(message[0]) {
	case header.ICMPv4DstUnreachable, header.ICMPv4SrcQuench, header.ICMPv4TimeExceeded, header.ICMPv4ParamProblem:
		return p.More || !c.about(&p, message[icmpErrorLen:], header.IPv4MinimumSize)
	case header.ICMPv4Redirect:
		return true
	}
	return false
}

// about reports whether quoted is the beginning of a packet to the sender of p.
func (c *clients) about(p *ipkt.Packet, quoted []byte, headerLen int) bool {
	if len(quoted) < headerLen || quoted[0]>>4 != p.Bytes[0]>>4 {
		return false
	}
	q := ipkt.Packet{Bytes: quoted}
	return c.of(q.Destination()) == c.of(p.Source())
}

// icmpv6 finds the ICMPv6 message of a packet behind its extension headers (RFC
// 8200 section 4); nil: it is none, or not the beginning of one. whole: it is in no
// fragments. Not shown: the headers go on in another fragment, or have no end.
func icmpv6(b []byte) (message []byte, whole, shown bool) {
	const (
		maxHeaders = 8
		experiment = uint8(header.IPv6ExperimentExtHdrIdentifier) // of 8 bytes, as the stack has it
	)
	next, at := b[6], header.IPv6MinimumSize
	whole = true
	for range maxHeaders {
		switch next {
		case ipkt.ProtocolICMPv6:
			if len(b) < at+icmpErrorLen {
				return nil, false, false
			}
			return b[at:], whole, true
		case uint8(header.IPv6HopByHopOptionsExtHdrIdentifier), uint8(header.IPv6RoutingExtHdrIdentifier),
			uint8(header.IPv6DestinationOptionsExtHdrIdentifier), experiment, ipkt.ProtocolFragment:
		default:
			return nil, whole, true
		}
		if len(b) < at+8 {
			return nil, false, false
		}
		size := 8
		if next != ipkt.ProtocolFragment && next != experiment {
			size += int(b[at+1]) * 8
		} else if next == ipkt.ProtocolFragment {
			flags := binary.BigEndian.Uint16(b[at+2:])
			if flags>>3 != 0 {
				return nil, false, true // behind what is looked at here
			}
			whole = whole && flags&1 == 0
		}
		next, at = b[at], at+size
	}
	return nil, false, false
}
