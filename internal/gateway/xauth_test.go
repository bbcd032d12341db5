package gateway

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/culvert-vpn/culvert/internal/config"
	"github.com/culvert-vpn/culvert/internal/dialer"
	"github.com/culvert-vpn/culvert/internal/engine"
)

// xauthConfig is testConfig with extended authentication beside L2TP.
var xauthConfig = strings.Replace(testConfig, "auth: {", "auth: {allow: [mschapv2, xauth], ", 1)

func byXAUTH(d *dialer.DialConfig) { d.XAUTH = true }

// TestXAUTH: clients of tunnel mode and of L2TP behind one key, by the same users.
func TestXAUTH(t *testing.T) {
	inWorld(t, goodRoad, xauthConfig, func(t *testing.T, w *world) {
		c := w.client(nil)
		conn := c.mustDial(byXAUTH, func(d *dialer.DialConfig) { d.User = "alice@acme" })
		c.wantPing(conn, "198.18.0.2")
		w.wantLog("session-up", "user", "alice")
		w.wantLog("session-up", "protocol", "xauth/ikev1")
		if list := w.sessions(); len(list) != 1 || list[0].Protocol != "xauth/ikev1" || list[0].User != "alice" {
			t.Errorf("sessions %+v", list)
		}
		l2tp := w.client(nil)
		l2tp.wantPing(l2tp.mustDial(func(d *dialer.DialConfig) { d.User, d.Password = "bob", "bobpw" }), "198.18.0.2")
		for cause, edit := range map[string]func(*dialer.DialConfig){
			"wrong password": func(d *dialer.DialConfig) { d.Password = "wrong" },
			"unknown user":   func(d *dialer.DialConfig) { d.User = "mallory" },
		} {
			w.client(nil).wantRefused(byXAUTH, edit)
			w.wantLog("login-refused", "cause", cause)
		}
		w.client(nil).wantRefused(byXAUTH, func(d *dialer.DialConfig) { d.PSK = []byte("another key") })
		w.wantLog("ike-refused", "cause", "wrong pre-shared key")
		conn.Close(context.Background())
		<-conn.Done()
		time.Sleep(time.Second)
		w.wantLog("session-down", "user", "alice")
	})
}

// TestXAUTHNotAllowed: it is off unless the tenant allows it.
func TestXAUTHNotAllowed(t *testing.T) {
	inWorld(t, goodRoad, testConfig, func(t *testing.T, w *world) {
		w.client(nil).wantRefused(byXAUTH)
		w.wantLog("ike-refused", "cause", "extended authentication is not allowed here")
		w.wantEmpty()
	})
}

// TestXAUTHSharedKey: of two tenants with one key only one allows it.
func TestXAUTHSharedKey(t *testing.T) {
	yaml := xauthConfig + `  - name: globex
    match: {realms: [globex]}
    psk: ["correct horse battery staple"]
    auth: {local: {users: [{name: alice, password: alicepw}]}}
    pool: [10.100.1.0/24]
`
	inWorld(t, goodRoad, yaml, func(t *testing.T, w *world) {
		c := w.client(nil)
		c.wantPing(c.mustDial(byXAUTH, func(d *dialer.DialConfig) { d.User = "alice@acme" }), "198.18.0.2")
		w.client(nil).wantRefused(byXAUTH, func(d *dialer.DialConfig) { d.User = "alice@globex" })
		w.wantLog("login-refused", "cause", "method not allowed")
	})
}

// TestXAUTHKeyOfAnotherTenant: whoever dials so with the right key of a tenant that does not
// allow it is not told that the key is wrong without a word of that.
func TestXAUTHKeyOfAnotherTenant(t *testing.T) {
	yaml := xauthConfig + `  - name: globex
    psk: ["another horse, another battery"]
    auth: {local: {users: [{name: alice, password: alicepw}]}}
    pool: [10.100.1.0/24]
`
	inWorld(t, goodRoad, yaml, func(t *testing.T, w *world) {
		w.client(nil).wantRefused(byXAUTH, func(d *dialer.DialConfig) { d.PSK = []byte("another horse, another battery") })
		w.wantDetail("tried 1 key of tenants with xauth in auth.allow, and of no others")
	})
}

// TestXAUTHSplit: a child SA for each of the tenant's routes, and packets of each
// network in its own.
func TestXAUTHSplit(t *testing.T) {
	inWorld(t, goodRoad, xauthConfig+"    routes: [198.18.0.0/16, 198.19.0.0/16]\n    domains: [corp.example]\n", func(t *testing.T, w *world) {
		c := w.client(nil)
		conn := c.mustDial(byXAUTH)
		time.Sleep(time.Second)
		got := conn.Granted
		if len(got.Subnets) != 3 || len(got.Domains) != 1 { // and the DNS server
			t.Errorf("granted %+v", got)
		}
		for range 3 { // each renewed by itself
			c.wantPing(conn, "198.18.0.2")
			c.wantPing(conn, "198.19.0.2")
			c.wantPing(conn, "198.18.0.3")
			time.Sleep(time.Hour)
		}
		for _, g := range []*engine.Engine{c.g.Engine, w.server.server.engine} {
			if n := ownWay(g, t); n != "" {
				t.Error(n)
			}
		}
		conn.Close(context.Background())
		<-conn.Done()
		time.Sleep(time.Minute)
		w.wantEmpty()
	})
}

// ownWay says which child SA of the only peer carried nothing, or what is not its own.
func ownWay(g *engine.Engine, t *testing.T) (wrong string) {
	t.Helper()
	err := g.Work.Do(context.Background(), func(time.Time) {
		for _, p := range g.Table.Peers {
			if ways := p.Ways(); len(ways) != 3 {
				wrong = fmt.Sprintf("%d ways", len(ways))
			}
		}
	})
	if err != nil {
		t.Error(err)
	}
	return wrong
}

// TestXAUTHRekeys: hours of renewals of both phases, by the client and by the
// server, as Apple's do at 48 minutes. The address stays, and no packet is lost.
func TestXAUTHRekeys(t *testing.T) {
	for name, lines := range map[string]string{"client": "", "server": "    ike: {lifetime: 20m, child_lifetime: 10m, rekey: {initiate: true}}\n"} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, goodRoad, xauthConfig+lines, func(t *testing.T, w *world) {
				c := w.client(nil)
				conn := c.mustDial(byXAUTH, func(d *dialer.DialConfig) {
					d.Persona = "ios"
					if name == "client" {
						d.IKELifetime, d.ChildLifetime = 48*time.Minute, 20*time.Minute
					}
				})
				c.wantPing(conn, "198.18.0.2")
				first := w.sessions()
				for range 2 * 60 * 6 {
					if !c.ping(conn, w.addr("198.18.0.2"), 5*time.Second) {
						t.Fatal("a packet is lost")
					}
					time.Sleep(10 * time.Second)
				}
				last := w.sessions()
				if len(first) != 1 || len(last) != 1 || last[0].ID != first[0].ID || last[0].Address != first[0].Address || last[0].Rekeys < 4 {
					t.Errorf("%+v, then %+v", first, last)
				}
				w.wantLog("session-up", "family", "apple")
			})
		})
	}
}

// TestXAUTHAnotherUserAtARenewal: who logs in as somebody else when phase 1 is renewed,
// which our side has begun, is refused, and what he had ends. The name is the same, and
// leads to another tenant since its realm is the default one.
func TestXAUTHAnotherUserAtARenewal(t *testing.T) {
	const renewals = "    ike: {lifetime: 20m, child_lifetime: 10m, rekey: {initiate: true}}\n"
	yaml := xauthConfig + renewals + `  - name: globex
    match: {realms: [globex]}
    psk: ["correct horse battery staple"]
    auth: {allow: [xauth], local: {users: [{name: alice, password: alicepw}]}}
    pool: [10.200.1.0/24]
` + renewals
	other := strings.Replace(yaml, "    default: true\n", "", 1)
	other = strings.Replace(other, "  - name: globex\n", "  - name: globex\n    default: true\n", 1)
	for name, next := range map[string]string{"same user": yaml, "another user": other} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, goodRoad, yaml, func(t *testing.T, w *world) {
				c := w.client(nil)
				conn := c.mustDial(byXAUTH)
				c.wantPing(conn, "198.18.0.2")
				before := w.sessions()
				conf, err := config.Parse("test.yaml", []byte(next))
				if err != nil {
					t.Fatal(err)
				}
				if _, err := w.server.Apply(t.Context(), conf); err != nil {
					t.Fatal(err)
				}
				c.wantPing(conn, "198.18.0.2")
				time.Sleep(30 * time.Minute)
				after := w.sessions()
				if name == "same user" {
					if len(after) != 1 || after[0].ID != before[0].ID || after[0].Rekeys == before[0].Rekeys {
						t.Errorf("%+v, then %+v", before, after)
					}
					return
				}
				if len(after) != 0 {
					t.Errorf("there are %+v", after)
				}
				w.wantLog("login-refused", "cause", "another user than before")
				w.wantLog("session-down", "user", "alice")
				w.wantLog("session-down", "tenant", "acme")
				w.wantLog("session-down", "reason", "another user than before")
				if n := w.log.FilterMessage("session-up").Len(); n != 1 {
					t.Errorf("%d sessions came up", n)
				}
			})
		})
	}
}

// TestXAUTHPersonas: the phones get in, from behind one NAT, under their own lists
// of algorithms.
func TestXAUTHPersonas(t *testing.T) {
	inWorld(t, goodRoad, xauthConfig+"    legacy: true\n", func(t *testing.T, w *world) {
		nat := w.net.NAT(w.addr("198.51.100.7"))
		for _, persona := range []string{"macos", "ios", "android", "chromeos"} {
			c := w.client(nat)
			c.wantPing(c.mustDial(byXAUTH, func(d *dialer.DialConfig) { d.Persona = persona }), "198.18.0.2")
		}
		for _, family := range []string{"apple", "android", "strongswan"} {
			w.wantLog("session-up", "family", family)
		}
	})
}

// TestXAUTHIdle: what is silent ends, and what is dead, too.
func TestXAUTHIdle(t *testing.T) {
	inWorld(t, goodRoad, xauthConfig+"    limits: {idle_timeout: 1m}\n", func(t *testing.T, w *world) {
		c := w.client(nil)
		conn := c.mustDial(byXAUTH)
		for range 4 {
			c.wantPing(conn, "198.18.0.2")
			time.Sleep(30 * time.Second)
		}
		time.Sleep(time.Minute)
		<-conn.Done()
		w.wantLog("session-down", "reason", "idle timeout")
		w.wantEmpty()
		dead := w.client(nil)
		dead.wantPing(dead.mustDial(byXAUTH), "198.18.0.2")
		dead.close()
		dead.stop = func() {}
		time.Sleep(10 * time.Minute)
		w.wantEmpty()
	})
}

// TestXAUTHSource: a client sends from the address it was given only.
func TestXAUTHSource(t *testing.T) {
	inWorld(t, goodRoad, xauthConfig, func(t *testing.T, w *world) {
		c := w.client(nil)
		conn := c.mustDial(byXAUTH)
		before := w.nets["acme"].seen
		if c.dev.echo(w.addr("10.100.1.200"), w.addr("198.18.0.2"), time.Second) || w.nets["acme"].seen != before {
			t.Error("a packet with another's source went through")
		}
		c.wantPing(conn, "198.18.0.2")
	})
}

// TestXAUTHSigned: certificates in phase 1, and then the name and password.
func TestXAUTHSigned(t *testing.T) {
	a, beta := newRSAAuthority(t)
	good := a.signed("laptop")
	beta = strings.Replace(beta, "auth: {", "auth: {allow: [mschapv2, certificate, xauth], ", 1)
	inWorld(t, goodRoad, testConfig+beta+"    ike: {lifetime: 20m, rekey: {initiate: true}}\n", func(t *testing.T, w *world) {
		c := w.client(nil)
		conn := c.mustDial(byXAUTH, good)
		for range 4 {
			c.wantPing(conn, "198.18.0.2")
			time.Sleep(15 * time.Minute)
		}
		w.wantLog("session-up", "tenant", "beta")
		w.wantLog("session-up", "user", "alice")
		w.client(nil).wantRefused(byXAUTH, good, func(d *dialer.DialConfig) { d.Password = "wrong" })
		w.wantLog("login-refused", "cause", "wrong password")
	})
}
