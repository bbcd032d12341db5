package gateway

import (
	"slices"
	"sync/atomic"
	"time"

	"github.com/culvert-vpn/culvert/dataplane"
	"github.com/culvert-vpn/culvert/ike"
	"github.com/culvert-vpn/culvert/internal/config"
	"github.com/culvert-vpn/culvert/internal/engine"
	"github.com/culvert-vpn/culvert/internal/store"
	"github.com/culvert-vpn/culvert/l2tp"
	"github.com/culvert-vpn/culvert/tenant"
	"github.com/culvert-vpn/culvert/tenant/policy"
)

// roster is who the tenants are and how they are found. It is swapped whole when tenants
// come, go or change; what it remembers of its own belongs to the control loop.
type roster struct {
	tenants  []*tenantState // in the order of the configuration
	selector *tenant.Selector
	keys     *keyring
}

func newRoster(tenants []*tenantState, selector *tenant.Selector) *roster {
	return &roster{tenants: tenants, selector: selector, keys: newKeyring(tenants)}
}

// named returns the tenant of that name, or nil.
func (r *roster) named(name string) *tenantState { return r.keys.named[name] }

// newSelector tells tenants apart by the realms of their users.
func newSelector(tenants []config.Tenant) (*tenant.Selector, error) {
	names := make([]tenant.Names, 0, len(tenants))
	for i := range tenants {
		t := &tenants[i]
		names = append(names, tenant.Names{Tenant: t.Name, Realms: t.Match.Realms, Default: t.Default})
	}
	return tenant.NewSelector(names)
}

// plan is how one configuration takes the place of another.
type plan struct {
	running, next *config.Config
	before        *roster

	tenants  []*tenantState // of the next roster
	renewed  []renewal      // those that stay
	opened   []*tenantState // those that are new
	gone     []*tenantState
	selector *tenant.Selector
	pools    *policy.Reach
	changes  Changes

	openings []*opening
	leaving  []leaving
	told     []*told
	closed   []leaving         // before anything could be opened in their place
	former   []*dataplane.Port // of tenants that stay, with another one

	made   atomic.Bool     // it is what runs
	leases [][]store.Lease // of gone; nil: there is no store
}

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
	for _, p := range g.peers {
		rest := len(p.Sessions())
		for _, s := range p.own() {
			if s.tenant == nil || !s.tenant.gone {
				continue
			}
			rest--
			s.Because(why)
			if s.Link != nil {
				g.engine.L2TP.CloseCall(now, s.Call, l2tp.Result{Code: l2tp.ClearAdministrative, Message: why})
			}
		}
		if p.homeless(g.keys) || rest == 0 && p.belongs(gone) {
			leaving = append(leaving, p.Peer)
		}
	}
	g.engine.ClosePeers(now, leaving, l2tp.Result{Code: l2tp.ClearAdministrative, Message: why}, ike.ReasonLocal)
	g.engine.DrainAll(now)
	for _, t := range gone {
		for _, s := range t.sessions { // whatever is left: the device is to be freed
			g.end(now, s)
		}
	}
}

// homeless reports whether a peer's key opens no tenant any more.
func (p *peer) homeless(k *keyring) bool {
	group, _ := k.group(p.Label)
	return p.Suite != "" && len(group) == 0
}

// belongs reports whether a peer is a client of one of the tenants, or logs in to one.
func (p *peer) belongs(gone []*tenantState) bool {
	if p.login != nil && p.login.tenant != nil && p.login.tenant.gone {
		return true
	}
	return slices.ContainsFunc(p.own(), func(s *session) bool { return slices.Contains(gone, s.tenant) })
}
