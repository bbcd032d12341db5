package gateway

import (
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"net/netip"
	"time"

	"github.com/culvert-vpn/culvert/ike/auth"
	"github.com/culvert-vpn/culvert/internal/access"
	"github.com/culvert-vpn/culvert/internal/eap"
)

// Logins by EAP, whatever carries them: eaplink.go is PPP, eaptunnel.go IKEv2.

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

// eapLogin is one login by EAP: the machine, and what is known of its client so far.
type eapLogin struct {
	machine   eap.Authenticator
	carrier   eapCarrier
	group     []*tenantState      // who may turn out to be the client's tenant
	certified []*tenantState      // whose authorities issued its certificate
	chain     []*x509.Certificate // that
	tenant    *tenantState        // nil until it is found
	user      string
	password  bool // the user was proved by password, and the account looked at
	why       access.Refusal
	err       error
	last      []byte // what EAP said last: in the end the Success or the Failure
}

// eapCarrier brings the packets of a login to its client.
type eapCarrier interface {
	// peer is the client.
	peer() *peer
	// holds reports whether the login is still the one under way.
	holds(l *eapLogin) bool
	// request carries a request to the client.
	request(now time.Time, l *eapLogin, packet []byte)
	// over takes the end; the login says what it came to.
	over(now time.Time, l *eapLogin, d eap.Done)
}

// newEAPLogin makes the machine with what the tenants of the group allow, or
// lets Config.EAP make it.
func (g *Gateway) newEAPLogin(group []*tenantState, c EAPClient, carrier eapCarrier, fragment int) (*eapLogin, error) {
	l := &eapLogin{group: group, carrier: carrier}
	if g.config.EAP != nil {
		for _, t := range group {
			c.Tenants = append(c.Tenants, t.Name)
		}
		if l.machine = g.config.EAP(c); l.machine != nil {
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
	return &eap.TLSConfig{Certificate: pairOf(able[0].Certificate.Chain, able[0].Certificate.Key), Authorities: authoritiesOf(able),
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

// pairOf is a certificate as TLS wants it.
func pairOf(chain []*x509.Certificate, key any) tls.Certificate {
	c := tls.Certificate{PrivateKey: key}
	for _, x := range chain {
		c.Certificate = append(c.Certificate, x.Raw)
	}
	return c
}

// held is about how many bytes the login holds.
func (l *eapLogin) held() int {
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
func (g *Gateway) eapInput(now time.Time, l *eapLogin, packet []byte) {
	if err := l.machine.Input(now, packet); err != nil {
		g.count(err, "eap")
		l.machine.Repeat()
	}
	g.eapEvents(now, l)
}

// eapEvents carries out what the machine of a login wants.
func (g *Gateway) eapEvents(now time.Time, l *eapLogin) {
	for l.carrier.holds(l) {
		event, ok := l.machine.Next()
		if !ok {
			return
		}
		switch e := event.(type) {
		case eap.Send:
			if l.last = e.Packet; e.Packet[0] == byte(eap.CodeRequest) {
				l.carrier.request(now, l, e.Packet)
			}
		case eap.Verify:
			g.verifyEAP(now, l, e)
		case eap.Compute:
			g.eapWork(now, l, e.Do, func(r any) { l.machine.Computed(r) })
		case eap.Done:
			g.settleEAP(l, e)
			l.carrier.over(now, l, e)
			clear(e.MSK)
			return
		}
	}
}

// eapWork has slow work done in the pool, and goes on with what came of it.
func (g *Gateway) eapWork(now time.Time, l *eapLogin, do func() any, then func(any)) {
	if g.later(l.owner(), func() {
		r := do()
		g.post(func(now time.Time) {
			if l.carrier.holds(l) {
				then(r)
				g.eapEvents(now, l)
			}
		})
	}) {
		return
	}
	l.machine.Close()
	l.why, l.err = access.Busy, nil
	l.carrier.over(now, l, eap.Done{})
}

// owner is the tenant that a login takes the time of, as far as it is known.
func (l *eapLogin) owner() *tenantState {
	if len(l.group) == 0 {
		return l.tenant
	}
	return l.group[0]
}

// verifyEAP finds out whether a response of MSCHAPv2 is right.
func (g *Gateway) verifyEAP(now time.Time, l *eapLogin, v eap.Verify) {
	who := g.choose(l.group, v.User)
	l.user = who.User
	a := l.carrier.peer().attemptOf(now, who)
	a.alive = func() bool { return l.carrier.holds(l) }
	g.judge(now, a, who, access.EAP{Verify: v}, func(now time.Time, j access.Judgement) {
		l.tenant, l.why, l.err, l.password = who.tenant, j.Refusal, j.Err, true
		verdict := eap.Verdict{OK: true, Success: j.Success, MSK: j.MSK}
		if j.Refusal != access.None {
			verdict = eap.Verdict{Code: j.Refusal.Code(), Message: j.Refusal.Message()}
		}
		l.machine.Verified(verdict)
		g.eapEvents(now, l)
	})
}

// settleEAP notes whose login it was, or why it failed.
func (g *Gateway) settleEAP(l *eapLogin, d eap.Done) {
	switch {
	case !d.OK && l.why == access.None:
		l.why, l.err = access.EAPFailed, d.Err
		if l.user == "" {
			l.user = d.Identity
		}
	case !d.OK || l.tenant != nil && l.password:
	case len(d.Certificates) > 0 && len(l.certified) > 0:
		l.chain, l.user = d.Certificates, auth.Identity(d.Certificates[0])
		who := g.choose(l.certified, l.user)
		switch {
		case who.tenant != nil:
			l.tenant, l.user = who.tenant, who.User
		case len(l.certified) == 1: // a name of no realm of ours
			l.tenant = l.certified[0]
		default:
			l.why, l.err = access.Ambiguous, who.Err
		}
	default: // relayed
		who := g.choose(l.group, d.Identity)
		l.tenant, l.user, l.why, l.err = who.tenant, who.User, who.Refusal, who.Err
	}
}
