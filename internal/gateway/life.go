package gateway

import (
	"time"

	"github.com/culvert-vpn/culvert/ike"
	"github.com/culvert-vpn/culvert/internal/engine"
)

// The beginning and the end of clients and their sessions.

func (g *logins) peerUp(now time.Time, e engine.Secured) {
	p := g.server.of(e.Peer)
	if p == nil {
		return
	}
	g.server.say(e)
	if p.homeless(g.server.keys) { // its tenant was removed in the meantime
		g.server.engine.IKE.Close(now, p.ike(), ike.ReasonLocal)
	}
}

// peerClosed ends what is left of a peer, whose sessions have ended.
func (g *logins) peerClosed(now time.Time, e engine.Closed) {
	p := g.server.peers[e.Peer.ID]
	if p != nil {
		delete(g.server.peers, p.ID)
		g.endLogin(now, p)
		g.sayRefused(p, true) // IKE had no line for it
	}
	g.server.say(e)
	if p != nil {
		g.answered(now, p)
	}
}

// end ends a session at once.
func (g *logins) end(now time.Time, s *session) {
	g.server.engine.End(s.Session)
	g.ended(now, s)
}

// cut ends a session at once, and tells its client.
func (g *logins) cut(now time.Time, s *session, why string, reason ike.Reason) {
	g.server.engine.Cut(now, s.Session, why, reason)
	g.ended(now, s)
}

// ended gives back what a session held that has ended.
func (g *logins) ended(now time.Time, s *session) {
	if !g.server.remove(s) {
		return
	}
	g.giveUpLogin(now, s)
	g.server.handBack(now, s)
	if s.tenant != nil {
		g.server.keepTraffic(s)
		s.tenant.release(now, s)
	}
	if !s.Up.IsZero() {
		g.server.tellDown(s)
	}
}

// displace ends a session whose user is back with another.
func (g *logins) displace(now time.Time, s *session) {
	g.cut(now, s, "the user logged in again", ike.ReasonReplaced)
}
