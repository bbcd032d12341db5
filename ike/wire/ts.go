package wire

import (
	"encoding/binary"
	"fmt"
	"net/netip"
)

// TSType is the type of a traffic selector.
type TSType uint8

// Traffic selector types (RFC 7296, section 3.13.1).
const (
	TSIPv4 TSType = 7
	TSIPv6 TSType = 8
)

const tsHeaderLen = 8

// TrafficSelector is a range of addresses and ports (RFC 7296, section 3.13.1).
// For ICMP the ports are type and code. StartPort 65535 with EndPort 0 is OPAQUE.
type TrafficSelector struct {
	Type               TSType
	Protocol           uint8 // IP protocol; zero: any
	StartPort, EndPort uint16
	Start, End         netip.Addr // zero for a type that is not known
	Data               []byte     // what follows the ports of a type that is not known; borrowed
}

// TS is a traffic selector payload: TSi or TSr.
type TS struct {
	Responder bool // TSr
	List      []TrafficSelector
}

// PayloadType returns PayloadTSi or PayloadTSr.
func (t TS) PayloadType() PayloadType { return sided(t.Responder, PayloadTSi, PayloadTSr) }

// AppendBody appends the body of the payload.
func (t TS) AppendBody(dst []byte) []byte {
	dst = append(dst, byte(len(t.List)), 0, 0, 0)
	for _, s := range t.List {
		dst = s.append(dst)
	}
	return dst
}

func (s TrafficSelector) append(dst []byte) []byte {
	at := len(dst)
	dst = append(dst, byte(s.Type), s.Protocol, 0, 0)
	dst = binary.BigEndian.AppendUint16(dst, s.StartPort)
	dst = binary.BigEndian.AppendUint16(dst, s.EndPort)
	dst = append(dst, s.Start.AsSlice()...)
	dst = append(dst, s.End.AsSlice()...)
	dst = append(dst, s.Data...)
	binary.BigEndian.PutUint16(dst[at+2:], uint16(len(dst)-at))
	return dst
}

// ConsumeTS reads the body of the traffic selector payload of type t, which is
// PayloadTSi or PayloadTSr. Selectors of types that are not known are kept.
func ConsumeTS(t PayloadType, b []byte) (TS, error) {
	if len(b) < 4 {
		return TS{}, ErrShort
	}
	out := TS{Responder: t == PayloadTSr}
	count := int(b[0])
	if count == 0 {
		return TS{}, ErrCount
	}
	b = b[4:]
	for range count {
		s, rest, err := consumeSelector(b)
		if err != nil {
			return TS{}, err
		}
		out.List, b = append(out.List, s), rest
	}
	if len(b) != 0 {
		return TS{}, ErrLength
	}
	return out, nil
}

func consumeSelector(b []byte) (TrafficSelector, []byte, error) {
	if len(b) < tsHeaderLen {
		return TrafficSelector{}, nil, ErrShort
	}
	n := int(binary.BigEndian.Uint16(b[2:]))
	if n < tsHeaderLen {
		return TrafficSelector{}, nil, ErrLength
	}
	if n > len(b) {
		return TrafficSelector{}, nil, ErrShort
	}
	s := TrafficSelector{Type: TSType(b[0]), Protocol: b[1],
		StartPort: binary.BigEndian.Uint16(b[4:]), EndPort: binary.BigEndian.Uint16(b[6:])}
	data, rest := b[tsHeaderLen:n:n], b[n:]
	size := map[TSType]int{TSIPv4: 4, TSIPv6: 16}[s.Type]
	if size == 0 {
		s.Data = data
		return s, rest, nil
	}
	if len(data) != 2*size {
		return TrafficSelector{}, nil, ErrLength
	}
	s.Start, _ = netip.AddrFromSlice(data[:size])
	s.End, _ = netip.AddrFromSlice(data[size:])
	if s.End.Less(s.Start) {
		return TrafficSelector{}, nil, ErrValue
	}
	return s, rest, nil
}

// PrefixSelector returns the selector of a network. A zero protocol or port
// means any.
func PrefixSelector(p netip.Prefix, protocol uint8, port uint16) TrafficSelector {
	s := TrafficSelector{Type: TSIPv6, Protocol: protocol, StartPort: port, EndPort: port, Start: p.Masked().Addr(), End: lastAddr(p)}
	if p.Addr().Is4() {
		s.Type = TSIPv4
	}
	if port == 0 {
		s.EndPort = 65535
	}
	return s
}

// lastAddr returns the highest address of a network.
func lastAddr(p netip.Prefix) netip.Addr {
	b := p.Addr().AsSlice()
	for i := p.Bits(); i < len(b)*8; i++ {
		b[i/8] |= 0x80 >> (i % 8)
	}
	a, _ := netip.AddrFromSlice(b)
	return a
}

// Prefix returns the network that the selector's addresses are, if they are
// exactly one.
func (s TrafficSelector) Prefix() (netip.Prefix, bool) {
	if !s.Start.IsValid() {
		return netip.Prefix{}, false
	}
	for bits := 0; bits <= s.Start.BitLen(); bits++ {
		p := netip.PrefixFrom(s.Start, bits)
		if p.Masked().Addr() == s.Start && lastAddr(p) == s.End {
			return p, true
		}
	}
	return netip.Prefix{}, false
}

// AllPorts reports whether the selector leaves the port open.
func (s TrafficSelector) AllPorts() bool { return s.StartPort == 0 && s.EndPort == 65535 }

// String returns the selector in the form 10.0.0.0/8[17/1701].
func (s TrafficSelector) String() string {
	text := fmt.Sprintf("type %d", s.Type)
	if p, ok := s.Prefix(); ok {
		text = p.String()
	} else if s.Start.IsValid() {
		text = s.Start.String() + "-" + s.End.String()
	}
	switch {
	case s.Protocol == 0 && s.AllPorts():
		return text
	case s.AllPorts():
		return fmt.Sprintf("%s[%d]", text, s.Protocol)
	case s.StartPort == s.EndPort:
		return fmt.Sprintf("%s[%d/%d]", text, s.Protocol, s.StartPort)
	}
	return fmt.Sprintf("%s[%d/%d-%d]", text, s.Protocol, s.StartPort, s.EndPort)
}
