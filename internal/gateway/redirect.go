package gateway

import (
	"net/netip"
	"time"

	"github.com/culvert-vpn/culvert/ike"
	"github.com/culvert-vpn/culvert/internal/event"
)

// Clients of IKEv2 that are sent to another gateway (RFC 5685).

// elsewhere is the gateway that a new client is sent to before anything else.
func (g *Gateway) elsewhere(_, _ netip.Addr) string { return g.server.config.Config.Redirect.To }

// sendAway tells the clients that understand it where to go when this server ends.
func (g *Gateway) sendAway(now time.Time) {
	to := g.server.config.Config.Redirect.To
	if to == "" {
		return
	}
	told := 0
	for id := range g.server.peers {
		if g.server.engine.IKE.Redirect(now, ike.Peer(id), to) == nil {
			told++
		}
	}
	g.server.emit(event.ClientsRedirected{To: to, Clients: told})
}

// sentAway is what a client of a tenant gets that is served elsewhere.
func (g *server) sentAway(p *peer, t *tenantState, e ike.Assign) (ike.Assignment, bool) {
	if t.Redirect == "" || !e.Wants.Redirectable {
		return ike.Assignment{}, false
	}
	about := p.about()
	about.Tenant = t.Name
	g.emit(event.ClientRedirected{Peer: about, User: e.Identity, To: t.Redirect})
	return ike.Assignment{OK: true, Redirect: t.Redirect}, true
}
