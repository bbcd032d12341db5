package gateway

import (
	"slices"
	"time"

	"github.com/culvert-vpn/culvert/ike"
	"github.com/culvert-vpn/culvert/internal/engine"
	"github.com/culvert-vpn/culvert/l2tp"
)

// dismiss ends the sessions of tenants that are gone, and tells their clients.
func (g *applier) dismiss(now time.Time, gone []*tenantState) {
	const why = "the tenant was removed"
	if len(gone) == 0 {
		return
	}
	for _, t := range gone {
		t.gone = true
	}
	var leaving []*engine.Peer
	for _, p := range g.server.peers {
		rest := len(p.Sessions())
		for _, s := range p.own() {
			if s.tenant == nil || !s.tenant.gone {
				continue
			}
			rest--
			s.Because(why)
			if s.Link != nil {
				g.server.engine.L2TP.CloseCall(now, s.Call, l2tp.Result{Code: l2tp.ClearAdministrative, Message: why})
			}
		}
		if p.homeless(g.server.keys) || rest == 0 && p.belongs(gone) {
			leaving = append(leaving, p.Peer)
		}
	}
	g.server.engine.ClosePeers(now, leaving, l2tp.Result{Code: l2tp.ClearAdministrative, Message: why}, ike.ReasonLocal)
	g.server.engine.DrainAll(now)
	for _, t := range gone {
		for _, s := range t.sessions { // whatever is left: the device is to be freed
			g.logins.end(now, s)
		}
	}
}

// belongs reports whether a peer is a client of one of the tenants, or logs in to one.
func (p *peer) belongs(gone []*tenantState) bool {
	if p.login != nil && p.login.tenant != nil && p.login.tenant.gone {
		return true
	}
	return slices.ContainsFunc(p.own(), func(s *session) bool { return slices.Contains(gone, s.tenant) })
}
