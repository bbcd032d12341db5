package policy

import "slices"

// Hidden is a rule that decides on nothing, since others decide on all that it is about.
type Hidden struct {
	Rule, By int // By is the first of those; -1: a default
	// Contrary says that all of them say the opposite.
	Contrary bool
}

// maxLint is how often two ends, or ports, of rules are compared to find those that decide
// on nothing: some tenths of a second.
const maxLint = 100_000_000

// linter compares rules as they are written: neither does it know who is in a group, nor that
// two halves are a network.
type linter struct {
	left int // comparisons
}

// Lint returns the rules of a set that decide on nothing, as earlier ones leave nothing of
// them. Where comparing them all would take too long, whole is false.
func (s *Set) Lint() (all []Hidden, whole bool) {
	l := linter{maxLint}
	for j := range s.Rules {
		h := Hidden{Rule: j, By: j, Contrary: true}
		if l.all(&s.Rules[j], func(c *combination) bool {
			by := l.firstOver(s, j, c)
			if by >= 0 {
				h.By = min(h.By, by)
				h.Contrary = h.Contrary && s.Rules[by].Allow != s.Rules[j].Allow
			}
			return by >= 0
		}) {
			all = append(all, h)
		}
	}
	return all, l.left > 0
}

// Denies returns the rules of another set that allow nothing where this one must allow, too,
// which denies all that they are about. whole is as in Lint.
func (s *Set) Denies(o *Set) (all []Hidden, whole bool) {
	l := linter{maxLint}
	for j := range o.Rules {
		h := Hidden{Rule: j, By: len(s.Rules), Contrary: true}
		if o.Rules[j].Allow && l.all(&o.Rules[j], func(c *combination) bool {
			by, denied := l.denies(s, c)
			h.By = min(h.By, by)
			return denied
		}) {
			if h.By == len(s.Rules) {
				h.By = -1
			}
			all = append(all, h)
		}
	}
	return all, l.left > 0
}

// combination is one of the flows that a rule is about: both ends, and ports that are of a
// and of b. The schedule is the rule's.
type combination struct {
	from, to Peer
	a, b     Ports
	when     *Schedule
}

// all reports whether something holds for all combinations of a rule.
func (l *linter) all(r *Rule, holds func(*combination) bool) bool {
	for _, from := range orAll(r.From, Peer{}) {
		for _, to := range orAll(r.To, Target{}) {
			for _, a := range orAll(r.Ports, Ports{}) {
				for _, b := range orAll(to.Ports, Ports{}) {
					if !holds(&combination{from, to.Peer, a, b, r.When}) || l.left <= 0 {
						return false
					}
				}
			}
		}
	}
	return true
}

// firstOver returns the first rule before the one at j that decides on all flows of a
// combination; -1: none does.
func (l *linter) firstOver(s *Set, j int, c *combination) int {
	for i := 0; i < j && l.left > 0; i++ {
		if l.covers(&s.Rules[i], c) {
			return i
		}
	}
	return -1
}

// denies reports whether a set denies all flows of a combination, and by which rule, behind
// the last one: by its default.
func (l *linter) denies(s *Set, c *combination) (by int, denied bool) {
	for i := range s.Rules {
		switch r := &s.Rules[i]; {
		case l.left <= 0, r.Allow && l.meets(r, c):
			return i, false
		case !r.Allow && l.covers(r, c):
			return i, true
		}
	}
	return len(s.Rules), !s.Allow
}

// covers reports whether a rule decides on all flows of a combination.
func (l *linter) covers(r *Rule, c *combination) bool {
	l.left -= 1 + len(r.From) + len(r.Ports)
	if !r.When.covers(c.when) || !anyCovers(r.From, c.from) || !portsCover(r.Ports, c.a, c.b) {
		return false
	}
	for _, t := range r.To {
		l.left -= 1 + len(t.Ports)
		if t.covers(c.to) && portsCover(t.Ports, c.a, c.b) {
			return true
		}
	}
	return len(r.To) == 0
}

// meets reports whether a rule may decide on some flow of a combination.
func (l *linter) meets(r *Rule, c *combination) bool {
	l.left -= 1 + len(r.From) + len(r.Ports)
	if len(r.From) > 0 && !slices.ContainsFunc(r.From, c.from.meets) || !portsMeet(r.Ports, c.a, c.b) {
		return false
	}
	for _, t := range r.To {
		l.left -= 1 + len(t.Ports)
		if t.meets(c.to) && portsMeet(t.Ports, c.a, c.b) {
			return true
		}
	}
	return len(r.To) == 0
}

// orAll is a list, or what no list stands for.
func orAll[T any](list []T, all T) []T {
	if len(list) == 0 {
		return []T{all}
	}
	return list
}

func anyCovers(list []Peer, p Peer) bool {
	for _, q := range list {
		if q.covers(p) {
			return true
		}
	}
	return len(list) == 0
}

// covers reports whether whoever is q is p.
func (p Peer) covers(q Peer) bool {
	if p.Kind == InNetwork && q.Kind == InNetwork {
		return p.Network.Bits() <= q.Network.Bits() && p.Network.Contains(q.Network.Addr())
	}
	return p.Kind == Anybody || p == q || p.Kind == InPool && q.Kind == InPool && p.Name == ""
}

// meets reports whether somebody may be both.
func (p Peer) meets(q Peer) bool {
	switch {
	case p.Kind == InNetwork && q.Kind == InNetwork:
		return p.Network.Overlaps(q.Network)
	case p.Kind == q.Kind && (p.Kind == IsUser || p.Kind == OfSite):
		return p.Name == q.Name
	}
	return true
}

// portsMeet reports whether some of a list may have something in common with both.
func portsMeet(list []Ports, a, b Ports) bool {
	return len(list) == 0 || slices.ContainsFunc(list, func(p Ports) bool { return p.meets(a) && p.meets(b) })
}

func (p Ports) meets(q Ports) bool {
	if p.Protocol == 0 || q.Protocol == 0 {
		return true
	}
	return p.Protocol == q.Protocol && (p.All || q.All || p.First <= q.Last && q.First <= p.Last)
}

// portsCover reports whether a list has all that two Ports have in common, by one of them.
func portsCover(list []Ports, a, b Ports) bool {
	for _, p := range list {
		if p.covers(a) || p.covers(b) {
			return true
		}
	}
	return len(list) == 0
}

func (p Ports) covers(q Ports) bool {
	return p.Protocol == 0 || p.Protocol == q.Protocol && (p.All || !q.All && p.First <= q.First && q.Last <= p.Last)
}

// covers reports whether a schedule, nil being always, is in force whenever another is.
func (s *Schedule) covers(other *Schedule) bool {
	if s == nil || other == nil {
		return s == nil
	}
	return s.days == other.days && s.from == other.from && s.to == other.to && s.zone.String() == other.zone.String()
}
