package gateway

import (
	"errors"
	"time"

	"go.uber.org/zap"

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
	refusedStore = refusal{691, "Access denied", "state store failed",
		"the users cannot be read from the state directory: see the error"}
)

// authenticate finds out what a link asks about its client. The state store is
// on a disk, so that happens in the pool.
func (g *Gateway) authenticate(now time.Time, s *session, e ppp.Authenticate) {
	if e.Method == ppp.EAP {
		g.startEAP(now, s, e)
		return
	}
	s.user = e.User
	t, user, why, err := g.identify(s, e.User)
	if why != nil {
		g.refuseLogin(now, s, t, e, *why, err)
		return
	}
	s.user = user
	if !g.later(t, func() {
		proof, why, err := g.verify(t, user, e)
		g.post(func(now time.Time) {
			if !s.ended {
				g.authenticated(now, s, t, e, proof, why, err)
			}
		})
	}) {
		g.refuseLogin(now, s, t, e, refusedBusy, nil)
	}
}

// authenticated answers the link.
func (g *Gateway) authenticated(now time.Time, s *session, t *tenantState, e ppp.Authenticate, proof string, why *refusal, err error) {
	if why == nil {
		why = g.admit(now, s, t)
	}
	if why != nil {
		g.refuseLogin(now, s, t, e, *why, err)
		return
	}
	s.link.Authenticated(now, e.ID, t.verdict(s, proof))
	g.touch(s)
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
	if s.leased { // authenticated anew within one link
		return nil
	}
	if t.full() {
		return &refusedFull
	}
	if g.lease(now, s, t) != nil {
		return &refusedPool
	}
	return nil
}

// refuseLogin tells the client and the log.
func (g *Gateway) refuseLogin(now time.Time, s *session, t *tenantState, e ppp.Authenticate, why refusal, err error) {
	fields := s.fields()
	if t != nil {
		fields[0] = zap.String("tenant", t.Name)
	}
	fields = append(fields, zap.Stringer("method", e.Method), zap.String("cause", why.cause), zap.String("hint", why.hint))
	if err != nil {
		fields = append(fields, zap.Error(err))
	}
	g.log.Warn("login-refused", fields...)
	g.failures[why.cause]++
	s.because(why.cause)
	s.link.Authenticated(now, e.ID, ppp.Verdict{Code: why.code, Message: why.message})
	g.touch(s)
}
