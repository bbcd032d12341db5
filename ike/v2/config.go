package v2

import (
	"net/netip"
	"slices"

	"github.com/culvert-vpn/culvert/ike/wire"
)

// wantsOf reads a configuration request (RFC 7296, section 3.15). Attributes that
// are not known, Microsoft's among them, are ignored.
func wantsOf(c wire.Config) Wants {
	var w Wants
	if c.Type != wire.ConfigRequest {
		return w
	}
	w.Request = true
	for _, a := range c.Attributes {
		addr, _ := a.Addr()
		switch a.Type {
		case wire.ConfigIP4Address:
			w.IPv4, w.Addr4 = true, wish(addr)
		case wire.ConfigIP6Address:
			w.IPv6, w.Addr6 = true, wish(addr)
		case wire.ConfigIP4DNS, wire.ConfigIP6DNS:
			w.DNS = true
		case wire.ConfigIP4NBNS:
			w.NBNS = true
		case wire.ConfigIP4Subnet, wire.ConfigIP6Subnet:
			w.Subnets = true
		case wire.ConfigDNSDomain:
			w.Domains = true
		case wire.ConfigVersion:
			w.Version = printable(string(a.Value[:min(len(a.Value), 128)]))
		}
	}
	return w
}

// wish is the address asked for; 0.0.0.0 and :: stand for any.
func wish(a netip.Addr) netip.Addr {
	if !a.IsValid() || a.IsUnspecified() {
		return netip.Addr{}
	}
	return a
}

// reply is the configuration payload that grants a to who asked for w. A client
// is told what it did not ask for only where that does no harm: "the responder
// MAY ... return additional attributes" (RFC 7296, section 3.15.1).
func (a *Assignment) reply(w Wants) wire.Config {
	c := wire.Config{Type: wire.ConfigReply}
	add := func(x wire.ConfigAttribute) { c.Attributes = append(c.Attributes, x) }
	if a.IPv4.IsValid() && w.IPv4 {
		add(wire.AddrAttribute(wire.ConfigIP4Address, a.IPv4))
	}
	if a.IPv6.IsValid() && w.IPv6 {
		add(wire.PrefixAttribute(wire.ConfigIP6Address, a.IPv6))
	}
	for _, d := range a.DNS {
		switch {
		case d.Is4() && w.IPv4:
			add(wire.AddrAttribute(wire.ConfigIP4DNS, d))
		case d.Is6() && w.IPv6:
			add(wire.AddrAttribute(wire.ConfigIP6DNS, d))
		}
	}
	for _, d := range a.NBNS {
		if w.NBNS && d.Is4() {
			add(wire.AddrAttribute(wire.ConfigIP4NBNS, d))
		}
	}
	for _, p := range a.Subnets {
		switch {
		case p.Addr().Is4() && w.IPv4:
			add(wire.PrefixAttribute(wire.ConfigIP4Subnet, p.Masked()))
		case p.Addr().Is6() && w.IPv6:
			add(wire.PrefixAttribute(wire.ConfigIP6Subnet, p.Masked()))
		}
	}
	// RFC 8598, section 3.1: only to who asked with INTERNAL_DNS_DOMAIN.
	for _, d := range a.Domains {
		if w.Domains {
			add(wire.ConfigAttribute{Type: wire.ConfigDNSDomain, Value: []byte(d)})
		}
	}
	return c
}

// assignmentOf reads what a server has granted.
func assignmentOf(c wire.Config) Assignment {
	a := Assignment{OK: c.Type == wire.ConfigReply}
	for _, x := range c.Attributes {
		addr, isAddr := x.Addr()
		prefix, isPrefix := x.Prefix()
		switch {
		case x.Type == wire.ConfigIP4Address && isAddr:
			a.IPv4 = addr
		case x.Type == wire.ConfigIP6Address && isPrefix:
			a.IPv6 = prefix
		case x.Type == wire.ConfigIP6Address && isAddr:
			a.IPv6 = netip.PrefixFrom(addr, 128)
		case (x.Type == wire.ConfigIP4DNS || x.Type == wire.ConfigIP6DNS) && isAddr:
			a.DNS = append(a.DNS, addr)
		case x.Type == wire.ConfigIP4NBNS && isAddr:
			a.NBNS = append(a.NBNS, addr)
		case (x.Type == wire.ConfigIP4Subnet || x.Type == wire.ConfigIP6Subnet) && isPrefix:
			a.Subnets = append(a.Subnets, prefix)
		case x.Type == wire.ConfigDNSDomain && isDomain(x.Value):
			a.Domains = append(a.Domains, string(x.Value))
		}
	}
	return a
}

// isDomain reports whether what a server calls a domain can be one: whoever reads it,
// perhaps a program, finds its end. It is in DNS presentation format, in ASCII (RFC 8598).
func isDomain(b []byte) bool {
	return len(b) > 0 && len(b) <= 255 && !slices.ContainsFunc(b, func(c byte) bool { return c <= ' ' || c > '~' || c == ',' })
}

// inner lists the addresses of an assignment.
func (a *Assignment) inner() []netip.Addr {
	var list []netip.Addr
	if a.IPv4.IsValid() {
		list = append(list, a.IPv4)
	}
	if a.IPv6.IsValid() {
		list = append(list, a.IPv6.Addr())
	}
	return list
}

// remote is what an initiator with this assignment may be.
func (a *Assignment) remote() []Range {
	var list []Range
	for _, x := range a.inner() {
		list = append(list, prefixRange(netip.PrefixFrom(x, x.BitLen())))
	}
	for _, p := range a.Remote {
		list = append(list, prefixRange(p))
	}
	return list
}

// local is what an initiator with this assignment may reach.
func (a *Assignment) local() []Range {
	if len(a.Local) == 0 {
		return everything()
	}
	var list []Range
	for _, p := range a.Local {
		list = append(list, prefixRange(p))
	}
	return list
}
