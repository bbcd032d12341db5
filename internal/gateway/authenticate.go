package gateway

import (
	"crypto/x509"
	"errors"
	"time"

	"github.com/culvert-vpn/culvert/internal/config"
	"github.com/culvert-vpn/culvert/internal/eap"
	"github.com/culvert-vpn/culvert/internal/store"
	"github.com/culvert-vpn/culvert/ppp"
	"github.com/culvert-vpn/culvert/ppp/auth"
	"github.com/culvert-vpn/culvert/tenant"
)

// The refusals of a login. Each is an MS-CHAPv2 error code (RFC 2759 section
// 6), what the client is told, and what the log says to the operator.
type refusal struct {
	code    int
	message string
	cause   string
	hint    string
}

var (
	refusedUser = refusal{691, "Access denied", "unknown user",
		"no such user in this tenant: add it with `culvert user add`, or name the realm in the login (Windows shows error 691)"}
	refusedPassword = refusal{691, "Access denied", "wrong password",
		"the user exists and the password is another: `culvert user passwd` sets a new one (Windows shows error 691)"}
	refusedDisabled = refusal{647, "Account disabled", "account disabled",
		"the user exists and is disabled (Windows shows error 647)"}
	refusedMethod = refusal{691, "Access denied", "method not allowed",
		"this tenant does not allow the method that the client chose: see auth.allow (Windows shows error 691 or 734)"}
	refusedCHAP = refusal{691, "Access denied", "CHAP needs the password itself",
		"only the NT hash of this user is known: use MS-CHAPv2, or write the password into the configuration"}
	refusedPool = refusal{691, "No address available", "pool empty",
		"every address of the tenant's pool is in use: enlarge pool (Windows shows error 691 or 738)"}
	refusedFull = refusal{691, "Too many sessions", "session limit reached",
		"the tenant has as many sessions as limits.sessions allows"}
	refusedBusy = refusal{691, "Server busy, try again", "too many logins at once",
		"more logins wait for an answer of the state store, a directory or an authority than culvert keeps: see what does not answer"}
	refusedOther = refusal{691, "Another user than before", "another user than before",
		"within one session a client may log in anew as the same user only: the session ends"}
	refusedUserFull = refusal{691, "Too many sessions of this user", "too many sessions of this user",
		"the user has as many sessions as limits.sessions_per_user allows, and none of them is dead: `culvert sessions` shows them"}
	refusedThrottled = refusal{691, "Too many wrong passwords", "too many wrong passwords",
		"the password was not looked at: see logins-throttled, and limits.login_failures (Windows shows error 691)"}
	refusedFault = refusal{691, "Access denied", "a fault of the server",
		"the login met a fault of the program: see the line `fault`, and report it"}
	refusedStore = refusal{691, "Access denied", "state store failed",
		"the users cannot be read from the state directory: see the error"}
)

// judgement is what was found out about a password.
type judgement struct {
	proof   string      // of MS-CHAPv2 in PPP
	verdict eap.Verdict // of MSCHAPv2 in EAP
	why     *refusal    // nil: it is right, and the account is in order
	err     error
}

// outcome is what a judgement says of the password alone.
func (j judgement) outcome() outcome {
	switch j.why {
	case nil, &refusedDisabled:
		return rightPassword
	case &refusedUser, &refusedPassword:
		return wrongPassword
	}
	return notJudged
}

// maxHeldUp bounds the logins that wait at a time.
const maxHeldUp = 4096

// attemptOf is an attempt of a client to log in to a tenant, nil if its name leads to none.
func (p *peer) attemptOf(now time.Time, t *tenantState, user string) *attempt {
	a := &attempt{client: p.path.Remote, device: p.identity, user: user, failures: config.DefaultLoginFailures, began: now, zero: func() {}}
	if t != nil {
		a.owner, a.tenant, a.failures = t, t.Name, t.Limits.LoginFailures
	}
	return a
}

// judge is the way of every password, whatever protocol brings it: check looks at it,
// in the pool, when the throttle lets it, and then takes what came of it. Nobody is
// told while the client that it is for is gone.
func (g *Gateway) judge(now time.Time, a *attempt, check func() judgement, then func(now time.Time, j judgement)) {
	if !a.alive() {
		a.zero()
		return
	}
	switch r := g.throttle.ask(now, a); {
	case r.refuse:
		a.zero()
		if r.tell {
			g.tellThrottled(a, r.by)
		}
		g.after(longestDelay-now.Sub(a.began), func(now time.Time) { g.judged(now, a, judgement{why: &refusedThrottled}, then) })
	case r.wait > 0 && g.heldUp < maxHeldUp:
		g.after(r.wait, func(now time.Time) { g.judge(now, a, check, then) })
	case r.wait > 0:
		a.zero()
		g.judged(now, a, judgement{why: &refusedThrottled}, then)
	default:
		if !g.later(a.owner, func() {
			j := judgement{why: &refusedFault}
			defer g.post(func(now time.Time) { // also if it panics
				g.throttle.settle(now, a, j.outcome())
				g.judged(now, a, j, then)
			})
			defer a.zero()
			j = check()
		}) {
			a.zero()
			g.throttle.settle(now, a, notJudged)
			g.judged(now, a, judgement{why: &refusedBusy}, then)
		}
	}
}

func (g *Gateway) judged(now time.Time, a *attempt, j judgement, then func(now time.Time, j judgement)) {
	if a.alive() {
		then(now, j)
	}
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
	t, user, why, err := g.identify(s, e.User)
	if why != nil {
		user = e.User
	}
	a := s.peer.attemptOf(now, t, user)
	a.alive, a.zero = func() bool { return !s.ended }, e.Zero
	g.judge(now, a, func() judgement { return g.verify(t, user, e, why, err) }, func(now time.Time, j judgement) {
		g.authenticated(now, s, login{t, user, nil}, e, j)
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
func (g *Gateway) authenticated(now time.Time, s *session, l login, e ppp.Authenticate, j judgement) {
	switch {
	case !s.leased:
		s.user, s.chain = l.user, l.chain
	case j.why == nil && !s.is(l):
		j.why = &refusedOther
	}
	if j.why != nil {
		g.refuseLogin(now, s, l, e, *j.why, j.err)
		return
	}
	if s.leased {
		s.link.Authenticated(now, e.ID, s.tenant.verdict(s, j.proof))
		g.touch(s)
		return
	}
	g.findPlace(now, s.peer, s.call.Tunnel, l, func(now time.Time) {
		if s.ended {
			return
		}
		if why := g.admit(now, s, l.tenant); why != nil {
			g.refuseLogin(now, s, l, e, *why, nil)
			return
		}
		s.link.Authenticated(now, e.ID, l.tenant.verdict(s, j.proof))
		g.touch(s)
	})
}

// identify finds the tenant and the user that a login name means, among the
// tenants whose key the client has.
func (g *Gateway) identify(s *session, login string) (*tenantState, string, *refusal, error) {
	group, _ := g.keys.group(s.peer.label)
	return g.choose(group, login)
}

// choose finds the tenant and the user that a login name means in a group.
func (g *Gateway) choose(group []*tenantState, login string) (*tenantState, string, *refusal, error) {
	names := make([]string, 0, len(group))
	for _, t := range group {
		names = append(names, t.Name)
	}
	l, err := g.selector.Select(login, names...)
	if err != nil {
		return nil, "", &refusedUser, err
	}
	for _, t := range group {
		if t.Name == l.Tenant {
			return t, l.User, nil, nil
		}
	}
	return nil, "", &refusedUser, tenant.ErrNoTenant
}

// account is what is known of a user's secret.
type account struct {
	hash     [16]byte
	password []byte // nil where only the hash is known; borrowed from the configuration
	disabled bool
}

// account finds a user: in the configuration first, then in the state store.
// It runs in the pool.
func (g *Gateway) account(t *tenantState, user string) (account, *refusal, error) {
	if u, ok := t.User(user); ok {
		var a account
		if u.NTHash.Len() == len(a.hash) {
			copy(a.hash[:], u.NTHash.Bytes())
			return a, nil, nil
		}
		a.password = u.Password.Bytes()
		a.hash = auth.NTHash(string(a.password))
		return a, nil, nil
	}
	if g.config.Store == nil {
		return account{}, &refusedUser, nil
	}
	u, err := g.config.Store.User(t.Name, user)
	if errors.Is(err, store.ErrNotFound) {
		return account{}, &refusedUser, nil
	}
	if err != nil {
		return account{}, &refusedStore, err
	}
	return account{hash: u.Hash, disabled: u.Disabled}, nil, nil
}

// admit takes a user whose secret is right into the tenant.
func (g *Gateway) admit(now time.Time, s *session, t *tenantState) *refusal {
	switch {
	case t.full():
		return &refusedFull
	case t.crowded(s.key()):
		return &refusedUserFull
	case g.lease(now, s, t) != nil:
		return &refusedPool
	}
	return nil
}

// refuseLogin tells the client and the log. What the throttle refuses is told there.
func (g *Gateway) refuseLogin(now time.Time, s *session, l login, e ppp.Authenticate, why refusal, err error) {
	refused := s.peer.refusedLogin(s.user, e.Method.String(), why, err)
	refused.Protocol, refused.Session, refused.Address = s.protocol(), s.id, s.addr
	if l.tenant != nil {
		refused.Tenant = l.tenant.Name
	}
	if s.leased && l.user != s.user {
		refused.Login = l.user
	}
	g.tellRefused(s.peer, refused)
	s.because(why.cause)
	s.link.Authenticated(now, e.ID, ppp.Verdict{Code: why.code, Message: why.message})
	g.touch(s)
}
