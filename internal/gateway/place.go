package gateway

import (
	"slices"
	"time"

	"github.com/culvert-vpn/culvert/l2tp"
)

// A login that is right may find sessions of its user in its way: those of a client
// that vanished and dials again by the same security association, whose address is
// wanted, and those that fill limits.sessions_per_user. Each is asked by LCP whether it
// lives. One that answers, or sends, stays; the others end.

const (
	// lifeWait is how long a session is waited for that may be dead, and lifeInterval
	// how often it is asked meanwhile.
	lifeWait     = 2 * time.Second
	lifeInterval = 250 * time.Millisecond
	// maxDoubtful is how many sessions are asked at a time.
	maxDoubtful = 16
)

// doubted is a session that is asked whether it lives.
type doubted struct {
	session *session
	packets uint64 // that had come when it was asked first
}

// lives reports whether there was a sign of life since it was asked.
func (d doubted) lives(since time.Time) bool {
	return d.session.Plane.Up.Packets() > d.packets || d.session.Link.Heard().After(since)
}

// findPlace goes on with a login once it is known which sessions in its way are dead,
// and those have ended. tunnel is that of the login's call, 0 in tunnel mode.
func (g *logins) findPlace(now time.Time, p *peer, tunnel l2tp.TunnelID, l login, then func(now time.Time)) {
	if list := l.tenant.doubtful(p, tunnel, l.key()); len(list) > 0 {
		g.askLife(now, now, list, then)
		return
	}
	then(now)
}

// doubtful are the sessions that may be dead and in the way of a user's login, those
// that were silent longest first.
func (t *tenantState) doubtful(p *peer, tunnel l2tp.TunnelID, key string) []doubted {
	crowded := t.crowded(key)
	var list []doubted
	for _, s := range t.users[key] {
		again := s.peer == p && s.Call.Tunnel != tunnel // the client dials again, or has two tunnels
		if s.Link != nil && (crowded || again) {
			list = append(list, doubted{s, s.Plane.Up.Packets()})
		}
	}
	slices.SortStableFunc(list, func(a, b doubted) int { return a.session.Link.Heard().Compare(b.session.Link.Heard()) })
	return list[:min(len(list), maxDoubtful)]
}

// askLife asks sessions whether they live, until all have answered or it took too long.
func (g *logins) askLife(now, began time.Time, list []doubted, then func(now time.Time)) {
	list = slices.DeleteFunc(list, func(d doubted) bool { return d.session.Ended || d.lives(began) })
	if len(list) > 0 && now.Sub(began) < lifeWait && g.heldUp < maxHeldUp {
		for _, d := range list {
			g.server.engine.AskEcho(d.session.Session)
		}
		g.after(lifeInterval, func(now time.Time) { g.askLife(now, began, list, then) })
		return
	}
	if now.Sub(began) >= lifeWait {
		for _, d := range list {
			g.endDead(now, d.session)
		}
	}
	then(now)
}

// endDead ends a session that does not answer, with its tunnel if that has no other.
// Should its client be there all the same, it is told.
func (g *logins) endDead(now time.Time, s *session) {
	s.Because("the user logged in again, and this session does not answer")
	why := l2tp.Result{Code: l2tp.ClearAdministrative, Message: "no answer, and the user logged in again"}
	others := slices.ContainsFunc(s.peer.own(), func(o *session) bool { return o != s && o.Call.Tunnel == s.Call.Tunnel })
	if others {
		g.server.engine.L2TP.CloseCall(now, s.Call, why)
	} else {
		g.server.engine.L2TP.CloseTunnel(now, s.Call.Peer, s.Call.Tunnel, why)
	}
	g.end(now, s)
}
