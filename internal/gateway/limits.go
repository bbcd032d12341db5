package gateway

import (
	"time"

	"github.com/culvert-vpn/culvert/ike"
	"github.com/culvert-vpn/culvert/internal/access"
	"github.com/culvert-vpn/culvert/internal/x/deadline"
	"github.com/culvert-vpn/culvert/ppp"
)

// The deadlines of a session: those of its PPP link, if it has one, and those of what it
// was granted, which hold for every protocol alike.

// apply has what a session was granted be in force from now on.
func (g *Gateway) apply(now time.Time, s *session, grant *access.Grant) {
	s.grant = grant
	g.schedule(s)
}

// opened notes that a session carries packets from now on.
func (g *Gateway) opened(now time.Time, s *session) {
	s.up, s.trafficAt = now, now
	g.schedule(s)
	g.tellUp(s)
}

// used notes that packets of a peer's sessions were seen.
func (g *Gateway) used(now time.Time, p *peer) {
	if p.tunnel != nil {
		p.tunnel.trafficAt = now
		g.schedule(p.tunnel)
	}
	for _, s := range p.calls {
		s.trafficAt = now
		s.link.Traffic(now)
		g.schedule(s)
	}
}

// lastsUntil and idleUntil are when the session ends by what it was granted, the latter
// unless it is used; zero: not at all.
func (s *session) lastsUntil() time.Time {
	if !s.limited() || s.grant.SessionTimeout == 0 {
		return time.Time{}
	}
	return s.up.Add(s.grant.SessionTimeout)
}

func (s *session) idleUntil() time.Time {
	if !s.limited() || s.grant.IdleTimeout == 0 {
		return time.Time{}
	}
	return s.trafficAt.Add(s.grant.IdleTimeout)
}

// limited reports whether limits run: from when the session is up until it ends.
func (s *session) limited() bool { return s.grant != nil && !s.up.IsZero() && s.reason == "" }

// schedule puts the session where its next deadline belongs.
func (g *Gateway) schedule(s *session) {
	if s.ended {
		g.links.Stop(s)
		return
	}
	next := deadline.Earliest(s.lastsUntil(), s.idleUntil())
	if s.link != nil {
		next = deadline.Earliest(next, s.link.Deadline())
	}
	g.links.Set(s, next)
}

// advanceSession does what is due for a session.
func (g *Gateway) advanceSession(now time.Time, s *session) {
	switch {
	case deadline.Due(now, s.lastsUntil()):
		g.overdue(now, s, ppp.CauseSessionTimeout)
	case deadline.Due(now, s.idleUntil()) && s.plane.Active(): // since the last sweep
		s.trafficAt = now
	case deadline.Due(now, s.idleUntil()):
		g.overdue(now, s, ppp.CauseIdle)
	}
	if s.link != nil {
		s.link.Advance(now)
		g.touch(s)
	}
}

// overdue ends a session whose time is over, in good order.
func (g *Gateway) overdue(now time.Time, s *session, why ppp.Cause) {
	s.because(why.String())
	if s.link != nil {
		s.link.Close(now, ppp.Reason{Cause: why})
		return
	}
	g.ike.Close(now, ike.Peer(s.peer.id), ike.ReasonLocal)
}
