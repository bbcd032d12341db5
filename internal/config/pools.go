package config

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/goccy/go-yaml/ast"
)

// DefaultPool is what the pool is called that a tenant has under `pool`, where pools have
// names.
const DefaultPool = "default"

// NamedPool is a pool by its name, with its ranges of both families.
type NamedPool struct {
	Name        string
	Pool, Pool6 []netip.Prefix
}

// AllPools are the tenant's pools: the default one, and then those that have names.
func (t *Tenant) AllPools() []NamedPool {
	return append([]NamedPool{{DefaultPool, t.Pool, t.Pool6}}, t.Pools...)
}

// PoolNamed returns the pool of that name, empty being the default one.
func (t *Tenant) PoolNamed(name string) (NamedPool, bool) {
	all := t.AllPools()
	if name == "" {
		return all[0], true
	}
	i := slices.IndexFunc(all, func(p NamedPool) bool { return p.Name == name })
	if i < 0 {
		return NamedPool{}, false
	}
	return all[i], true
}

// Ranges are the ranges of all pools of the tenant, of both families.
func (t *Tenant) Ranges() (all []netip.Prefix) {
	for _, p := range t.AllPools() {
		all = append(all, p.Ranges()...)
	}
	return all
}

// Ranges are those of both families.
func (p *NamedPool) Ranges() []netip.Prefix { return slices.Concat(p.Pool, p.Pool6) }

// poolOf is the name of the pool that a user has addresses of, who is in more groups than the
// file says, and may have one himself that it does not, or empty: nobody names one for him.
func (t *Tenant) poolOf(user string, more []string, his string) (name string) {
	if own, written := t.Policy.Own(user); written {
		his = own.Pool
	}
	if his != "" {
		return his
	}
	for _, group := range union(t.Policy.GroupsOf(user), more) {
		if g := t.Policy.Groups[group]; g.Pool != "" {
			name = g.Pool // of several the last one
		}
	}
	return name
}

// readPoolOf reads which pool a user, or those of a group, have addresses of.
func (t *tenantValues) readPoolOf(v value, a *Attributes) {
	if s, ok := v.text(); ok {
		a.Pool = s
		t.poolAt[a] = v
	}
}

// rangeAt is a range of a pool, and where it stands.
type rangeAt struct {
	netip.Prefix
	pool string
	at   value
}

// poolWish is somebody who is to have addresses of a pool.
type poolWish struct {
	user string // by UserKey
	pool string
	at   value
}

// readPool reads the ranges that clients get addresses of whose pool nobody names.
func (t *tenantValues) readPool(v value) {
	p := t.readRanges(v, DefaultPool)
	t.Pool, t.Pool6 = p.Pool, p.Pool6
}

// readPools reads the pools that have names.
func (t *tenantValues) readPools(v value) {
	v.pairs("names of pools and their ranges", "[10.100.9.0/24]", func(name string, v value) {
		if name == DefaultPool {
			v.refuse(v.path+": default is the name of what stands under pool", "write the ranges there, or choose another name")
			return
		}
		t.Pools = append(t.Pools, t.readRanges(v, name))
	})
}

// readRanges reads the ranges of one pool.
func (t *tenantValues) readRanges(v value, name string) NamedPool {
	pool, some4 := NamedPool{Name: name}, false // also one that is wrong otherwise
	v.items(func(item value) {
		p, ok := item.prefix()
		some4 = some4 || !ok || p.Addr().Is4()
		switch {
		case !ok:
			return
		case p.Addr().Is6() && item.checkRange6(p):
			pool.Pool6 = append(pool.Pool6, p)
		case p.Addr().Is4() && item.checkRange(p):
			pool.Pool = append(pool.Pool, p)
		default:
			return
		}
		t.ranges = append(t.ranges, rangeAt{p, name, item})
	})
	switch {
	case v.isEmptyList():
		v.refuse(v.path+" is empty: no client could get an address", "write "+v.key()+": [10.100.1.0/24]")
	case len(pool.Pool6) > 0 && !some4:
		v.refuse(v.path+" has IPv6 ranges alone: L2TP clients want an IPv4 address in any case", "add one, as in 10.100.1.0/24")
	}
	return pool
}

// checkPools refuses ranges of one tenant that overlap, those of IPv6 that are too small, and
// what makes no sense without any. Those of different tenants may overlap: nothing is known by
// an inner address alone.
func (t *tenantValues) checkPools() {
	bits := t.PrefixBits()
	for i, p := range t.ranges {
		if p.Addr().Is6() && p.Bits() > bits-2 {
			p.at.refuse(fmt.Sprintf("%s: %s is too small: every client gets a /%d of it", p.at.path, p, bits), fmt.Sprintf("write a /%d or larger", bits-2))
		}
		if p.Addr().Is6() && len(t.Pool6) == 0 {
			p.at.refuse(fmt.Sprintf("%s: pool has no IPv6 range, where the gateway's own address is", p.at.path), "add one to pool, as in 2001:db8:1::/48")
		}
		for _, q := range t.ranges[:i] {
			if !p.Overlaps(q.Prefix) {
				continue
			}
			remedy := "keep the larger of the two"
			if p.pool != q.pool {
				remedy = "an address is of one pool: take it out of the other"
			}
			p.at.refuse(fmt.Sprintf("%s: %s overlaps with %s on line %d", p.at.path, p, q, q.at.line()), remedy)
		}
	}
	t.checkNoIPv6()
	for a, at := range t.poolAt {
		if _, ok := t.PoolNamed(a.Pool); !ok {
			t.unknownPool(at, a.Pool)
		}
	}
}

// unknownPool refuses the name of a pool that does not exist.
func (t *tenantValues) unknownPool(v value, name string) {
	all := make(map[string]NamedPool)
	for _, p := range t.AllPools() {
		all[p.Name] = p
	}
	unknown(v, "pool", name, all, "pools: {"+name+": [10.100.9.0/24]}")
}

// checkNoIPv6 refuses what makes no sense where no client has IPv6.
func (t *tenantValues) checkNoIPv6() {
	if len(t.Pool6) > 0 {
		return
	}
	for i, p := range t.Routes {
		if p.Addr().Is6() {
			t.routes[i].refuse(fmt.Sprintf("%s: clients have no IPv6 to reach %s with", t.routes[i].path, p), "add an IPv6 range to pool, as in 2001:db8:1::/48")
			return
		}
	}
	if t.Delegate > 0 {
		t.name.refuse(fmt.Sprintf("tenant %s has delegate and no IPv6 range in pool", t.Name), "add one, as in 2001:db8:1::/48, or drop delegate")
	}
}

// readLeases reads user: address pairs.
func (t *tenantValues) readLeases(v value) {
	m, ok := v.node.(*ast.MappingNode)
	if !ok {
		if !v.isNull() {
			v.refuse(v.path+" wants user: address pairs, and has "+v.kind(), "write leases: "+v.example)
		}
		return
	}
	for _, e := range m.Values {
		name, ok := (value{v.r, e.Key, v.path, v.example}).userName()
		if !ok {
			continue
		}
		t.readFixed(v.child(e.Value, v.join(name), "10.100.1.10"), &name)
	}
}

// readFixed reads the addresses that are one user's alone: one, or one of each family.
func (t *tenantValues) readFixed(v value, user *string) {
	v.items(func(item value) {
		if l, ok := item.fixed(); ok {
			t.fixed = append(t.fixed, fixedAt{l, user, item})
		}
	})
}

// fixedAt is an address that is a user's alone, and where it stands. The name of the user may
// be read later.
type fixedAt struct {
	Lease
	user *string
	at   value
}

// fixed reads an address of IPv4, or a prefix of IPv6.
func (v value) fixed() (l Lease, ok bool) {
	s, ok := v.text()
	if !ok {
		return l, false
	}
	if strings.Contains(s, "/") {
		p, ok := v.prefix()
		if ok && p.Addr().Is4() {
			v.refuse(fmt.Sprintf("%s: %s is a range, and a user has one address", v.path, p), "write "+v.key()+": "+v.example)
		}
		l.Prefix = p
		return l, ok && p.Addr().Is6()
	}
	if a, err := netip.ParseAddr(s); err == nil && a.Is6() && !a.Is4In6() && a.Zone() == "" {
		v.refuse(fmt.Sprintf("%s: %s is one address, and of IPv6 a client has a prefix", v.path, a), "write "+v.key()+`: "`+netip.PrefixFrom(a, 64).Masked().String()+`"`)
		return l, false
	}
	l.Addr, ok = v.address4()
	return l, ok
}

// settleLeases notes the leases that were read. Of IPv6 each is as a pool leases it, whichever
// part of it is written: where a network is delegated to a client, its link and that are one.
func (t *tenantValues) settleLeases() {
	for _, f := range t.fixed {
		l := f.Lease
		l.User = *f.user
		if l.User == "" {
			continue // which was told
		}
		if l.Prefix.IsValid() {
			whole, remedy := t.WholePrefix(l.Prefix)
			if remedy != "" {
				f.at.refuse(fmt.Sprintf("%s: %s is not what a client gets", f.at.path, l.Prefix), remedy)
				continue
			}
			l.Prefix = whole
			if t.Delegate > 0 && slices.Contains(t.Leases, l) {
				continue
			}
		}
		t.Leases, t.leases = append(t.Leases, l), append(t.leases, f.at)
	}
}

// WholePrefix is what a client gets of IPv6, of which p is one of the parts: that of its link,
// or what is delegated. If it is none, remedy says what to write.
func (t *Tenant) WholePrefix(p netip.Prefix) (whole netip.Prefix, remedy string) {
	bits := t.PrefixBits()
	if p.Bits() < bits {
		return p, fmt.Sprintf("write a /%d", max(bits, t.Delegate))
	}
	whole = netip.PrefixFrom(p.Addr(), bits).Masked()
	link := netip.PrefixFrom(whole.Addr(), 64)
	if p == whole || p == link {
		return whole, ""
	}
	if t.Delegate == 0 {
		return p, "write " + link.String()
	}
	second := whole.Addr().As16()
	second[bits/8] |= 0x80 >> (bits % 8)
	delegated := netip.PrefixFrom(netip.AddrFrom16(second), t.Delegate)
	if p == delegated {
		return whole, ""
	}
	return p, fmt.Sprintf("write %s, its link's, or %s, which is delegated with that", link, delegated)
}

// checkLeases refuses static addresses outside the pools, those that are not a client's to
// have, and those given twice.
func (t *tenantValues) checkLeases() {
	type one struct {
		user string
		six  bool
	}
	users, addrs := map[one]value{}, map[Lease]value{}
	for i, l := range t.Leases {
		v, who, what := t.leases[i], one{UserKey(l.User), l.Prefix.IsValid()}, Lease{Addr: l.Addr, Prefix: l.Prefix}
		if why := t.NotGiven(l); why != "" {
			v.refuse(fmt.Sprintf("%s: %s %s", v.path, l.what(), why), "write another address of pool")
		}
		if first, ok := addrs[what]; ok {
			v.refuse(fmt.Sprintf("%s: %s is given to another user on line %d", v.path, l.what(), first.line()), "write another address of pool")
		}
		if first, ok := users[who]; ok {
			v.refuse(fmt.Sprintf("%s: user %s has an address on line %d already", v.path, l.User, first.line()), "keep one of the two")
		}
		users[who], addrs[what] = v, v
		t.checkWish(l, v)
	}
}

// checkWish refuses an address of a user who is to have those of another pool.
func (t *tenantValues) checkWish(l Lease, v value) {
	i := slices.IndexFunc(t.wishes, func(w poolWish) bool { return w.user == UserKey(l.User) })
	pool := t.holding(l)
	if i < 0 || pool == "" || pool == t.wishes[i].pool {
		return
	}
	v.refuse(fmt.Sprintf("%s: %s is of pool %s, and user %s is of pool %s on line %d", v.path, l.what(), pool, l.User, t.wishes[i].pool, t.wishes[i].at.line()), "write another address, or another pool")
}

// what is the address of a lease in words.
func (l *Lease) what() string {
	if l.Prefix.IsValid() {
		return l.Prefix.String()
	}
	return l.Addr.String()
}

// at is the address, or the first one of the prefix.
func (l *Lease) at() netip.Addr {
	if l.Prefix.IsValid() {
		return l.Prefix.Addr()
	}
	return l.Addr
}

// holding is the name of the pool that a lease is of; empty: of none.
func (t *Tenant) holding(l Lease) string {
	for _, p := range t.AllPools() {
		if slices.ContainsFunc(p.Ranges(), func(r netip.Prefix) bool { return r.Contains(l.at()) }) {
			return p.Name
		}
	}
	return ""
}

// NotGiven says why an address cannot be given to a client; empty: it can.
func (t *Tenant) NotGiven(l Lease) string {
	a := l.at()
	for i, p := range t.Ranges() {
		switch {
		case !p.Contains(a):
		case a == t.Gateway():
			return "is the gateway's own"
		case a.Is6() && (a == p.Addr() || i == len(t.Pool) && netip.PrefixFrom(p.Addr(), t.PrefixBits()-1).Contains(a)):
			return "is kept for the gateway of " + p.String()
		case a.Is6():
			return ""
		case a == p.Addr():
			return "is the network address of " + p.String()
		case !p.Contains(a.Next()):
			return "is the broadcast address of " + p.String()
		default:
			return ""
		}
	}
	switch {
	case len(t.Pool) == 0:
		return "" // what is wrong is the pool
	case len(t.Pools) > 0:
		return "is in none of the pools"
	}
	return "is not in the pool"
}
