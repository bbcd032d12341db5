package gateway

import (
	"context"
	"slices"
	"time"

	"github.com/culvert-vpn/culvert/dataplane"
	"github.com/culvert-vpn/culvert/internal/admin"
	"github.com/culvert-vpn/culvert/internal/engine"
	"github.com/culvert-vpn/culvert/tenant/dns"
	"github.com/culvert-vpn/culvert/tenant/netstack"
	"github.com/culvert-vpn/culvert/tenant/policy"
)

// Everything that is counted is read here, and nowhere else: for operators, and what was
// dropped for the log.

// keepTraffic counts what a session that ends has carried, for its tenant, and, for it is
// not to be counted otherwise there, for figures that are being taken.
func (g *server) keepTraffic(s *session) {
	c := s.traffic()
	s.tenant.left.add(c)
	for _, t := range g.taken {
		t.ended[s] = c
	}
}

// Figures returns what the server has and what it has counted. It implements
// admin.Gateway.
func (g *Gateway) Figures(ctx context.Context) (admin.Figures, error) {
	t := &taking{ended: make(map[*session]carried)}
	defer g.server.engine.Work.Post(func(time.Time) {
		g.server.taken = slices.DeleteFunc(g.server.taken, func(o *taking) bool { return o == t })
	})
	if err := g.server.engine.Work.Do(ctx, func(now time.Time) { t.begin(g, now) }); err != nil {
		return admin.Figures{}, err
	}
	t.open()
	next := 0
	for some := range slices.Chunk(t.tenants, slice) {
		err := g.server.engine.Work.Do(ctx, func(time.Time) {
			for _, tenant := range some {
				tenant.countAddresses(&t.f.Tenants[next])
				next++
			}
		})
		if err != nil {
			return admin.Figures{}, err
		}
	}
	for some := range slices.Chunk(t.sessions, slice) {
		err := g.server.engine.Work.Do(ctx, func(time.Time) {
			for _, s := range some {
				t.session(s)
			}
		})
		if err != nil {
			return admin.Figures{}, err
		}
	}
	g.server.countDrops(&t.f, t.tenants)
	t.events(g)
	return t.f, nil
}

// begin notes what is of no tenant, and which tenants and sessions there are. What each
// tenant's former sessions have carried is of the same moment: then nothing is counted
// twice, or not at all, that ends meanwhile.
func (t *taking) begin(g *Gateway, now time.Time) {
	c, f := g.server.config.Config, &t.f
	g.server.taken = append(g.server.taken, t)
	f.At, f.Since, f.Version = now, g.server.since, g.server.config.Version
	f.Listen, f.IKEPort, f.NATTPort = c.Listen, c.Ports.IKE, c.Ports.NATT
	e := g.server.engine.Figures()
	f.Peers, f.HeldUp, f.Refused, f.Bans = e.Peers, g.logins.heldUp, e.Refused, g.server.bans.list.Len()
	t.machines(e)
	f.Computing, f.Waiting = admin.Jobs(e.Computing), admin.Jobs(e.Waiting)
	f.Inbox = admin.Inbox{Peers: e.OfPeers, Strangers: e.Strangers}
	t.sessions = make([]*session, 0, len(g.server.sessions))
	for _, s := range g.server.sessions {
		t.sessions = append(t.sessions, s)
	}
	t.tenants, t.left = g.server.tenants, make([]carried, len(g.server.tenants))
	for i, tenant := range g.server.tenants {
		t.left[i] = *tenant.left
	}
}

// open makes room for what is counted of each tenant, and begins with what its former
// sessions have carried.
func (t *taking) open() {
	t.f.All, t.f.Tenants = admin.NewCounted(), make([]admin.Tenant, len(t.tenants))
	t.byName = make(map[string]*admin.Counted, len(t.tenants))
	for i, tenant := range t.tenants {
		of := &t.f.Tenants[i]
		of.Name, of.Counted = tenant.Name, admin.NewCounted()
		t.byName[tenant.Name] = &of.Counted
		t.carried(&of.Counted, t.left[i])
	}
}

// machines notes what the protocols count.
func (t *taking) machines(e engine.Figures) {
	i, l := e.IKE, e.L2TP
	t.f.IKE = admin.IKE{
		Peers: i.Peers, SAs: i.IKEs, HalfOpen: i.HalfOpen, Children: i.Children, Computations: i.Computations,
		Received: i.Received, Sent: i.Sent, Dropped: i.Dropped,
	}
	t.f.L2TP = admin.L2TP{
		Peers: l.Peers, Tunnels: l.Tunnels, Calls: l.Calls, Received: l.Received, Sent: l.Sent, Repeated: l.Repeated,
		Duplicates: l.Duplicates, Early: l.Early, Dropped: l.Dropped, StrayHellos: l.StrayHellos, Ignored: l.Ignored,
	}
}

// session adds a session.
func (t *taking) session(s *session) {
	if s.tenant == nil {
		return
	}
	of := t.byName[s.tenant.Name]
	if of == nil { // its tenant has come meanwhile
		return
	}
	c, ended := t.ended[s]
	if !ended {
		c = s.traffic()
	}
	t.carried(of, c)
	if s.Ended || s.Up.IsZero() {
		return
	}
	for _, to := range []*admin.Counted{of, &t.f.All} {
		to.Sessions++
		to.Protocols[s.Protocol()]++
	}
}

// events adds what happened.
func (t *taking) events(g *Gateway) {
	for _, c := range g.server.counter.Counts() {
		to := []*admin.Counted{&t.f.All}
		if of := t.byName[c.Tenant]; of != nil {
			to = append(to, of)
		}
		for _, to := range to {
			to.Events[c.Name] += c.N
			if c.Cause == "" {
				continue
			}
			if to.Causes[c.Name] == nil {
				to.Causes[c.Name] = admin.Named{}
			}
			to.Causes[c.Name][c.Cause] += c.N
		}
	}
}

// countDrops notes what was dropped and refused outside of the control loop, and may be
// called by any goroutine. f has the tenants, in that order.
func (g *server) countDrops(f *admin.Figures, tenants []*tenantState) {
	f.Faults = g.faults.Count()
	s := g.engine.Plane.Sockets()
	f.Sockets = admin.Sockets{Received: s.Received, Truncated: s.Truncated, Sent: s.Sent, Refused: s.Refused, Calls: s.Calls}
	for i, t := range tenants { // the whole after its parts, which are never more
		of, way := &f.Tenants[i], t.way.Load()
		of.Dropped = named(way.port.Drops())
		if c := way.port.FlowCounts(); c != (policy.Counts{}) || way.port.Asks() {
			of.Flows = new(admin.FlowCounts)
			*of.Flows = admin.FlowCounts(c)
		}
		if d, ok := way.device.(interface{ DNS() dns.Counters }); ok {
			c := d.DNS()
			of.DNS = &admin.DNS{Queries: c.Queries, Failed: c.Failed, Malformed: c.Malformed, Dropped: c.Dropped}
		}
		if d, ok := way.device.(interface{ Counters() netstack.Counters }); ok {
			c := d.Counters()
			of.Stack = &admin.Stack{Flows: c.Flows, Refused: c.FlowsRefused, Queue: c.QueueDrops, Echoes: c.EchoDrops}
		}
	}
	f.All.Dropped = named(g.engine.Plane.Drops())
}

func named(drops map[dataplane.Cause]uint64) admin.Named {
	n := make(admin.Named, len(drops))
	for cause, count := range drops {
		n[cause.String()] = count
	}
	return n
}

// drops are figures with no more than what was dropped.
func (g *server) drops() *admin.Figures {
	f := &admin.Figures{Refused: g.engine.Refused, Tenants: make([]admin.Tenant, len(g.tenants))}
	for i, t := range g.tenants {
		f.Tenants[i].Name = t.Name
	}
	g.countDrops(f, g.tenants)
	return f
}
