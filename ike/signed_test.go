package ike

import (
	"bytes"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"math/big"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/culvert-vpn/culvert/ike/auth"
	"github.com/culvert-vpn/culvert/ike/suite"
	"github.com/culvert-vpn/culvert/ike/wire"
)

// rsaKey is slow to make, so that all certificates of the tests share it.
var rsaKey = sync.OnceValues(func() (*rsa.PrivateKey, error) { return rsa.GenerateKey(rand.Reader, 2048) })

// issueRSA makes a certificate for a name with an RSA key, changed by edit.
func (a *authority) issueRSA(t testing.TB, name string, usage x509.ExtKeyUsage, edit func(*x509.Certificate)) *Certificate {
	t.Helper()
	key, err := rsaKey()
	if err != nil {
		t.Fatal(err)
	}
	x := &x509.Certificate{SerialNumber: big.NewInt(3), Subject: pkix.Name{CommonName: name}, NotBefore: start.Add(-time.Hour),
		NotAfter: start.AddDate(1, 0, 0), DNSNames: []string{name}, ExtKeyUsage: []x509.ExtKeyUsage{usage}}
	if edit != nil {
		edit(x)
	}
	der, err := x509.CreateCertificate(rand.Reader, x, a.cert, &key.PublicKey, a.key)
	if err != nil {
		t.Fatal(err)
	}
	c, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return &Certificate{Chain: []*x509.Certificate{c}, Signer: key}
}

// clientVerifier trusts the authority, minds names and takes serial 666 back.
func (a *authority) clientVerifier() Verifier {
	trust := a.verifier(auth.PurposeClient)
	return func(now time.Time, chain []*x509.Certificate, id wire.ID2) error {
		if chain[0].SerialNumber.Int64() == 666 {
			return &auth.CertificateError{Fault: auth.FaultRevoked}
		}
		if err := trust(now, chain, id); err != nil {
			return err
		}
		return auth.MatchID(chain[0], id, auth.PurposeClient)
	}
}

// signedCandidate is a tenant that takes certificates of ca's.
func signedCandidate(t testing.TB, tenant string, ca *authority) Candidate {
	t.Helper()
	return Candidate{Tenant: tenant, Policy: fast(), Certificate: ca.issueRSA(t, "vpn.example.org", x509.ExtKeyUsageServerAuth, nil),
		Verify: ca.clientVerifier(), Authorities: []*x509.Certificate{ca.cert}}
}

func dialSigned(c *Certificate, verify Verifier) DialConfig {
	d := dialConfig("")
	d.PSK, d.Certificate, d.Verify, d.RemoteIdentity = nil, c, verify, "vpn.example.org"
	return d
}

func TestSigned(t *testing.T) {
	ca, other := newAuthority(t, "ca"), newAuthority(t, "other")
	client := func(by *authority, edit func(*x509.Certificate)) *Certificate {
		return by.issueRSA(t, "alice.example.org", x509.ExtKeyUsageClientAuth, edit)
	}
	trusted := ca.verifier(auth.PurposeServer)
	refusedBy := "answered AUTHENTICATION-FAILED to who we are"
	tests := map[string]struct {
		client         *Certificate
		verify         Verifier
		identity, name string
		why, heard     string // for the log of the server, and of the client
	}{
		"good":          {client: client(ca, nil), verify: trusted},
		"good, by name": {client: client(ca, nil), verify: trusted, identity: "alice.example.org"},
		"another's name": {client: client(ca, nil), verify: trusted, identity: "bob.example.org",
			why: "has another name", heard: refusedBy},
		"unknown authority": {client: client(other, nil), verify: trusted, why: "unknown authority", heard: refusedBy},
		"expired": {client: client(ca, func(c *x509.Certificate) { c.NotAfter = start.Add(-time.Minute) }), verify: trusted,
			why: "has expired", heard: refusedBy},
		"revoked": {client: client(ca, func(c *x509.Certificate) { c.SerialNumber = big.NewInt(666) }), verify: trusted,
			why: "was revoked", heard: refusedBy},
		"a server's": {client: ca.issueRSA(t, "alice.example.org", x509.ExtKeyUsageServerAuth, nil), verify: trusted,
			why: "another purpose", heard: refusedBy},
		"unknown server":         {client: client(ca, nil), verify: other.verifier(auth.PurposeServer), heard: "unknown authority"},
		"server of another name": {client: client(ca, nil), verify: trusted, name: "www.example.org", heard: "has another name"},
	}
	for name, x := range tests {
		t.Run(name, func(t *testing.T) {
			p := newPair(t, 1, Config{Candidates: only(signedCandidate(t, "acme", ca))})
			c := dialSigned(x.client, x.verify)
			c.Identity = x.identity
			if x.name != "" {
				c.RemoteIdentity = x.name
			}
			id := p.dial(c)
			if up := len(p.usable()) == 1; up != (x.why+x.heard == "") {
				t.Errorf("up is %v: %+v %+v", up, p.server.failed, p.client.closed)
			}
			if x.why != "" && (len(p.server.failed) == 0 || p.server.failed[0].Cause != CauseAuthentication || !strings.Contains(p.server.failed[0].Detail, x.why)) {
				t.Errorf("the server says %+v", p.server.failed)
			}
			if e := p.client.closed[id]; !strings.Contains(e.Detail, x.heard) || x.heard != "" && e.Cause != CauseAuthentication {
				t.Errorf("the client says %+v", e)
			}
			p.closeAll()
		})
	}
}

// TestSignedTenants: the authority of the client's certificate says whose it is,
// beside a tenant with a key.
func TestSignedTenants(t *testing.T) {
	acme, beta := newAuthority(t, "acme's"), newAuthority(t, "beta's")
	list := []Candidate{{Tenant: "keys", PSK: []byte("secret"), Policy: fast()}, signedCandidate(t, "acme", acme), signedCandidate(t, "beta", beta)}
	for want, dial := range map[string]DialConfig{
		"keys": dialConfig("secret"),
		"acme": dialSigned(acme.issueRSA(t, "alice", x509.ExtKeyUsageClientAuth, nil), acme.verifier(auth.PurposeServer)),
		"beta": dialSigned(beta.issueRSA(t, "bob", x509.ExtKeyUsageClientAuth, nil), beta.verifier(auth.PurposeServer)),
	} {
		p := newPair(t, 1, Config{Candidates: func(netip.Addr, netip.Addr) []Candidate { return list }})
		p.dial(dial)
		if len(p.usable()) != 1 {
			t.Errorf("%s: not up: %+v", want, p.server.failed)
		}
		for _, up := range p.server.up {
			if up.Tenant != want {
				t.Errorf("tenant %s, want %s", up.Tenant, want)
			}
		}
		p.closeAll()
	}
}

// TestSignedOffers: without certificates there is no choosing them, and with them
// alone no key.
func TestSignedOffers(t *testing.T) {
	ca := newAuthority(t, "ca")
	cert := ca.issueRSA(t, "alice", x509.ExtKeyUsageClientAuth, nil)
	ecdsa := signedCandidate(t, "acme", ca)
	ecdsa.Certificate = ca.issue(t, "vpn.example.org", x509.ExtKeyUsageServerAuth, 0)
	for name, x := range map[string]struct {
		server Candidate
		dial   DialConfig
	}{
		"a key alone": {Candidate{Tenant: "acme", PSK: []byte("secret"), Policy: fast()}, dialSigned(cert, ca.verifier(auth.PurposeServer))},
		"ECDSA":       {ecdsa, dialSigned(cert, ca.verifier(auth.PurposeServer))},
		"no key":      {signedCandidate(t, "acme", ca), dialConfig("secret")},
	} {
		p := newPair(t, 1, Config{Candidates: only(x.server)})
		id := p.dial(x.dial)
		if e := p.client.closed[id]; e.Reason != ReasonFailed || len(p.server.failed) == 0 {
			t.Errorf("%s: %+v, %+v", name, e, p.server.failed)
		}
		p.closeAll()
	}
	bad := dialSigned(ecdsa.Certificate, ca.verifier(auth.PurposeServer))
	if _, err := newNode(t, "c", Config{}).s.Dial(start, bad); !errors.Is(err, ErrConfig) {
		t.Error(err)
	}
}

// TestSignedSeeds dials over bad roads, and both sides renew phase 1 and 2 there.
func TestSignedSeeds(t *testing.T) {
	ca := newAuthority(t, "ca")
	server, client := signedCandidate(t, "acme", ca), ca.issueRSA(t, "alice", x509.ExtKeyUsageClientAuth, nil)
	for seed := range uint64(40) {
		p := newPair(t, seed, Config{Candidates: only(server)})
		p.loss, p.dup, p.spread = float64(seed%3)/10, 0.1, 50*time.Millisecond
		id := p.dial(dialSigned(client, ca.verifier(auth.PurposeServer)))
		if len(p.usable()) != 1 {
			t.Fatalf("seed %d: not up: %+v %+v", seed, p.client.closed, p.server.failed)
		}
		for remote := range p.server.s.peers {
			_ = p.server.s.Rekey(p.now, remote, Phase1)
			p.run(time.Minute, nil)
		}
		if err := p.renew(id); err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
		p.loss = 0
		p.closeAll()
	}
}

// TestSignedFragments: long chains go in pieces to who takes them, and whole to who
// does not.
func TestSignedFragments(t *testing.T) {
	ca := newAuthority(t, "ca")
	long := func(c *x509.Certificate) { c.Subject.Organization = []string{strings.Repeat("long ", 500)} }
	server := signedCandidate(t, "acme", ca)
	server.Certificate = ca.issueRSA(t, "vpn.example.org", x509.ExtKeyUsageServerAuth, long)
	client := ca.issueRSA(t, "alice", x509.ExtKeyUsageClientAuth, long)
	for _, announced := range []bool{true, false} {
		for seed := range uint64(10) {
			t.Run(fmt.Sprint("announced ", announced, " seed ", seed), func(t *testing.T) {
				p := newPair(t, seed, Config{Candidates: only(server)})
				p.loss, p.spread = 0.1, 50*time.Millisecond
				longest := 0
				p.filter = func(_ *node, b []byte) bool {
					if n := bytes.Index(b, wire.VendorFragmentation.ID()); n >= 0 && !announced {
						b[n] ^= 1
					}
					longest = max(longest, len(b))
					return true
				}
				p.dial(dialSigned(client, ca.verifier(auth.PurposeServer)))
				if len(p.usable()) != 1 {
					t.Errorf("not up: %+v", p.server.failed)
				}
				if pieces := longest <= 1228; pieces != announced {
					t.Errorf("the longest message has %d bytes", longest)
				}
				p.loss = 0
				p.closeAll()
			})
		}
	}
}

// TestSignedComputationLimit bounds the claims that strangers have looked at.
func TestSignedComputationLimit(t *testing.T) {
	ca := newAuthority(t, "ca")
	server, client := signedCandidate(t, "acme", ca), ca.issueRSA(t, "alice", x509.ExtKeyUsageClientAuth, nil)
	p := newPair(t, 1, Config{Candidates: only(server), Limits: Limits{Computations: 3}})
	id, err := p.client.s.Dial(p.now, dialSigned(client, ca.verifier(auth.PurposeServer)))
	if err != nil {
		t.Fatal(err)
	}
	p.filter = func(from *node, b []byte) bool {
		if exchange, _ := exchangeOf(b); from == p.client && exchange == byte(wire.ExchangeMain) && p.client.s.peers[id].ikes[0].path.NATT {
			p.server.s.strangers = 3
			if err := p.server.s.Input(p.now, Path{Local: serverNATT, Remote: clientNATT, NATT: true}, bytes.Clone(b)); !errors.Is(err, ErrLimit) {
				t.Errorf("message 5 at the limit: %v", err)
			}
			p.server.s.strangers = 0
			p.filter = nil
		}
		return true
	}
	p.run(3*time.Minute, func() bool { return p.ended(id) })
	if p.filter != nil || len(p.usable()) != 1 {
		t.Errorf("not up: %+v", p.client.closed)
	}
	p.closeAll()
}

// TestSignedGuessing: message after message that nobody believes ends the exchange.
func TestSignedGuessing(t *testing.T) {
	ca, other := newAuthority(t, "ca"), newAuthority(t, "other")
	p := newPair(t, 1, Config{Candidates: only(signedCandidate(t, "acme", ca))})
	client := other.issueRSA(t, "mallory", x509.ExtKeyUsageClientAuth, nil)
	id := p.dial(dialSigned(client, ca.verifier(auth.PurposeServer)))
	if _, closed := p.client.closed[id]; !closed || len(p.server.s.sas) != 1 {
		t.Fatalf("closed %v, and the server keeps %d", closed, len(p.server.s.sas))
	}
	before := len(p.server.sent)
	path := Path{Local: serverNATT, Remote: clientNATT, NATT: true}
	if err := p.server.s.Input(p.now, path, bytes.Clone(p.client.sent[2])); !errors.Is(err, ErrDuplicate) {
		t.Error(err)
	}
	p.drain(p.server)
	if len(p.server.sent) != before+1 {
		t.Error("the repeated message is not answered as before")
	}
	for n := range maxBadKeys - 1 {
		other := bytes.Clone(p.client.sent[2])
		other[len(other)-1] ^= byte(n + 1) // what asks for certificates, behind the signature
		if err := p.server.s.Input(p.now, path, other); err != nil {
			t.Error(err)
		}
		p.run(time.Second, nil)
	}
	if len(p.server.s.sas) != 0 {
		t.Error("the exchange goes on")
	}
	p.closeAll()
}

// TestAuthMethods: what a candidate has says how its clients may prove themselves.
func TestAuthMethods(t *testing.T) {
	ca := newAuthority(t, "ca")
	c := signedCandidate(t, "acme", ca)
	c.PSK = []byte("secret")
	if got := c.methods(); len(got) != 2 || got[0] != suite.AuthPSK || got[1] != suite.AuthRSASignature {
		t.Error(got)
	}
	c.Verify = nil
	if got := c.methods(); len(got) != 1 {
		t.Error(got)
	}
}
