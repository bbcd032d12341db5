package gateway

import (
	"net/netip"
	"time"

	"github.com/culvert-vpn/culvert/ike"
)

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
	for _, s := range g.server.sessions {
		if why := ending[s.addr]; why != "" && s.tenant == t {
			g.logins.cut(now, s, why, ike.ReasonLocal)
		}
	}
	r.pools.pool.Restore(t.pool.Leases())
	if t.pool6 != nil && r.pools.pool6 != nil {
		r.pools.pool6.Restore(t.pool6.Leases())
	}
	t.pools = *r.pools
	g.server.leasesChanged = g.server.config.Store != nil
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
