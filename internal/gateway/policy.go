package gateway

import (
	"github.com/culvert-vpn/culvert/internal/config"
	"github.com/culvert-vpn/culvert/internal/event"
	"github.com/culvert-vpn/culvert/tenant/policy"
)

// rules are the policy of the tenant, compiled. Those that were not refused when the
// configuration was read can be; if not, nothing is allowed.
func (t *tenantState) rules() *policy.Rules {
	c := t.Tenant.Rules()
	c.Clients, c.Closed = t.ranges(), t.closed
	r, err := policy.Compile(c)
	if err != nil {
		c.Sets = []policy.Set{{Name: "nothing"}}
		r, _ = policy.Compile(c)
	}
	return r
}

// introduce says who a session is to the rules of its tenant, where there are any of flows.
func (g *server) introduce(s *session) {
	if s.tenant.Policy.Set == nil || s.Plane == nil {
		return
	}
	g.engine.Plane.SetIdentity(s.Plane, s.tenant.IdentityOf(s.user))
}

// police has the tenant's rules hold for whoever is connected to it.
func (g *server) police(t *tenantState) {
	for _, s := range t.sessions {
		g.introduce(s)
	}
	t.port.SetFlows(t.Limits.Flows)
	t.port.SetRules(t.rules())
}

// tellFlows says which flows the policy of a tenant has denied, or has allowed with a log:
// so many until there is room for others.
func (g *server) tellFlows(t *tenantState, room bool) {
	told, untold := t.port.Notes(room)
	for _, n := range told {
		rule := n.Rule
		if rule == "" {
			rule = "default"
		}
		from, to := n.Source.Addr().String(), config.FlowName(n.Destination, n.Protocol)
		if n.Allow {
			g.emit(event.FlowAllowed{Tenant: t.Name, User: n.User, Rule: rule, From: from, To: to})
			continue
		}
		g.emit(event.FlowDenied{Tenant: t.Name, User: n.User, Rule: rule, From: from, To: to})
	}
	if untold > 0 {
		g.emit(event.FlowsUntold{Tenant: t.Name, Flows: untold})
	}
}
