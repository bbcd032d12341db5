package gateway

import (
	"crypto/rand"
	"crypto/x509"
	"net/netip"
	"strings"
	"time"

	"github.com/culvert-vpn/culvert/ike/auth"
	"github.com/culvert-vpn/culvert/internal/access"
	"github.com/culvert-vpn/culvert/internal/eap"
)

// Logins by EAP, whatever carries them: eaplink.go is PPP, eapike.go IKEv2.

// EAPClient is who begins to log in by EAP, as far as that is known.
type EAPClient struct {
	// Tenants are those whose client it may be: one, or those that the client's key,
	// or the certificate that it was shown, does not tell apart.
	Tenants []string
	// Identity is what it calls itself in IKE, and nothing proves yet; empty in PPP.
	Identity string
	Family   string         // which kind of client it is
	Client   netip.AddrPort // where it is
}

// eapLogin is the part of an attempt that EAP carries: the machine, and what it has found out
// so far.
type eapLogin struct {
	machine   eap.Authenticator
	carrier   eapCarrier
	group     []*tenantState // who may turn out to be the client's tenant
	certified []*tenantState // whose authorities issued its certificate
	password  bool           // the user was proved by one, and the account looked at
	why       access.Refusal
	err       error
	last      []byte // what EAP said last: in the end the Success or the Failure
}

// eapCarrier brings the packets of a login to its client.
type eapCarrier interface {
	carrier
	// request carries a request to the client.
	request(g *logins, now time.Time, a *attempt, packet []byte)
	// over takes the end; the attempt says what it came to.
	over(g *logins, now time.Time, a *attempt, d eap.Done)
}

// newEAPLogin makes the machine with what the tenants of the group allow, or
// lets Config.EAP make it.
func (g *logins) newEAPLogin(group []*tenantState, c EAPClient, carrier eapCarrier, fragment int) (*eapLogin, error) {
	l := &eapLogin{group: group, carrier: carrier}
	if g.server.config.EAP != nil {
		for _, t := range group {
			c.Tenants = append(c.Tenants, t.Name)
		}
		if l.machine = g.server.config.EAP(c); l.machine != nil {
			return l, nil
		}
	}
	s, err := eap.NewServer(l.methods(fragment))
	l.machine = s
	return l, err
}

// methods are those that any tenant of the group allows: which tenant it is, is
// found out on the way.
func (l *eapLogin) methods(fragment int) eap.ServerConfig {
	c := eap.ServerConfig{Rand: rand.Reader, Name: "culvert"}
	var able []*tenantState
	password := false
	for _, t := range l.group {
		password = password || t.Auth.Allow.EAP
		if t.Auth.Allow.EAPTLS {
			able = append(able, t)
		}
	}
	if password {
		c.Methods = append(c.Methods, eap.TypeMSCHAPv2)
	}
	if len(able) > 0 {
		c.Methods, c.TLS = append(c.Methods, eap.TypeTLS), l.tls(able)
		c.TLS.Fragment = fragment
	}
	return c
}

// maxAuthorities is how many authorities a client is told of, to choose its
// certificate by. More would not fit, and it chooses among all that it has.
const maxAuthorities = 32

// authoritiesOf are those of some tenants, nil if they are too many to be told.
func authoritiesOf(tenants []*tenantState) *x509.CertPool {
	pool, n := x509.NewCertPool(), 0
	for _, t := range tenants {
		if n += len(t.CA); n > maxAuthorities {
			return nil
		}
		for _, x := range t.CA {
			pool.AddCert(x)
		}
	}
	return pool
}

// tls is how EAP-TLS is done for clients of those tenants.
func (l *eapLogin) tls(able []*tenantState) *eap.TLSConfig {
	verify := func(asks bool) func(time.Time, []*x509.Certificate) error {
		return func(now time.Time, sent []*x509.Certificate) (err error) {
			l.certified, err = certifying(now, able, sent, asks)
			return err
		}
	}
	return &eap.TLSConfig{Certificate: eap.PairOf(able[0].Certificate.Chain, able[0].Certificate.Key), Authorities: authoritiesOf(able),
		VerifyPeer: verify(false), VerifyProven: verify(true)}
}

// certifying are those of some tenants whose authorities have issued a client's certificate;
// if there are none the error says why not. asks says that the authorities are asked whether
// it was revoked.
func certifying(now time.Time, able []*tenantState, sent []*x509.Certificate, asks bool) (list []*tenantState, err error) {
	for _, t := range able {
		verify := t.trust.VerifyPath
		if asks {
			verify = t.trust.Verify
		}
		_, e := verify(now, sent, auth.PurposeClient)
		if e == nil {
			list = append(list, t)
		} else if err == nil {
			err = e
		}
	}
	if len(list) > 0 {
		return list, nil
	}
	return nil, err
}

// held is about how many bytes the login holds.
func (l *eapLogin) held() int {
	if l == nil {
		return 0
	}
	if s, ok := l.machine.(*eap.Server); ok {
		return s.Held()
	}
	return 0
}

// close gives the login up.
func (l *eapLogin) close() {
	if l != nil && l.machine != nil {
		l.machine.Close()
	}
}

// eapInput takes a client's packet. One that makes no sense gets the same
// request once more.
func (g *logins) eapInput(now time.Time, a *attempt, packet []byte) {
	if err := a.eap.machine.Input(now, packet); err != nil {
		g.server.engine.Count(err, "eap")
		a.eap.machine.Repeat()
	}
	g.eapEvents(now, a)
}

// eapEvents carries out what the machine of a login wants.
func (g *logins) eapEvents(now time.Time, a *attempt) {
	for l := a.eap; a.carrier.holds(g, a); {
		event, ok := l.machine.Next()
		if !ok {
			return
		}
		switch e := event.(type) {
		case eap.Send:
			if l.last = e.Packet; e.Packet[0] == byte(eap.CodeRequest) {
				l.carrier.request(g, now, a, e.Packet)
			}
		case eap.Verify:
			a.proves(now, g.server.choose(l.group, e.User), access.EAP{Verify: e}, l)
			g.judge(now, a)
		case eap.Compute:
			g.eapWork(now, a, e.Do)
		case eap.Done:
			g.eapEnded(a, e)
			l.carrier.over(g, now, a, e)
			clear(e.MSK)
			return
		}
	}
}

// eapWork has slow work of the machine done in the pool, and goes on with what came of it.
func (g *logins) eapWork(now time.Time, a *attempt, do func() any) {
	l := a.eap
	if g.server.later(a.owner(), func() {
		r := do()
		g.server.engine.Work.Post(func(now time.Time) {
			if a.eap == l && a.carrier.holds(g, a) {
				l.machine.Computed(r)
				g.eapEvents(now, a)
			}
		})
	}) {
		return
	}
	l.machine.Close()
	l.why, l.err = access.Busy, nil
	l.carrier.over(g, now, a, eap.Done{})
}

// judged tells the machine whether a response of MSCHAPv2 is right.
func (l *eapLogin) judged(g *logins, now time.Time, a *attempt, j access.Judgement) {
	l.why, l.err, l.password, a.known = j.Refusal, j.Err, true, j.Refusal == access.None
	verdict := eap.Verdict{OK: true, Success: j.Success, MSK: j.MSK}
	if j.Refusal != access.None {
		verdict = eap.Verdict{Code: j.Refusal.Code(), Message: j.Refusal.Message()}
	}
	l.machine.Verified(verdict)
	g.eapEvents(now, a)
}

// eapEnded notes whose login it was, or why it failed.
func (g *logins) eapEnded(a *attempt, d eap.Done) {
	l := a.eap
	if d.Method != 0 {
		a.method = "EAP-" + strings.ToUpper(d.Method.String())
	}
	switch {
	case !d.OK && l.why == access.None:
		l.why, l.err = access.EAPFailed, d.Err
		if a.user == "" {
			who := g.server.choose(l.group, d.Identity)
			a.tenant, a.user = who.tenant, who.User
		}
	case !d.OK || a.tenant != nil && l.password:
	case len(d.Certificates) > 0 && len(l.certified) > 0:
		a.chain, a.user = d.Certificates, auth.Identity(d.Certificates[0])
		who := g.server.choose(l.certified, a.user)
		switch {
		case who.tenant != nil:
			a.tenant, a.user = who.tenant, who.User
		case len(l.certified) == 1: // a name of no realm of ours
			a.tenant = l.certified[0]
		default:
			l.why, l.err = access.Ambiguous, who.Err
		}
	default: // relayed
		who := g.server.choose(l.group, d.Identity)
		a.tenant, a.user, l.why, l.err = who.tenant, who.User, who.Refusal, who.Err
	}
}
