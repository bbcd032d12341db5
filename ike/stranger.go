package ike

import (
	"container/list"
	"net/netip"
)

// stranger is the place that an exchange has among those of peers that have not yet
// shown who they are. The zero value has none.
type stranger struct {
	source  netip.Addr    // the limits count by it
	counted bool          // among the half-open
	waiting *list.Element // in Server.waiting
}

// admit reports whether one more exchange from a source may begin. Who is admitted is
// entered, or let go by sources.done.
func (s *Server) admit(source netip.Addr) bool {
	if !s.sources.open(source, s.config.Limits.HalfOpenPerSource) {
		return false
	}
	if !s.makeRoom() {
		s.sources.done(source)
		return false
	}
	return true
}

// makeRoom lets the oldest exchange go whose initiator has not answered: in a
// flood of false sources an honest client answers within a round trip.
func (s *Server) makeRoom() bool {
	if s.stats.HalfOpen < s.config.Limits.HalfOpen {
		return true
	}
	oldest := s.waiting.Front()
	if oldest == nil {
		return false
	}
	oldest.Value.(interface{ forget() }).forget()
	return true
}

// enter gives an exchange, x, its place. It was admitted.
func (s *Server) enter(x interface{ forget() }, t *stranger, source netip.Addr) {
	s.stats.HalfOpen++
	*t = stranger{source: source, counted: true, waiting: s.waiting.PushBack(x)}
}

// believe notes that the address of the peer is real: the exchange gives way to
// nobody any more.
func (s *Server) believe(t *stranger) {
	if t.waiting != nil {
		s.waiting.Remove(t.waiting)
		t.waiting = nil
	}
}

// release takes an exchange out of what is counted against strangers.
func (s *Server) release(t *stranger) {
	s.believe(t)
	if t.counted {
		t.counted = false
		s.stats.HalfOpen--
		s.sources.done(t.source)
	}
}
