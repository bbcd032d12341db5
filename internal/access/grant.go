package access

import (
	"net/netip"
	"slices"
	"time"

	"github.com/culvert-vpn/culvert/internal/config"
)

// Grant is what a session was granted, beside the addresses that it has for itself. It is
// never changed: sessions that have the same share one.
type Grant struct {
	SessionTimeout time.Duration // how long the session lasts; 0: as long as it likes
	IdleTimeout    time.Duration // how long it may be silent; 0: as long as it likes
	MTU            int           // of its packets, in bytes; 0: what the way there carries
	DNS, NBNS      []netip.Addr
	Domains        []string
	Routes         []netip.Prefix // none: everything goes through the tunnel
	Redirect       string         // the gateway that serves it in our place; empty: none
}

// GrantOf is what a tenant grants everybody. What it borrows of the configuration is not
// changed.
func GrantOf(t *config.Tenant) *Grant {
	g := &Grant{
		SessionTimeout: t.Limits.SessionTimeout, IdleTimeout: t.Limits.IdleTimeout, MTU: t.MTU,
		DNS: t.DNS, NBNS: t.NBNS, Domains: t.Domains, Routes: t.Routes, Redirect: t.Redirect,
	}
	for _, a := range t.Gateways() { // where the forwarder answers
		if !slices.ContainsFunc(t.DNS, func(b netip.Addr) bool { return b.Is4() == a.Is4() }) {
			g.DNS = append(slices.Clip(g.DNS), a)
		}
	}
	return g
}
