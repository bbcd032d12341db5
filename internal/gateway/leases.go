package gateway

import (
	"net/netip"
	"time"

	"github.com/culvert-vpn/culvert/internal/access"
	"github.com/culvert-vpn/culvert/internal/event"
	"github.com/culvert-vpn/culvert/internal/store"
	"github.com/culvert-vpn/culvert/tenant"
)

// restoreLeases gives the pool back the memory of who had which address.
func (g *server) restoreLeases(t *tenantState) {
	if g.config.Store == nil {
		return
	}
	leases, err := g.config.Store.Leases(t.Name)
	if err != nil {
		g.emit(event.LeasesLost{Tenant: t.Name, Err: err, Hint: "clients may get other addresses than before"})
		return
	}
	restored := make([]tenant.Lease, 0, len(leases))
	for _, l := range leases {
		restored = append(restored, tenant.Lease{Owner: l.User, Addr: l.Addr, Since: l.Seen})
	}
	t.restore(restored)
}

// saveInterval is how often leases are written down at most: what a killed
// server has forgotten when it starts again.
const saveInterval = 10 * time.Second

// saveLeases has written down, in the pool, who has which address.
func (g *server) saveLeases() {
	g.leasesChanged = false
	tenants, leases := g.tenants, g.collectLeases(g.tenants)
	if !g.engine.Work.Later(ofOurs, func() { g.storeLeases(tenants, leases) }) {
		g.leasesChanged = g.config.Store != nil // once more, when there is room
	}
}

// collectLeases returns the leases of tenants, in their order; nil: there is no store.
func (g *server) collectLeases(tenants []*tenantState) [][]store.Lease {
	if g.config.Store == nil {
		return nil
	}
	all := make([][]store.Lease, len(tenants))
	now := time.Now().UTC()
	for i, t := range tenants {
		for _, l := range t.leases(now) {
			all[i] = append(all[i], store.Lease{User: l.Owner, Addr: l.Addr, Seen: l.Since})
		}
	}
	return all
}

// storeLeases writes leases into the state store.
func (g *server) storeLeases(tenants []*tenantState, all [][]store.Lease) {
	for i, leases := range all {
		if err := g.config.Store.PutLeases(tenants[i].Name, leases); err != nil {
			g.emit(event.LeasesNotSaved{Tenant: tenants[i].Name, Err: err, Hint: "after a restart clients may get other addresses than before"})
		}
	}
}

// lease gives the session an address of the pool that it is granted, or says why it does not.
// A user who was granted his own and is still logged in with it elsewhere loses that session:
// it is the same person, back sooner than the old session was missed.
func (g *logins) lease(now time.Time, s *session, t *tenantState, grant *access.Grant) access.Refusal {
	key, pool := s.key(), t.named(grant.Pool)
	if pool == nil {
		return access.NoPool
	}
	from := pool
	if grant.Address.IsValid() {
		if old := t.sessions[grant.Address]; old != nil {
			g.displace(now, old)
		}
		from = t.at(grant.Address)
	}
	addr, err := from.four.Lease(key, now)
	if err != nil {
		from.tellRoom(now, g.server, t)
		return access.PoolEmpty
	}
	s.tenant, s.addr, s.leased = t, addr, true
	t.isOf(s, from.Name)
	g.server.leasesChanged = g.server.config.Store != nil
	t.sessions[addr] = s
	t.users[key] = append(t.users[key], s)
	if grant.Prefix.IsValid() {
		pool = t.at(grant.Prefix.Addr())
	}
	g.server.lease6(now, s, pool)
	from.tellRoom(now, g.server, t)
	if pool != from {
		pool.tellRoom(now, g.server, t)
	}
	return access.None
}

// lease6 gives the session a prefix. There being none is no reason to refuse a
// client: it has IPv4.
func (g *server) lease6(now time.Time, s *session, pool *addressPool) {
	if pool.six == nil {
		return
	}
	prefix, err := pool.six.Lease(s.key(), now)
	if err != nil {
		g.emit(event.NoPrefix{Session: s.about(), Err: err, Hint: "every prefix of the pool's IPv6 ranges is in use, or kept for its user: enlarge it"})
		return
	}
	s.prefix = prefix
	if d, ok := s.tenant.device.(interface {
		Join(addr netip.Addr, prefix netip.Prefix)
	}); ok {
		d.Join(s.addr, prefix)
	}
}
