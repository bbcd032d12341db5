package tenant

import (
	"fmt"
	"net/netip"
	"slices"
)

// DefaultRemember is how many addresses that nobody uses are remembered for
// the owner they had.
const DefaultRemember = 65536

// PoolConfig describes a Pool.
type PoolConfig struct {
	// Prefixes are the addresses to lease, all of one family, none overlapping
	// another. The first host address of the first one is the gateway's.
	Prefixes []netip.Prefix
	// Static maps owners to the address that is theirs alone. The addresses
	// lie inside Prefixes.
	Static map[string]netip.Addr
	// Exclude lists addresses that are never leased.
	Exclude []netip.Addr
	// Remember bounds how many free addresses keep the memory of their last
	// owner; 0 means DefaultRemember. The pool's memory is bounded by it and
	// the number of leases, whatever the size of the prefixes.
	Remember int
}

// Lease is an address and the owner that it is kept for.
type Lease struct {
	Owner string
	Addr  netip.Addr
}

// Pool leases the addresses of one family. An owner gets the address that it
// had before, as long as nobody else has been given it; new owners get
// addresses that nobody had, then those that have been free the longest.
// Network and broadcast addresses, the gateway, excluded addresses and the
// static leases of others are never handed out.
//
// Lease and Release take constant time. A Pool is not for concurrent use.
type Pool struct {
	prefixes []netip.Prefix
	gateway  netip.Addr
	static   map[string]netip.Addr
	remember int
	size     int
	leased   int

	fresh   cursor                // addresses that nobody had
	slots   map[netip.Addr]*slot  // every address that was leased or must not be
	free    slotList              // not leased, the longest free in front
	byOwner map[string]*ownerList // the free addresses of an owner, the latest in front
}

// NewPool checks the configuration and returns a Pool without any lease.
func NewPool(cfg PoolConfig) (*Pool, error) {
	if err := checkPrefixes(cfg.Prefixes); err != nil {
		return nil, err
	}
	p := &Pool{
		prefixes: slices.Clone(cfg.Prefixes),
		gateway:  firstHost(cfg.Prefixes[0]),
		static:   make(map[string]netip.Addr, len(cfg.Static)),
		remember: cfg.Remember,
		fresh:    newCursor(cfg.Prefixes),
		slots:    make(map[netip.Addr]*slot),
		byOwner:  make(map[string]*ownerList),
	}
	if p.remember <= 0 {
		p.remember = DefaultRemember
	}
	p.free.init()
	for _, prefix := range p.prefixes {
		p.size += hostCount(prefix)
	}
	p.reserve(p.gateway)
	for _, addr := range cfg.Exclude {
		p.reserve(addr.Unmap())
	}
	if err := p.addStatic(cfg.Static); err != nil {
		return nil, err
	}
	if p.size <= 0 {
		return nil, fmt.Errorf("%w: %v leaves no address for a client besides the gateway %v", ErrPrefix, p.prefixes[0], p.gateway)
	}
	return p, nil
}

// reserve takes an address out of the pool for good.
func (p *Pool) reserve(addr netip.Addr) {
	if _, ok := p.slots[addr]; ok || !p.Contains(addr) || !isHost(p.prefixes, addr) {
		return
	}
	p.slots[addr] = &slot{addr: addr, state: slotReserved}
	p.size--
}

func (p *Pool) addStatic(static map[string]netip.Addr) error {
	for owner, addr := range static {
		addr = addr.Unmap()
		switch _, taken := p.slots[addr]; {
		case owner == "":
			return fmt.Errorf("%w: %v: %w", ErrStatic, addr, ErrOwner)
		case !p.Contains(addr) || !isHost(p.prefixes, addr):
			return fmt.Errorf("%w: %v of %q is no host address of the pool", ErrStatic, addr, owner)
		case taken:
			return fmt.Errorf("%w: %v of %q is the gateway's, excluded or another's", ErrStatic, addr, owner)
		}
		p.static[owner] = addr
		p.slots[addr] = &slot{addr: addr, owner: owner, state: slotStatic}
	}
	return nil
}

// Lease returns an address for owner until Release. One owner may hold several
// leases: only the first of them is its static address, if it has one.
func (p *Pool) Lease(owner string) (netip.Addr, error) {
	if owner == "" {
		return netip.Addr{}, ErrOwner
	}
	s := p.pick(owner)
	if s == nil {
		return netip.Addr{}, ErrExhausted
	}
	s.owner, s.leased = owner, true
	p.leased++
	return s.addr, nil
}

// pick finds the slot for a new lease of owner and takes it out of the lists.
func (p *Pool) pick(owner string) *slot {
	if addr, ok := p.static[owner]; ok && !p.slots[addr].leased {
		return p.slots[addr]
	}
	if list := p.byOwner[owner]; list != nil {
		return p.take(list.front)
	}
	if p.free.len < p.remember {
		if s := p.takeFresh(); s != nil {
			return s
		}
	}
	if p.free.len > 0 {
		return p.take(p.free.front())
	}
	return nil
}

// Prefer says that the next lease of owner is to be addr, if that is free and was the
// owner's: one who has several of them may know which one was a device's.
func (p *Pool) Prefer(owner string, addr netip.Addr) {
	s := p.slots[addr.Unmap()]
	if list := p.byOwner[owner]; list != nil && s != nil && s.owner == owner && !s.leased && s.state == slotDynamic {
		list.remove(s)
		list.pushFront(s)
	}
}

// Take leases addr to owner, who has it already by another Pool that this one takes the
// place of. It reports whether it can: not if addr is none that is leased, or another's.
func (p *Pool) Take(owner string, addr netip.Addr) bool {
	addr = addr.Unmap()
	s := p.slots[addr]
	switch {
	case owner == "":
		return false
	case s == nil:
		if !p.Contains(addr) || !isHost(p.prefixes, addr) {
			return false
		}
		s = &slot{addr: addr}
		p.slots[addr] = s
	case s.leased || s.state == slotReserved || s.state == slotStatic && s.owner != owner:
		return false
	case s.state == slotDynamic:
		p.take(s)
	}
	s.owner, s.leased = owner, true
	p.leased++
	return true
}

// takeFresh makes a slot for an address that nobody had.
func (p *Pool) takeFresh() *slot {
	for {
		addr, ok := p.fresh.next()
		if !ok {
			return nil
		}
		if _, used := p.slots[addr]; !used {
			s := &slot{addr: addr}
			p.slots[addr] = s
			return s
		}
	}
}

// take removes a free slot from the lists.
func (p *Pool) take(s *slot) *slot {
	p.free.remove(s)
	list := p.byOwner[s.owner]
	list.remove(s)
	if list.front == nil {
		delete(p.byOwner, s.owner)
	}
	return s
}

// Release ends the lease of addr and remembers whose it was. It reports
// whether there was one.
func (p *Pool) Release(addr netip.Addr) bool {
	s := p.slots[addr.Unmap()]
	if s == nil || !s.leased {
		return false
	}
	s.leased = false
	p.leased--
	if s.state != slotStatic {
		p.keep(s)
	}
	return true
}

// keep puts a slot that is not leased into the lists.
func (p *Pool) keep(s *slot) {
	p.free.pushBack(s)
	list := p.byOwner[s.owner]
	if list == nil {
		list = &ownerList{}
		p.byOwner[s.owner] = list
	}
	list.pushFront(s)
}

// Leases returns what Restore needs to give every owner its address again
// after a restart: the free addresses that are remembered, the longest free
// first, then those that are leased. Static leases are not among them.
func (p *Pool) Leases() []Lease {
	leases := make([]Lease, 0, p.leased+p.free.len)
	for s := p.free.front(); s != nil; s = p.free.after(s) {
		leases = append(leases, Lease{s.owner, s.addr})
	}
	free := len(leases)
	for _, s := range p.slots {
		if s.leased && s.state != slotStatic {
			leases = append(leases, Lease{s.owner, s.addr})
		}
	}
	slices.SortFunc(leases[free:], func(a, b Lease) int { return a.Addr.Compare(b.Addr) })
	return leases
}

// Restore remembers the owners of addresses as Leases returned them and says
// how many it took: those outside the pool, reserved, static, known already or
// beyond what the pool remembers are passed over. Nothing is leased by it.
func (p *Pool) Restore(leases []Lease) int {
	taken := 0
	for _, l := range leases {
		addr := l.Addr.Unmap()
		_, known := p.slots[addr]
		if known || l.Owner == "" || p.free.len >= p.remember || !p.Contains(addr) || !isHost(p.prefixes, addr) {
			continue
		}
		s := &slot{addr: addr, owner: l.Owner}
		p.slots[addr] = s
		p.keep(s)
		taken++
	}
	return taken
}

// Contains reports whether addr lies in one of the pool's prefixes.
func (p *Pool) Contains(addr netip.Addr) bool {
	addr = addr.Unmap()
	return slices.ContainsFunc(p.prefixes, func(prefix netip.Prefix) bool { return prefix.Contains(addr) })
}

// Size is how many addresses can be leased at once, static ones included.
func (p *Pool) Size() int { return p.size }

// Leased is how many addresses are leased now.
func (p *Pool) Leased() int { return p.leased }
