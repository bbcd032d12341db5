package config

import (
	"fmt"
	"net/netip"
)

// readNetstack reads what clients may reach through the inner stack.
func (t *tenantValues) readNetstack(v value) *Netstack {
	n := &Netstack{}
	v.fields([]field{
		{"allow", "[10.0.0.0/8]", false, func(v value) {
			v.items(func(item value) {
				if p, ok := item.prefix(); ok {
					n.Allow, t.opens = append(n.Allow, p), append(t.opens, item)
				}
			})
		}},
		{"deny", "[10.0.0.0/8]", false, func(v value) { n.Deny = listOf(v, value.prefix) }},
		{"timeouts", "{udp: 5m}", false, func(v value) { readTimeouts(v, &n.Timeouts) }},
	})
	return n
}

// checkAllow warns of ranges that are open whether they are allowed or not: who
// wrote them may think that the others are closed.
func (r *reader) checkAllow() {
	for _, t := range r.tenants {
		n := t.Egress.Netstack
		if n == nil || len(t.opens) != len(n.Allow) {
			continue
		}
		for i, p := range n.Allow {
			if !r.isClosed(p, n.Deny) {
				t.opens[i].warn(fmt.Sprintf("tenant %s: %s is open without allow, which closes nothing else", t.Name, p),
					`to have all else closed write deny: [0.0.0.0/0, "::/0"] beside it, or drop it`)
			}
		}
	}
}

// isClosed reports whether some of p may be closed: by deny, since tenants have
// addresses there, or by default. A single address may be the host's own.
func (r *reader) isClosed(p netip.Prefix, deny []netip.Prefix) bool {
	a := p.Addr()
	if p.IsSingleIP() || a.IsLoopback() || a.IsLinkLocalUnicast() || a.IsMulticast() {
		return true
	}
	for _, t := range r.tenants {
		if overlapsAny(p, t.Ranges()) {
			return true
		}
	}
	return overlapsAny(p, deny)
}

func overlapsAny(p netip.Prefix, list []netip.Prefix) bool {
	for _, other := range list {
		if p.Overlaps(other) {
			return true
		}
	}
	return false
}
