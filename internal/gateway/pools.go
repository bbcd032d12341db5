package gateway

import (
	"net/netip"
	"reflect"
	"slices"
	"time"

	"github.com/culvert-vpn/culvert/internal/config"
	"github.com/culvert-vpn/culvert/tenant"
)

// pools are what a tenant leases from.
type pools struct {
	epoch  uint64           // how many others were there before
	all    []*addressPool   // the default one, then those that have names
	static map[string]fixed // the addresses that belong to a user
}

// addressPool is one pool of a tenant, of both families.
type addressPool struct {
	config.NamedPool
	four *tenant.Pool
	six  *tenant.PrefixPool // nil: no IPv6
	room [2]room            // of each family
}

// fixed is what belongs to one user, of each family; invalid: nothing does.
type fixed struct {
	addr   netip.Addr
	prefix netip.Prefix
}

// newPools returns those of a configuration, of which nothing is leased.
func newPools(conf *config.Tenant) (p pools, err error) {
	p.static = make(map[string]fixed, len(conf.Leases))
	for _, l := range conf.Leases {
		f := p.static[config.UserKey(l.User)]
		if l.Prefix.IsValid() {
			f.prefix = l.Prefix
		} else {
			f.addr = l.Addr
		}
		p.static[config.UserKey(l.User)] = f
	}
	for i, named := range conf.AllPools() {
		a, err := newAddressPool(named, conf.PrefixBits(), i > 0, p.static)
		if err != nil {
			return p, err
		}
		p.all = append(p.all, a)
	}
	return p, nil
}

// newAddressPool returns one pool, with those of the static addresses that are in it.
func newAddressPool(named config.NamedPool, bits int, noGateway bool, static map[string]fixed) (a *addressPool, err error) {
	a = &addressPool{NamedPool: named}
	four, six := make(map[string]netip.Addr), make(map[string]netip.Prefix)
	for user, f := range static {
		if contains(named.Pool, f.addr) {
			four[user] = f.addr
		}
		if contains(named.Pool6, f.prefix.Addr()) {
			six[user] = f.prefix
		}
	}
	if a.four, err = tenant.NewPool(tenant.PoolConfig{Prefixes: named.Pool, Static: four, NoGateway: noGateway}); err != nil {
		return nil, err
	}
	if len(named.Pool6) > 0 {
		a.six, err = tenant.NewPrefixPool(tenant.PrefixPoolConfig{Prefixes: named.Pool6, Bits: bits, Static: six, NoGateway: noGateway})
	}
	return a, err
}

func contains(ranges []netip.Prefix, a netip.Addr) bool {
	return slices.ContainsFunc(ranges, func(p netip.Prefix) bool { return p.Contains(a) })
}

// samePools reports whether two configurations of a tenant lease the same.
func samePools(a, b *config.Tenant) bool {
	return reflect.DeepEqual(a.AllPools(), b.AllPools()) && a.Delegate == b.Delegate && reflect.DeepEqual(a.Leases, b.Leases)
}

// named is the pool of that name, empty being the default one; nil: there is none.
func (p *pools) named(name string) *addressPool {
	if name == "" {
		return p.all[0]
	}
	for _, a := range p.all {
		if a.Name == name {
			return a
		}
	}
	return nil
}

// at is the pool that an address is of; nil: of none.
func (p *pools) at(addr netip.Addr) *addressPool {
	for _, a := range p.all {
		if contains(a.Pool, addr) || contains(a.Pool6, addr) {
			return a
		}
	}
	return nil
}

// holds reports whether all that a session has is of a pool.
func (a *addressPool) holds(s *session) bool {
	return contains(a.Pool, s.addr) && (!s.prefix.IsValid() || contains(a.Pool6, s.prefix.Addr()))
}

// prefer says that a user would like an address again, if it was his.
func (p *pools) prefer(key string, addr netip.Addr) {
	if a := p.at(addr); a != nil {
		a.four.Prefer(key, addr)
	}
}

// release gives back the addresses of a session.
func (p *pools) release(s *session, now time.Time) {
	if a := p.at(s.addr); a != nil {
		a.four.Release(s.addr, now)
	}
	if a := p.at(s.prefix.Addr()); a != nil && a.six != nil {
		a.six.Release(s.prefix, now)
	}
}

// restore gives back the memory of who had which address.
func (p *pools) restore(leases []tenant.Lease) {
	for _, a := range p.all {
		a.four.Restore(leases)
		if a.six != nil {
			a.six.Restore(leases)
		}
	}
}

// leases are those of all pools, of both families. Of those that somebody has, Since is now.
func (p *pools) leases(now time.Time) (all []tenant.Lease) {
	add := func(leases []tenant.Lease, free int) {
		for i := free; i < len(leases); i++ {
			leases[i].Since = now
		}
		all = append(all, leases...)
	}
	for _, a := range p.all {
		add(a.four.Leases(), a.four.Remembered())
		if a.six != nil {
			add(a.six.Leases(), a.six.Remembered())
		}
	}
	return all
}
