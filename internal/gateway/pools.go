package gateway

import (
	"net/netip"
	"reflect"

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
