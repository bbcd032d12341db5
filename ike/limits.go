package ike

import (
	"net/netip"
	"time"
)

// A budget is a bucket of tokens: rate a second, and as many at once.
type budget struct {
	tokens float64
	filled time.Time
}

// take takes n tokens if there are as many.
func (b *budget) take(now time.Time, rate, n int) bool {
	if b.filled.IsZero() {
		b.tokens, b.filled = float64(rate), now
	}
	if d := now.Sub(b.filled); d > 0 {
		b.tokens = min(float64(rate), b.tokens+d.Seconds()*float64(rate))
		b.filled = now
	}
	if b.tokens < float64(n) {
		return false
	}
	b.tokens -= float64(n)
	return true
}

// sources remembers what single addresses cost, for as many addresses as there
// is room. IPv6 sources count by their /64.
type sources struct {
	halfOpen map[netip.Addr]int
	tries    map[netip.Addr]*budget
	total    budget
}

// maxSources bounds the table of budgets. Entries that are full again carry no
// information, so the table is swept of them when it is full.
const maxSources = 8192

func newSources() sources {
	return sources{halfOpen: map[netip.Addr]int{}, tries: map[netip.Addr]*budget{}}
}

// source is the address that the limits count by.
func source(a netip.Addr) netip.Addr {
	if a.Is6() && !a.Is4In6() {
		p, err := a.Prefix(64)
		if err == nil {
			return p.Addr()
		}
	}
	return a.Unmap()
}

// open counts one more unfinished exchange from a, or refuses.
func (s *sources) open(a netip.Addr, limit int) bool {
	a = source(a)
	if s.halfOpen[a] >= limit {
		return false
	}
	s.halfOpen[a]++
	return true
}

// done counts one less.
func (s *sources) done(a netip.Addr) {
	a = source(a)
	if s.halfOpen[a] <= 1 {
		delete(s.halfOpen, a)
		return
	}
	s.halfOpen[a]--
}

// try takes one PSK trial out of the budgets of a and of everybody.
func (s *sources) try(now time.Time, a netip.Addr, l Limits) bool {
	a = source(a)
	b := s.tries[a]
	if b == nil {
		if len(s.tries) >= maxSources {
			s.sweep(now)
		}
		b = &budget{}
		s.tries[a] = b
	}
	return b.take(now, l.TriesPerSource, 1) && s.total.take(now, l.Tries, 1)
}

// sweep forgets the addresses that were quiet for a second: their buckets are
// full. If all are busy the table starts anew; the total still bounds the work.
func (s *sources) sweep(now time.Time) {
	for a, b := range s.tries {
		if now.Sub(b.filled) >= time.Second {
			delete(s.tries, a)
		}
	}
	if len(s.tries) >= maxSources {
		clear(s.tries)
	}
}
