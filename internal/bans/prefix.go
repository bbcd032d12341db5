package bans

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
)

// ParsePrefix reads an address or a network. IPv4 in IPv6 is IPv4. An error says what to
// write.
func ParsePrefix(text string) (netip.Prefix, error) {
	p, err := parsePrefix(text)
	switch {
	case err != nil:
		return p, fmt.Errorf("bans: %.64q is no address or network: write 192.0.2.7, 192.0.2.0/24 or 2001:db8::/32", text)
	case p != p.Masked():
		return p, fmt.Errorf("bans: %s has bits behind its first %d: write %s for the network, or %s for the address", p, p.Bits(), p.Masked(), p.Addr())
	}
	return p, nil
}

func parsePrefix(text string) (netip.Prefix, error) {
	if !strings.Contains(text, "/") {
		a, err := netip.ParseAddr(text)
		if err != nil || a.Zone() != "" {
			return netip.Prefix{}, errNoPrefix
		}
		return Whole(a), nil
	}
	p, err := netip.ParsePrefix(text)
	if err == nil && p.Addr().Is4In6() {
		if p.Bits() < 96 {
			return p, errNoPrefix
		}
		p = netip.PrefixFrom(p.Addr().Unmap(), p.Bits()-96)
	}
	return p, err
}

var errNoPrefix = errors.New("bans: no address or network")

// Whole is an address as a network.
func Whole(a netip.Addr) netip.Prefix {
	a = a.Unmap().WithZone("")
	return netip.PrefixFrom(a, a.BitLen())
}

// Check refuses to ban what is everybody, unless force says that this is meant.
func Check(p netip.Prefix, force bool) error {
	if p.Bits() == 0 && !force {
		return fmt.Errorf("bans: %s is everybody: nobody could dial in any more; --force bans it all the same", p)
	}
	return nil
}

// Wide reports whether a network is so large that it is hardly meant: a /7 of IPv4, a /15 of
// IPv6, and larger ones.
func Wide(p netip.Prefix) bool {
	return p.Addr().Is4() && p.Bits() < 8 || p.Addr().Is6() && p.Bits() < 16
}

// Own are those of some addresses that a network holds.
func Own(p netip.Prefix, addrs []netip.Addr) []netip.Addr {
	return slices.DeleteFunc(slices.Clone(addrs), func(a netip.Addr) bool { return !p.Contains(a.Unmap().WithZone("")) })
}
