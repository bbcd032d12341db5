package gateway

import (
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"time"

	"github.com/culvert-vpn/culvert/internal/access"
	"github.com/culvert-vpn/culvert/internal/config"
	"github.com/culvert-vpn/culvert/internal/x/deadline"
)

// attempt is one login of a client, by whichever way.
type attempt struct {
	deadline.Alarm // in logins.held

	login
	carrier carrier
	taker   taker  // of what is found out about the proof
	method  string // by which he shows who he is, for the log

	tried  access.Attempt // as wrong passwords are counted
	who    access.Who     // whom the authority is asked about
	proof  access.Proof
	asked  uint64    // in logins.attempts; 0: no authority has been asked
	known  bool      // it was proved by the password of an account
	unseen bool      // the proof is not looked at, and the client is told when it is time
	eap    *eapLogin // nil: it is not by EAP
}

// login is who has logged in, or wants to.
type login struct {
	tenant *tenantState        // nil: its name leads to none
	user   string              // within the tenant
	chain  []*x509.Certificate // that the user was proved with, by EAP; nil: in another way
	own    *access.Own         // what the user has of his own; nil: nothing
}

// key is the name that the user's sessions are found under.
func (l login) key() string { return config.UserKey(l.user) }

// is reports whether a login is that of the session's user.
func (s *session) is(l login) bool {
	return l.tenant == s.tenant && l.key() == s.key()
}

// carrier is what brings a login, and tells its client what it came to: a PPP link, EAP or
// the end of an exchange of IKEv2, extended authentication in IKEv1.
type carrier interface {
	// peer is the client.
	peer() *peer
	// session is whose login it is; nil: there is none yet.
	session() *session
	// holds reports whether anybody waits for what a login comes to.
	holds(g *logins, a *attempt) bool
	// refused tells the client that it does not get in.
	refused(g *logins, now time.Time, a *attempt, why access.Refusal)
}

// taker takes what was found out about a proof: a carrier, or EAP, which goes on with it.
type taker interface {
	judged(g *logins, now time.Time, a *attempt, j access.Judgement)
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

// maxDevice is how much of a device's name counts and bans keep, in bytes: clients call
// themselves what they like.
const maxDevice = 96

// deviceOf is the name of a device as it is counted and banned by, another for each.
func deviceOf(name string) string {
	if len(name) <= maxDevice {
		return name
	}
	sum := sha256.Sum256([]byte(name))
	return name[:maxDevice] + "..." + hex.EncodeToString(sum[:8])
}

// proves has an attempt be that of somebody who proves himself by a secret that others may
// guess.
func (a *attempt) proves(now time.Time, who somebody, proof access.Proof, to taker) {
	p := a.carrier.peer()
	a.tenant, a.user, a.who, a.proof, a.taker = who.tenant, who.User, who.Who, proof, to
	a.tried = access.Attempt{Client: p.Path.Remote, Device: deviceOf(p.Identity), User: who.User, Free: config.DefaultLoginFailures, Began: now, Lockout: config.DefaultLockout()}
	if t := who.tenant; t != nil {
		a.tried.Tenant, a.tried.Free, a.tried.Lockout = t.Name, t.Limits.LoginFailures, t.Limits.Lockout
	}
}

// logins are the clients' logins, by whichever way, until they have a session or are refused.
type logins struct {
	server    *server
	throttle  *access.Throttle
	authority access.Authority        // who knows the users
	attempts  map[uint64]*attempt     // that it is asked about
	held      deadline.Heap[*attempt] // that wait to be
	lastAsked uint64                  // the number of the last one of attempts
	heldUp    int                     // those that the throttle lets wait
}

func newLogins(s *server) *logins {
	g := &logins{server: s, throttle: access.NewThrottle(), attempts: make(map[uint64]*attempt), authority: access.NewLocal(nil)}
	if s.config.Store != nil {
		g.authority = access.NewLocal(s.config.Store)
	}
	return g
}
