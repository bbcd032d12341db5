package gateway

import (
	"fmt"
	"net/netip"
	"slices"
	"sync/atomic"
	"time"

	"github.com/culvert-vpn/culvert/dataplane"
	"github.com/culvert-vpn/culvert/internal/access"
	"github.com/culvert-vpn/culvert/internal/config"
	"github.com/culvert-vpn/culvert/internal/event"
	"github.com/culvert-vpn/culvert/internal/store"
	"github.com/culvert-vpn/culvert/tenant"
	"github.com/culvert-vpn/culvert/tenant/autoconf"
	"github.com/culvert-vpn/culvert/tenant/policy"
)

// tenantState is a tenant at work: its configuration, its addresses and its device. There
// is one for as long as the tenant runs; all but its configuration outlives a change of that.
type tenantState struct {
	Name           string                        // for ever
	*config.Tenant                               // what it is now, to the control loop
	conf           atomic.Pointer[config.Tenant] // the same, to everybody else
	gone           bool                          // it takes nobody any more

	pools
	device   tenant.Device
	port     *dataplane.Port
	way      atomic.Pointer[way]      // the same two, to everybody but the control loop
	cut      bool                     // the device was closed, and could not be opened again; Apply's
	sessions map[netip.Addr]*session  // by the address given
	users    map[string][]*session    // those by the user, oldest first
	tells    *autoconf.Responder      // what clients ask once they are up
	trust    *trust                   // in certificates of clients
	grant    *access.Grant            // what everybody of it is granted
	personal map[string]*access.Grant // what those are who have more, by user, as far as it was asked
	closed   *policy.Reach            // where the device leads and clients do not go; nil: nowhere
	left     *carried                 // by sessions that have ended
}

// openTenants opens what every tenant needs, and the keys that lead to it.
func (g *Gateway) openTenants() error {
	c := g.config.Config
	for i := range c.Tenants {
		t, err := g.openTenant(c, &c.Tenants[i])
		if err != nil {
			return fmt.Errorf("gateway: tenant %s: %w", c.Tenants[i].Name, err)
		}
		g.tenants = append(g.tenants, t) // so that it is closed if the next one cannot be opened
		g.connect(t)
	}
	selector, err := newSelector(c.Tenants)
	g.roster = newRoster(g.tenants, selector)
	return err
}

// openTenant opens what a tenant of a configuration needs. What it returns is connected,
// or closed.
func (g *server) openTenant(c *config.Config, conf *config.Tenant) (*tenantState, error) {
	t, err := g.newTenant(c, conf)
	if err == nil {
		t.device, err = g.config.OpenDevice(conf)
	}
	return t, err
}

// newTenant returns a tenant of a configuration, without a device. It may wait, and
// touches nothing that runs.
func (g *server) newTenant(c *config.Config, conf *config.Tenant) (*tenantState, error) {
	t := &tenantState{Name: conf.Name, Tenant: conf, sessions: make(map[netip.Addr]*session), users: make(map[string][]*session), trust: g.newTrust(conf), grant: access.GrantOf(conf), personal: make(map[string]*access.Grant), left: new(carried)}
	t.conf.Store(conf)
	g.warnOfCertificates(conf)
	var err error
	if t.pools, err = newPools(conf); err != nil {
		return nil, err
	}
	if t.tells, err = t.newResponder(); err != nil {
		return nil, err
	}
	if t.closed, err = besideTUN(c, conf); err != nil {
		return nil, err
	}
	g.restoreLeases(t)
	return t, nil
}

// connect has the data plane carry a tenant's packets, by its device.
func (g *server) connect(t *tenantState) {
	g.warnOfOffload(t)
	t.port = g.engine.Plane.AddDevice(dataplane.PortConfig{Device: t.device, Gateways: t.Gateways(), Rules: t.rules(), Former: t.port})
	t.way.Store(&way{t.device, t.port})
}

// rules are the policy of the tenant, compiled.
func (t *tenantState) rules() *policy.Rules {
	return policy.New(policy.Config{
		Clients: t.ranges(), Gateways: t.Gateways(), ClientToClient: t.ClientToClient, Closed: t.closed,
	})
}

// warnOfOffload names a device of the kernel that takes packets one by one.
func (g *server) warnOfOffload(t *tenantState) {
	if d, ok := t.device.(interface{ Offload() (tcp, udp bool) }); ok {
		if tcp, _ := d.Offload(); !tcp {
			g.emit(event.NoOffload{Tenant: t.Name, Hint: "the kernel takes and gives this tenant's packets one by one, which costs throughput"})
		}
	}
}

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
		restored = append(restored, tenant.Lease{Owner: l.User, Addr: l.Addr})
	}
	t.pool.Restore(restored)
	if t.pool6 != nil {
		t.pool6.Restore(restored)
	}
}

// saveInterval is how often leases are written down at most: what a killed
// server has forgotten when it starts again.
const saveInterval = 10 * time.Second

// saveLeases has written down, in the pool, who has which address.
func (g *server) saveLeases() {
	g.leasesChanged = false
	tenants, leases := g.tenants, g.collectLeases(g.tenants)
	if !g.later(nil, func() { g.storeLeases(tenants, leases) }) {
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
		for _, l := range t.leases() {
			all[i] = append(all[i], store.Lease{User: l.Owner, Addr: l.Addr, Seen: now})
		}
	}
	return all
}

// leases are those of both families.
func (t *tenantState) leases() []tenant.Lease {
	if t.pool6 == nil {
		return t.pool.Leases()
	}
	return append(t.pool.Leases(), t.pool6.Leases()...)
}

// storeLeases writes leases into the state store.
func (g *server) storeLeases(tenants []*tenantState, all [][]store.Lease) {
	for i, leases := range all {
		if err := g.config.Store.PutLeases(tenants[i].Name, leases); err != nil {
			g.emit(event.LeasesNotSaved{Tenant: tenants[i].Name, Err: err, Hint: "after a restart clients may get other addresses than before"})
		}
	}
}

// lease gives the session an address. A user who was granted his own and is still
// logged in with it elsewhere loses that session: it is the same person, back
// sooner than the old session was missed.
func (g *logins) lease(now time.Time, s *session, t *tenantState, granted netip.Addr) error {
	key := s.key()
	if old := t.sessions[granted]; old != nil {
		g.displace(now, old)
	}
	addr, err := t.pool.Lease(key)
	if err != nil {
		return err
	}
	s.tenant, s.addr, s.leased = t, addr, true
	g.leasesChanged = g.config.Store != nil
	t.sessions[addr] = s
	t.users[key] = append(t.users[key], s)
	g.lease6(s, t)
	return nil
}

// grants is what a user of the tenant is granted.
func (t *tenantState) grants(key string) *access.Grant {
	addr, own := t.static[key]
	if !own {
		return t.grant
	}
	g := t.personal[key]
	if g == nil {
		g = access.GrantOf(t.Tenant, access.Layer{From: access.FromUser, Terms: access.Terms{Address: addr}})
		t.personal[key] = g
	}
	return g
}

// full reports whether the tenant has as many sessions as it may.
func (t *tenantState) full() bool {
	return t.Limits.Sessions > 0 && len(t.sessions) >= t.Limits.Sessions
}

// crowded reports whether a user has as many sessions as he may. Who has one address
// has one session, and another takes its place.
func (t *tenantState) crowded(key string) bool {
	return t.Limits.SessionsPerUser > 0 && len(t.users[key]) >= t.Limits.SessionsPerUser && !t.static[key].IsValid()
}

// leave takes a session out of its user's.
func (t *tenantState) leave(s *session) {
	key := s.key()
	t.users[key] = slices.DeleteFunc(t.users[key], func(o *session) bool { return o == s })
	if len(t.users[key]) == 0 {
		delete(t.users, key)
	}
}

// release gives back what a session held.
func (t *tenantState) release(s *session) {
	if s.leased {
		s.leased = false
		delete(t.sessions, s.addr)
		t.leave(s)
		t.pool.Release(s.addr)
		if d, ok := t.device.(interface{ Forget(netip.Addr) }); ok {
			d.Forget(s.addr)
			if s.prefix.IsValid() {
				d.Forget(s.prefix.Addr())
			}
		}
		if s.prefix.IsValid() {
			t.pool6.Release(s.prefix)
			s.prefix = netip.Prefix{}
		}
	}
}

func (t *tenantState) close() {
	if t.device != nil {
		t.device.Close()
	}
}
