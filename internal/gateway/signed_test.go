package gateway

import (
	"context"
	"crypto/rand"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/culvert-vpn/culvert/internal/ca"
	"github.com/culvert-vpn/culvert/internal/dialer"
)

// newRSAAuthority is an authority whose certificates have RSA keys, with one for the
// server and one for a client called laptop. The lines are of a tenant beside acme.
func newRSAAuthority(t *testing.T) (*authority, string) {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "rsa")
	x, err := ca.Init(dir, ca.Options{Name: "rsa", Now: bubbleStart, Rand: rand.Reader})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { x.Close() })
	a := &authority{t: t, dir: dir, ca: x}
	a.client("laptop")
	return a, "  - name: beta\n    pool: [10.9.0.0/24]\n    auth: {local: {users: [{name: alice, password: alicepw}]}}\n" + a.server(vpn)
}

// signed makes a call by IKEv1 with a certificate of a's.
func (a *authority) signed(name string) func(*dialer.DialConfig) {
	a.t.Helper()
	read := func(name string) []byte {
		b, err := os.ReadFile(a.path(name))
		if err != nil {
			a.t.Fatal(err)
		}
		return b
	}
	s, err := dialer.NewDialSigned(vpn, dialer.Credentials{Authorities: read("ca.crt"), Chain: read(name + ".crt"), Key: read(name + ".key")})
	if err != nil {
		a.t.Fatal(err)
	}
	return func(d *dialer.DialConfig) { d.PSK, d.Signed = nil, s }
}

// TestSigned: L2TP with certificates in place of the key, beside a tenant with one.
// The certificate says whose client it is, and PPP asks who.
func TestSigned(t *testing.T) {
	a, beta := newRSAAuthority(t)
	good := a.signed("laptop")
	beta = strings.Replace(beta, "name: beta\n", "name: beta\n    match: {certificate_identity: strict}\n", 1)
	inWorld(t, goodRoad, testConfig+beta, func(t *testing.T, w *world) {
		c := w.client(nil)
		conn := c.mustDial(good)
		c.wantPing(conn, "198.18.0.2")
		if conn.Local.As4()[1] != 9 {
			t.Errorf("given %v", conn.Local)
		}
		w.wantLog("session-up", "tenant", "beta")
		w.wantLog("session-up", "user", "alice")
		conn.Close(context.Background())
		<-conn.Done()
		byKey := w.client(nil)
		byKey.wantPing(byKey.mustDial(), "198.18.0.2")
		w.wantLog("session-up", "tenant", "acme")

		w.client(nil).wantRefused(good, func(d *dialer.DialConfig) { d.Password = "wrong" })
		w.wantLog("login-refused", "cause", "wrong password")
		w.client(nil).wantRefused(good, func(d *dialer.DialConfig) { d.Identity = "somebody.example.org" })
		w.wantDetail("has another name")

		in := w.client(nil)
		conn = in.mustDial(good)
		a.revoke("laptop")
		select {
		case <-conn.Done():
		case <-time.After(time.Minute):
			t.Error("who has a certificate that was taken back is still in")
		}
		w.wantLog("session-down", "reason", "the certificate was revoked")
	})
}

// TestGroups: aggressive mode leads to the tenant that has the group, and to nobody
// where none has groups.
func TestGroups(t *testing.T) {
	const beta = `  - name: beta
    match: {groups: [field-staff]}
    psk: [battery-staple-horse-correct, the-next-key-of-the-group]
    pool: [10.9.0.0/24]
    auth: {local: {users: [{name: alice, password: alicepw}]}}
`
	as := func(group, psk string) func(*dialer.DialConfig) {
		return func(d *dialer.DialConfig) { d.Group, d.PSK = group, []byte(psk) }
	}
	inWorld(t, goodRoad, testConfig+beta, func(t *testing.T, w *world) {
		c := w.client(nil)
		conn := c.mustDial(as("field-staff", "battery-staple-horse-correct"))
		c.wantPing(conn, "198.18.0.2")
		w.wantLog("session-up", "tenant", "beta")
		byKey := w.client(nil) // the key alone opens the tenant as ever
		byKey.wantPing(byKey.mustDial(as("", "the-next-key-of-the-group")), "198.18.0.2")
		w.client(nil).wantRefused(as("field-staff", testPSK))
		w.client(nil).wantRefused(as("nobody", "battery-staple-horse-correct"))
		w.wantDetail(`calls itself ID_KEY_ID "nobody"`)
	})
	inWorld(t, goodRoad, testConfig, func(t *testing.T, w *world) {
		w.client(nil).wantRefused(as("field-staff", testPSK))
		w.wantLog("ike-refused", "cause", "aggressive mode refused")
	})
}
