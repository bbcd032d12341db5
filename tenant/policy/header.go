package policy

import (
	"bytes"
	"encoding/binary"
	"net/netip"

	"github.com/culvert-vpn/culvert/tenant/ipkt"
)

// header is what the rules see of a packet.
type header struct {
	src, dst     [16]byte // an IPv4 address in the first four bytes
	sport, dport uint16   // of ICMP see icmpPorts
	proto        uint8
	six          bool
	tcp          uint8 // its flags
	sequence     sequence
	begins       bool // it may begin a flow
	asks         bool // it is a query of ICMP
	fault        bool // it is an ICMP error
	part         bool // it is a fragment
	more         bool // and others follow
	framed       bool // it has a fragment header, of IPv6
	id           uint32
	offset, end  int // of a fragment's bytes in what was cut
	at           int // of the transport header, in the packet
	size         int
}

// Protocols that have their ports where TCP has them, and headers between those of
// IPv6 and of the transport (RFC 8200 section 4).
const (
	protocolDCCP    = 33
	protocolSCTP    = 132
	protocolUDPLite = 136

	nextHopByHop  = 0
	nextRouting   = 43
	nextAH        = 51
	nextOptions   = 60
	nextMobility  = 135
	nextHIP       = 139
	nextShim6     = 140
	maxExtensions = 8
)

// Flags of TCP.
const (
	tcpFIN = 0x01
	tcpSYN = 0x02
	tcpRST = 0x04
	tcpACK = 0x10
)

// read fills in the header of a packet. It reports whether the packet is one that an
// honest host may send: routes that a packet brings along, headers that are cut off,
// fragments that hide the ports and flags of TCP that exclude each other are not.
func (h *header) read(ip *ipkt.Packet) bool {
	b := ip.Bytes
	h.size = len(b)
	if b[0]>>4 == 4 {
		return h.read4(b, ip.HeaderLen)
	}
	return h.read6(b)
}

func (h *header) read4(b []byte, n int) bool {
	copy(h.src[:4], b[12:16])
	copy(h.dst[:4], b[16:20])
	h.proto, h.at = b[9], n
	flags := binary.BigEndian.Uint16(b[6:])
	if n > 20 && hasSourceRoute(b[20:n]) {
		return false
	}
	h.id = uint32(binary.BigEndian.Uint16(b[4:]))
	return h.cut(int(flags&0x1fff)*8, flags&0x2000 != 0, len(b)-n) && h.transport(b)
}

// hasSourceRoute reports whether options of IPv4 have the packet go elsewhere first
// (RFC 791 section 3.1), or cannot be read.
func hasSourceRoute(options []byte) bool {
	for len(options) > 0 && options[0] != 0 {
		n := 1
		if options[0] != 1 {
			if len(options) < 2 || options[1] < 2 || int(options[1]) > len(options) {
				return true
			}
			n = int(options[1])
		}
		if options[0] == 131 || options[0] == 137 {
			return true
		}
		options = options[n:]
	}
	return false
}

func (h *header) read6(b []byte) bool {
	h.six = true
	copy(h.src[:], b[8:24])
	copy(h.dst[:], b[24:40])
	h.proto, h.at = b[6], 40
	for range maxExtensions {
		n := 0
		switch h.proto {
		case nextHopByHop:
			if h.at != 40 {
				return false
			}
			fallthrough
		case nextOptions, nextRouting, nextMobility, nextHIP, nextShim6:
			n = 8
		case nextAH:
			n = 4
		case ipkt.ProtocolFragment:
			n = 8
		default:
			return h.transport(b)
		}
		if len(b) < h.at+8 {
			return false
		}
		next := b[h.at:]
		switch h.proto {
		case nextAH:
			n = (int(next[1]) + 2) * 4
		case ipkt.ProtocolFragment:
			if !h.fragment6(next) {
				return false
			}
			if h.offset > 0 {
				h.proto = 0 // the first one says
				return h.transport(b)
			}
		case nextRouting:
			if next[3] != 0 { // its destination is another
				return false
			}
			n = (int(next[1]) + 1) * 8
		default:
			n = (int(next[1]) + 1) * 8
		}
		h.proto, h.at = next[0], h.at+n
		if h.at > len(b) {
			return false
		}
	}
	return false
}

// fragment6 reads a fragment header of IPv6.
func (h *header) fragment6(b []byte) bool {
	if h.framed {
		return false
	}
	h.framed = true
	flags := binary.BigEndian.Uint16(b[2:])
	h.id = binary.BigEndian.Uint32(b[4:])
	return h.cut(int(flags&^7), flags&1 != 0, len(b)-8)
}

// cut notes which part of a packet this one has.
func (h *header) cut(offset int, more bool, length int) bool {
	h.offset, h.end, h.more, h.part = offset, offset+length, more, more || offset > 0
	switch {
	case h.end > 0xffff:
		return false
	case more:
		return length > 0 && length%8 == 0
	}
	return true
}

// transport reads ports, or what stands for them.
func (h *header) transport(b []byte) bool {
	if h.offset > 0 {
		return true
	}
	p := b[h.at:]
	h.begins = true
	switch h.proto {
	case ipkt.ProtocolTCP:
		if len(p) < 20 || p[12]>>4 < 5 || !saneFlags(p[13]) {
			return false
		}
		h.tcp = p[13]
		h.sequence.read(p, h.more)
		h.begins = h.tcp&tcpRST == 0 && h.tcp&(tcpSYN|tcpACK) != tcpSYN|tcpACK
	case ipkt.ProtocolUDP, protocolUDPLite:
		if len(p) < 8 {
			return false
		}
	case protocolSCTP, protocolDCCP:
		if len(p) < 12 {
			return false
		}
	case ipkt.ProtocolICMP, ipkt.ProtocolICMPv6:
		if h.isICMP() {
			return h.icmp(p)
		}
		return true
	default:
		return true
	}
	h.sport, h.dport = binary.BigEndian.Uint16(p), binary.BigEndian.Uint16(p[2:])
	return true
}

// isICMP reports whether the protocol is ICMP of the packet's family.
func (h *header) isICMP() bool {
	return h.proto == ipkt.ProtocolICMP && !h.six || h.proto == ipkt.ProtocolICMPv6 && h.six
}

// saneFlags reports whether flags of TCP are of a segment.
func saneFlags(f uint8) bool {
	switch {
	case f&tcpSYN != 0 && f&(tcpFIN|tcpRST) != 0, f&(tcpSYN|tcpRST|tcpACK|tcpFIN) == 0, f&tcpFIN != 0 && f&(tcpACK|tcpRST) == 0:
		return false
	}
	return true
}

// icmp reads a message of ICMP. Instead of ports a flow has the identifier of a query and
// the type of the request, and the answer has them the other way round, so that it is one
// of the same flow.
func (h *header) icmp(p []byte) bool {
	if len(p) < 8 {
		return false
	}
	kind := p[0]
	if isOfLink(h.six, kind) {
		return false
	}
	if h.fault = isError(h.six, kind); h.fault {
		h.begins = false
		return !h.part
	}
	request, answer := query(h.six, kind)
	switch {
	case answer:
		h.begins, h.sport, h.dport = false, uint16(request), binary.BigEndian.Uint16(p[4:])
	case request != 0:
		h.asks, h.sport, h.dport = true, binary.BigEndian.Uint16(p[4:]), uint16(request)
	default:
		h.dport = uint16(kind)
	}
	return true
}

// isOfLink reports whether a type of ICMP is one that no router passes on: a host takes a
// redirect from the router on its own link only (RFC 1122 section 3.2.2.2, RFC 4861 section
// 8.1), and source quench is no more (RFC 6633).
func isOfLink(six bool, kind uint8) bool {
	return six && kind == 137 || !six && (kind == 4 || kind == 5)
}

// isError reports whether a type of ICMP is an error (RFC 1122 section 3.2.2, RFC 4443
// section 2.1).
func isError(six bool, kind uint8) bool {
	if six {
		return kind < 128
	}
	return kind == 3 || kind == 11 || kind == 12
}

// query returns the type of the request that a type of ICMP is or answers; 0: neither.
func query(six bool, kind uint8) (request uint8, answer bool) {
	switch {
	case six && kind == 128, !six && (kind == 8 || kind == 13):
		return kind, false
	case six && kind == 129:
		return 128, true
	case !six && kind == 0:
		return 8, true
	case !six && kind == 14:
		return 13, true
	}
	return 0, false
}

// quoted reads the packet that an ICMP error quotes: its beginning. It reports whether
// that is enough to know a flow by, and whether it came from whom the error is for.
func (h *header) quoted(inner *header, ip *ipkt.Packet) bool {
	b := ip.Bytes[h.at+8:]
	switch {
	case len(b) < 20, b[0]>>4 == 6 != h.six, !h.six && b[0]>>4 != 4, h.six && len(b) < 40:
		return false
	case !h.six:
		n := int(b[0]&15) * 4
		if n < 20 || len(b) < n+8 || binary.BigEndian.Uint16(b[6:])&0x1fff != 0 {
			return false
		}
		inner.proto, inner.at = b[9], n
		copy(inner.src[:4], b[12:16])
		copy(inner.dst[:4], b[16:20])
	default:
		inner.six = true
		copy(inner.src[:], b[8:24])
		copy(inner.dst[:], b[24:40])
		if !inner.skip(b) {
			return false
		}
	}
	return inner.src == h.dst && inner.quotedPorts(b[inner.at:])
}

// skip finds the transport header in what is quoted of a packet of IPv6.
func (h *header) skip(b []byte) bool {
	h.proto, h.at = b[6], 40
	for range maxExtensions {
		if len(b) < h.at+8 {
			return false
		}
		next, n := b[h.at:], 8
		switch h.proto {
		case nextHopByHop, nextOptions, nextRouting, nextMobility, nextHIP, nextShim6:
			n = (int(next[1]) + 1) * 8
		case nextAH:
			n = (int(next[1]) + 2) * 4
		case ipkt.ProtocolFragment:
			if binary.BigEndian.Uint16(next[2:])&^7 != 0 {
				return false
			}
		default:
			return true
		}
		h.proto, h.at = next[0], h.at+n
	}
	return false
}

// quotedPorts reads the eight bytes of a transport header that every error quotes.
func (h *header) quotedPorts(p []byte) bool {
	if len(p) < 8 {
		return false
	}
	switch h.proto {
	case ipkt.ProtocolTCP:
		h.sequence.seq = binary.BigEndian.Uint32(p[4:])
		fallthrough
	case ipkt.ProtocolUDP, protocolUDPLite, protocolSCTP, protocolDCCP:
		h.sport, h.dport = binary.BigEndian.Uint16(p), binary.BigEndian.Uint16(p[2:])
	case ipkt.ProtocolICMP, ipkt.ProtocolICMPv6:
		if h.isICMP() {
			return h.icmp(p) && !h.fault
		}
	}
	return true
}

// source and destination are the addresses.
func (h *header) source() netip.Addr { return h.address(&h.src) }

func (h *header) destination() netip.Addr { return h.address(&h.dst) }

func (h *header) address(a *[16]byte) netip.Addr {
	if h.six {
		return netip.AddrFrom16(*a)
	}
	return netip.AddrFrom4([4]byte(a[:4]))
}

// reversed is the header of an answer.
func (h *header) reversed() header {
	r := *h
	r.src, r.dst, r.sport, r.dport = h.dst, h.src, h.dport, h.sport
	return r
}

// key is what a flow is found by, whichever way its packets go: the smaller end, the
// larger one, the protocol and the family.
type key [40]byte

// key returns it, and whether the source is the smaller end.
func (h *header) key() (k key, low bool) {
	c := bytes.Compare(h.src[:], h.dst[:])
	if low = c < 0 || c == 0 && h.sport <= h.dport; low {
		copy(k[:16], h.src[:])
		copy(k[16:32], h.dst[:])
		binary.BigEndian.PutUint16(k[32:], h.sport)
		binary.BigEndian.PutUint16(k[34:], h.dport)
	} else {
		copy(k[:16], h.dst[:])
		copy(k[16:32], h.src[:])
		binary.BigEndian.PutUint16(k[32:], h.dport)
		binary.BigEndian.PutUint16(k[34:], h.sport)
	}
	k[36] = h.proto
	if h.six {
		k[37] = 1
	}
	return k, low
}
