package tenant

import (
	"fmt"
	"net/netip"
	"slices"
	"time"
)

// DefaultRemember is how many addresses that nobody uses are remembered for
// the owner they had.
const DefaultRemember = 65536

// PoolConfig describes a Pool.
type PoolConfig struct {
	// Prefixes are the addresses to lease, all of one family, none overlapping
	// another. The first host address of the first one is the gateway's, unless
	// NoGateway says that it has its own in another pool.
	Prefixes  []netip.Prefix
	NoGateway bool
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
	// Since is when he got it, or, of one that is free, when he left it; to the second.
	Since time.Time
}

// Held is an address that is somebody's, or was.
type Held struct {
	Lease
	Leased bool // now
	Static bool // his alone, whether he has it or not
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
	idle     int // static leases that their owners do not have now

	fresh   cursor                // addresses that nobody had
	slots   map[netip.Addr]*slot  // every address that was leased or must not be
	order   []*slot               // the same, as they came to be known
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
	if !cfg.NoGateway {
		p.gateway = firstHost(cfg.Prefixes[0])
		p.reserve(p.gateway)
	}
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
	p.slot(addr).state = slotReserved
	p.size--
}

// slot makes the slot of an address that has none.
func (p *Pool) slot(addr netip.Addr) *slot {
	s := &slot{addr: addr}
	p.slots[addr] = s
	p.order = append(p.order, s)
	return s
}

func (p *Pool) addStatic(static map[string]netip.Addr) error {
	for owner, addr := range static {
		if err := p.SetStatic(owner, addr, time.Time{}); err != nil {
			return err
		}
	}
	return nil
}

// SetStatic makes addr the owner's alone from now on, in place of the one that was; an
// invalid one: he has none any more. It is an error if the address is none that is leased,
// or is another's: static, or leased, which is ErrTaken.
func (p *Pool) SetStatic(owner string, addr netip.Addr, now time.Time) error {
	addr = addr.Unmap()
	if had, ok := p.static[owner]; ok && had == addr {
		return nil
	}
	if addr.IsValid() {
		if err := p.claim(owner, addr); err != nil {
			return err
		}
	}
	if had, ok := p.static[owner]; ok {
		p.unclaim(p.slots[had], now)
		delete(p.static, owner)
	}
	if addr.IsValid() {
		p.static[owner] = addr
	}
	return nil
}

// claim makes an address static.
func (p *Pool) claim(owner string, addr netip.Addr) error {
	s := p.slots[addr]
	switch {
	case owner == "":
		return fmt.Errorf("%w: %v: %w", ErrStatic, addr, ErrOwner)
	case !p.Contains(addr) || !isHost(p.prefixes, addr):
		return fmt.Errorf("%w: %v of %q is no host address of the pool", ErrStatic, addr, owner)
	case s == nil:
		s = p.slot(addr)
	case s.state != slotDynamic:
		return fmt.Errorf("%w: %v of %q is the gateway's, excluded or another's", ErrStatic, addr, owner)
	case s.leased && s.owner != owner:
		return fmt.Errorf("%w: %v is %q's now, and not %q's: %w", ErrStatic, addr, s.owner, owner, ErrTaken)
	case !s.leased:
		p.take(s)
	}
	if s.owner != owner {
		s.owner, s.since = owner, 0
	}
	if s.state = slotStatic; !s.leased {
		p.idle++
	}
	return nil
}

// unclaim makes a static address one of all; who has it keeps it.
func (p *Pool) unclaim(s *slot, now time.Time) {
	if s.state = slotDynamic; s.leased {
		return
	}
	p.idle--
	if s.since == 0 {
		s.since = seconds(now)
	}
	p.keep(s)
}

// Lease returns an address for owner until Release. One owner may hold several
// leases: only the first of them is its static address, if it has one.
func (p *Pool) Lease(owner string, now time.Time) (netip.Addr, error) {
	if owner == "" {
		return netip.Addr{}, ErrOwner
	}
	s := p.pick(owner)
	if s == nil {
		return netip.Addr{}, ErrExhausted
	}
	p.lease(s, owner, now)
	return s.addr, nil
}

// lease has a slot that is in no list be leased.
func (p *Pool) lease(s *slot, owner string, since time.Time) {
	s.owner, s.leased, s.since = owner, true, seconds(since)
	p.leased++
	if s.state == slotStatic {
		p.idle--
	}
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

// Take leases addr to owner, who has it since then by another Pool that this one takes the
// place of. It reports whether it can: not if addr is none that is leased, or another's.
func (p *Pool) Take(owner string, addr netip.Addr, since time.Time) bool {
	addr = addr.Unmap()
	s := p.slots[addr]
	switch {
	case owner == "":
		return false
	case s == nil:
		if !p.Contains(addr) || !isHost(p.prefixes, addr) {
			return false
		}
		s = p.slot(addr)
	case s.leased || s.state == slotReserved || s.state == slotStatic && s.owner != owner:
		return false
	case s.state == slotDynamic:
		p.take(s)
	}
	p.lease(s, owner, since)
	return true
}

// takeFresh makes a slot for an address that nobody had.
func (p *Pool) takeFresh() *slot {
	addr, ok := p.peekFresh()
	if !ok {
		return nil
	}
	p.fresh.next()
	return p.slot(addr)
}

// peekFresh is an address that nobody had.
func (p *Pool) peekFresh() (netip.Addr, bool) {
	for {
		addr, ok := p.fresh.peek()
		if _, used := p.slots[addr]; !ok || !used {
			return addr, ok
		}
		p.fresh.next()
	}
}

// NextFree is the address that somebody gets next who had none before; false: there is none.
func (p *Pool) NextFree() (netip.Addr, bool) {
	if p.free.len < p.remember {
		if addr, ok := p.peekFresh(); ok {
			return addr, true
		}
	}
	if s := p.free.front(); s != nil {
		return s.addr, true
	}
	return netip.Addr{}, false
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
func (p *Pool) Release(addr netip.Addr, now time.Time) bool {
	s := p.slots[addr.Unmap()]
	if s == nil || !s.leased {
		return false
	}
	s.leased, s.since = false, seconds(now)
	p.leased--
	if s.state == slotStatic {
		p.idle++
		return true
	}
	p.keep(s)
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
		leases = append(leases, s.lease())
	}
	free := len(leases)
	for _, s := range p.order {
		if s.leased && s.state != slotStatic {
			leases = append(leases, s.lease())
		}
	}
	slices.SortFunc(leases[free:], func(a, b Lease) int { return a.Addr.Compare(b.Addr) })
	return leases
}

// Restore remembers the owners of addresses as Leases returned them and says
// how many it took: those outside the pool, reserved, static and known already
// are passed over, and of more than the pool remembers the first. Nothing is
// leased by it.
func (p *Pool) Restore(leases []Lease) int {
	ours := make([]Lease, 0, len(leases))
	for _, l := range leases {
		l.Addr = l.Addr.Unmap()
		if _, known := p.slots[l.Addr]; !known && l.Owner != "" && p.Contains(l.Addr) && isHost(p.prefixes, l.Addr) {
			ours = append(ours, l)
		}
	}
	taken := 0
	for _, l := range ours[max(0, len(ours)-max(0, p.remember-p.free.len)):] {
		if _, known := p.slots[l.Addr]; known {
			continue
		}
		s := p.slot(l.Addr)
		s.owner, s.since = l.Owner, seconds(l.Since)
		p.keep(s)
		taken++
	}
	return taken
}

// Held lists the addresses that are somebody's or were, at most n of them, in the order in
// which they came to be known, which stays. from is 0, or the next of an answer before, which
// is 0 at the end.
func (p *Pool) Held(from, n int) (list []Held, next int) {
	next = min(from+n, len(p.order))
	for _, s := range p.order[min(from, next):next] {
		if s.state != slotReserved {
			list = append(list, Held{Lease: s.lease(), Leased: s.leased, Static: s.state == slotStatic})
		}
	}
	if next == len(p.order) {
		next = 0
	}
	return list, next
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

// Static is how many addresses are one owner's alone, and Idle how many of those their
// owners do not have now: nobody else gets them.
func (p *Pool) Static() int { return len(p.static) }

// Idle is explained at Static.
func (p *Pool) Idle() int { return p.idle }

// Remembered is how many free addresses are kept for the owners that they had.
func (p *Pool) Remembered() int { return p.free.len }
