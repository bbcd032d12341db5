package gateway

import (
	"context"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/culvert-vpn/culvert/internal/dialer"
)

var byWays = map[string]func(a *authority) (yaml string, edit func(*dialer.DialConfig)){
	"EAP": func(a *authority) (string, func(*dialer.DialConfig)) {
		return testConfig + a.server(vpn), a.trusts(vpn)
	},
	"certificate": func(a *authority) (string, func(*dialer.DialConfig)) {
		shown := a.client("alice")
		return testConfig + a.server(vpn), func(d *dialer.DialConfig) { a.trusts(vpn)(d); d.V2.Certificate = shown }
	},
	"PSK": func(a *authority) (string, func(*dialer.DialConfig)) {
		return strings.Replace(testConfig, "auth: {", "auth: {allow: [ikev2-psk], ", 1), func(d *dialer.DialConfig) { d.V2 = &dialer.DialV2{}; d.Identity = "site" }
	},
}

// A phone and a laptop of one user behind one NAT both stay, although each says at its
// dial that it has no other connection.
func TestSecondDeviceBehindOneNAT(t *testing.T) {
	for name, way := range byWays {
		t.Run(name, func(t *testing.T) {
			yaml, edit := way(newAuthority(t, "a"))
			inWorld(t, goodRoad, yaml, func(t *testing.T, w *world) {
				nat := w.net.NAT(w.addr("198.51.100.7"))
				phone, laptop := w.client(nat), w.client(nat)
				first := phone.mustDial(edit)
				time.Sleep(30 * time.Second)
				second := laptop.mustDial(edit)
				for range 12 {
					time.Sleep(5 * time.Second)
					phone.wantPing(first, "198.18.0.2")
					laptop.wantPing(second, "198.18.0.2")
				}
				if list := w.sessions(); len(list) != 2 || list[0].Address == list[1].Address {
					t.Errorf("sessions %+v", list)
				}
			})
		})
	}
}

// A client that has lost the network, and dials again from another port of its NAT, gets
// the address that it had.
func TestAddressIsKeptOverARedial(t *testing.T) {
	for name, way := range byWays {
		for _, asks := range []bool{false, true} {
			t.Run(name, func(t *testing.T) {
				yaml, edit := way(newAuthority(t, "a"))
				inWorld(t, goodRoad, yaml, func(t *testing.T, w *world) {
					nat := w.net.NAT(w.addr("198.51.100.7"))
					c := w.client(nat)
					had := c.mustDial(edit).Local
					w.net.Tap(func(netip.AddrPort, netip.AddrPort, []byte) bool { return false })
					time.Sleep(25 * time.Second)
					c.close() // without a word
					c.stop = func() {}
					nat.Rebind()
					w.net.Tap(nil)
					began := time.Now()
					conn := w.clientAt(c.local, nat.Listen).mustDial(edit, func(d *dialer.DialConfig) {
						if asks {
							d.Wish = had
						}
					})
					if took := time.Since(began); took > 5*time.Second {
						t.Errorf("it waits for %v", took)
					}
					if conn.Local != had {
						t.Errorf("asks %v: %v, and had %v", asks, conn.Local, had)
					}
					w.wantLog("session-down", "reason", "replaced by a new connection of the peer")
				})
			})
		}
	}
}

// A client that makes its new connection before it breaks the old one, and asks for its
// address, keeps it, and no packet is lost meanwhile.
func TestReauthenticationKeepsTheAddress(t *testing.T) {
	for name, way := range byWays {
		t.Run(name, func(t *testing.T) {
			yaml, edit := way(newAuthority(t, "a"))
			inWorld(t, goodRoad, yaml, func(t *testing.T, w *world) {
				c := w.client(nil)
				old := c.mustDial(edit)
				for range 3 {
					dev := c.dev
					fresh := c.mustDial(edit, func(d *dialer.DialConfig) { d.Wish = old.Local })
					if fresh.Local != old.Local {
						t.Fatalf("%v, and had %v", fresh.Local, old.Local)
					}
					// The client still uses the old one, and then the new one.
					next := c.dev
					for _, d := range []*echoDevice{dev, next, next} {
						if !d.echo(old.Local, w.addr("198.18.0.2"), time.Second) {
							t.Fatal("a packet is lost")
						}
					}
					old.Close(context.Background())
					<-old.Done()
					for range 3 {
						if !next.echo(old.Local, w.addr("198.18.0.2"), time.Second) {
							t.Fatal("a packet is lost after the old one was closed")
						}
						time.Sleep(4 * time.Second)
					}
					old = fresh
				}
				if list := w.sessions(); len(list) != 1 || list[0].Address != old.Local {
					t.Errorf("sessions %+v", list)
				}
				old.Close(context.Background())
				<-old.Done()
				time.Sleep(time.Minute)
				w.wantEmpty()
			})
		})
	}
}
