package gateway

import (
	"context"
	"net/netip"
	"slices"
	"sync/atomic"
	"time"

	"github.com/culvert-vpn/culvert/internal/admin"
	"github.com/culvert-vpn/culvert/internal/config"
	"github.com/culvert-vpn/culvert/internal/event"
	"github.com/culvert-vpn/culvert/tenant/policy"
	"github.com/culvert-vpn/culvert/tenant/tun"
)

// When the pools of a tenant change, or who gets addresses of which, there may be sessions
// outside: their user would be given another address by now. They go on, until he logs in
// again or whoever applies the configuration wants them to end. Some have an address that no
// pool of the tenant has any more. It is still a client's: nobody else is given it, the
// device has a way to it, other tenants do not come to it, and to rules it is of the pool
// that it was of.

// outsiders are the sessions of a tenant that are outside. They belong to the control loop,
// but for reach.
type outsiders struct {
	outside  int   // how many are
	unpooled int   // of those, how many have an address that no pool has
	vacated  bool  // of the latter some have ended, and others think them there
	reach    reach // what the latter have

	namedPools map[*session]string // the pool that the address of each is of, or was, if that is not the default one
}

// isOf notes which pool the address of a session is of.
func (o *outsiders) isOf(s *session, pool string) {
	if pool == config.DefaultPool {
		return
	}
	if o.namedPools == nil {
		o.namedPools = make(map[*session]string)
	}
	o.namedPools[s] = pool
}

// of is the pool that the address of a session is of, or was.
func (o *outsiders) of(s *session) string {
	if pool, named := o.namedPools[s]; named {
		return pool
	}
	return config.DefaultPool
}

// reach is a policy.Closer that may change; the zero one closes nothing.
type reach struct{ now atomic.Pointer[policy.Reach] }

// Closes implements policy.Closer.
func (r *reach) Closes(addr netip.Addr) (bits int, closed bool) {
	if now := r.now.Load(); now != nil {
		return now.Closes(addr)
	}
	return -1, false
}

// set has it close these prefixes.
func (r *reach) set(prefixes []netip.Prefix) {
	if len(prefixes) == 0 {
		r.now.Store(nil)
		return
	}
	if now, err := policy.NewReach(prefixes, nil); err == nil { // always: they are masked
		r.now.Store(now)
	}
}

// leaves notes that a session is over.
func (o *outsiders) leaves(s *session) {
	if s.outside {
		o.outside--
	}
	if s.unpooled {
		o.unpooled, o.vacated = o.unpooled-1, true
	}
	s.outside, s.unpooled = false, false
	delete(o.namedPools, s)
}

// findOutside finds out which sessions of a tenant are outside. They are told of, or ended
// where the plan says so. Those end in any case whose address is that of clients of another
// tenant by now, in the same network of the kernel.
func (g *applier) findOutside(now time.Time, p *plan, r renewal) {
	t := r.tenant
	if !r.changed && t.outside == 0 && !p.end {
		return
	}
	t.vacated = t.vacated || t.unpooled > 0 // who had such an address may have another kind by now
	t.outside, t.unpooled = 0, 0
	others, ending := besides(p.next, r.conf), make(map[netip.Addr]string)
	for addr, s := range t.sessions {
		granted := t.named(t.grants(s.key(), s.own).Pool)
		s.unpooled = t.at(s.addr) == nil || s.prefix.IsValid() && t.at(s.prefix.Addr()) == nil
		s.outside = s.unpooled || granted == nil || !granted.holds(s) && !t.static[s.key()].holds(s)
		if s.outside {
			t.outside++
		}
		if s.unpooled {
			t.unpooled++
		}
		if s.outside && p.end || s.unpooled && (contains(others, s.addr) || contains(others, s.prefix.Addr())) {
			ending[addr] = whyPool
		}
	}
	if found := t.outside; found > 0 && (r.changed || p.end) {
		p.changes.Outside = append(p.changes.Outside, admin.Outside{Tenant: t.Name, Sessions: found})
	}
	g.cutAll(now, t, ending)
	if t.unpooled > 0 {
		t.policy = rulesOf(t.Tenant, t.closed, t.unpooledPrefixes())
	}
}

// tellOutside says who is outside by a configuration that has come to run.
func (g *applier) tellOutside(p *plan) {
	for _, o := range p.changes.Outside {
		if p.end {
			continue // each has its own line
		}
		g.server.emit(event.SessionsOutside{
			Tenant: o.Tenant, Sessions: o.Sessions,
			Hint: "they go on, and get other addresses when they log in again: `culvert reload --now` ends them",
		})
	}
}

// holds reports whether all that a session has is its user's alone.
func (f fixed) holds(s *session) bool {
	return f.addr == s.addr && (!s.prefix.IsValid() || f.prefix == s.prefix)
}

// besides are the pools of other tenants with devices in the same namespace.
func besides(c *config.Config, t *config.Tenant) (all []netip.Prefix) {
	for i := range c.Tenants {
		if other := &c.Tenants[i]; sharesNetwork(t, other) {
			all = append(all, other.Ranges()...)
		}
	}
	return all
}

// sharesNetwork reports whether two tenants have devices in one namespace.
func sharesNetwork(a, b *config.Tenant) bool {
	return a.Name != b.Name && a.Egress.TUN != nil && b.Egress.TUN != nil && a.Egress.TUN.NetNS == b.Egress.TUN.NetNS
}

// unpooledPrefixes are what sessions of the tenant have that no pool has.
func (t *tenantState) unpooledPrefixes() (all []netip.Prefix) {
	if t.unpooled == 0 {
		return nil
	}
	for _, s := range t.sessions {
		if s.unpooled && t.at(s.addr) == nil {
			all = append(all, netip.PrefixFrom(s.addr, s.addr.BitLen()))
		}
		if s.unpooled && s.prefix.IsValid() && t.at(s.prefix.Addr()) == nil {
			all = append(all, s.prefix.Masked())
		}
	}
	return compact(all)
}

// compact is the same addresses in fewer prefixes: the two halves of one are that.
func compact(prefixes []netip.Prefix) (fewer []netip.Prefix) {
	slices.SortFunc(prefixes, func(a, b netip.Prefix) int { return a.Addr().Compare(b.Addr()) })
	for _, p := range prefixes {
		for len(fewer) > 0 && p.Bits() > 0 {
			last := fewer[len(fewer)-1]
			whole := netip.PrefixFrom(last.Addr(), last.Bits()-1)
			if last.Bits() != p.Bits() || whole.Masked() != whole || !whole.Contains(p.Addr()) {
				break
			}
			p, fewer = whole, fewer[:len(fewer)-1]
		}
		fewer = append(fewer, p)
	}
	return fewer
}

// closeUnpooled has what sessions have that no pool has be closed to other tenants.
func (g *applier) closeUnpooled(tenants []*tenantState) {
	var all []netip.Prefix
	for _, t := range tenants {
		own := t.unpooledPrefixes()
		t.reach.set(own)
		all = append(all, own...)
	}
	if g.server.devices != nil {
		g.server.devices.pools.unpooled.set(all)
	}
}

// tellUnpooled notes what devices of the kernel are to lead to besides what their tenants'
// configurations say.
func (p *plan) tellUnpooled() {
	for _, r := range p.renewed {
		prefixes := r.tenant.unpooledPrefixes()
		if _, is := r.tenant.device.(*tun.Device); !is || len(prefixes) == 0 && !r.tenant.vacated {
			continue
		}
		r.tenant.vacated = false
		i := slices.IndexFunc(p.told, func(d *told) bool { return d.tenant == r.tenant })
		if i < 0 {
			i, p.told = len(p.told), append(p.told, &told{tenant: r.tenant, conf: r.conf})
		}
		p.told[i].unpooled = prefixes
	}
}

// tidy takes back what was kept for sessions with addresses of no pool that have ended.
func (g *applier) tidy(ctx context.Context) {
	select {
	case g.applying <- struct{}{}: // one at a time
		defer func() { <-g.applying }()
	default:
		return // later
	}
	var routes []*told
	err := g.server.engine.Work.Do(ctx, func(time.Time) {
		if !slices.ContainsFunc(g.server.tenants, func(t *tenantState) bool { return t.vacated }) {
			return
		}
		g.closeUnpooled(g.server.tenants)
		for _, t := range g.server.tenants {
			if !t.vacated {
				continue
			}
			t.vacated = false
			t.policy = rulesOf(t.Tenant, t.closed, t.unpooledPrefixes())
			g.server.police(t)
			if _, is := t.device.(*tun.Device); is {
				routes = append(routes, &told{tenant: t, conf: t.Tenant, unpooled: t.unpooledPrefixes()})
			}
		}
	})
	if err != nil {
		return
	}
	for _, d := range routes {
		_ = d.restrict(d.conf) // the next configuration takes back what is left
	}
}
