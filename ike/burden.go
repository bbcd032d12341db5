package ike

import (
	"net/netip"
	"time"
)

// What strangers hold beside their exchanges is bounded in bytes: pieces of messages, and
// the logins by EAP that they have under way. When there is no room, whoever's network
// holds most gives way, as for exchanges.

// weigh notes that a stranger holds so many bytes beside its exchange. If there is no room
// for them, and nobody else has to give way, it is false: the exchange is to be forgotten.
func (s *Server) weigh(now time.Time, t *stranger, bytes int) bool {
	if t.home == nil || t.burden == nil && bytes == 0 {
		return true // no stranger any more, or one that holds nothing
	}
	if bytes == 0 {
		s.unburden(t)
		return true
	}
	if t.burden == nil {
		t.burden = &stranger{x: t.x, source: t.source, since: t.since}
	}
	if more := bytes - t.burden.weight; more > 0 && !s.makeRoom(now, t.burden, more) {
		return false
	}
	if t.burden.home == nil {
		t.burden.weight = bytes
		s.burdens.enter(t.burden, believed)
		return true
	}
	s.burdens.grow(t.burden, bytes-t.burden.weight)
	return true
}

// makeRoom reports whether a stranger may hold so many bytes more, for which others may
// have had to give way.
func (s *Server) makeRoom(now time.Time, t *stranger, more int) bool {
	for s.burdens.root.n+more > s.config.Limits.StrangerBytes {
		out := s.whoUnburdens(now, t.source, more)
		if out == nil || out.x == t.x {
			return false
		}
		if out.x.forget(); out.home != nil {
			return false // he could not
		}
	}
	return true
}

// whoUnburdens is who gives way to one from a source that is to hold so many bytes more:
// one of a network, or of a source beside it, that holds more than it will. Of its own
// source it is one who is there for long and comes to no end.
func (s *Server) whoUnburdens(now time.Time, source netip.Addr, more int) *stranger {
	of := prefixesOf(source)
	richer, own := s.burdens.richer(of.all(), more)
	if richer == nil {
		return nil
	}
	out := richer.oldest()
	if own && now.Sub(out.since) < patience {
		return nil
	}
	return out
}

// unburden takes what a stranger holds out of what is counted.
func (s *Server) unburden(t *stranger) {
	if t.burden != nil {
		s.burdens.leave(t.burden)
		t.burden = nil
	}
}

// heavy is the failure of an exchange for whose burden there is no room.
const heavy = "dropped: all clients that nobody knows yet hold too much memory"

// carry weighs what the session holds, and ends it if there is no room for that.
func (p *session2) carry(now time.Time) {
	if p.machine != nil && !p.s.weigh(now, &p.stranger, p.machine.Held()+p.login) {
		_ = p.s.tooMany(now, Path(p.machine.Path()), heavy)
		p.forget()
	}
}

// carry is that of an exchange of IKEv1; it reports whether the exchange goes on.
func (i *isakmp) carry(now time.Time) bool {
	if i.begun == nil {
		return true // no stranger any more
	}
	held := 0
	if i.fragments != nil {
		held = i.fragments.size()
	}
	if i.s.weigh(now, &i.stranger, held) {
		return true
	}
	_ = i.s.tooMany(now, i.path, heavy)
	i.forget()
	return false
}
