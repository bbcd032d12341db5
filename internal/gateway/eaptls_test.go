package gateway

import (
	"context"
	"crypto/x509"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/culvert-vpn/culvert/ike"
	"github.com/culvert-vpn/culvert/ike/auth"
	"github.com/culvert-vpn/culvert/internal/config"
	"github.com/culvert-vpn/culvert/internal/dialer"
)

// byTLS makes a call prove itself by EAP-TLS, to a server whose certificate a issued.
func (a *authority) byTLS(c *ike.Certificate) func(*dialer.DialConfig) {
	trust := &auth.Trust{Roots: []*x509.Certificate{a.root()}}
	return func(d *dialer.DialConfig) {
		d.User, d.Password, d.AllowEAP = "anonymous", "", true
		d.EAPTLS = &dialer.DialEAPTLS{Certificate: c, Verify: func(now time.Time, sent []*x509.Certificate) error {
			_, err := trust.Verify(now, sent, auth.PurposeServer)
			return err
		}}
	}
}

var eapTLSConfig = strings.Replace(testConfig, "auth: {local:", "auth: {allow: [eap-tls], local:", 1)

// TestEAPTLS: a certificate opens L2TP and IKEv2, and who it names is the user.
func TestEAPTLS(t *testing.T) {
	a, b := newAuthority(t, "a"), newAuthority(t, "b")
	good, bad, foreign := a.client("carol"), a.client("mallory"), b.client("eve")
	lines := a.server(vpn)
	if _, err := a.ca.Revoke("mallory", "keyCompromise"); err != nil {
		t.Fatal(err)
	}
	if err := a.ca.WriteCRL(time.Hour); err != nil {
		t.Fatal(err)
	}
	inWorld(t, goodRoad, eapTLSConfig+lines, func(t *testing.T, w *world) {
		for _, carrier := range []func(*dialer.DialConfig){func(*dialer.DialConfig) {}, a.trusts(vpn)} {
			c := w.client(nil)
			conn := c.mustDial(carrier, a.byTLS(good))
			c.wantPing(conn, "198.18.0.2")
			conn.Close(context.Background())
			<-conn.Done()
			w.client(nil).wantRefused(carrier, a.byTLS(bad))
			w.client(nil).wantRefused(carrier, a.byTLS(foreign))
			w.client(nil).wantRefused(carrier, allowEAP) // a password, where TLS is wanted
			w.client(nil).wantRefused(carrier, b.byTLS(good))
		}
		if n := w.log.FilterMessage("session-up").Len(); n != 2 {
			t.Errorf("%d sessions came up", n)
		}
		w.wantLog("session-up", "user", "carol")
		w.wantRefusal("EAP failed", "was revoked")
		w.wantRefusal("EAP failed", "unknown authority")
		w.wantRefusal("EAP failed", "no method")
		time.Sleep(3 * time.Minute)
		w.wantEmpty()
	})
}

// wantRefusal fails the test unless a login was refused for that cause, with those
// words in its error.
func (w *world) wantRefusal(cause, words string) {
	w.t.Helper()
	var seen []any
	for _, entry := range w.log.FilterMessage("login-refused").All() {
		m := entry.ContextMap()
		if s, _ := m["error"].(string); m["cause"] == cause && strings.Contains(s, words) {
			return
		}
		seen = append(seen, m["cause"], m["error"])
	}
	w.t.Errorf("no login was refused by %s because of %q: %v", cause, words, seen)
}

// TestEAPTLSTellsTenantsApart: behind one pre-shared key, the authority that issued
// the client's certificate says whose client it is.
func TestEAPTLSTellsTenantsApart(t *testing.T) {
	a, b := newAuthority(t, "a"), newAuthority(t, "b")
	yaml := eapTLSConfig + a.server("a.example.org") + `
  - name: globex
    match: {realms: [globex]}
    psk: ["correct horse battery staple"]
    auth: {allow: [eap-tls]}
    pool: [10.100.1.0/24]
` + b.server("b.example.org")
	inWorld(t, goodRoad, yaml, func(t *testing.T, w *world) {
		for tenant, x := range map[string]*authority{"acme": a, "globex": b} {
			c := w.client(nil)
			c.wantPing(c.mustDial(a.byTLS(x.client("carol"))), "198.18.0.2")
			w.wantLog("session-up", "tenant", tenant)
		}
	})
}

// TestEAPTLSOfOneAuthority: where both tenants trust the authority, the realm in the
// certificate's name says whose client it is, and nobody is let in by guess.
func TestEAPTLSOfOneAuthority(t *testing.T) {
	a := newAuthority(t, "a")
	lines := a.server("a.example.org")
	named, nameless := a.client("carol@globex"), a.client("carol")
	yaml := strings.Replace(eapTLSConfig, "    default: true\n", "", 1) + lines + `
  - name: globex
    match: {realms: [globex]}
    psk: ["correct horse battery staple"]
    auth: {allow: [eap-tls]}
    pool: [10.100.1.0/24]
` + lines
	inWorld(t, goodRoad, yaml, func(t *testing.T, w *world) {
		for _, carrier := range []func(*dialer.DialConfig){func(*dialer.DialConfig) {}, a.trusts("a.example.org")} {
			c := w.client(nil)
			c.wantPing(c.mustDial(carrier, a.byTLS(named)), "198.18.0.2")
			w.client(nil).wantRefused(carrier, a.byTLS(nameless))
		}
		for _, up := range w.log.FilterMessage("session-up").All() {
			if m := up.ContextMap(); m["tenant"] != "globex" || m["user"] != "carol" {
				t.Errorf("session of %v at %v", m["user"], m["tenant"])
			}
		}
		w.wantRefusal("several tenants take the certificate", "")
	})
}

// TestManyAuthorities: a client is told of some authorities, and of none when they are
// too many for it.
func TestManyAuthorities(t *testing.T) {
	root := newAuthority(t, "a").root()
	few := []*tenantState{{Tenant: &config.Tenant{CA: []*x509.Certificate{root}}}}
	if p := authoritiesOf(few); p == nil {
		t.Error("one is too many")
	}
	if p := authoritiesOf(slices.Repeat(few, maxAuthorities+1)); p != nil {
		t.Error("they are named")
	}
}
