package wire

import (
	"encoding/binary"
	"math/bits"
	"net/netip"
)

// ID is an identification payload: who a peer is, or, in quick mode, what
// traffic an SA is for (RFC 2407, section 4.6.2).
type ID struct {
	Type     IDType
	Protocol uint8  // IP protocol; zero: any
	Port     uint16 // zero: any
	Data     []byte // borrowed
}

// PayloadType returns PayloadID.
func (ID) PayloadType() PayloadType { return PayloadID }

// AppendBody appends the body of the payload.
func (id ID) AppendBody(dst []byte) []byte {
	dst = append(dst, byte(id.Type), id.Protocol)
	dst = binary.BigEndian.AppendUint16(dst, id.Port)
	return append(dst, id.Data...)
}

// ConsumeID reads the body of an ID payload and checks that an address has the
// length of its type.
func ConsumeID(b []byte) (ID, error) {
	if len(b) < 4 {
		return ID{}, ErrShort
	}
	id := ID{Type: IDType(b[0]), Protocol: b[1], Port: binary.BigEndian.Uint16(b[2:]), Data: b[4:]}
	if want := idDataLen(id.Type); want != 0 && len(id.Data) != want {
		return ID{}, ErrLength
	}
	return id, nil
}

// idDataLen is the length of the data of a type with a fixed one, else zero.
func idDataLen(t IDType) int {
	switch t {
	case IDIPv4Addr:
		return 4
	case IDIPv4AddrSubnet, IDIPv4AddrRange:
		return 8
	case IDIPv6Addr:
		return 16
	case IDIPv6AddrSubnet, IDIPv6AddrRange:
		return 32
	}
	return 0
}

// AddrID returns the ID of a single address. A zero protocol or port means any.
func AddrID(a netip.Addr, protocol uint8, port uint16) ID {
	id := ID{Type: IDIPv6Addr, Protocol: protocol, Port: port}
	if a = a.Unmap(); a.Is4() {
		id.Type = IDIPv4Addr
	}
	id.Data = a.AsSlice()
	return id
}

// PrefixID returns the subnet ID of a network.
func PrefixID(p netip.Prefix, protocol uint8, port uint16) ID {
	p = p.Masked()
	id := AddrID(p.Addr(), protocol, port)
	id.Type = IDIPv6AddrSubnet
	if p.Addr().Is4() {
		id.Type = IDIPv4AddrSubnet
	}
	mask := make([]byte, len(id.Data))
	for i := range p.Bits() {
		mask[i/8] |= 0x80 >> (i % 8)
	}
	id.Data = append(id.Data, mask...)
	return id
}

// Prefix returns the network an ID stands for: a single address, a subnet, or a
// range of one address. Other types have none.
func (id ID) Prefix() (netip.Prefix, bool) {
	half := len(id.Data)
	switch id.Type {
	case IDIPv4AddrSubnet, IDIPv6AddrSubnet, IDIPv4AddrRange, IDIPv6AddrRange:
		half /= 2
	case IDIPv4Addr, IDIPv6Addr:
	default:
		return netip.Prefix{}, false
	}
	a, ok := netip.AddrFromSlice(id.Data[:half])
	if !ok {
		return netip.Prefix{}, false
	}
	n := a.BitLen()
	switch id.Type {
	case IDIPv4AddrSubnet, IDIPv6AddrSubnet:
		if n, ok = maskLen(id.Data[half:]); !ok {
			return netip.Prefix{}, false
		}
	case IDIPv4AddrRange, IDIPv6AddrRange:
		if string(id.Data[:half]) != string(id.Data[half:]) {
			return netip.Prefix{}, false
		}
	}
	return netip.PrefixFrom(a, n).Masked(), true
}

// Addr returns the single address an ID stands for.
func (id ID) Addr() (netip.Addr, bool) {
	p, ok := id.Prefix()
	if !ok || !p.IsSingleIP() {
		return netip.Addr{}, false
	}
	return p.Addr(), true
}

// Covers reports whether all traffic that o stands for is traffic that id stands for.
func (id ID) Covers(o ID) bool {
	wide, ok := id.Prefix()
	narrow, ok2 := o.Prefix()
	return ok && ok2 && wide.Bits() <= narrow.Bits() && wide.Contains(narrow.Addr()) &&
		(id.Protocol == 0 || id.Protocol == o.Protocol) && (id.Port == 0 || id.Port == o.Port)
}

// maskLen counts the leading ones of a netmask that has no others.
func maskLen(mask []byte) (int, bool) {
	n := 0
	for n < len(mask)*8 && mask[n/8]&(0x80>>(n%8)) != 0 {
		n++
	}
	ones := 0
	for _, x := range mask {
		ones += bits.OnesCount8(x)
	}
	return n, ones == n
}

// String describes the ID for a log line: its type and its data in plain words.
// Data of a key ID and of names may be chosen by the peer, so it is quoted.
func (id ID) String() string { return id.Type.String() + " " + id.value() + id.selector() }
