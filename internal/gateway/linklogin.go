package gateway

import (
	"time"

	"github.com/culvert-vpn/culvert/internal/access"
	"github.com/culvert-vpn/culvert/ppp"
)

// linkLogin carries a login in a PPP link: by PAP, CHAP, MS-CHAPv2, or EAP (eaplink.go).
type linkLogin struct {
	s        *session
	question ppp.Authenticate // of the link
	success  string           // of MS-CHAPv2: what shows the client that we know its password
}

func (c *linkLogin) peer() *peer { return c.s.peer }

func (c *linkLogin) session() *session { return c.s }

func (c *linkLogin) holds(_ *logins, a *attempt) bool { return !c.s.Ended && c.s.login == a }

// authenticate finds out what a link asks about its client.
func (g *logins) authenticate(now time.Time, s *session, e ppp.Authenticate) {
	g.giveUpLogin(now, s)
	c := &linkLogin{s: s, question: e}
	a := &attempt{carrier: c, method: e.Method.String()}
	s.login = a
	if e.Method == ppp.EAP {
		g.startEAP(now, a, c)
		return
	}
	group, _ := g.server.keys.group(s.peer.Label)
	a.proves(now, g.server.choose(group, e.User), access.PPP{Authenticate: e}, c)
	g.judge(now, a)
}

// giveUpLogin ends the login that a session's client has under way, if there is one.
func (g *logins) giveUpLogin(now time.Time, s *session) {
	if a := s.login; a != nil {
		s.login = nil
		a.eap.close()
		g.forget(now, a)
	}
}

// judged has who is right find his place. A client may log in anew within its link, as the
// user that it was: another one ends it, whatever he has proved.
func (c *linkLogin) judged(g *logins, now time.Time, a *attempt, j access.Judgement) {
	s := c.s
	switch c.success = j.Success; {
	case !s.leased:
		s.user, s.chain, s.own = a.user, a.chain, a.own
	case j.Refusal == access.None && !s.is(a.login):
		j.Refusal = access.OtherUser
	}
	switch {
	case j.Refusal != access.None:
		g.refuse(now, a, j.Refusal, j.Err)
	case s.leased:
		c.welcome(g, now)
	default:
		g.findPlace(now, s.peer, s.Call.Tunnel, a.login, func(now time.Time) { c.placed(g, now, a) })
	}
}

// placed admits who has found his place.
func (c *linkLogin) placed(g *logins, now time.Time, a *attempt) {
	if !c.holds(g, a) {
		return
	}
	if why := g.admit(now, c.s, a.tenant, a.tenant.grants(a.key(), a.own)); why != access.None {
		g.refuse(now, a, why, nil)
		return
	}
	c.welcome(g, now)
}

// welcome tells the client that it is in.
func (c *linkLogin) welcome(g *logins, now time.Time) {
	c.s.login = nil
	g.server.engine.Authenticated(now, c.s.Session, c.question.ID, c.s.verdict(c.success))
}

func (c *linkLogin) refused(g *logins, now time.Time, _ *attempt, why access.Refusal) {
	c.s.login = nil
	c.s.Because(why.String())
	g.server.engine.Authenticated(now, c.s.Session, c.question.ID, ppp.Verdict{Code: why.Code(), Message: why.Message()})
}
