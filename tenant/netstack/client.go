package netstack

import "net/netip"

// clientOf returns what stands for a client where its flows are bounded: its
// IPv4 address, or the /64 that it makes any number of IPv6 addresses in.
func clientOf(source netip.Addr) netip.Addr {
	if source.Is4() {
		return source
	}
	if prefix, err := source.Prefix(64); err == nil {
		return prefix.Addr()
	}
	return source
}
