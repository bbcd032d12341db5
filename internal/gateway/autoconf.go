package gateway

import (
	"errors"

	"github.com/culvert-vpn/culvert/dataplane"
	"github.com/culvert-vpn/culvert/tenant/autoconf"
)

// newResponder makes what answers the clients of the tenant when they ask for
// routes, domains and servers.
func (t *tenantState) newResponder() (*autoconf.Responder, error) {
	return autoconf.New(autoconf.Config{
		Name: t.Name, Gateway: t.Gateway(), Pools: t.Pool,
		DNS: t.dns(), NBNS: t.NBNS, Domains: t.Domains, Routes: t.Routes,
	})
}

// question answers a packet that a client sent to its end of the link.
func (g *Gateway) question(m *dataplane.Message) {
	s := g.sessions[m.Session]
	if s == nil || s.tenant == nil {
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
	return autoconf.Client{Addr: s.addr, MTU: s.plane.MTU()}
}
