package ike

import (
	"net/netip"
	"time"

	"github.com/hashicorp/golang-lru/v2/simplelru"
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

// wait is how long it takes until there is a token.
func (b *budget) wait(now time.Time, rate int) time.Duration {
	if b.has(now, rate) {
		return 0
	}
	return time.Duration((1 - b.tokens) / float64(rate) * float64(time.Second))
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

// sources remembers what single addresses cost, for as many addresses as there is room:
// those that were not heard of for longest are forgotten, and the total still bounds the
// work. IPv6 sources count by their /64.
type sources struct {
	known *simplelru.LRU[netip.Addr, *cost]
	total budget // of trials
}

// cost is what one source may still cost.
type cost struct {
	tries    budget // of keys
	begins   budget // exchanges; those that end in a login are given back
	unproven budget // exchanges that somebody else may begin in its name
}

// maxSources bounds the table.
const maxSources = 8192

func newSources() sources { return sources{known: newLRU[netip.Addr, *cost](maxSources)} }

// newLRU returns a table for so many entries.
func newLRU[K comparable, V any](size int) *simplelru.LRU[K, V] {
	table, err := simplelru.NewLRU[K, V](size, nil)
	if err != nil {
		panic(err) // a size that is no size
	}
	return table
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

// begin takes one exchange out of what a source may begin, or, if it has not proven that
// it is there, out of what may be begun in its name: who cannot receive what is sent to an
// address does not use up what its owner may do.
func (s *sources) begin(now time.Time, a netip.Addr, l Limits, proven bool) bool {
	c := s.of(a)
	if !proven {
		return c.unproven.take(now, l.BeginsPerSource, 1)
	}
	return c.begins.take(now, l.BeginsPerSource, 1)
}

// welcome returns it: it ended in a login.
func (s *sources) welcome(a netip.Addr, l Limits, proven bool) {
	c := s.of(a)
	b := &c.begins
	if !proven {
		b = &c.unproven
	}
	b.giveBack(l.BeginsPerSource, 1)
}

// try takes n trials of keys out of the budgets of a and of everybody.
func (s *sources) try(now time.Time, a netip.Addr, l Limits, n int) bool {
	b := &s.of(a).tries
	if !b.has(now, l.TriesPerSource) || !s.total.take(now, l.Tries, n) {
		return false
	}
	return b.take(now, l.TriesPerSource, n)
}

// tryKnown takes one trial out of the budget of a alone: of the key with which it came
// in before, whatever others cost.
func (s *sources) tryKnown(now time.Time, a netip.Addr, l Limits) bool {
	return s.of(a).tries.take(now, l.TriesPerSource, 1)
}

// giveBack returns n trials that there was no need of.
func (s *sources) giveBack(a netip.Addr, l Limits, n int) {
	s.total.giveBack(l.Tries, n)
	s.of(a).tries.giveBack(l.TriesPerSource, n)
}

func (s *sources) of(a netip.Addr) *cost {
	a = source(a)
	c, ok := s.known.Get(a)
	if !ok {
		c = &cost{}
		s.known.Add(a, c)
	}
	return c
}
