package gateway

import (
	"crypto/x509"
	"time"

	"github.com/culvert-vpn/culvert/internal/access"
	"github.com/culvert-vpn/culvert/internal/config"
	"github.com/culvert-vpn/culvert/ppp"
	"github.com/culvert-vpn/culvert/tenant"
)

// maxHeldUp bounds the logins that wait at a time.
const maxHeldUp = 4096

// attempt is one password that a client tries, and who waits for what it comes to.
type attempt struct {
	access.Attempt
	owner *tenantState // nil: its name leads to none
	alive func() bool  // whether anybody waits for the answer
	zero  func()       // overwrites the password
}

// attemptOf is an attempt of a client to log in as somebody.
func (p *peer) attemptOf(now time.Time, who somebody) *attempt {
	a := &attempt{Attempt: access.Attempt{
		Client: p.path.Remote, Device: p.identity, User: who.User, Free: config.DefaultLoginFailures, Began: now,
	}, owner: who.tenant, zero: func() {}}
	if t := who.tenant; t != nil {
		a.Tenant, a.Free = t.Name, t.Limits.LoginFailures
	}
	return a
}

// judge is the way of every password, whatever protocol brings it: it is looked at, in the
// pool, when the throttle lets it, and then takes what came of it. Nobody is told while the
// client that it is for is gone.
func (g *Gateway) judge(now time.Time, a *attempt, who somebody, proof access.Proof, then func(now time.Time, j access.Judgement)) {
	if !a.alive() {
		a.zero()
		return
	}
	switch r := g.throttle.Ask(now, &a.Attempt); {
	case r.Refuse:
		a.zero()
		if r.Tell {
			g.tellThrottled(a, r.By)
		}
		g.after(access.LongestDelay-now.Sub(a.Began), func(now time.Time) { g.judged(now, a, access.Judgement{Refusal: access.Throttled}, then) })
	case r.Wait > 0 && g.heldUp < maxHeldUp:
		g.after(r.Wait, func(now time.Time) { g.judge(now, a, who, proof, then) })
	case r.Wait > 0:
		a.zero()
		g.judged(now, a, access.Judgement{Refusal: access.Throttled}, then)
	default:
		g.compare(now, a, who, proof, then)
	}
}

// compare has a password looked at in the pool.
func (g *Gateway) compare(now time.Time, a *attempt, who somebody, proof access.Proof, then func(now time.Time, j access.Judgement)) {
	if !g.later(a.owner, func() {
		j := access.Judgement{Refusal: access.Fault}
		defer g.post(func(now time.Time) { // also if it panics
			g.throttle.Settle(now, &a.Attempt, j.Outcome())
			g.judged(now, a, j, then)
		})
		defer a.zero()
		j = g.local.Judge(who.Who, proof)
	}) {
		a.zero()
		g.throttle.Settle(now, &a.Attempt, access.NotJudged)
		g.judged(now, a, access.Judgement{Refusal: access.Busy}, then)
	}
}

func (g *Gateway) judged(now time.Time, a *attempt, j access.Judgement, then func(now time.Time, j access.Judgement)) {
	if a.alive() {
		then(now, j)
		return
	}
	clear(j.MSK)
}

// after has f done in the control loop after a while; at once where too much waits.
func (g *Gateway) after(d time.Duration, f func(now time.Time)) {
	if d <= 0 || g.heldUp >= maxHeldUp {
		f(time.Now())
		return
	}
	g.heldUp++
	time.AfterFunc(d, func() {
		g.post(func(now time.Time) {
			g.heldUp--
			f(now)
		})
	})
}

// authenticate finds out what a link asks about its client. The state store is
// on a disk, so that happens in the pool.
func (g *Gateway) authenticate(now time.Time, s *session, e ppp.Authenticate) {
	if e.Method == ppp.EAP {
		g.startEAP(now, s, e)
		return
	}
	group, _ := g.keys.group(s.peer.label)
	who := g.choose(group, e.User)
	a := s.peer.attemptOf(now, who)
	a.alive, a.zero = func() bool { return !s.ended }, e.Zero
	g.judge(now, a, who, access.PPP{Authenticate: e}, func(now time.Time, j access.Judgement) {
		g.authenticated(now, s, login{who.tenant, who.User, nil}, e, j)
	})
}

// login is who has logged in, or wants to.
type login struct {
	tenant *tenantState        // nil: its name leads to none
	user   string              // within the tenant
	chain  []*x509.Certificate // that the user was proved with, by EAP; nil: in another way
}

// key is the name that the user's sessions are found under.
func (l login) key() string { return config.UserKey(l.user) }

// is reports whether a login is that of the session's user.
func (s *session) is(l login) bool {
	return l.tenant == s.tenant && l.key() == s.key()
}

// authenticated answers the link. The client may log in anew within it, as the user
// that it was: another one ends it, whatever he has proved.
func (g *Gateway) authenticated(now time.Time, s *session, l login, e ppp.Authenticate, j access.Judgement) {
	switch {
	case !s.leased:
		s.user, s.chain = l.user, l.chain
	case j.Refusal == access.None && !s.is(l):
		j.Refusal = access.OtherUser
	}
	if j.Refusal != access.None {
		g.refuseLogin(now, s, l, e, j.Refusal, j.Err)
		return
	}
	if s.leased {
		s.link.Authenticated(now, e.ID, s.verdict(j.Success))
		g.touch(s)
		return
	}
	g.findPlace(now, s.peer, s.call.Tunnel, l, func(now time.Time) {
		if s.ended {
			return
		}
		if why := g.admit(now, s, l.tenant); why != access.None {
			g.refuseLogin(now, s, l, e, why, nil)
			return
		}
		s.link.Authenticated(now, e.ID, s.verdict(j.Success))
		g.touch(s)
	})
}

// somebody is who logs in, and in which tenant that is.
type somebody struct {
	access.Who
	tenant *tenantState // nil: his name leads to none
}

// user is somebody whose name has led to a tenant.
func user(t *tenantState, name string) somebody {
	return somebody{access.Who{Tenant: t.Tenant, User: name}, t}
}

// choose finds the tenant and the user that a login name means in a group.
func (g *Gateway) choose(group []*tenantState, login string) somebody {
	names := make([]string, 0, len(group))
	for _, t := range group {
		names = append(names, t.Name)
	}
	l, err := g.selector.Select(login, names...)
	if err == nil {
		for _, t := range group {
			if t.Name == l.Tenant {
				return user(t, l.User)
			}
		}
		err = tenant.ErrNoTenant
	}
	return somebody{Who: access.Who{User: login, Refusal: access.UnknownUser, Err: err}}
}

// admit takes a user whose secret is right into the tenant.
func (g *Gateway) admit(now time.Time, s *session, t *tenantState) access.Refusal {
	switch {
	case t.gone:
		return access.UnknownUser
	case t.full():
		return access.TenantFull
	case t.crowded(s.key()):
		return access.UserFull
	case g.lease(now, s, t) != nil:
		return access.PoolEmpty
	}
	g.apply(now, s, s.tenant.grant)
	return access.None
}

// refuseLogin tells the client and the log. What the throttle refuses is told there.
func (g *Gateway) refuseLogin(now time.Time, s *session, l login, e ppp.Authenticate, why access.Refusal, err error) {
	refused := s.peer.refusedLogin(s.user, e.Method.String(), why, err)
	refused.Protocol, refused.Session, refused.Address = s.protocol(), s.id, s.addr
	if l.tenant != nil {
		refused.Tenant = l.tenant.Name
	}
	if s.leased && l.user != s.user {
		refused.Login = l.user
	}
	g.tellRefused(s.peer, refused)
	s.because(why.String())
	s.link.Authenticated(now, e.ID, ppp.Verdict{Code: why.Code(), Message: why.Message()})
	g.touch(s)
}
