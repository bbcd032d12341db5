package gateway

import (
	"errors"
	"net/netip"
	"slices"
	"time"

	"github.com/culvert-vpn/culvert/dataplane"
	"github.com/culvert-vpn/culvert/internal/event"
	"github.com/culvert-vpn/culvert/ppp"
	"github.com/culvert-vpn/culvert/tenant/autoconf"
)

// newResponder makes what answers the clients of the tenant when they ask for
// routes, domains and servers.
func (t *tenantState) newResponder() (*autoconf.Responder, error) {
	return autoconf.New(autoconf.Config{
		Name: t.Name, Gateway: t.Gateway(), Pools: t.ranges(),
		DNS: t.grant.DNS, NBNS: t.NBNS, Domains: t.Domains, Routes: t.Routes, Delegate: t.Delegate > 0,
	})
}

// question answers a packet that a client sent to its end of the link.
func (g *Gateway) question(m *dataplane.Message) {
	s := g.sessions[m.Session]
	switch {
	case s == nil:
		return
	case s.peer.dial != nil:
		g.advertised(s, m.Data)
		return
	case s.tenant == nil:
		return
	}
	reply, err := s.tenant.tells.Answer(s.asked(), m.Data)
	if err != nil {
		if !errors.Is(err, autoconf.ErrIgnored) {
			g.count(err, "autoconf")
		}
		return
	}
	g.unsent(g.plane.SendIP(s.plane, reply))
}

// asked is the session as those who ask for its configuration are told of it.
func (s *session) asked() autoconf.Client {
	c := autoconf.Client{Addr: s.addr, MTU: s.plane.MTU()}
	if s.router.IsValid() {
		c.Prefix, c.Router = s.prefix, s.router
	}
	return c
}

// linkUp6 opens the session for IPv6 packets and tells the client its prefix.
func (g *Gateway) linkUp6(now time.Time, s *session, e ppp.Up6) {
	if d := s.peer.dial; d != nil {
		d.id6, s.advertised = e.LocalID, 0
		g.solicit(now, s)
		return
	}
	if !s.prefix.IsValid() {
		return
	}
	s.router = e.LocalID.LinkLocal()
	s.linkOptions = s.options(e.SendACFC, e.SendPFC, e.PeerMRU)
	g.plane.Bind6(s.plane, s.tenant.port, s.prefix, s.linkOptions)
	g.emit(event.SessionIPv6{Session: s.about(), Prefix: s.prefix})
	s.advertised = 0
	g.advertise(now, s)
}

// linkDown6 closes the session for IPv6 packets until IPv6 is up again.
func (g *Gateway) linkDown6(s *session) {
	if d := s.peer.dial; d != nil {
		d.id6 = 0
		return
	}
	s.router, s.advertiseAt = netip.Addr{}, time.Time{}
	g.plane.Unbind6(s.plane)
}

// advertise tells the client its prefix, unasked, and notes when to do so again.
func (g *Gateway) advertise(now time.Time, s *session) {
	g.unsent(g.plane.SendIP(s.plane, s.tenant.tells.Advertisement(s.asked())))
	s.advertiseAt = now.Add(autoconf.AdvertiseAfter(int(s.advertised)))
	s.advertised++
}

// ranges are those of clients, of both families.
func (t *tenantState) ranges() []netip.Prefix { return slices.Concat(t.Pool, t.Pool6) }

// lease6 gives the session a prefix. There being none is no reason to refuse a
// client: it has IPv4.
func (g *Gateway) lease6(s *session, t *tenantState) {
	if t.pool6 == nil {
		return
	}
	prefix, err := t.pool6.Lease(s.key())
	if err != nil {
		g.emit(event.NoPrefix{Session: s.about(), Err: err, Hint: "every prefix of the tenant's IPv6 ranges is in use: enlarge pool"})
		return
	}
	s.prefix = prefix
	if d, ok := t.device.(interface {
		Join(addr netip.Addr, prefix netip.Prefix)
	}); ok {
		d.Join(s.addr, prefix)
	}
}
