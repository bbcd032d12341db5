package gateway

import (
	"context"
	"strings"
	"time"

	"github.com/culvert-vpn/culvert/dataplane"
	"github.com/culvert-vpn/culvert/internal/admin"
	"github.com/culvert-vpn/culvert/internal/config"
	"github.com/culvert-vpn/culvert/tenant/policy"
)

// What operators see of the rules of a tenant, and of its flows. The control loop is asked
// for no more than which tenant it is.

// view is what is looked at of a tenant.
type view struct {
	conf  *config.Tenant
	rules *policy.Rules
	port  *dataplane.Port
	at    time.Time
}

// look finds a tenant.
func (g *Gateway) look(ctx context.Context, name string) (v view, err error) {
	err = g.server.engine.Work.Do(ctx, func(now time.Time) {
		if t := g.server.named(name); t != nil {
			v = view{t.Tenant, t.inForce, t.port, now}
		}
	})
	if err == nil && v.conf == nil {
		err = admin.ErrNoTenant
	}
	return v, err
}

// Policy are the rules in force of a tenant. It implements admin.Gateway.
func (g *Gateway) Policy(ctx context.Context, name string) (admin.Policy, error) {
	v, err := g.look(ctx, name)
	if err != nil {
		return admin.Policy{}, err
	}
	p := shownPolicy(v.conf, v.rules, v.at)
	p.InForce = true
	return p, nil
}

// WrittenPolicy are the rules of a tenant as a server would have them.
func WrittenPolicy(conf *config.Tenant, now time.Time) admin.Policy {
	return shownPolicy(conf, rulesOf(conf, nil, nil), now)
}

// shownPolicy are rules as operators see them.
func shownPolicy(conf *config.Tenant, rules *policy.Rules, now time.Time) admin.Policy {
	p := admin.Policy{Tenant: conf.Name, At: now, Clients: "isolated", Sets: []admin.RuleSet{}}
	if conf.ClientToClient {
		p.Clients = "open"
	}
	for _, s := range rules.Hits(now) {
		set := admin.RuleSet{Name: setName(s.Name), Rules: []admin.Rule{}}
		if filter, is := strings.CutPrefix(s.Name, "filter:"); is {
			set.For = conf.Policy.Under(filter)
		}
		for i := range s.Rules {
			set.Rules = append(set.Rules, shownRule(&s.Rules[i], s.Hits[i]))
		}
		set.Default = shownRule(&policy.Rule{Name: "default", Allow: s.Allow}, s.Hits[len(s.Rules)])
		p.Sets = append(p.Sets, set)
	}
	return p
}

// setName is what a set of rules is called to operators.
func setName(name string) string {
	if name == "tenant" {
		return "policy"
	}
	return name
}

// shownRule is a rule as operators see it.
func shownRule(r *policy.Rule, h policy.Hits) admin.Rule {
	w := &r.Words
	shown := admin.Rule{Name: r.Name, From: w.From, To: w.To, Ports: w.Ports, When: w.When, Now: !h.Off, Allow: r.Allow, Log: "none", Flows: h.Flows, Last: h.Last}
	if r.Log == policy.LogFirst {
		shown.Log = "first"
	}
	return shown
}

// Flows lists flows of a tenant. It implements admin.Gateway.
func (g *Gateway) Flows(ctx context.Context, q admin.FlowQuery) (admin.FlowList, error) {
	v, err := g.look(ctx, q.Tenant)
	if err != nil {
		return admin.FlowList{}, err
	}
	list := admin.FlowList{Tenant: v.conf.Name, At: v.at, Rules: v.rules.Asks(), Flows: []admin.Flow{}, Counted: admin.FlowCounts(v.port.FlowCounts())}
	if !list.Rules {
		return list, nil
	}
	asked := policy.Query{To: q.To, Most: min(q.Limit, admin.MaxFlows)}
	if q.User != "" {
		asked.User = config.UserKey(q.User)
	}
	found, all := g.server.engine.Plane.Flows(v.port, asked)
	for i := range found {
		list.Flows = append(list.Flows, shownFlow(&found[i]))
	}
	list.More = all - len(found)
	return list, nil
}

// shownFlow is a flow as operators see it.
func shownFlow(f *policy.Seen) admin.Flow {
	shown := admin.Flow{
		Session: f.Session, User: f.User, Protocol: f.Protocol, Source: f.Source, Destination: f.Destination,
		To: config.FlowName(f.Destination, f.Protocol), Set: setName(f.Set), Rule: f.Rule,
		Age: int(f.Age), Idle: int(f.Idle), Up: f.Up, Down: f.Down, State: stateName(f.State),
	}
	if shown.Set != "" && shown.Rule == "" {
		shown.Rule = "default"
	}
	return shown
}

// stateName is how far a flow has got, in words.
func stateName(s policy.State) string {
	return [...]string{policy.Unanswered: "unanswered", policy.Answered: "answered", policy.HalfClosed: "half closed", policy.BothClosed: "closed", policy.Reset: "reset"}[s]
}
