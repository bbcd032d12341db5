package policy

import (
	"hash/maphash"
	"slices"
	"sync/atomic"
	"time"

	"github.com/culvert-vpn/culvert/tenant/ipkt"
)

// Bounds are how many flows there may be. Beyond, the one that was silent for longest goes
// first: of the session, or of the tenant.
type Bounds struct {
	Session int // at least 1
	Tenant  int // at least 1
	// Budget is shared with others; nil: none. Reserve flows of this tenant are beside it,
	// so that nobody is left without.
	Budget  *Budget
	Reserve int
	// Shards are how many may judge at once; 0: 16.
	Shards int
}

// Budget is how many flows all tenants may have beside what each has for itself.
type Budget struct {
	size int64
	left atomic.Int64
}

// NewBudget returns one of n flows.
func NewBudget(n int) *Budget {
	b := &Budget{size: int64(n)}
	b.left.Store(b.size)
	return b
}

// take takes one flow out, if there is one.
func (b *Budget) take() bool {
	if b.left.Add(-1) >= 0 {
		return true
	}
	b.left.Add(1)
	return false
}

// Now is the time, in seconds.
type Now struct {
	Wall int64  // since 1970, for schedules
	Up   uint32 // monotonic, from anywhere
}

// Flows are what a tenant's clients have under way, and the rules in force. They may be
// used concurrently.
type Flows struct {
	bounds Bounds
	force  atomic.Pointer[force]
	shards []*shard
	most   atomic.Int64  // flows of a session
	turn   atomic.Uint32 // which shard the next session is of
	notes  notes
	live   atomic.Int64
	begun, denied, pushed,
	lost, stray, forged atomic.Uint64
	reached reached
}

// force is which rules are in force. Flows that were allowed by another generation are
// judged again.
type force struct {
	rules      *Rules
	generation uint32
	active     mask   // schedules
	since      int64  // they say so, in Unix seconds
	until      int64  // and before then
	first      bool   // there were none before
	adopts     uint32 // until when flows from before are taken for what they are, monotonic
}

// adoptFor is for how long rules, where there were none, ask of a packet in the middle of a
// flow whether its other end may have begun it: whoever only receives says nothing that his
// flow could be known by. In seconds.
const adoptFor = 60

// maxBehind is by how much the clocks of those who ask may differ, in seconds. One that is
// further behind was set.
const maxBehind = 30

// NewFlows returns the flows of a tenant that has none yet.
func NewFlows(b Bounds, r *Rules) *Flows {
	if b.Shards == 0 {
		b.Shards = 16
	}
	f := &Flows{bounds: b}
	f.SetMost(b.Session)
	seed := maphash.MakeSeed()
	for range b.Shards {
		f.shards = append(f.shards, newShard(seed))
	}
	f.force.Store(&force{rules: r, generation: 1, until: -1})
	return f
}

// SetRules puts other rules in force. Flows that they allow go on, others end with their
// next packet. Only one goroutine calls it at a time.
func (f *Flows) SetRules(r *Rules) {
	for {
		old := f.force.Load()
		if r != old.rules {
			r.keepHits(old.rules)
		}
		first := r.Asks() && (old.first || !old.rules.Asks())
		if f.force.CompareAndSwap(old, &force{rules: r, generation: old.generation + 1, until: -1, first: first, adopts: old.adopts}) {
			return
		}
	}
}

// SetMost has a session have at most so many flows from now on, at least 1. Who has more
// has as many left with the next that he begins.
func (f *Flows) SetMost(n int) { f.most.Store(int64(max(n, 1))) }

// inForce returns the rules with the schedules of now.
func (f *Flows) inForce(now Now) *force {
	for {
		st := f.force.Load()
		if now.Wall < st.until && now.Wall >= st.since || len(st.rules.sets) == 0 {
			return st
		}
		next := &force{rules: st.rules, generation: st.generation, since: now.Wall - maxBehind, adopts: st.adopts}
		if st.first {
			next.adopts = now.Up + adoptFor
		}
		next.active, next.until = st.rules.schedule(time.Unix(now.Wall, 0))
		if !slices.Equal(next.active, st.active) {
			next.generation++
		}
		f.force.CompareAndSwap(st, next)
	}
}

// Asks reports whether there are rules of flows: without any, whatever Judge is asked may
// go on.
func (r *Rules) Asks() bool { return len(r.sets) > 0 }

// Judge says whether a packet may go on, of which Rules.Judge has said where to. from is the
// session that it comes from, to the one that it is for; nil: the tenant's network. It does
// not allocate, but for the first packet of a session after a change of rules.
func (f *Flows) Judge(now Now, from, to *Party, ip *ipkt.Packet) Decision {
	st := f.inForce(now)
	if len(st.rules.sets) == 0 {
		return Decision{Allow: true}
	}
	var h header
	if !h.read(ip) {
		f.forged.Add(1)
		return Decision{Why: Crafted}
	}
	owner := from
	if owner == nil {
		owner = to
	}
	if h.offset > 0 && !owner.parts().follow(&h, now.Up) {
		return f.strays()
	}
	if h.fault {
		return f.error(st, now, from, to, &h, ip)
	}
	d := f.judge(st, now, from, to, &h)
	if d.Allow && h.more && h.offset == 0 {
		owner.parts().note(&h, now.Up)
	}
	return d
}

// strays is the decision on what is of no flow.
func (f *Flows) strays() Decision {
	f.stray.Add(1)
	return Decision{Why: NoFlow}
}

// judge finds the flow of a packet, or asks the rules whether one may begin.
func (f *Flows) judge(st *force, now Now, from, to *Party, h *header) Decision {
	k, low := h.key()
	for _, owner := range [...]*Party{from, to} {
		if owner == nil {
			continue
		}
		if d, found := f.known(st, now, owner, from, to, h, &k, low); found {
			return d
		}
	}
	if now.Up < st.adopts && f.adopt(st, now, from, to, h, &k, low) {
		return Decision{Allow: true, Why: ByFlow}
	}
	if !h.begins {
		return f.strays()
	}
	d := st.rules.decide(from, to, h, st.active, now.Wall)
	f.note(st, d, from, to, h)
	if !d.Allow {
		f.denied.Add(1)
		return d
	}
	owner := from
	if owner == nil {
		owner = to
	}
	if !f.begin(st, now, owner, h, &k, low, d) {
		return Decision{Why: Full}
	}
	f.begun.Add(1)
	return d
}

// adopt begins the flow that a packet in its middle is an answer of, if it may be and the
// packet itself could not begin one.
func (f *Flows) adopt(st *force, now Now, from, to *Party, h *header, k *key, low bool) bool {
	middle := h.proto == ipkt.ProtocolUDP || h.proto == ipkt.ProtocolTCP && h.tcp&tcpRST == 0 && h.tcp&(tcpSYN|tcpACK) != tcpSYN
	if !middle || h.offset > 0 || h.begins && st.rules.decide(from, to, h, st.active, uncounted).Allow {
		return false
	}
	began := h.reversed()
	d := st.rules.decide(to, from, &began, st.active, uncounted)
	owner := to
	if owner == nil {
		owner = from
	}
	return d.Allow && f.begin(st, now, owner, &began, k, !low, d)
}

// known judges a packet by a flow of a session; found: there is one.
func (f *Flows) known(st *force, now Now, owner, from, to *Party, h *header, k *key, low bool) (d Decision, found bool) {
	s, seat := f.lock(owner)
	if s == nil {
		return d, false
	}
	defer s.mu.Unlock()
	i := s.find(k, seat)
	if i == 0 {
		return d, false
	}
	fl := s.at(i)
	if fl.over(now.Up) {
		f.drop(s, i)
		return d, false
	}
	answer := fl.state&flowLow != 0 != low
	opens := h.proto == ipkt.ProtocolTCP && h.tcp&(tcpSYN|tcpACK) == tcpSYN
	switch {
	case answer && (opens || h.asks):
		if d = f.turned(st, now, fl, from, to, h, low); !d.Allow {
			return d, true
		}
		answer = false
	case fl.generation != st.generation:
		if d = f.again(st, s, i, from, to, answer); !d.Allow {
			return d, true
		}
	}
	if !opens && !fl.admits(h, answer) {
		return f.strays(), true
	}
	s.touch(i, now.Up)
	fl.seen(h, answer)
	return Decision{Allow: true, Why: ByFlow, Set: int32(fl.set), Rule: int32(fl.rule)}, true
}

// turned judges a connection that the other end of a flow opens between the same ports, or a
// query of its own that has the same numbers: that is no answer.
func (f *Flows) turned(st *force, now Now, fl *flow, from, to *Party, h *header, low bool) Decision {
	d := st.rules.decide(from, to, h, st.active, now.Wall)
	f.note(st, d, from, to, h)
	if !d.Allow {
		f.denied.Add(1)
		return d
	}
	fl.state &= flowRuled
	if low {
		fl.state |= flowLow
	}
	fl.allowed(d, st.generation)
	return d
}

// again judges a flow that other rules have allowed.
func (f *Flows) again(st *force, s *shard, i uint32, from, to *Party, answer bool) Decision {
	if answer {
		from, to = to, from
	}
	fl := s.at(i)
	h := fl.first()
	d := st.rules.decide(from, to, &h, st.active, uncounted)
	if !d.Allow {
		f.lost.Add(1)
		f.drop(s, i)
		return d
	}
	fl.allowed(d, st.generation)
	return d
}

// error judges an ICMP error: what it quotes must have come from whom it is for, and be of
// a flow; a client tells only of what was sent to itself. It keeps no flow alive.
func (f *Flows) error(st *force, now Now, from, to *Party, h *header, ip *ipkt.Packet) Decision {
	var inner header
	if !h.quoted(&inner, ip) || from != nil && !from.owns(inner.destination()) {
		return f.strays()
	}
	k, low := inner.key()
	for _, owner := range [...]*Party{from, to} {
		if owner == nil {
			continue
		}
		if d, found := f.quotes(st, now, owner, from, to, &inner, &k, low); found {
			return d
		}
	}
	return f.strays()
}

// quotes judges an ICMP error by the flow of a session; found: there is one.
func (f *Flows) quotes(st *force, now Now, owner, from, to *Party, inner *header, k *key, low bool) (d Decision, found bool) {
	s, seat := f.lock(owner)
	if s == nil {
		return d, false
	}
	defer s.mu.Unlock()
	i := s.find(k, seat)
	if i == 0 || s.at(i).over(now.Up) {
		return d, false
	}
	fl := s.at(i)
	answer := fl.state&flowLow != 0 != low // what it quotes was one
	if !fl.maySay(inner.sequence.seq, answer) {
		return f.strays(), true
	}
	if fl.generation != st.generation {
		// The one that the error is for has sent what it quotes.
		if d = f.again(st, s, i, from, to, !answer); !d.Allow {
			return d, true
		}
	}
	return Decision{Allow: true, Why: ByFlow, Set: int32(fl.set), Rule: int32(fl.rule)}, true
}
