package gateway

import (
	"net/netip"
	"reflect"
	"time"

	"github.com/culvert-vpn/culvert/ike"
	"github.com/culvert-vpn/culvert/internal/config"
	"github.com/culvert-vpn/culvert/tenant"
)

// pools are what a tenant leases from.
type pools struct {
	pool   *tenant.Pool
	pool6  *tenant.PrefixPool    // nil: no IPv6
	static map[string]netip.Addr // the addresses that belong to a user
}

// newPools returns those of a configuration, of which nothing is leased.
func newPools(conf *config.Tenant) (p pools, err error) {
	p.static = make(map[string]netip.Addr, len(conf.Leases))
	for _, l := range conf.Leases {
		p.static[config.UserKey(l.User)] = l.Addr
	}
	if p.pool, err = tenant.NewPool(tenant.PoolConfig{Prefixes: conf.Pool, Static: p.static}); err != nil {
		return p, err
	}
	if len(conf.Pool6) > 0 {
		p.pool6, err = tenant.NewPrefixPool(tenant.PrefixPoolConfig{Prefixes: conf.Pool6, Bits: conf.PrefixBits()})
	}
	return p, err
}

// samePools reports whether two configurations of a tenant lease the same.
func samePools(a, b *config.Tenant) bool {
	return reflect.DeepEqual(a.Pool, b.Pool) && reflect.DeepEqual(a.Pool6, b.Pool6) && a.Delegate == b.Delegate && reflect.DeepEqual(a.Leases, b.Leases)
}

// Why a session ends that cannot keep what it was given.
const (
	whyPool  = "the tenant's pool was changed"
	whyOwner = "the address is another user's by now"
)

// repool has a tenant lease from other pools from now on. Sessions keep what these lease;
// those that cannot are ended, and their clients told.
func (g *applier) repool(now time.Time, r renewal) {
	t := r.tenant
	ending := make(map[netip.Addr]string)
	for addr, s := range t.sessions {
		if why := r.take(s); why != "" {
			ending[addr] = why
		}
	}
	for _, s := range g.sessions {
		if why := ending[s.addr]; why != "" && s.tenant == t {
			g.cut(now, s, why, ike.ReasonLocal)
		}
	}
	r.pools.pool.Restore(t.pool.Leases())
	if t.pool6 != nil && r.pools.pool6 != nil {
		r.pools.pool6.Restore(t.pool6.Leases())
	}
	t.pools = *r.pools
	g.leasesChanged = g.config.Store != nil
}

// take has the other pools lease what a session has, or says why they do not. A session
// that was told a gateway that is none any more is of no use to its client.
func (r *renewal) take(s *session) (why string) {
	was, next := s.tenant.Tenant, r.conf
	switch {
	case was.Gateway() != next.Gateway():
		return whyPool
	case !r.pools.pool.Take(s.key(), s.addr):
		for owner, addr := range r.pools.static {
			if addr == s.addr && owner != s.key() {
				return whyOwner
			}
		}
		return whyPool
	case !s.prefix.IsValid():
		return ""
	case was.Gateway6() != next.Gateway6() || r.pools.pool6 == nil || !r.pools.pool6.Take(s.key(), s.prefix):
		r.pools.pool.Release(s.addr)
		return whyPool
	}
	return ""
}
