package ike

import (
	"container/list"
	"net/netip"
	"time"

	"github.com/hashicorp/golang-lru/v2/simplelru"
)

// Who a dialler is shows by the key that fits, so that a wrong login costs as many trials
// as there are keys at the address. They are bounded, for each source and in total. Where
// there are too many, who waits is not refused, which its user would take for a wrong
// password, but has its turn: sources that were not wrong lately, nor others of their networks, before
// those that were.
// Who comes from an address, or under a name, that was in before has the key of then
// tried at once, whatever others cost.

// searcher is an exchange for which keys are to be tried.
type searcher interface {
	// searching reports whether it still waits for that.
	searching() bool
	// search has them tried: they are paid for.
	searchNow(now time.Time)
}

// trial is a searcher in a line.
type trial struct {
	x      searcher
	source netip.Addr
	n      int // keys
}

// trials are those who wait for their turn.
type trials struct {
	lines [2]list.List // of trial: of sources that were not wrong lately, and of others
	known *simplelru.LRU[netip.Prefix, *searches]
	turns int
	alarm alarm
}

const (
	// queueTime is how long an exchange waits for its turn.
	queueTime = time.Minute
	// wrongTime is how long a source that was wrong waits behind others.
	wrongTime = time.Minute
	// maxTrials bounds a line. Who waits for longest has long given up then.
	maxTrials = 4096
	// trialTime is how long after a look at the lines there is another one, at least.
	trialTime = 5 * time.Millisecond
	// maxLooked bounds how many are looked at in one go.
	maxLooked = 256
)

// searches is what is known of the searches of a source, or of its network, and of its
// aggressive modes, which are bounded in the same way.
type searches struct {
	opened  budget    // aggressive modes
	wrongAt time.Time // when keys were last tried in vain
	queued  int       // that wait for their turn
}

// searchesOf returns those of a source and of its network, of which one customer may have all.
func (s *Server) searchesOf(source netip.Addr) [2]*searches {
	var out [2]*searches
	of := prefixesOf(source)
	for k, p := range [...]netip.Prefix{of.own(), of.widest()} {
		x, ok := s.trials.known.Get(p)
		if !ok {
			x = &searches{}
			s.trials.known.Add(p, x)
		}
		out[k] = x
	}
	return out
}

// line is the one for a source.
func (s *Server) line(now time.Time, source netip.Addr) int {
	of := prefixesOf(source)
	for _, p := range [...]netip.Prefix{of.own(), of.widest()} {
		x, ok := s.trials.known.Get(p)
		if !ok {
			continue
		}
		if x.queued > 0 || !x.wrongAt.IsZero() && now.Sub(x.wrongAt) < wrongTime {
			return 1
		}
	}
	return 0
}

// queue puts a search at the end of a line.
func (s *Server) queue(at int, e trial) {
	if s.trials.lines[at].Len() >= maxTrials {
		s.leaveLine(at)
	}
	s.trials.lines[at].PushBack(e)
	for _, x := range s.searchesOf(e.source) {
		x.queued++
	}
}

// mayTry takes n trials out of the budgets for x, if it is its turn. If not it is called
// when it is.
func (s *Server) mayTry(now time.Time, source netip.Addr, n int, x searcher) bool {
	at, t := s.line(now, source), &s.trials
	ahead := t.lines[0].Len()
	if at == 1 {
		ahead += t.lines[1].Len()
	}
	if ahead == 0 && s.sources.try(now, source, s.config.Limits, n) {
		return true
	}
	s.queue(at, trial{x, source, n})
	s.wakeTrials(now)
	return false
}

// leaveLine takes the first out of a line.
func (s *Server) leaveLine(at int) trial {
	l := &s.trials.lines[at]
	e := l.Remove(l.Front()).(trial)
	for _, x := range s.searchesOf(e.source) {
		x.queued = max(x.queued-1, 0) // it may have been forgotten meanwhile
	}
	return e
}

// nextLine is the line whose turn it is. One in eight is for those who were wrong, among
// whom somebody right may be. Negative: nobody waits.
func (t *trials) nextLine() int {
	first, second := t.lines[0].Len() > 0, t.lines[1].Len() > 0
	switch {
	case first && (t.turns%8 != 7 || !second):
		return 0
	case second:
		return 1
	}
	return -1
}

// tryWaiting has keys tried for those whose turn it is.
func (s *Server) tryWaiting(now time.Time) {
	for range maxLooked {
		at := s.trials.nextLine()
		if at < 0 {
			return
		}
		if !s.sources.total.has(now, s.config.Limits.Tries) {
			break
		}
		switch e := s.leaveLine(at); {
		case !e.x.searching():
		case s.sources.try(now, e.source, s.config.Limits, e.n):
			s.trials.turns++
			e.x.searchNow(now)
		default: // its source has used up what is its own
			s.queue(1, e)
		}
	}
	s.wakeTrials(now)
}

// wakeTrials sets the alarm to when there may be trials again.
func (s *Server) wakeTrials(now time.Time) {
	wait := max(s.sources.total.wait(now, s.config.Limits.Tries), trialTime)
	if at := now.Add(wait); s.trials.nextLine() >= 0 && (s.trials.alarm.Deadline().IsZero() || at.Before(s.trials.alarm.Deadline())) {
		s.alarms.Set(&s.trials.alarm, at)
	}
}

// tried gives back those of n trials that there were not, and notes whether the source
// was right.
func (s *Server) tried(now time.Time, source netip.Addr, n, took int, right bool) {
	s.sources.giveBack(source, s.config.Limits, n-took)
	if right {
		of := prefixesOf(source)
		if x, ok := s.trials.known.Get(of.own()); ok {
			x.wrongAt = time.Time{}
		}
		return
	}
	both := s.searchesOf(source)
	both[0].wrongAt, both[1].wrongAt = now, now
}

// acquaintance is by what a dialler is known: an address, or a name.
type acquaintance struct {
	source netip.Addr
	name   string
}

// maxName is how long a name may be that is remembered, in bytes.
const maxName = 256

// meet remembers whose client came from a source, by IKEv2 and under a name.
func (s *Server) meet(source netip.Addr, name, tenant string) {
	s.acquaintances.Add(acquaintance{source: source}, tenant)
	if name != "" && len(name) <= maxName {
		s.acquaintances.Add(acquaintance{name: name}, tenant)
	}
}

// known are the tenants whose client it probably is.
func (s *Server) known(source netip.Addr, name string) []string {
	var out []string
	for _, a := range []acquaintance{{source: source}, {name: name}} {
		if tenant, ok := s.acquaintances.Get(a); ok {
			out = append(out, tenant)
		}
	}
	return out
}
