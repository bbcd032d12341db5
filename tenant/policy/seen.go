package policy

import (
	"cmp"
	"container/heap"
	"net/netip"
	"slices"
	"time"

	"github.com/culvert-vpn/culvert/tenant/ipkt"
)

// Counts are what became of flows. All but Live never fall.
type Counts struct {
	Live   int64  // there now
	Begun  uint64 // were allowed
	Denied uint64 // were not
	// Pushed made room for others: of their session, of their tenant, and of their tenant
	// since all tenants have no more.
	PushedBySession, PushedByTenant, PushedByAll uint64
	Full                                         uint64 // found no room
	Lost                                         uint64 // were allowed once, and not by rules that came later
	Stray                                        uint64 // packets: answers, fragments and errors of no flow
	Forged                                       uint64 // packets: such as no honest host sends
}

// Counts returns what became of flows so far.
func (f *Flows) Counts() Counts {
	r := &f.reached
	return Counts{
		Live: f.live.Load(), Begun: f.begun.Load(), Denied: f.denied.Load(),
		PushedBySession: f.pushed.Load(), PushedByTenant: r.tenant.pushed.Load(), PushedByAll: r.all.pushed.Load(),
		Full: r.tenant.full.Load() + r.all.full.Load(),
		Lost: f.lost.Load(), Stray: f.stray.Load(), Forged: f.forged.Load(),
	}
}

// Hits are what a rule, or a default, has decided.
type Hits struct {
	Flows uint64
	Last  time.Time // zero: never
	Off   bool      // its schedule says: not now
}

// SetHits are a set and the Hits of its rules, in their order, with those of its default
// behind. The set is borrowed, and not to be changed.
type SetHits struct {
	*Set
	Hits []Hits
}

// Hits returns what the sets have decided so far, in their order.
func (r *Rules) Hits(now time.Time) (all []SetHits) {
	for _, s := range r.sets {
		set := SetHits{Set: &s.Set}
		for i, h := range s.hits {
			hit := Hits{Flows: h.count.Load()}
			if last := h.last.Load(); last != 0 {
				hit.Last = time.Unix(last, 0)
			}
			if i < len(s.Rules) && s.Rules[i].When != nil {
				active, _ := s.Rules[i].When.active(now)
				hit.Off = !active
			}
			set.Hits = append(set.Hits, hit)
		}
		all = append(all, set)
	}
	return all
}

// Query says which flows are asked for.
type Query struct {
	User string       // whose; empty: everybody's
	To   netip.Prefix // where they lead; invalid: anywhere
	Most int          // so many of them
}

// State is how far a flow has got.
type State uint8

// The states: only TCP says more than whether there was an answer.
const (
	Unanswered State = iota
	Answered
	HalfClosed // one end has said that it sends no more
	BothClosed
	Reset
)

// Seen is one flow, as an operator is shown it.
type Seen struct {
	User        string // whose it is; empty: nobody's that rules name
	Session     uint64
	Protocol    uint8
	Source      netip.AddrPort // who began it
	Destination netip.AddrPort // of ICMP: the port is the type
	Set, Rule   string         // what allowed it; both empty: it was not asked of the rules in force yet
	Age, Idle   uint32         // seconds
	Up, Down    uint64         // bytes from who began it, and to
	State       State
}

// List returns flows that are asked for, those that were in use last first, and how many of
// them there are in all. It looks at chunkFlows at a time, so that no packet waits for more,
// whatever the table has; a flow that is there all the time is seen once.
func (f *Flows) List(now Now, q Query) (list []Seen, all int) {
	st, found := f.inForce(now), make(latest, 0, min(q.Most, chunkFlows))
	var look lookAt
	for _, s := range f.shards {
		for i := uint32(0); s.look(&look, i, now.Up); i++ {
			for n := range look.flows[:look.n] {
				fl := &look.flows[n]
				if !q.asks(fl, look.owners[n]) {
					continue
				}
				if all++; q.Most > 0 {
					found.add(fl.shown(st, look.owners[n], now.Up), q.Most)
				}
			}
		}
	}
	slices.SortFunc(found, func(a, b Seen) int { return a.compare(&b) })
	return found, all
}

// asks reports whether a flow is asked for.
func (q *Query) asks(f *flow, owner *Party) bool {
	if q.User != "" {
		if who := owner.who(); who == nil || who.User != q.User {
			return false
		}
	}
	h := f.first()
	return !q.To.IsValid() || q.To.Contains(h.destination())
}

// lookAt are copies of the flows of one chunk, and whose they are.
type lookAt struct {
	flows  [chunkFlows]flow
	owners [chunkFlows]*Party
	n      int
}

// look copies the flows of a chunk that are not over; false: there is no such chunk.
func (s *shard) look(into *lookAt, chunk, now uint32) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	into.n = 0
	if chunk >= uint32(len(s.chunks)) {
		return false
	}
	for i := range s.chunks[chunk] {
		fl := &s.chunks[chunk][i]
		if fl.seat == 0 || fl.over(now) { // it is free, or is as good as that
			continue
		}
		into.flows[into.n], into.owners[into.n] = *fl, s.seats[fl.seat].who
		into.n++
	}
	return true
}

// shown is a flow as it is shown.
func (f *flow) shown(st *force, owner *Party, now uint32) Seen {
	h := f.first()
	seen := Seen{
		Protocol: h.proto, State: f.stateOf(),
		Source: netip.AddrPortFrom(h.source(), h.sport), Destination: netip.AddrPortFrom(h.destination(), h.dport),
		Up: f.up, Down: f.down, Age: now - f.began, Idle: now - min(f.last, now),
	}
	if who := owner.who(); who != nil {
		seen.User, seen.Session = who.User, who.Session
	}
	if f.generation == st.generation && f.state&flowRuled != 0 {
		s := st.rules.sets[f.set]
		seen.Set = s.Name
		if f.rule >= 0 {
			seen.Rule = s.Rules[f.rule].Name
		}
	}
	return seen
}

// stateOf is how far the flow has got.
func (f *flow) stateOf() State {
	ends := f.state & (flowFINUp | flowFINDown)
	switch {
	case f.key[36] == ipkt.ProtocolTCP && f.state&flowReset != 0:
		return Reset
	case f.key[36] == ipkt.ProtocolTCP && ends == flowFINUp|flowFINDown:
		return BothClosed
	case f.key[36] == ipkt.ProtocolTCP && ends != 0:
		return HalfClosed
	case f.state&flowAnswered != 0:
		return Answered
	}
	return Unanswered
}

// compare orders flows: what was in use last comes first.
func (s *Seen) compare(o *Seen) int {
	return cmp.Or(cmp.Compare(s.Idle, o.Idle), cmp.Compare(s.Session, o.Session),
		cmp.Compare(s.Protocol, o.Protocol), s.Source.Compare(o.Source), s.Destination.Compare(o.Destination))
}

// latest is a heap of flows, with the one that would be shown last at its root.
type latest []Seen

// add keeps a flow if it is among the first so many.
func (l *latest) add(s Seen, most int) {
	if len(*l) < most {
		heap.Push(l, s)
	} else if s.compare(&(*l)[0]) < 0 {
		(*l)[0] = s
		heap.Fix(l, 0)
	}
}

// Len implements heap.Interface, and so do those that follow.
func (l latest) Len() int { return len(l) }

// Less puts the last one first.
func (l latest) Less(i, j int) bool { return l[i].compare(&l[j]) > 0 }

// Swap swaps two.
func (l latest) Swap(i, j int) { l[i], l[j] = l[j], l[i] }

// Push adds one at the end.
func (l *latest) Push(s any) { *l = append(*l, s.(Seen)) }

// Pop takes the last one off.
func (l *latest) Pop() any {
	last := (*l)[len(*l)-1]
	*l = (*l)[:len(*l)-1]
	return last
}
