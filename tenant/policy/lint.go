package policy

// Hidden is a rule that decides on nothing, since earlier ones decide on all that it is
// about.
type Hidden struct {
	Rule, By int // By is the first of those
	// Contrary says that all of them say the opposite.
	Contrary bool
}

// Lint returns the rules of a set that decide on nothing. It compares rules as they are
// written: neither does it know who is in a group, nor that two halves are a network.
func (s *Set) Lint() (all []Hidden) {
	for j := range s.Rules {
		if h, hidden := s.hides(j); hidden {
			all = append(all, h)
		}
	}
	return all
}

// hides reports whether the rules before one leave nothing of it.
func (s *Set) hides(j int) (h Hidden, hidden bool) {
	r := &s.Rules[j]
	h = Hidden{Rule: j, By: j, Contrary: true}
	for _, from := range orAll(r.From, Peer{}) {
		for _, to := range orAll(r.To, Target{}) {
			for _, a := range orAll(r.Ports, Ports{}) {
				for _, b := range orAll(to.Ports, Ports{}) {
					by := s.firstOver(j, from, to.Peer, a, b)
					if by < 0 {
						return h, false
					}
					h.By = min(h.By, by)
					h.Contrary = h.Contrary && s.Rules[by].Allow != r.Allow
				}
			}
		}
	}
	return h, true
}

// orAll is a list, or what no list stands for.
func orAll[T any](list []T, all T) []T {
	if len(list) == 0 {
		return []T{all}
	}
	return list
}

// firstOver returns the first rule before one that decides on all flows between two peers
// to ports that are of both; -1: none does.
func (s *Set) firstOver(j int, from, to Peer, a, b Ports) int {
	for i := range s.Rules[:j] {
		r := &s.Rules[i]
		if !r.When.covers(s.Rules[j].When) || !anyCovers(r.From, from) || !portsCover(r.Ports, a, b) {
			continue
		}
		if len(r.To) == 0 {
			return i
		}
		for _, t := range r.To {
			if t.covers(to) && portsCover(t.Ports, a, b) {
				return i
			}
		}
	}
	return -1
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
	return p.Kind == Anybody || p == q
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
