package policy

import (
	"net/netip"
	"slices"
	"time"

	"github.com/culvert-vpn/culvert/tenant/ipkt"
)

// Why is what a Decision rests on.
type Why uint8

// What a decision rests on.
const (
	ByDesign  Why = iota // no rules, or what every client may ask the gateway
	ByRule               // the rule that it names
	ByDefault            // of the set that it names
	ByFlow               // the packet is of a flow that was allowed
	NoFlow               // it is an answer, a fragment or an ICMP error, and of no flow
	Crafted              // no honest host sends such a packet
	Full                 // there is no room for a flow, or its session is over
	Isolated             // clients are closed to each other: only Ask says so
	Closed               // clients do not go there: likewise
	NoFilter             // a session at an end is under a filter that there is none of
)

// Decision is what the rules say of a packet.
type Decision struct {
	Allow bool
	Why   Why
	// New says that it begins a flow, or would have.
	New bool
	// Log says that the rule wants that logged.
	Log bool
	// Set and Rule are the indexes of what decided, if a rule or a default did; Rule is -1
	// for a default.
	Set, Rule int32
}

// view is what a session is to compiled rules.
type view struct {
	rules   *Rules
	of      *standing
	sets    []*setView // of each set
	applied []int32    // those that are for it, by their indexes
	lost    bool       // it is under a filter that there is none of
}

// setView is a session to a set: which entries it may be an end of.
type setView struct {
	from, to mask
}

// viewOf returns what a session is to the rules; it is made once for both.
func (r *Rules) viewOf(who *Party) *view {
	if who == nil {
		return r.stranger
	}
	is := who.standing.Load()
	if v := who.view.Load(); v != nil && v.rules == r && v.of == is {
		return v
	}
	v := r.newView(is.under(r))
	v.of = is
	who.view.Store(v)
	return v
}

func (r *Rules) newView(who *Identity) *view {
	v := &view{rules: r, sets: make([]*setView, len(r.sets))}
	for i, s := range r.sets {
		v.sets[i] = s.viewOf(who)
		if s.isFor(who) {
			v.applied = append(v.applied, int32(i))
		}
	}
	if who != nil {
		v.lost = slices.ContainsFunc(who.Filters, func(name string) bool { return !r.filters[name] })
	}
	return v
}

// viewOf returns what a session is to the set: those that no rule names share it.
func (s *ruleSet) viewOf(who *Identity) *setView {
	v := setView{s.from.subject(who), s.to.subject(who)}
	if v.same(&s.plain) {
		return &s.plain
	}
	return &v
}

func (v *setView) same(o *setView) bool {
	return slices.Equal(v.from, o.from) && slices.Equal(v.to, o.to)
}

// eitherOf goes through two ascending lists; what is in both comes once.
type eitherOf struct{ a, b []int32 }

func (e *eitherOf) next() (n int32, ok bool) {
	if len(e.a) == 0 && len(e.b) == 0 {
		return 0, false
	}
	if n = 1<<31 - 1; len(e.a) > 0 {
		n = e.a[0]
	}
	if len(e.b) > 0 {
		n = min(n, e.b[0])
	}
	if len(e.a) > 0 && e.a[0] == n {
		e.a = e.a[1:]
	}
	if len(e.b) > 0 && e.b[0] == n {
		e.b = e.b[1:]
	}
	return n, true
}

// schedule is which schedules of the rules are in force, until when.
func (r *Rules) schedule(now time.Time) (active mask, until int64) {
	active = make(mask, (len(r.schedules)+63)/64)
	until = 1<<62 - 1
	for i, s := range r.schedules {
		is, next := s.active(now)
		if is {
			active.set(i)
		}
		until = min(until, next.Unix())
	}
	return active, until
}

// uncounted is in place of the time where nobody begins a flow.
const uncounted = -1

// decide says whether a flow may begin: every set that is for it must allow it. It counts
// with the rules what they say of it, at a time in Unix seconds.
func (r *Rules) decide(from, to *Party, h *header, active mask, wall int64) Decision {
	src, dst := h.source(), h.destination()
	if r.isGateway(dst) && asksGateway(h) {
		return Decision{Allow: true, New: true}
	}
	a, b := r.viewOf(from), r.viewOf(to)
	if a.lost || b.lost {
		return Decision{Why: NoFilter, New: true}
	}
	d := Decision{Allow: true, New: true}
	for sets := (eitherOf{a.applied, b.applied}); ; {
		i, more := sets.next()
		if !more {
			return d
		}
		s := r.sets[i]
		if !s.joins(src, dst) {
			continue
		}
		rule, allow := s.judge(a.sets[i].from, b.sets[i].to, h, src, dst, active)
		if wall != uncounted {
			s.hit(rule, wall)
		}
		if allow && d.Why != ByDesign {
			d.Log = d.Log || s.logs(rule)
			continue // the first set names what allowed
		}
		d = Decision{Allow: allow, Why: ByRule, New: true, Log: d.Log || s.logs(rule), Set: i, Rule: int32(rule)}
		if rule < 0 {
			d.Why = ByDefault
		}
		if !allow {
			return d
		}
	}
}

// logs reports whether a rule has the flows logged that it decides on; a default does
// not.
func (s *ruleSet) logs(rule int) bool { return rule >= 0 && s.Rules[rule].Log == LogFirst }

// asksGateway reports whether a flow is one that every client may have with the gateway:
// names, which it is told to ask there, and whether it is there.
func asksGateway(h *header) bool {
	switch h.proto {
	case ipkt.ProtocolUDP, ipkt.ProtocolTCP:
		return h.dport == 53
	case ipkt.ProtocolICMP, ipkt.ProtocolICMPv6:
		return h.isICMP() && (h.dport == 8 && !h.six || h.dport == 128 && h.six)
	}
	return false
}

// hit counts a new flow with the rule that decided on it, -1: with the default.
func (s *ruleSet) hit(rule int, wall int64) {
	if rule < 0 {
		rule = len(s.Rules)
	}
	s.hits[rule].count.Add(1)
	s.hits[rule].last.Store(wall)
}

// keepHits takes over the counts of rules that are in both, by the names of their sets
// and their own. The caller has not shown r to anybody yet.
func (r *Rules) keepHits(old *Rules) {
	type name struct{ set, rule string }
	kept := map[name]*hits{}
	for _, s := range old.sets {
		for i, h := range s.hits {
			kept[name{s.Name, s.ruleName(i)}] = h
		}
	}
	for _, s := range r.sets {
		for i := range s.hits {
			if h := kept[name{s.Name, s.ruleName(i)}]; h != nil {
				s.hits[i] = h
			}
		}
	}
}

// ruleName is what a rule is called; behind the last one is the default.
func (s *ruleSet) ruleName(i int) string {
	if i < len(s.Rules) {
		return "rule " + s.Rules[i].Name
	}
	return "default"
}

// Names returns what the set and the rule are called that decided; empty: none did.
func (r *Rules) Names(d Decision) (set, rule string) {
	if d.Why != ByRule && d.Why != ByDefault {
		return "", ""
	}
	s := r.sets[d.Set]
	if d.Rule >= 0 {
		rule = s.Rules[d.Rule].Name
	}
	return s.Name, rule
}

// Question is a flow that nobody has sent.
type Question struct {
	From, To    *Party // nil: of the network
	Source      netip.Addr
	Destination netip.Addr
	Protocol    uint8
	Port        uint16 // or the type of ICMP
	At          time.Time
}

// Ask says what would become of a flow, by the code that packets are judged with.
func (r *Rules) Ask(q Question) Decision {
	h := header{proto: q.Protocol, dport: q.Port, six: !q.Source.Is4(), begins: true}
	if q.Source.Is4() != q.Destination.Is4() {
		return Decision{Why: Crafted}
	}
	copy(h.src[:], q.Source.AsSlice())
	copy(h.dst[:], q.Destination.AsSlice())
	switch r.Judge(q.direction(), &Subject{any: true}, h.bare()) {
	case Neighbour:
		return Decision{Why: Isolated}
	case Denied:
		return Decision{Why: Closed}
	}
	if len(r.sets) == 0 {
		return Decision{Allow: true}
	}
	active, _ := r.schedule(q.At)
	return r.decide(q.From, q.To, &h, active, uncounted)
}

// direction is which way the flow would begin.
func (q *Question) direction() Direction {
	if q.From == nil {
		return Down
	}
	return Up
}

// bare is an IP header with the addresses of a header, and nothing else.
func (h *header) bare() *ipkt.Packet {
	b, src, dst := make([]byte, 40), 8, 24
	b[0] = 0x60
	if !h.six {
		b, src, dst = b[:20], 12, 16
		b[0] = 0x45
	}
	copy(b[src:dst], h.src[:])
	copy(b[dst:], h.dst[:])
	return &ipkt.Packet{Bytes: b, HeaderLen: len(b)}
}
