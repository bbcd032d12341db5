package access

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/culvert-vpn/culvert/internal/config"
)

// Terms are what somebody may be granted. A zero field grants nothing, and takes nothing
// away.
type Terms struct {
	Address        netip.Addr    // of IPv4, his alone; invalid: one of the pool
	Prefix         netip.Prefix  // of IPv6, his alone; invalid: one of the pool
	Pool           string        // the name of the pool that he has addresses of; empty: the tenant's own
	SessionTimeout time.Duration // how long the session lasts; 0: as long as it likes
	IdleTimeout    time.Duration // how long it may be silent; 0: as long as it likes
	MTU            int           // of its packets, in bytes; 0: what the way there carries
	DNS, NBNS      []netip.Addr
	Domains        []string
	Routes         []netip.Prefix // none: everything goes through the tunnel
	Redirect       string         // the gateway that serves it in our place; empty: none
	Groups         []string       // that he is in
	Filters        []string       // sets of rules by which he is held, all of them
}

// names are those of the terms in the configuration, in their order. Groups and filters are
// not among them: of these nothing prevails, they add up.
const names = "address prefix pool session_timeout idle_timeout mtu dns nbns domains routes redirect"

// terms is how many there are.
const terms = 11

// Origin is who grants something, in a word for operators.
type Origin string

// The origins, in the order in which one prevails over those before it.
const (
	FromTenant Origin = "tenant"
	FromUser   Origin = "user"
)

// Layer is what one origin grants. What it borrows of the configuration is not changed.
type Layer struct {
	From Origin
	Terms
}

// Grant is what a session was granted, of all who had something to grant. It is never
// changed: sessions that have the same share one.
type Grant struct {
	Terms
	// Missing is a group or a filter of it that the tenant does not have; empty: it has all.
	// Such a session may do nothing.
	Missing string
	from    [terms]Origin
	added   []Said // groups and filters, of each origin
}

// Said is one term of a grant, and who said so.
type Said struct {
	Name, Value string
	From        Origin
}

// GrantOf is what a tenant grants everybody, and over that what others grant somebody in
// particular: of each term the last counts that says it.
func GrantOf(t *config.Tenant, more ...Layer) *Grant {
	g := new(Grant)
	g.lay(ofTenant(t))
	for _, l := range more {
		g.lay(l)
	}
	g.Missing = t.Policy.Missing(g.Groups, g.Filters)
	return g
}

// ofTenant is what a tenant grants. Where it names no DNS server of a family it is itself
// one, for the forwarder answers there.
func ofTenant(t *config.Tenant) Layer {
	own := Terms{
		SessionTimeout: t.Limits.SessionTimeout, IdleTimeout: t.Limits.IdleTimeout, MTU: t.MTU,
		DNS: t.DNS, NBNS: t.NBNS, Domains: t.Domains, Routes: t.Routes, Redirect: t.Redirect,
	}
	for _, a := range t.Gateways() {
		if !slices.ContainsFunc(t.DNS, func(b netip.Addr) bool { return b.Is4() == a.Is4() }) {
			own.DNS = append(slices.Clip(own.DNS), a)
		}
	}
	return Layer{FromTenant, own}
}

// lay has what a layer says count in place of what was said before.
func (g *Grant) lay(l Layer) {
	over(g, 0, l.From, &g.Address, l.Address, l.Address.IsValid())
	over(g, 1, l.From, &g.Prefix, l.Prefix, l.Prefix.IsValid())
	over(g, 2, l.From, &g.Pool, l.Pool, l.Pool != "")
	over(g, 3, l.From, &g.SessionTimeout, l.SessionTimeout, l.SessionTimeout != 0)
	over(g, 4, l.From, &g.IdleTimeout, l.IdleTimeout, l.IdleTimeout != 0)
	over(g, 5, l.From, &g.MTU, l.MTU, l.MTU != 0)
	over(g, 6, l.From, &g.DNS, l.DNS, len(l.DNS) > 0)
	over(g, 7, l.From, &g.NBNS, l.NBNS, len(l.NBNS) > 0)
	over(g, 8, l.From, &g.Domains, l.Domains, len(l.Domains) > 0)
	over(g, 9, l.From, &g.Routes, l.Routes, len(l.Routes) > 0)
	over(g, 10, l.From, &g.Redirect, l.Redirect, l.Redirect != "")
	g.add("groups", l.From, &g.Groups, l.Groups)
	g.add("filters", l.From, &g.Filters, l.Filters)
}

// add adds to what others have said of a term.
func (g *Grant) add(name string, from Origin, to *[]string, more []string) {
	if len(more) == 0 {
		return
	}
	g.added = append(g.added, Said{name, strings.Join(more, ", "), from})
	for _, s := range more {
		if !slices.Contains(*to, s) {
			*to = append(*to, s)
		}
	}
}

// over sets one term, if it is said.
func over[T any](g *Grant, n int, from Origin, to *T, v T, said bool) {
	if said {
		*to, g.from[n] = v, from
	}
}

// Said lists the terms that somebody has said, those that add up once for each who did.
func (g *Grant) Said() []Said {
	list := make([]Said, 0, terms)
	values := [terms]any{g.Address, g.Prefix, g.Pool, g.SessionTimeout, g.IdleTimeout, g.MTU, g.DNS, g.NBNS, g.Domains, g.Routes, g.Redirect}
	for n, name := range strings.Fields(names) {
		if g.from[n] != "" {
			value := strings.Trim(fmt.Sprint(values[n]), "[]")
			list = append(list, Said{name, strings.ReplaceAll(value, " ", ", "), g.from[n]})
		}
	}
	return append(list, g.added...)
}
