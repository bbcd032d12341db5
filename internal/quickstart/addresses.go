package quickstart

import (
	"net"
	"net/netip"
	"slices"
)

// Addresses are the IPv4 addresses under which clients may reach this host.
type Addresses struct {
	// Public addresses can be dialled from anywhere.
	Public []netip.Addr
	// Private ones can be dialled from the networks around, and from
	// elsewhere only through a NAT that forwards to them.
	Private []netip.Addr
	// Networks are the ranges that the addresses are in.
	Networks []netip.Prefix
}

// FindAddresses looks at the interfaces that are up. The address that this
// host's own traffic leaves from stands first in its list.
func FindAddresses() (Addresses, error) {
	all, err := net.InterfaceAddrs()
	if err != nil {
		return Addresses{}, err
	}
	var found []netip.Prefix
	for _, a := range all {
		if n, ok := a.(*net.IPNet); ok {
			addr, _ := netip.AddrFromSlice(n.IP)
			ones, _ := n.Mask.Size()
			found = append(found, netip.PrefixFrom(addr.Unmap(), ones))
		}
	}
	return sortAddresses(found, leaving()), nil
}

// leaving returns the address that traffic to the world leaves from. Nothing
// is sent: a UDP socket is connected, and asked where it is.
func leaving() netip.Addr {
	c, err := net.Dial("udp4", "192.0.2.1:500")
	if err != nil {
		return netip.Addr{}
	}
	defer c.Close()
	at, ok := c.LocalAddr().(*net.UDPAddr)
	if !ok {
		return netip.Addr{}
	}
	return at.AddrPort().Addr().Unmap()
}

// sortAddresses tells public from private and puts the preferred one first.
func sortAddresses(found []netip.Prefix, preferred netip.Addr) Addresses {
	var a Addresses
	for _, p := range found {
		addr := p.Addr()
		if !addr.Is4() || !addr.IsGlobalUnicast() {
			continue
		}
		a.Networks = append(a.Networks, p.Masked())
		if isPrivate(addr) {
			a.Private = append(a.Private, addr)
		} else {
			a.Public = append(a.Public, addr)
		}
	}
	for _, list := range [][]netip.Addr{a.Public, a.Private} {
		if i := slices.Index(list, preferred); i > 0 {
			list[0], list[i] = list[i], list[0]
		}
	}
	return a
}

// isPrivate reports whether an IPv4 address is behind a NAT: private (RFC
// 1918) or shared by the customers of a carrier (RFC 6598).
func isPrivate(a netip.Addr) bool {
	return a.IsPrivate() || netip.MustParsePrefix("100.64.0.0/10").Contains(a)
}
