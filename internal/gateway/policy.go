package gateway

import (
	"fmt"
	"net/netip"
	"strings"

	"github.com/culvert-vpn/culvert/internal/config"
	"github.com/culvert-vpn/culvert/internal/event"
	"github.com/culvert-vpn/culvert/tenant/policy"
)

// rulesOf are the policy of a tenant, compiled; closed is where its device leads and clients
// do not go, and unpooled what sessions have that no pool has. Rules that were not refused when
// the configuration was read can be compiled; if not, nothing is allowed.
func rulesOf(conf *config.Tenant, closed *policy.Reach, unpooled []netip.Prefix) *policy.Rules {
	c := conf.Rules()
	c.Clients, c.Closed = append(c.Clients, unpooled...), closed
	r, err := policy.Compile(c)
	if err != nil {
		c.Sets = []policy.Set{{Name: "nothing"}}
		r, _ = policy.Compile(c)
	}
	return r
}

// introduce says who a session is to the rules of its tenant, where there are any of flows:
// to those that follow, if there are some.
func (g *server) introduce(s *session) {
	t := s.tenant
	if s.Plane == nil || !t.policy.Asks() {
		return
	}
	var before *policy.Rules
	if t.policy != t.inForce {
		before = t.inForce
	}
	g.engine.Plane.SetIdentity(s.Plane, &policy.Identity{User: s.key(), Session: s.ID, Groups: s.grant.Groups, Filters: s.grant.Filters, Pool: t.of(s)}, before)
}

// police has the tenant's rules hold for whoever is connected to it, and who they are by now.
func (g *server) police(t *tenantState) {
	t.port.SetFlows(t.Limits.Flows)
	t.port.SetRules(t.policy)
	t.inForce = t.policy
}

// tellFlows says which flows the policy of a tenant has denied, or has allowed with a log:
// so many until there is room for others.
func (g *server) tellFlows(t *tenantState, room bool) {
	told, untold := t.port.Notes(room)
	for _, n := range told {
		rule := n.Rule
		switch {
		case n.Set == "": // for as long as it takes to end the session
			rule = "filter unknown"
		case rule == "":
			rule = "default"
		}
		filter, of := strings.CutPrefix(n.Set, "filter:")
		if !of {
			filter = ""
		}
		from, to := n.Source.Addr().String(), config.FlowName(n.Destination, n.Protocol)
		if n.Allow {
			g.emit(event.FlowAllowed{Tenant: t.Name, User: n.User, Filter: filter, Rule: rule, From: from, To: to})
			continue
		}
		g.emit(event.FlowDenied{Tenant: t.Name, User: n.User, Filter: filter, Rule: rule, From: from, To: to})
	}
	if untold > 0 {
		g.emit(event.FlowsUntold{Tenant: t.Name, Flows: untold})
	}
	for _, r := range t.port.Reached(room) {
		g.tellReached(t, r)
	}
}

// tellReached says that a limit on flows of a tenant was reached, and what followed.
func (g *server) tellReached(t *tenantState, r policy.Reached) {
	limit := [...]string{policy.OfSession: "limits.flows", policy.OfTenant: "flows of a tenant", policy.OfAll: "flows of all tenants"}[r.Scope]
	then := "flows of the tenant that were silent for longest ended, for new ones"
	switch {
	case r.Full > 0:
		then = fmt.Sprintf("%d new flows were refused", r.Full)
	case r.Scope == policy.OfSession:
		then = "flows of the session that were silent for longest ended, for new ones"
	}
	g.emit(event.LimitHit{Tenant: t.Name, User: r.User, Session: r.Session, Limit: limit, Most: r.Most, Times: r.Pushed + r.Full, Then: then})
}
