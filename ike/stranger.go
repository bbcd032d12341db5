package ike

import (
	"container/heap"
	"container/list"
	"net/netip"
	"time"
)

// What is kept for peers that have not shown who they are is bounded: for each source,
// and in total. When there is no room for one more, whoever holds most gives way first,
// counted by networks of several sizes, for one customer of a provider has 2^64 and more
// addresses of IPv6.

// stranger is the place that an exchange has among those of peers that have not yet
// shown who they are. The zero value has none.
type stranger struct {
	x      interface{ forget() }
	source netip.Addr
	since  time.Time
	home   *network      // of its source; nil: not counted
	stage  strangerStage // in which of the lists of home it is
	place  *list.Element // there
	turn   *list.Element // among all that are not believed
	near   *list.Element // among those of the same largest network
	burden *stranger     // its place by what it holds; nil: nothing
	weight int           // what it counts for: 1, or bytes
	paid   payment
}

// payment is what an exchange was counted for of what its source may begin.
type payment uint8

const (
	// free: it costs next to nothing, and may be of somebody else.
	free payment = iota
	// inItsName: it costs something, and may be of somebody else.
	inItsName
	// proven: it is of the source.
	proven
)

// strangerStage is how far a stranger has come. Those of a lower stage give way first.
type strangerStage uint8

const (
	// past: the exchange has failed, and is kept to answer repetitions.
	past strangerStage = iota
	// waiting: nothing shows yet that the address of the peer is real.
	waiting
	// believed: it is.
	believed
	stages
)

// network is those of a prefix: the root of all, one that is divided, or a source.
type network struct {
	prefix netip.Prefix
	within *network // nil: the root
	n      int      // exchanges, or the bytes that they hold
	index  int      // in within.parts
	parts  networks
	lists  [stages]list.List // *stranger, the oldest in front; of sources only
	turns  turns             // of the largest networks only
}

// turns are *stranger of past, and of waiting, the oldest in front.
type turns [believed]list.List

// first is the oldest of them.
func (t *turns) first() *stranger {
	for stage := range t {
		if e := t[stage].Front(); e != nil {
			return e.Value.(*stranger)
		}
	}
	return nil
}

// largest is the largest network of a source.
func (n *network) largest() *network {
	for n.within.within != nil {
		n = n.within
	}
	return n
}

// networks is a heap, that with most exchanges on top.
type networks []*network

func (h networks) Len() int           { return len(h) }
func (h networks) Less(i, j int) bool { return h[i].n > h[j].n }
func (h networks) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].index, h[j].index = i, j
}
func (h *networks) Push(x any) {
	n := x.(*network)
	n.index = len(*h)
	*h = append(*h, n)
}
func (h *networks) Pop() any {
	n := (*h)[len(*h)-1]
	(*h)[len(*h)-1] = nil
	*h = (*h)[:len(*h)-1]
	return n
}

// halfOpen is all strangers.
type halfOpen struct {
	root  network
	known map[netip.Prefix]*network
	turns turns
}

func newHalfOpen() halfOpen { return halfOpen{known: map[netip.Prefix]*network{}} }

// prefixes are the networks that a source counts for: those that are given to sites and to
// customers, and what has one address, which in IPv6 are 2^64.
type prefixes struct {
	list [3]netip.Prefix // the largest first
	n    int
}

// prefixesOf returns those of an address.
func prefixesOf(a netip.Addr) (out prefixes) {
	a = a.Unmap().WithZone("")
	sizes, n := [3]int{48, 56, 64}, 3
	if a.Is4() {
		sizes, n = [3]int{24, 32}, 2
	}
	for k := range n {
		out.list[k], _ = a.Prefix(sizes[k])
	}
	out.n = n
	return out
}

// all are the networks, the largest first; the memory is the caller's.
func (w *prefixes) all() []netip.Prefix { return w.list[:w.n] }

// widest is the largest network, of which one customer may have all.
func (w *prefixes) widest() netip.Prefix { return w.list[0] }

// own is what has one address.
func (w *prefixes) own() netip.Prefix { return w.list[w.n-1] }

// count is how many exchanges there are of a prefix.
func (h *halfOpen) count(p netip.Prefix) int {
	if n := h.known[p]; n != nil {
		return n.n
	}
	return 0
}

// home returns the networks of a source, making them.
func (h *halfOpen) home(a netip.Addr) *network {
	at := &h.root
	of := prefixesOf(a)
	for _, p := range of.all() {
		n := h.known[p]
		if n == nil {
			n = &network{prefix: p, within: at}
			h.known[p] = n
			heap.Push(&at.parts, n)
		}
		at = n
	}
	return at
}

// enter gives an exchange its place.
func (h *halfOpen) enter(t *stranger, stage strangerStage) {
	t.home = h.home(t.source)
	h.add(t, t.weight)
	h.put(t, stage)
}

// add counts an exchange for so much more.
func (h *halfOpen) add(t *stranger, more int) {
	for n := t.home; n != nil; n = n.within {
		n.n += more
		n.place()
	}
}

// grow has an exchange count for so much more.
func (h *halfOpen) grow(t *stranger, more int) {
	t.weight += more
	h.add(t, more)
}

// place puts a network where it belongs among those beside it.
func (n *network) place() {
	if n.within != nil {
		heap.Fix(&n.within.parts, n.index)
	}
}

// put puts an exchange into the lists of its stage.
func (h *halfOpen) put(t *stranger, stage strangerStage) {
	t.stage, t.place = stage, t.home.lists[stage].PushBack(t)
	if stage < believed {
		t.turn = h.turns[stage].PushBack(t)
		t.near = t.home.largest().turns[stage].PushBack(t)
	}
}

// take takes it out of them.
func (h *halfOpen) take(t *stranger) {
	t.home.lists[t.stage].Remove(t.place)
	if t.turn != nil {
		h.turns[t.stage].Remove(t.turn)
		t.home.largest().turns[t.stage].Remove(t.near)
	}
	t.place, t.turn, t.near = nil, nil, nil
}

// move moves an exchange to another stage.
func (h *halfOpen) move(t *stranger, stage strangerStage) {
	if t.home != nil && t.stage != stage {
		h.take(t)
		h.put(t, stage)
	}
}

// leave takes an exchange out of all that is counted.
func (h *halfOpen) leave(t *stranger) {
	if t.home == nil {
		return
	}
	h.take(t)
	h.add(t, -t.weight)
	for n := t.home; n.within != nil && n.n == 0; n = n.within {
		heap.Remove(&n.within.parts, n.index)
		delete(h.known, n.prefix)
	}
	t.home = nil
}

// oldest is who gives way first of a network: of the source that holds most the oldest
// of the lowest stage.
func (n *network) oldest() *stranger {
	for len(n.parts) > 0 {
		n = n.parts[0]
	}
	for stage := range n.lists {
		if first := n.lists[stage].Front(); first != nil {
			return first.Value.(*stranger)
		}
	}
	return nil
}

// admit reports whether one more exchange from a source may begin, for which somebody
// else may have to give way. Who is admitted is entered at once.
func (s *Server) admit(now time.Time, source netip.Addr, how payment) bool {
	l := s.config.Limits
	of := prefixesOf(source)
	own := s.halfOpen.count(of.own())
	if own >= l.HalfOpenPerSource && !s.forgetOwn(now, of.own(), how) {
		return false
	}
	if how != free && !s.sources.begin(now, source, l, how == proven) {
		return false
	}
	room := l.HalfOpen
	if own > 0 {
		room -= room / 8 // for those who have nothing
	}
	if s.stats.HalfOpen < room {
		return true
	}
	out := s.whoGivesWay(source, how == proven)
	if out == nil {
		return false
	}
	out.x.forget()
	return true
}

// crowded reports whether a source has half of what it may have, or whether all that may
// be begun in its name was: then it has to prove that it is there.
func (s *Server) crowded(now time.Time, source netip.Addr) bool {
	l, of := s.config.Limits, prefixesOf(source)
	return s.halfOpen.count(of.own()) > l.HalfOpenPerSource/2 || !s.sources.of(source).unproven.has(now, l.BeginsPerSource)
}

// patience is how long an exchange has its place in a source that is full: a login takes
// some seconds, unless a person is asked.
const patience = 30 * time.Second

// forgetOwn makes room in a source that has as much as it may have: what failed there
// gives way, and then what nobody need have begun there, unless the new one costs as much
// and is no better. At last it is who is there for long: many may be behind the address,
// and one who comes to no end is not to keep the others out.
func (s *Server) forgetOwn(now time.Time, p netip.Prefix, how payment) bool {
	n := s.halfOpen.known[p]
	if n == nil {
		return false
	}
	stages := []strangerStage{past, waiting}
	if how == inItsName {
		stages = stages[:1]
	}
	for _, stage := range stages {
		if first := n.lists[stage].Front(); first != nil {
			first.Value.(*stranger).x.forget()
			return true
		}
	}
	first := n.lists[believed].Front()
	if how == inItsName || first == nil || now.Sub(first.Value.(*stranger).since) < patience {
		return false
	}
	first.Value.(*stranger).x.forget()
	return true
}

// whoGivesWay is the exchange that makes room for one from a source. Of who may be
// anywhere it is another like it, of its own network if that holds much: they do not push
// out anybody who is believed as long as somebody is not, and in a flood of false sources
// an honest client answers within a round trip. Otherwise it is one of who holds more.
func (s *Server) whoGivesWay(source netip.Addr, proven bool) *stranger {
	h, of := &s.halfOpen, prefixesOf(source)
	if !proven {
		turns := &h.turns
		if own := h.known[of.widest()]; own != nil && own.n > s.config.Limits.HalfOpen/64 {
			turns = &own.turns
		}
		if first := turns.first(); first != nil {
			return first
		}
	}
	richer, own := h.richer(of.all(), 1)
	if richer == nil {
		return nil
	}
	if out := richer.oldest(); !own || out.stage < believed {
		return out
	}
	return nil
}

// richer is the largest network that holds most, and more than the one of a source beside
// it would with so much more, so that all have their share and nobody is pushed out for one who has as much. own
// says that it is the source itself.
func (h *halfOpen) richer(all []netip.Prefix, more int) (n *network, own bool) {
	at := &h.root
	for level, p := range all {
		if len(at.parts) == 0 {
			return nil, false
		}
		top, have := at.parts[0], h.count(p)
		if have+more < top.n || level == 0 && have == 0 {
			return top, false
		}
		if at = h.known[p]; at == nil {
			return nil, false
		}
	}
	return at, true
}

// enter gives an exchange, x, its place. It was admitted.
func (s *Server) enter(now time.Time, x interface{ forget() }, t *stranger, source netip.Addr, how payment) {
	stage := waiting
	if how == proven {
		stage = believed
	}
	*t = stranger{x: x, source: source, since: now, weight: 1, paid: how}
	s.halfOpen.enter(t, stage)
	s.stats.HalfOpen++
}

// believe notes that the address of the peer is real.
func (s *Server) believe(t *stranger) { s.halfOpen.move(t, believed) }

// pays has a source pay for an exchange that was free until it showed that it is there,
// and reports whether it can.
func (s *Server) pays(now time.Time, t *stranger) bool {
	if t.home == nil || t.paid != free {
		return true
	}
	if !s.sources.begin(now, t.source, s.config.Limits, true) {
		return false
	}
	t.paid = proven
	return true
}

// over notes that the exchange has failed. As long as it is kept it counts.
func (s *Server) over(t *stranger) { s.halfOpen.move(t, past) }

// release takes an exchange out of what is counted against strangers.
func (s *Server) release(t *stranger) {
	if t.home != nil {
		s.unburden(t)
		s.halfOpen.leave(t)
		s.stats.HalfOpen--
	}
}

// welcome releases one that has shown who it is, and did not cost its source anything.
func (s *Server) welcome(t *stranger) {
	if t.home != nil && t.paid != free {
		s.sources.welcome(t.source, s.config.Limits, t.paid == proven)
	}
	s.release(t)
}
