package wire

import "net/netip"

// NATOA is a NAT original address payload: an address as its owner sees it
// (RFC 3947, section 5.2).
type NATOA struct {
	Type PayloadType // PayloadNATOA or PayloadNATOADraft
	Addr netip.Addr
}

// PayloadType returns the number of the variant in use.
func (n NATOA) PayloadType() PayloadType { return n.Type }

// AppendBody appends the body of the payload.
func (n NATOA) AppendBody(dst []byte) []byte {
	t := IDIPv6Addr
	if n.Addr.Is4() {
		t = IDIPv4Addr
	}
	return append(append(dst, byte(t), 0, 0, 0), n.Addr.AsSlice()...)
}

// IsNATOA reports whether t is one of the numbers of NAT-OA.
func IsNATOA(t PayloadType) bool { return t == PayloadNATOA || t == PayloadNATOADraft }

// ConsumeNATOA reads the body of a NAT-OA payload of type t. Its reserved bytes,
// for which one draft kept the layout of an ID, are ignored.
func ConsumeNATOA(t PayloadType, b []byte) (NATOA, error) {
	if !IsNATOA(t) {
		return NATOA{}, ErrNext
	}
	if len(b) < 4 {
		return NATOA{}, ErrShort
	}
	n := NATOA{Type: t}
	var want int
	switch IDType(b[0]) {
	case IDIPv4Addr:
		want = 4
	case IDIPv6Addr:
		want = 16
	default:
		return NATOA{}, ErrValue
	}
	if len(b) != 4+want {
		return NATOA{}, ErrLength
	}
	n.Addr, _ = netip.AddrFromSlice(b[4:])
	return n, nil
}
