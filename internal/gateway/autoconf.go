package gateway

import (
	"errors"
	"time"

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
func (g *server) question(s *session, packet []byte) {
	if s.tenant == nil {
		return
	}
	reply, err := s.tenant.tells.Answer(s.asked(), packet)
	if err != nil {
		if !errors.Is(err, autoconf.ErrIgnored) {
			g.engine.Count(err, "autoconf")
		}
		return
	}
	g.engine.SendIP(s.Session, reply)
}

// asked is the session as those who ask for its configuration are told of it.
func (s *session) asked() autoconf.Client {
	c := autoconf.Client{Addr: s.addr, MTU: s.Plane.MTU()}
	if s.router.IsValid() {
		c.Prefix, c.Router = s.prefix, s.router
	}
	return c
}

// linkUp6 opens the session for IPv6 packets and tells the client its prefix.
func (g *server) linkUp6(now time.Time, s *session, e ppp.Up6) {
	if !s.prefix.IsValid() {
		return
	}
	s.router = e.LocalID.LinkLocal()
	g.introduce(s)
	g.engine.Bind6(s.Session, s.place())
	g.emit(event.SessionIPv6{Session: s.about(), Prefix: s.prefix})
	s.advertised = 0
	g.advertise(now, s)
}

// advertise tells the client its prefix, unasked, and notes when to do so again.
func (g *server) advertise(now time.Time, s *session) {
	g.engine.SendIP(s.Session, s.tenant.tells.Advertisement(s.asked()))
	s.advertiseAt = now.Add(autoconf.AdvertiseAfter(int(s.advertised)))
	s.advertised++
}
