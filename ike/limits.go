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

// has reports whether there is a token.
func (b *budget) has(now time.Time, rate int) bool { return b.hasOf(now, rate, rate) }

// hasOf is has with another number at once than a second.
func (b *budget) hasOf(now time.Time, rate, burst int) bool {
	if b.filled.IsZero() {
		b.tokens, b.filled = float64(burst), now
	}
	if d := now.Sub(b.filled); d > 0 {
		b.tokens = min(float64(burst), b.tokens+d.Seconds()*float64(rate))
		b.filled = now
	}
	return b.tokens >= 1
}

// takeOf takes one token, with another number at once than a second.
func (b *budget) takeOf(now time.Time, rate, burst int) bool {
	if !b.hasOf(now, rate, burst) {
		return false
	}
	b.tokens--
	return true
}

// take takes n tokens if there is one: who takes more than there are waits until they
// are paid back.
func (b *budget) take(now time.Time, rate, n int) bool {
	if !b.has(now, rate) {
		return false
	}
	b.tokens -= float64(n)
	return true
}

// owe takes a token in any case. What is owed beyond a second's worth is let go.
func (b *budget) owe(now time.Time, rate int) {
	b.has(now, rate)
	b.tokens = max(b.tokens-1, -float64(rate))
}

// giveBack returns tokens that were not needed.
func (b *budget) giveBack(rate, n int) { b.tokens = min(float64(rate), b.tokens+float64(n)) }

// full reports whether the bucket says nothing any more.
func (b *budget) full(now time.Time, rate int) bool {
	return b.has(now, rate) && b.tokens >= float64(rate)
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

// try takes n trials of keys out of the budgets of a and of everybody.
func (s *sources) try(now time.Time, a netip.Addr, l Limits, n int) bool {
	b := s.budget(now, a, l)
	if !b.has(now, l.TriesPerSource) || !s.total.take(now, l.Tries, n) {
		return false
	}
	return b.take(now, l.TriesPerSource, n)
}

// tryKnown takes one trial out of the budget of a alone: of the key with which it came
// in before, whatever others cost.
func (s *sources) tryKnown(now time.Time, a netip.Addr, l Limits) bool {
	return s.budget(now, a, l).take(now, l.TriesPerSource, 1)
}

// giveBack returns n trials that there was no need of.
func (s *sources) giveBack(a netip.Addr, l Limits, n int) {
	s.total.giveBack(l.Tries, n)
	if b := s.tries[source(a)]; b != nil {
		b.giveBack(l.TriesPerSource, n)
	}
}

func (s *sources) budget(now time.Time, a netip.Addr, l Limits) *budget {
	a = source(a)
	b := s.tries[a]
	if b == nil {
		if len(s.tries) >= maxSources {
			s.sweep(now, l)
		}
		b = &budget{}
		s.tries[a] = b
	}
	return b
}

// sweep forgets the addresses whose buckets are full. If there are none the table
// starts anew; the total still bounds the work.
func (s *sources) sweep(now time.Time, l Limits) {
	for a, b := range s.tries {
		if b.full(now, l.TriesPerSource) {
			delete(s.tries, a)
		}
	}
	if len(s.tries) >= maxSources {
		clear(s.tries)
	}
}
