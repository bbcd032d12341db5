package v2

import "time"

// Probe asks the peer whether it lives, for the sake of another Session that may be the
// same client's. If nothing authentic has come of it when patience is over, this one
// ends, and the peer is told; Answered says that something has.
func (s *Session) Probe(now time.Time, patience time.Duration) {
	if s.closing || !s.up || s.current == nil {
		return
	}
	if at := now.Add(patience); s.probeAt.IsZero() || at.Before(s.probeAt) {
		s.probeAt, s.probedAt = at, now
	}
	a := s.current
	if a.flying == nil {
		a.ask(now, &informTask{})
		return
	}
	for _, d := range a.repeat.Data() { // what it owes us an answer to
		s.owner.Send(s.path, d)
	}
}

// answered ends a probe.
func (s *Session) answered() {
	if !s.probeAt.IsZero() && !s.closing {
		s.probeAt = time.Time{}
		s.owner.Answered(s)
	}
}

// silent ends a Session that has not answered a probe.
func (s *Session) silent(now time.Time) {
	s.probeAt = time.Time{}
	s.end(now, ReasonReplaced, CauseNone, "", true)
}
