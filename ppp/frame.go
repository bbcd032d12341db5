package ppp

import (
	"encoding/binary"
	"fmt"
)

// Protocol is the protocol number of a PPP frame.
type Protocol uint16

// Protocol numbers.
const (
	ProtocolIPv4   Protocol = 0x0021
	ProtocolIPv6   Protocol = 0x0057
	ProtocolIPCP   Protocol = 0x8021
	ProtocolIPV6CP Protocol = 0x8057
	ProtocolCCP    Protocol = 0x80fd
	ProtocolACSCP  Protocol = 0x8235 // Apple's, for routes and search domains
	ProtocolLCP    Protocol = 0xc021
	ProtocolPAP    Protocol = 0xc023
	ProtocolCBCP   Protocol = 0xc029
	ProtocolCHAP   Protocol = 0xc223
	ProtocolEAP    Protocol = 0xc227
)

// String names the protocol, or gives its number.
func (p Protocol) String() string {
	switch p {
	case ProtocolIPv4:
		return "IPv4"
	case ProtocolIPv6:
		return "IPv6"
	case ProtocolIPCP:
		return "IPCP"
	case ProtocolIPV6CP:
		return "IPV6CP"
	case ProtocolCCP:
		return "CCP"
	case ProtocolACSCP:
		return "ACSCP"
	case ProtocolLCP:
		return "LCP"
	case ProtocolPAP:
		return "PAP"
	case ProtocolCBCP:
		return "CBCP"
	case ProtocolCHAP:
		return "CHAP"
	case ProtocolEAP:
		return "EAP"
	}
	return fmt.Sprintf("0x%04x", uint16(p))
}

// Address and control octets of RFC 1662 section 3.1.
const (
	allStations = 0xff
	unnumbered  = 0x03
)

// maxHeaderLen is the length of an uncompressed header: address, control, protocol.
const maxHeaderLen = 4

// ParseFrame splits a frame into its protocol and what it carries. The address and
// control octets may be absent, and the protocol may have one octet or two, whatever
// was negotiated. The payload lies within b.
func ParseFrame(b []byte) (proto Protocol, payload []byte, ok bool) {
	if len(b) >= 2 && b[0] == allStations && b[1] == unnumbered {
		b = b[2:]
	}
	if len(b) == 0 {
		return 0, nil, false
	}
	// RFC 1661 section 2: the last octet of a protocol number is odd and all
	// others are even, so that an odd first octet is the whole number.
	if b[0]&1 == 1 {
		return Protocol(b[0]), b[1:], true
	}
	if len(b) < 2 || b[1]&1 == 0 {
		return 0, nil, false
	}
	return Protocol(binary.BigEndian.Uint16(b)), b[2:], true
}

// AppendHeader appends the header of a frame of that protocol: without address and
// control where acfc says so (but never for LCP, RFC 1661 section 6.6), and with a
// protocol of one octet where pfc says so and the number allows it.
func AppendHeader(b []byte, proto Protocol, acfc, pfc bool) []byte {
	if !acfc || proto == ProtocolLCP {
		b = append(b, allStations, unnumbered)
	}
	if pfc && compressible(proto) {
		return append(b, byte(proto))
	}
	return append(b, byte(proto>>8), byte(proto))
}

// compressible tells whether one octet names the protocol. 0x00ff does not: it
// would read as the address octet (RFC 1661 section 6.5).
func compressible(proto Protocol) bool { return proto < allStations }
