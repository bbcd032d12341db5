package gateway

import (
	"slices"
	"time"

	"github.com/culvert-vpn/culvert/ike"
)

// A client that logs in may have been here before: it makes its new connection before it
// breaks the old one, or it has lost that. Or it is another device of the same user.
//
//   - From the same address and port, and with a wish for the address of a session from
//     there, it is the same device: the address is handed over, and what is under way in
//     the old session still arrives.
//   - From elsewhere, with a wish for that address or with the same name in IKE and from
//     behind the same NAT, it may be. If the old one has been silent, it is asked: it
//     goes when it says nothing, and its address is free; otherwise both stay.

const (
	askedIdle    = 5 * time.Second // how long who holds a wanted address was silent, to be asked
	askedWait    = 2 * time.Second // and has to answer: the new one waits for it
	guessedIdle  = 20 * time.Second
	guessedWait  = 4 * time.Second
	maxRivals    = 4               // asked for one login
	handOverTime = 2 * time.Second // until a new session has shown nothing, and counts all the same
)

// rivals are the user's sessions of tunnel mode, those of a new login excepted.
func (t *tenantState) rivals(p *peer, user string) []*session {
	return slices.DeleteFunc(slices.Clone(t.users[user]), func(s *session) bool { return s.Ended || s.Link != nil || s.peer == p })
}

// give makes what a session had another's, and the other one its user's.
func (t *tenantState) give(from, to *session) {
	t.leave(from)
	from.leased, to.leased = false, true
	to.outside, to.unpooled, from.outside, from.unpooled = from.outside, from.unpooled, false, false
	t.isOf(to, t.of(from))
	delete(t.namedPools, from)
	t.sessions[to.addr] = to
	t.users[to.key()] = append(t.users[to.key()], to)
}

// wanted reports whether a client asks for the address that a session has.
func (s *session) wanted(w ike.Wants) bool {
	return w.Addr4.IsValid() && w.Addr4 == s.addr || w.Addr6.IsValid() && s.prefix.Contains(w.Addr6)
}

// name is what the peer calls itself in IKE, whatever it logs in as.
func (p *peer) name() string {
	if p.claims != "" {
		return p.claims
	}
	return p.Identity
}

// predecessor is the session whose address a client may take over: its own, if he would be
// given it today.
func (t *tenantState) predecessor(p *peer, user string, w ike.Wants) *session {
	for _, s := range t.rivals(p, user) {
		if s.wanted(w) && s.leased && !s.outside && s.peer.Path.Remote == p.Path.Remote && s.peer.name() == p.name() {
			return s
		}
	}
	return nil
}

// askRivals asks the user's other sessions whether they live, where the client may be
// one of theirs, and reports whether it has to wait for that.
func (g *logins) askRivals(now time.Time, p *peer, t *tenantState, user string, w ike.Wants) bool {
	p.asked = true
	if t.predecessor(p, user, w) != nil {
		return false
	}
	for _, s := range t.rivals(p, user) {
		idle, patience := askedIdle, askedWait
		switch near := s.peer.Path.Remote.Addr() == p.Path.Remote.Addr() && s.peer.name() == p.name(); {
		case p.rivals == maxRivals:
		case s.wanted(w) || t.crowded(user):
		case near:
			idle, patience = guessedIdle, guessedWait
		default:
			continue
		}
		if g.server.engine.IKE.Probe(now, ike.Peer(s.peer.ID), idle, patience) {
			p.rivals++
			s.peer.awaited = append(s.peer.awaited, p)
		}
		if p.rivals == maxRivals {
			break
		}
	}
	return p.rivals > 0
}

// answered goes on with the logins that waited for a peer to answer, or to be gone.
func (g *logins) answered(now time.Time, of *peer) {
	awaited := of.awaited
	of.awaited = nil
	for _, p := range awaited {
		if p.rivals--; p.rivals == 0 && g.server.peers[p.ID] == p && p.resume != nil {
			a := p.resume
			p.resume = nil
			g.assigned(now, a)
		}
	}
}

// inherit has a session take over the addresses of the one that it follows.
func (s *session) inherit(old *session) {
	s.tenant, s.grant, s.addr, s.prefix = old.tenant, old.tenant.grants(old.key(), s.own), old.addr, old.prefix
	s.after, old.heir = old, s
	s.tenant.give(old, s)
}

// waits reports whether a session leaves packets to the one that it follows: until its
// client has used it, or could have for a while, or the old one goes.
func (s *session) waits(now time.Time) bool {
	if s.after == nil || s.after.Ended {
		return false
	}
	if s.readyAt.IsZero() {
		s.readyAt = now
	}
	return now.Sub(s.readyAt) < handOverTime
}

// succeed opens a session at last that has waited for the one that it follows.
func (g *server) succeed(now time.Time, s *session) {
	if s.after != nil && s.Up.IsZero() {
		s.after.heir, s.after = nil, nil
		g.openTunnelMode(now, s.peer)
	}
}

// handBack gives a session that ends before it was open its address back to the one
// that it was to follow, or has the one that follows it open.
func (g *server) handBack(now time.Time, s *session) {
	if old := s.after; old != nil && !old.Ended && s.Up.IsZero() && s.leased {
		s.tenant.give(s, old)
		old.heir = nil
	}
	if heir := s.heir; heir != nil {
		s.heir = nil
		g.succeed(now, heir)
		heir.after = nil
	}
}

// lookAtHeir is the sweep's look at a session that waits.
func (g *server) lookAtHeir(now time.Time, s *session) {
	if s.after != nil && !s.readyAt.IsZero() {
		g.openTunnelMode(now, s.peer)
	}
}

// openTunnelMode opens the session of tunnel mode for packets, once there is an SA.
func (g *server) openTunnelMode(now time.Time, p *peer) {
	s := p.tunnelMode
	if s == nil || !s.Openable() || s.waits(now) {
		return
	}
	g.introduce(s)
	g.engine.Bind(s.Session, s.place())
	if s.prefix.IsValid() {
		g.engine.Bind6(s.Session, s.place())
	}
	g.opened(now, s)
}
