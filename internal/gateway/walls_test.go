package gateway

import (
	"context"
	"crypto/rand"
	"crypto/x509"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/culvert-vpn/culvert/ike"
	"github.com/culvert-vpn/culvert/ike/auth"
	"github.com/culvert-vpn/culvert/ike/wire"
	"github.com/culvert-vpn/culvert/internal/ca"
	"github.com/culvert-vpn/culvert/internal/dialer"
)

// doors are two tenants that show one certificate and have keys and authorities of
// their own: acme with alice, globex with gina.
type doors struct {
	shown  *authority            // who issued the server's certificate
	own    map[string]*authority // who issues those of each tenant's clients
	keys   map[string]string
	laptop map[string]*ike.Certificate
}

const allLogins = "[mschapv2, eap-mschapv2, eap-tls, certificate, ikev2-psk, xauth]"

func newDoors(t *testing.T) (*doors, string) {
	t.Helper()
	d := &doors{own: make(map[string]*authority), keys: map[string]string{"acme": testPSK, "globex": "another key of globex, long and random"},
		laptop: make(map[string]*ike.Certificate)}
	d.shown = newRSA(t, "shown")
	server := strings.Split(d.shown.server(vpn), "\n")[0] + "\n"
	yaml := "listen: [203.0.113.1]\ntenants:\n"
	for i, x := range []struct{ tenant, user string }{{"acme", "alice"}, {"globex", "gina"}} {
		a := newRSA(t, x.tenant)
		d.own[x.tenant], d.laptop[x.tenant] = a, a.client("laptop")
		yaml += "  - name: " + x.tenant + "\n    match: {realms: [" + x.tenant + "]}\n    psk: [\"" + d.keys[x.tenant] + "\"]\n" +
			"    auth: {allow: " + allLogins + ", local: {users: [{name: " + x.user + ", password: " + x.user + "pw}]}}\n" +
			"    pool: [10." + string(rune('1'+i)) + "00.1.0/24]\n" + server + "    ca: [" + a.path("ca.crt") + "]\n"
	}
	return d, yaml
}

func newRSA(t *testing.T, name string) *authority {
	t.Helper()
	dir := filepath.Join(t.TempDir(), name)
	x, err := ca.Init(dir, ca.Options{Name: name, Now: bubbleStart, Rand: rand.Reader})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { x.Close() })
	return &authority{t: t, dir: dir, ca: x}
}

// certified calls by IKEv1 with the certificate of a tenant's laptop.
func (d *doors) certified(c *dialer.DialConfig, of string) {
	trust := &auth.Trust{Roots: []*x509.Certificate{d.shown.root()}}
	c.PSK, c.Signed = nil, &dialer.DialSigned{Name: vpn, Certificate: d.laptop[of], Verify: func(now time.Time, chain []*x509.Certificate, _ wire.ID2) error {
		_, err := trust.Verify(now, chain, auth.PurposeServer)
		return err
	}}
}

// TestEveryLoginStaysInItsTenant: whatever the protocol, a key or a certificate opens
// the tenant that it is of, to the users of that tenant, with or without realm; and
// none opens another one, whoever's password there is beside it.
func TestEveryLoginStaysInItsTenant(t *testing.T) {
	d, yaml := newDoors(t)
	byKey := func(c *dialer.DialConfig, of string) { c.PSK = []byte(d.keys[of]) }
	v2 := func(c *dialer.DialConfig) { d.shown.trusts(vpn)(c) }
	logins := map[string]func(c *dialer.DialConfig, of string){
		"L2TP by key":         byKey,
		"L2TP by certificate": d.certified,
		"L2TP by key and EAP": func(c *dialer.DialConfig, of string) { byKey(c, of); c.AllowEAP = true },
		"XAUTH by key":        func(c *dialer.DialConfig, of string) { byKey(c, of); c.XAUTH = true },
		"XAUTH by certificate": func(c *dialer.DialConfig, of string) {
			d.certified(c, of)
			c.XAUTH = true
		},
		"IKEv2 by EAP":         func(c *dialer.DialConfig, _ string) { v2(c) },
		"IKEv2 by key":         func(c *dialer.DialConfig, of string) { byKey(c, of); c.V2, c.Identity = &dialer.DialV2{}, c.User },
		"IKEv2 by certificate": func(c *dialer.DialConfig, of string) { v2(c); c.V2.Certificate = d.laptop[of] },
		"IKEv2 by EAP-TLS":     func(c *dialer.DialConfig, of string) { v2(c); d.shown.byTLS(d.laptop[of])(c) },
		"L2TP by EAP-TLS":      func(c *dialer.DialConfig, of string) { byKey(c, of); d.shown.byTLS(d.laptop[of])(c) },
	}
	users := map[string]string{"alice": "acme", "alice@acme": "acme", "gina": "globex", "gina@globex": "globex"}
	for name, login := range logins {
		t.Run(name, func(t *testing.T) {
			allow := allLogins
			if name == "L2TP by EAP-TLS" { // MS-CHAPv2 would be asked for first
				allow = "[eap-tls]"
			}
			if name == "L2TP by key and EAP" {
				allow = "[eap-mschapv2]"
			}
			inWorld(t, goodRoad, strings.ReplaceAll(yaml, allLogins, allow), func(t *testing.T, w *world) {
				for key := range d.keys {
					for user, home := range users {
						want := home
						switch {
						case name == "IKEv2 by EAP" && !strings.Contains(user, "@"):
							want = "" // there is no key, and no realm: nothing says whose it is
						case name == "IKEv2 by EAP":
						case strings.Contains(name, "TLS"), name == "IKEv2 by certificate", name == "IKEv2 by key":
							want = key // which say who it is, or name no user
						case home != key:
							want = ""
						}
						got := w.tenantOf(func(c *dialer.DialConfig) {
							c.User, c.Password = user, strings.Split(user, "@")[0]+"pw"
							login(c, key)
						})
						if got != want {
							t.Errorf("%s with the key of %s: got into %q, want %q", user, key, got, want)
						}
					}
				}
			})
		})
	}
}

// tenantOf dials, hangs up again, and says whose tenant that led into; empty: none.
func (w *world) tenantOf(edits ...func(*dialer.DialConfig)) string {
	w.t.Helper()
	c := w.client(nil)
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	conn, err := c.dial(ctx, edits...)
	if err != nil {
		return ""
	}
	defer func() { <-conn.Done() }()
	defer conn.Close(context.Background())
	time.Sleep(time.Second)
	list := w.sessions()
	if len(list) != 1 {
		w.t.Fatalf("sessions %+v", list)
	}
	return list[0].Tenant
}
