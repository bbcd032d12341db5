package gateway

import (
	"net/netip"
	"slices"
	"time"

	"github.com/culvert-vpn/culvert/ike"
)

// Why a session ends that cannot keep what it was given.
const (
	whyPool  = "the tenant's pool was changed"
	whyOwner = "the address is another user's by now"
)

// repool has a tenant lease from other pools from now on. Sessions keep what these lease, and
// what is of no pool any more; those that cannot keep what they have are ended, and their
// clients told.
func (g *applier) repool(now time.Time, r renewal) {
	t := r.tenant
	ending := make(map[netip.Addr]string)
	for addr, s := range t.sessions {
		if why := r.take(now, s); why != "" {
			ending[addr] = why
		}
	}
	g.cutAll(now, t, ending)
	r.pools.restore(t.leases(now))
	for _, a := range r.pools.all {
		if former := t.pools.named(a.Name); former != nil {
			a.room = former.room
		}
	}
	r.pools.epoch = t.epoch + 1
	t.pools = *r.pools
	g.server.leasesChanged = g.server.config.Store != nil
}

// cutAll ends the sessions of a tenant that have one of these addresses, and says why.
func (g *applier) cutAll(now time.Time, t *tenantState, ending map[netip.Addr]string) {
	if len(ending) == 0 {
		return
	}
	for _, s := range g.server.sessions {
		if why := ending[s.addr]; why != "" && s.tenant == t {
			g.logins.cut(now, s, why, ike.ReasonLocal)
		}
	}
}

// take has the other pools lease what a session has, or says why they do not. A session
// that was told a gateway that is none any more is of no use to its client. What is of none
// of the pools is nobody else's, and stays the session's.
func (r *renewal) take(now time.Time, s *session) (why string) {
	was, next := s.tenant.Tenant, r.conf
	if was.Gateway() != next.Gateway() || s.prefix.IsValid() && was.Gateway6() != next.Gateway6() {
		return whyPool
	}
	since := latest(s.Up, time.Time{})
	if since.IsZero() {
		since = now
	}
	if a := r.pools.at(s.addr); a != nil && !a.four.Take(s.key(), s.addr, since) {
		for owner, f := range r.pools.static {
			if f.addr == s.addr && owner != s.key() {
				return whyOwner
			}
		}
		return whyPool
	}
	if why = r.take6(s, since); why != "" {
		r.pools.release(s, now)
	}
	return why
}

// take6 is take for the prefix of a session.
func (r *renewal) take6(s *session, since time.Time) (why string) {
	if !s.prefix.IsValid() || !slices.ContainsFunc(r.conf.Ranges(), s.prefix.Overlaps) {
		return ""
	}
	if a := r.pools.at(s.prefix.Addr()); a != nil && a.six.Take(s.key(), s.prefix, since) {
		return ""
	}
	for owner, f := range r.pools.static {
		if f.prefix == s.prefix && owner != s.key() {
			return whyOwner
		}
	}
	return whyPool
}
