package ike

import "time"

// What is said of attempts that failed is bounded: strangers can cause any number of
// them, and nobody reads more. What is left out is counted, and said in one sum.

// lines are how many Failed events there may be, of one kind of attempt.
type lines struct{ burst, rate int }

const summaryTime = 10 * time.Second

// linesFor are those of strangers, who have shown nothing yet, or those of who has, or
// whom we dialled.
func (s *Server) linesFor(peer Peer) (*budget, lines) {
	if s.unknown(peer) {
		return &s.tellStrangers, lines{40, 4}
	}
	return &s.tellPeers, lines{200, 50}
}

// unknown reports whether a peer is a stranger: nobody, or who has got no further than
// to be asked by EAP, which anybody is.
func (s *Server) unknown(peer Peer) bool {
	p := s.sessions[peer]
	return peer == 0 || p != nil && !p.machine.Up() && !p.machine.Initiator()
}

// Tells reports whether there may be one more line about an attempt of a peer that
// failed; if not it is counted, and part of the next Untold.
func (s *Server) Tells(now time.Time, peer Peer) bool { return s.tells(now, peer) }

// tells reports whether an attempt that failed may be told, which is asked before it
// is put into words.
func (s *Server) tells(now time.Time, peer Peer) bool {
	b, l := s.linesFor(peer)
	if b.takeOf(now, l.rate, l.burst) {
		return true
	}
	if s.untold++; s.untold == 1 {
		s.alarms.Set(&s.summary, now.Add(summaryTime))
	}
	return false
}

// fail emits a Failed, but not more often than anybody can read.
func (s *Server) fail(now time.Time, f Failed) {
	if s.tells(now, f.Peer) {
		s.emit(f)
	}
}

// summarise says how many attempts were not told.
func (s *Server) summarise(time.Time) {
	s.emit(Untold{Attempts: s.untold})
	s.untold = 0
}

// wrapped is an error in the words of this package, put together when it is read: most
// are only counted.
type wrapped struct{ kind, cause error }

// Error is both.
func (w wrapped) Error() string { return w.kind.Error() + ": " + w.cause.Error() }

// Unwrap returns both.
func (w wrapped) Unwrap() []error { return []error{w.kind, w.cause} }
