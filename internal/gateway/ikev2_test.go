package gateway

import (
	"context"
	"crypto"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/culvert-vpn/culvert/ike"
	"github.com/culvert-vpn/culvert/ike/auth"
	ikepersona "github.com/culvert-vpn/culvert/ike/persona"
	"github.com/culvert-vpn/culvert/ike/wire"
	"github.com/culvert-vpn/culvert/internal/access"
	"github.com/culvert-vpn/culvert/internal/ca"
	"github.com/culvert-vpn/culvert/internal/config"
	"github.com/culvert-vpn/culvert/internal/dialer"
	"github.com/culvert-vpn/culvert/internal/store"
	"github.com/culvert-vpn/culvert/tenant"
	"go.uber.org/zap"
)

// authority is a CA of the tests in a directory, whose time is that of the
// bubble: midnight of the first of January 2000.
type authority struct {
	t   *testing.T
	dir string
	ca  *ca.CA
}

func newAuthority(t *testing.T, name string) *authority {
	t.Helper()
	return newAuthorityAt(t, name, "")
}

var bubbleStart = time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)

func (a *authority) path(name string) string { return filepath.Join(a.dir, name) }

// server issues a server's certificate and returns the lines of a tenant that has it.
func (a *authority) server(name string) string {
	a.t.Helper()
	if _, err := a.ca.Server(ca.ServerOptions{Names: []string{name}}); err != nil {
		a.t.Fatal(err)
	}
	return "    certificate: {chain: " + a.path(name+".crt") + ", key: " + a.path(name+".key") + "}\n" +
		"    ca: [" + a.path("ca.crt") + "]\n    crl: [" + a.path("crl.pem") + "]\n"
}

// client issues a client's certificate.
func (a *authority) client(name string) *ike.Certificate {
	a.t.Helper()
	issued, err := a.ca.Client(ca.ClientOptions{Name: name, Password: "pkcs12"})
	if err != nil {
		a.t.Fatal(err)
	}
	pair, err := tls.LoadX509KeyPair(a.path(name+".crt"), a.path(name+".key"))
	if err != nil {
		a.t.Fatal(err)
	}
	return &ike.Certificate{Chain: []*x509.Certificate{issued.Certificate}, Signer: pair.PrivateKey.(crypto.Signer)}
}

// trusts makes a call by IKEv2 to a server whose certificate a issued.
func (a *authority) trusts(name string) func(*dialer.DialConfig) {
	b, err := os.ReadFile(a.path("ca.crt"))
	if err != nil {
		a.t.Fatal(err)
	}
	roots, err := auth.ParseCertificates(b)
	if err != nil {
		a.t.Fatal(err)
	}
	trust := &auth.Trust{Roots: roots}
	return func(d *dialer.DialConfig) {
		d.PSK = nil
		d.V2 = &dialer.DialV2{Name: name, Authorities: roots, Verify: func(now time.Time, chain []*x509.Certificate, _ wire.ID2) error {
			_, err := trust.Verify(now, chain, auth.PurposeServer)
			return err
		}}
	}
}

func with(c *ike.Certificate) func(*dialer.DialConfig) {
	return func(d *dialer.DialConfig) { d.V2.Certificate = c }
}

// wantRefused fails the test unless the dial fails by itself.
func (c *client) wantRefused(edits ...func(*dialer.DialConfig)) {
	c.w.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 3*time.Minute)
	defer cancel()
	if _, err := c.dial(ctx, edits...); err == nil || ctx.Err() != nil {
		c.w.t.Errorf("dial: %v", err)
	}
}

const vpn = "vpn.example.org"

func TestIKEv2EAP(t *testing.T) {
	a := newAuthority(t, "a")
	inWorld(t, goodRoad, testConfig+a.server(vpn), func(t *testing.T, w *world) {
		c := w.client(nil)
		conn := c.mustDial(a.trusts(vpn))
		c.wantPing(conn, "198.18.0.2")
		w.wantLog("session-up", "user", "alice")
		w.wantLog("session-up", "family", "other")
		w.wantLog("session-up", "tenant", "acme")
		conn.Close(context.Background())
		<-conn.Done()
		w.client(nil).wantRefused(a.trusts(vpn), func(d *dialer.DialConfig) { d.Password = "wrong" })
		w.wantLog("login-refused", "cause", "wrong password")
		w.client(nil).wantRefused(a.trusts(vpn), func(d *dialer.DialConfig) { d.User = "mallory" })
		w.wantLog("login-refused", "cause", "unknown user")
		w.client(nil).wantRefused(a.trusts("other.example.org"))
		time.Sleep(2 * time.Minute)
		w.wantEmpty()
		w.wantLog("session-down", "user", "alice")
	})
}

func TestIKEv2Certificate(t *testing.T) {
	a, b := newAuthority(t, "a"), newAuthority(t, "b")
	good, bad := a.client("carol"), a.client("mallory")
	lines := a.server(vpn)
	if _, err := a.ca.Revoke("mallory", "keyCompromise"); err != nil {
		t.Fatal(err)
	}
	if err := a.ca.WriteCRL(time.Hour); err != nil {
		t.Fatal(err)
	}
	inWorld(t, goodRoad, testConfig+lines, func(t *testing.T, w *world) {
		c := w.client(nil)
		c.wantPing(c.mustDial(a.trusts(vpn), with(good)), "198.18.0.2")
		w.wantLog("session-up", "user", "carol")
		w.client(nil).wantRefused(a.trusts(vpn), with(bad))
		w.wantDetail("revoked")
		w.client(nil).wantRefused(a.trusts(vpn), with(b.client("eve")))
		w.wantDetail("unknown authority")
	})
}

// wantDetail fails the test unless an attempt was refused for that reason.
func (w *world) wantDetail(words string) {
	w.t.Helper()
	for _, entry := range w.log.FilterMessage("ike-refused").All() {
		if s, _ := entry.ContextMap()["detail"].(string); strings.Contains(s, words) {
			return
		}
	}
	w.t.Errorf("nobody was refused because of %q: %v", words, w.log.All())
}

func TestIKEv2PSK(t *testing.T) {
	byKey := func(d *dialer.DialConfig) { d.V2 = &dialer.DialV2{} }
	inWorld(t, goodRoad, testConfig, func(t *testing.T, w *world) {
		w.client(nil).wantRefused(byKey)
		w.wantLog("login-refused", "cause", "a key alone is not enough")
	})
	inWorld(t, goodRoad, strings.Replace(testConfig, "auth: {", "auth: {allow: [mschapv2, ikev2-psk], ", 1), func(t *testing.T, w *world) {
		c := w.client(nil)
		conn := c.mustDial(byKey)
		c.wantPing(conn, "198.18.0.2")
		other := w.client(nil) // by IKEv1, beside it
		other.wantPing(other.mustDial(), "198.18.0.2")
		w.client(nil).wantRefused(byKey, func(d *dialer.DialConfig) { d.PSK = []byte("wrong") })
		conn.Close(context.Background())
		other.close()
		c.close()
		time.Sleep(2 * time.Minute)
		w.wantEmpty()
	})
}

func TestIKEv2RekeyLosesNothing(t *testing.T) {
	a := newAuthority(t, "a")
	inWorld(t, goodRoad, testConfig+a.server(vpn), func(t *testing.T, w *world) {
		c := w.client(nil)
		conn := c.mustDial(a.trusts(vpn), func(d *dialer.DialConfig) { d.ChildLifetime, d.IKELifetime = 20*time.Second, 45*time.Second })
		w.wantLossless(c, conn)
	})
}

func TestIKEv2ServerRekeyLosesNothing(t *testing.T) {
	a := newAuthority(t, "a")
	yaml := testConfig + a.server(vpn) + "    ike: {lifetime: 45s, child_lifetime: 20s, rekey: {initiate: true}}\n"
	inWorld(t, goodRoad, yaml, func(t *testing.T, w *world) {
		c := w.client(nil)
		w.wantLossless(c, c.mustDial(a.trusts(vpn)))
	})
}

// TestIKEv2TwoTenants: two tenants on one address, each with an authority and a
// name of its own.
func TestIKEv2TwoTenants(t *testing.T) {
	a, b := newAuthority(t, "a"), newAuthority(t, "b")
	yaml := testConfig + a.server("a.example.org") + `
  - name: globex
    auth: {local: {users: [{name: alice, password: globexpw}]}}
    pool: [10.100.1.0/24]
` + b.server("b.example.org")
	certs := map[string]*ike.Certificate{"a": a.client("carol"), "b": b.client("carol")}
	inWorld(t, goodRoad, yaml, func(t *testing.T, w *world) {
		c, d := w.client(nil), w.client(nil)
		c.wantPing(c.mustDial(a.trusts("a.example.org")), "198.18.0.2")
		d.wantPing(d.mustDial(b.trusts("b.example.org"), func(d *dialer.DialConfig) { d.Password = "globexpw" }), "198.18.0.2")
		w.wantLog("session-up", "tenant", "acme")
		w.wantLog("session-up", "tenant", "globex")
		if w.nets["acme"].count() == 0 || w.nets["globex"].count() == 0 {
			t.Error("a tenant's network saw nothing")
		}
		w.client(nil).wantRefused(b.trusts("b.example.org")) // acme's password
		w.client(nil).wantRefused(b.trusts("b.example.org"), with(certs["a"]))
		e := w.client(nil)
		e.wantPing(e.mustDial(b.trusts("b.example.org"), with(certs["b"])), "198.18.0.2")
	})
}

func TestIKEv2NATRebinds(t *testing.T) {
	a := newAuthority(t, "a")
	inWorld(t, goodRoad, testConfig+a.server(vpn), func(t *testing.T, w *world) {
		nat := w.net.NAT(w.addr("198.51.100.7"))
		c := w.client(nat)
		conn := c.mustDial(a.trusts(vpn))
		c.wantPing(conn, "198.18.0.2")
		nat.Rebind()
		c.ping(conn, w.addr("198.18.0.2"), time.Second)
		c.wantPing(conn, "198.18.0.2")
	})
}

// TestIKEv2RedialTakesItsAddress: a user with an address of his own gets it again,
// however he comes.
func TestIKEv2RedialTakesItsAddress(t *testing.T) {
	a := newAuthority(t, "a")
	inWorld(t, goodRoad, testConfig+a.server(vpn)+"    leases: {alice: 10.100.1.77}\n", func(t *testing.T, w *world) {
		for _, edits := range [][]func(*dialer.DialConfig){{a.trusts(vpn)}, {a.trusts(vpn)}, nil, {a.trusts(vpn)}} {
			c := w.client(nil)
			conn := c.mustDial(edits...)
			c.wantPing(conn, "198.18.0.2")
			if conn.Local != w.addr("10.100.1.77") {
				t.Errorf("got %s", conn.Local)
			}
		}
	})
}

// TestIKEv2AssignsBothFamilies: an address of each family, and the routes and DNS
// of the tenant.
func TestIKEv2AssignsBothFamilies(t *testing.T) {
	a := newAuthority(t, "a")
	yaml := strings.Replace(testConfig, "pool: [10.100.1.0/24]", `pool: [10.100.1.0/24, "2001:db8:1::/48"]`, 1) + a.server(vpn) +
		"    routes: [198.18.0.0/16]\n    domains: [office.example]\n"
	inWorld(t, goodRoad, yaml, func(t *testing.T, w *world) {
		c := w.client(nil)
		conn := c.mustDial(a.trusts(vpn))
		c.wantPing(conn, "198.18.0.2")
		if !conn.Local6.IsValid() || len(conn.DNS) != 2 || len(conn.Domains) != 1 || conn.Domains[0] != "office.example" {
			t.Errorf("got %s and DNS %v for %v", conn.Local6, conn.DNS, conn.Domains)
		}
		if got := conn.Granted; len(got.Subnets) != 1 || got.Subnets[0].String() != "198.18.0.0/16" {
			t.Errorf("granted %+v", got)
		}
		conn.Close(context.Background())
		<-conn.Done()
		time.Sleep(time.Minute)
		w.wantEmpty()
	})
}

// TestIKEv2Personas: the clients of each system get in, from behind one NAT.
func TestIKEv2Personas(t *testing.T) {
	a := newAuthority(t, "a")
	inWorld(t, goodRoad, testConfig+a.server(vpn)+"    legacy: true\n", func(t *testing.T, w *world) {
		nat := w.net.NAT(w.addr("198.51.100.7"))
		for _, persona := range ikepersona.NamesV2() {
			c := w.client(nat)
			c.wantPing(c.mustDial(a.trusts(vpn), func(d *dialer.DialConfig) { d.Persona = persona }), "198.18.0.2")
		}
		for _, family := range []string{"windows10", "apple", "android", "strongswan"} {
			w.wantLog("session-up", "family", family)
		}
	})
}

// TestIKEv2Credentials: what culvert connect makes of its files.
func TestIKEv2Credentials(t *testing.T) {
	a := newAuthority(t, "a")
	lines := a.server(vpn)
	a.client("carol")
	read := func(name string) []byte {
		b, err := os.ReadFile(a.path(name))
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	byUser, err := dialer.NewDialV2(vpn, dialer.Credentials{Authorities: read("ca.crt")})
	if err != nil {
		t.Fatal(err)
	}
	byCert, err := dialer.NewDialV2(vpn, dialer.Credentials{Authorities: read("ca.crt"), Chain: read("carol.crt"), Key: read("carol.key")})
	if err != nil {
		t.Fatal(err)
	}
	inWorld(t, goodRoad, testConfig+lines, func(t *testing.T, w *world) {
		for _, v2 := range []*dialer.DialV2{byUser, byCert} {
			if named := v2.Authorities; len(named) != 1 || named[0].Subject.CommonName == "" {
				t.Errorf("the server is asked for a certificate of %d authorities", len(named))
			}
			c := w.client(nil)
			c.wantPing(c.mustDial(func(d *dialer.DialConfig) { d.PSK, d.V2 = nil, v2 }), "198.18.0.2")
		}
	})
	if _, err := dialer.NewDialV2(vpn, dialer.Credentials{Authorities: []byte("nonsense")}); err == nil {
		t.Error("nonsense is an authority")
	}
	if _, err := dialer.NewDialV2(vpn, dialer.Credentials{Chain: read("carol.crt"), Key: read("ca.key")}); err == nil {
		t.Error("a key of another certificate is taken")
	}
}

// TestIKEv2Transport: L2TP within IKEv2, where PPP says who it is.
func TestIKEv2Transport(t *testing.T) {
	inWorld(t, goodRoad, testConfig, func(t *testing.T, w *world) {
		c := w.client(nil)
		conn := c.mustDial(func(d *dialer.DialConfig) { d.V2 = &dialer.DialV2{Transport: true} })
		c.wantPing(conn, "198.18.0.2")
		w.wantLog("session-up", "user", "alice")
		conn.Close(context.Background())
		<-conn.Done()
		time.Sleep(2 * time.Minute)
		w.wantEmpty()
	})
}

// TestIKEv2Mobike: a client whose address changes tells the server, and goes on.
func TestIKEv2Mobike(t *testing.T) {
	a := newAuthority(t, "a")
	inWorld(t, goodRoad, testConfig+a.server(vpn), func(t *testing.T, w *world) {
		one, two := w.addr("192.0.2.51"), w.addr("192.0.2.52")
		conf := &config.Config{Listen: []netip.Addr{one, two}, Workers: 1, Ports: config.Ports{IKE: 500, NATT: 4500}}
		g, err := dialer.New(dialer.Config{Addresses: conf.Listen, IKEPort: conf.Ports.IKE, NATTPort: conf.Ports.NATT, Listen: w.net.Listen})
		if err != nil {
			t.Fatal(err)
		}
		c := &client{w: w, local: one}
		c.g, c.stop, c.ended = run(g)
		w.clients = append(w.clients, c)
		conn := c.mustDial(a.trusts(vpn))
		c.wantPing(conn, "198.18.0.2")
		err = g.Engine.Work.Do(context.Background(), func(now time.Time) {
			for id, p := range g.Engine.Table.Peers {
				path := p.Path
				path.Local = netip.AddrPortFrom(two, path.Local.Port())
				if err := g.Engine.IKE.Readdress(now, ike.Peer(id), path); err != nil {
					t.Error(err)
				}
			}
		})
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Second)
		w.net.Tap(func(from, to netip.AddrPort, _ []byte) bool { return from.Addr() != one && to.Addr() != one })
		for range 20 {
			c.wantPing(conn, "198.18.0.2")
			time.Sleep(10 * time.Second)
		}
		w.wantLog("peer-moved", "to", "192.0.2.52:4500")
	})
}

// saysOf is what the authority has against somebody who needs no password.
func (g *logins) saysOf(t *testing.T, who access.Who) access.Refusal {
	t.Helper()
	now := time.Now()
	g.authority.Ask(now, 1, who, access.Shown{})
	work, _ := g.authority.Next()
	g.authority.Worked(now, 1, work.(access.Work).Do())
	answer, _ := g.authority.Next()
	return answer.(access.Answer).Refusal
}

// TestIKEv2DisabledUser: who has a certificate and an account that is disabled
// does not get in.
func TestIKEv2DisabledUser(t *testing.T) {
	kept, err := store.Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer kept.Close()
	g := newLogins(newServer(Config{Store: kept, Log: zap.NewNop()}))
	selector, err := tenant.NewSelector([]tenant.Names{{Tenant: "acme", Realms: []string{"acme"}}})
	if err != nil {
		t.Fatal(err)
	}
	g.server.roster = newRoster(nil, selector)
	acme := &tenantState{Name: "acme", Tenant: &config.Tenant{Name: "acme"}}
	if why := g.saysOf(t, g.server.shown(acme, "carol", nil)); why != access.None {
		t.Errorf("without an account: %+v", why)
	}
	if err := kept.AddUser("acme", store.User{Name: "carol"}); err != nil {
		t.Fatal(err)
	}
	if why := g.saysOf(t, g.server.shown(acme, "carol", nil)); why != access.None {
		t.Errorf("with an account: %+v", why)
	}
	if err := kept.SetDisabled("acme", "carol", true); err != nil {
		t.Fatal(err)
	}
	if why := g.saysOf(t, g.server.shown(acme, "carol", nil)); why != access.Disabled {
		t.Errorf("disabled: %+v", why)
	}
	// The name that the client goes by is its choice among those of its certificate.
	names := &x509.Certificate{Subject: pkix.Name{CommonName: "carol"}, DNSNames: []string{"carol.example.org"}}
	if why := g.saysOf(t, g.server.shown(acme, "carol.example.org", []*x509.Certificate{names})); why != access.Disabled {
		t.Errorf("disabled, by another name: %+v", why)
	}
	names.Subject.CommonName, names.EmailAddresses = "c", []string{"carol@acme"}
	if why := g.saysOf(t, g.server.shown(acme, "carol.example.org", []*x509.Certificate{names})); why != access.Disabled {
		t.Errorf("disabled, by a name with the realm: %+v", why)
	}
	names.EmailAddresses = nil
	if why := g.saysOf(t, g.server.shown(acme, "carol.example.org", []*x509.Certificate{names})); why != access.None {
		t.Errorf("another: %+v", why)
	}
}
