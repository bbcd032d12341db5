package wire

import (
	"net/netip"
	"strconv"
)

// maxIDText bounds how much of an identity a description shows.
const maxIDText = 128

// value returns the data of an ID in words.
func (id ID) value() string {
	if p, ok := id.Prefix(); ok {
		if p.IsSingleIP() {
			return p.Addr().String()
		}
		return p.String()
	}
	switch id.Type {
	case IDIPv4AddrRange, IDIPv6AddrRange:
		half := len(id.Data) / 2
		lo, _ := netip.AddrFromSlice(id.Data[:half])
		hi, _ := netip.AddrFromSlice(id.Data[half:])
		return lo.String() + "-" + hi.String()
	}
	return strconv.QuoteToASCII(string(id.Data[:min(len(id.Data), maxIDText)]))
}

// selector returns protocol and port, if the ID names any.
func (id ID) selector() string {
	if id.Protocol == 0 && id.Port == 0 {
		return ""
	}
	return " proto " + strconv.Itoa(int(id.Protocol)) + " port " + strconv.Itoa(int(id.Port))
}
