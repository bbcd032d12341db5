package tenant

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"time"
)

// PrefixPoolConfig describes a PrefixPool.
type PrefixPoolConfig struct {
	// Prefixes are the IPv6 ranges to lease from, none overlapping another.
	// The first prefix of each is not leased, nor, unless NoGateway says that
	// the gateway's address is in another pool, the second one of the first.
	Prefixes  []netip.Prefix
	NoGateway bool
	// Static maps owners to the prefix that is theirs alone, of the length that
	// is leased.
	Static map[string]netip.Prefix
	// Bits is the length of what is leased; 0 means 64, what one link needs.
	// Shorter ones are for clients with networks behind them.
	Bits int
	// Remember is as in PoolConfig.
	Remember int
}

// PrefixPool leases IPv6 prefixes of one length, the same one to the same owner
// as long as it is free: what Pool is for addresses. A lease is written down
// by the prefix's first address.
//
// Lease and Release take constant time. A PrefixPool is not for concurrent use.
type PrefixPool struct {
	prefixes []netip.Prefix
	bits     int
	pool     *Pool // of addresses that are prefixes moved right by 128-bits bits
}

// The shortest and the longest prefix that is leased, and the shortest range
// to lease from.
const (
	minLease  = 32
	maxLease  = 64
	minRange6 = 16
)

// NewPrefixPool checks the configuration and returns a PrefixPool without any
// lease.
func NewPrefixPool(cfg PrefixPoolConfig) (*PrefixPool, error) {
	if cfg.Bits == 0 {
		cfg.Bits = maxLease
	}
	if cfg.Bits < minLease || cfg.Bits > maxLease {
		return nil, fmt.Errorf("%w: /%d cannot be leased, a /%d to a /%d can", ErrPrefix, cfg.Bits, minLease, maxLease)
	}
	if err := checkPrefixes(cfg.Prefixes); err != nil {
		return nil, err
	}
	p := &PrefixPool{prefixes: append([]netip.Prefix(nil), cfg.Prefixes...), bits: cfg.Bits}
	var moved []netip.Prefix
	for _, prefix := range cfg.Prefixes {
		if err := p.check(prefix); err != nil {
			return nil, err
		}
		moved = append(moved, netip.PrefixFrom(p.index(prefix.Addr()), prefix.Bits()+128-p.bits))
	}
	var err error
	if p.pool, err = NewPool(PoolConfig{Prefixes: moved, Remember: cfg.Remember, NoGateway: cfg.NoGateway}); err != nil {
		return nil, err
	}
	for owner, prefix := range cfg.Static {
		if err := p.SetStatic(owner, prefix, time.Time{}); err != nil {
			return nil, err
		}
	}
	return p, nil
}

// SetStatic is Pool.SetStatic for a prefix.
func (p *PrefixPool) SetStatic(owner string, prefix netip.Prefix, now time.Time) error {
	switch {
	case !prefix.IsValid():
		return p.pool.SetStatic(owner, netip.Addr{}, now)
	case prefix.Bits() != p.bits || prefix.Masked() != prefix || !p.Contains(prefix.Addr()):
		return fmt.Errorf("%w: %v of %q is no /%d of the pool", ErrStatic, prefix, owner, p.bits)
	}
	return p.pool.SetStatic(owner, p.index(prefix.Addr()), now)
}

// check refuses a range that has fewer than four prefixes to lease: the first
// one is the gateway's.
func (p *PrefixPool) check(prefix netip.Prefix) error {
	switch a := prefix.Addr(); {
	case a.Is4() || a.IsLinkLocalUnicast():
		return fmt.Errorf("%w: %v is no range of IPv6 prefixes", ErrPrefix, prefix)
	case prefix.Bits() > p.bits-2:
		return fmt.Errorf("%w: %v is too small for a /%d each: write a /%d or larger", ErrPrefix, prefix, p.bits, p.bits-2)
	case prefix.Bits() < minRange6:
		return fmt.Errorf("%w: %v is too large", ErrPrefix, prefix)
	}
	return nil
}

// index moves the bits of a prefix to the right end: consecutive prefixes are
// consecutive addresses then.
func (p *PrefixPool) index(a netip.Addr) netip.Addr {
	b := a.As16()
	n := binary.BigEndian.Uint64(b[:]) >> (64 - p.bits)
	b = [16]byte{}
	binary.BigEndian.PutUint64(b[8:], n)
	return netip.AddrFrom16(b)
}

// prefix undoes index.
func (p *PrefixPool) prefix(a netip.Addr) netip.Prefix {
	b := a.As16()
	n := binary.BigEndian.Uint64(b[8:]) << (64 - p.bits)
	b = [16]byte{}
	binary.BigEndian.PutUint64(b[:], n)
	return netip.PrefixFrom(netip.AddrFrom16(b), p.bits)
}

// Lease returns a prefix for owner until Release.
func (p *PrefixPool) Lease(owner string, now time.Time) (netip.Prefix, error) {
	a, err := p.pool.Lease(owner, now)
	if err != nil {
		return netip.Prefix{}, err
	}
	return p.prefix(a), nil
}

// Take is Pool.Take for a prefix.
func (p *PrefixPool) Take(owner string, prefix netip.Prefix, since time.Time) bool {
	return prefix.Bits() == p.bits && p.Contains(prefix.Addr()) && p.pool.Take(owner, p.index(prefix.Addr()), since)
}

// Release ends the lease of a prefix and remembers whose it was. It reports
// whether there was one.
func (p *PrefixPool) Release(prefix netip.Prefix, now time.Time) bool {
	return prefix.Bits() == p.bits && p.Contains(prefix.Addr()) && p.pool.Release(p.index(prefix.Addr()), now)
}

// Leases returns what Restore needs after a restart, as Pool.Leases does.
func (p *PrefixPool) Leases() []Lease {
	leases := p.pool.Leases()
	for i := range leases {
		leases[i].Addr = p.prefix(leases[i].Addr).Addr()
	}
	return leases
}

// Restore remembers the owners of prefixes as Leases returned them and says
// how many. Others' and what is no prefix of the pool are passed over.
func (p *PrefixPool) Restore(leases []Lease) int {
	moved := make([]Lease, 0, len(leases))
	for _, l := range leases {
		if p.Contains(l.Addr) && netip.PrefixFrom(l.Addr, p.bits).Masked().Addr() == l.Addr {
			l.Addr = p.index(l.Addr)
			moved = append(moved, l)
		}
	}
	return p.pool.Restore(moved)
}

// Contains reports whether addr lies in one of the ranges.
func (p *PrefixPool) Contains(addr netip.Addr) bool {
	for _, prefix := range p.prefixes {
		if prefix.Contains(addr) {
			return true
		}
	}
	return false
}

// NextFree is the prefix that somebody gets next who had none before; false: there is none.
func (p *PrefixPool) NextFree() (netip.Prefix, bool) {
	a, ok := p.pool.NextFree()
	return p.prefix(a), ok
}

// Held is Pool.Held, with the first address of each prefix.
func (p *PrefixPool) Held(from, n int) (list []Held, next int) {
	list, next = p.pool.Held(from, n)
	for i := range list {
		list[i].Addr = p.prefix(list[i].Addr).Addr()
	}
	return list, next
}

// Bits is the length of what is leased.
func (p *PrefixPool) Bits() int { return p.bits }

// Size is how many prefixes can be leased at once.
func (p *PrefixPool) Size() int { return p.pool.Size() }

// Leased is how many prefixes are leased now.
func (p *PrefixPool) Leased() int { return p.pool.Leased() }

// Static, Idle and Remembered are as those of Pool.
func (p *PrefixPool) Static() int { return p.pool.Static() }

// Idle is explained at Static.
func (p *PrefixPool) Idle() int { return p.pool.Idle() }

// Remembered is explained at Static.
func (p *PrefixPool) Remembered() int { return p.pool.Remembered() }
