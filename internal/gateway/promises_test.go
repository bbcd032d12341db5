package gateway

import (
	"context"
	"encoding/binary"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"go.uber.org/zap/zapcore"

	"github.com/culvert-vpn/culvert/dataplane"
	"github.com/culvert-vpn/culvert/internal/dialer"
	"github.com/culvert-vpn/culvert/tenant/ipkt"
)

// promisesConfig has a tenant that takes whatever a user may log in by.
var promisesConfig = strings.Replace(testConfig, "auth: {", "auth: {allow: [mschapv2, eap-mschapv2, xauth, ikev2-psk], ", 1)

// TestRefusedLoginsSayWhy: a login that fails is one line in the log, with the tenant, the
// user, the address, the cause and what to do.
func TestRefusedLoginsSayWhy(t *testing.T) {
	a := newAuthority(t, "a")
	inWorld(t, goodRoad, promisesConfig+a.server(vpn), func(t *testing.T, w *world) {
		for name, how := range map[string]func(*dialer.DialConfig){"L2TP": func(*dialer.DialConfig) {}, "XAUTH": byXAUTH, "IKEv2": a.trusts(vpn)} {
			before := len(w.log.All())
			c := w.client(nil)
			c.wantRefused(how, func(d *dialer.DialConfig) { d.Password = "wrong" })
			lines := 0
			for _, entry := range w.log.All()[before:] {
				if entry.Level < zapcore.WarnLevel {
					continue
				}
				lines++
				said := entry.ContextMap()
				if entry.Message != "login-refused" || said["tenant"] != "acme" || said["user"] != "alice" || said["cause"] != "wrong password" ||
					!strings.HasPrefix(fmt.Sprint(said["client"]), c.local.String()) || len(fmt.Sprint(said["hint"])) < 20 {
					t.Errorf("%s: %s %v", name, entry.Message, said)
				}
			}
			if lines != 1 {
				t.Errorf("%s: %d lines", name, lines)
			}
		}
	})
}

// TestNoSecretIsLogged: of keys and passwords, right ones and wrong ones, nothing is in the
// log, whatever the protocol and however much is said.
func TestNoSecretIsLogged(t *testing.T) {
	a := newAuthority(t, "a")
	inWorld(t, goodRoad, promisesConfig+a.server(vpn), func(t *testing.T, w *world) {
		w.stop()
		<-w.ended
		w.level = zapcore.DebugLevel
		w.start()
		const badPassword, badKey = "another-password-1", "another-key-2"
		for _, how := range []func(*dialer.DialConfig){
			func(*dialer.DialConfig) {},
			byXAUTH, a.trusts(vpn), byKeyAs("carol"),
		} {
			c := w.client(nil)
			conn := c.mustDial(how)
			c.wantPing(conn, "198.18.0.2")
			conn.Close(context.Background())
			<-conn.Done()
			ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
			_, _ = w.client(nil).dial(ctx, how, func(d *dialer.DialConfig) { d.Password = badPassword })
			_, _ = w.client(nil).dial(ctx, how, func(d *dialer.DialConfig) { d.PSK = []byte(badKey) })
			cancel()
		}
		debug := 0
		for _, entry := range w.log.All() {
			line := entry.Message + fmt.Sprint(entry.ContextMap())
			for _, secret := range []string{testPSK, "alicepw", "bobpw", badPassword, badKey} {
				if strings.Contains(line, secret) || strings.Contains(line, fmt.Sprintf("%x", secret)) || strings.Contains(line, fmt.Sprint([]byte(secret))) {
					t.Errorf("the log has %q: %s", secret, line)
				}
			}
			if entry.Level == zapcore.DebugLevel {
				debug++
			}
		}
		if debug == 0 {
			t.Error("nothing was logged at level debug")
		}
	})
}

// TestDialledAddressTellsTenants: tenants may share a key and have users of one name, if
// each is dialled at an address of its own.
func TestDialledAddressTellsTenants(t *testing.T) {
	const yaml = `
listen: [203.0.113.1, 203.0.113.2]
tenants:
  - {name: acme, match: {local: [203.0.113.1]}, psk: ["correct horse battery staple"], pool: [10.1.0.0/24], auth: {local: {users: [{name: alice, password: alicepw}]}}}
  - {name: globex, match: {local: [203.0.113.2]}, psk: ["correct horse battery staple"], pool: [10.2.0.0/24], auth: {local: {users: [{name: alice, password: another}]}}}
`
	inWorld(t, goodRoad, yaml, func(t *testing.T, w *world) {
		for addr, want := range map[string]string{"203.0.113.1": "acme", "203.0.113.2": "globex"} {
			for password, of := range map[string]string{"alicepw": "acme", "another": "globex"} {
				got := w.tenantOf(func(d *dialer.DialConfig) {
					d.Server, d.ServerNATT = netip.MustParseAddrPort(addr+":500"), netip.MustParseAddrPort(addr+":4500")
					d.Password = password
				})
				if got != want && of == want || got != "" && of != want {
					t.Errorf("at %s with the password of %s's: got into %q", addr, of, got)
				}
			}
		}
	})
}

// TestSessionTimeout: a session lasts as long as the tenant says, however it is used.
func TestSessionTimeout(t *testing.T) {
	a := newAuthority(t, "a")
	inWorld(t, goodRoad, promisesConfig+a.server(vpn)+"    limits: {session_timeout: 10m}\n", func(t *testing.T, w *world) {
		for name, how := range map[string]func(*dialer.DialConfig){"L2TP": func(*dialer.DialConfig) {}, "XAUTH": byXAUTH, "IKEv2": a.trusts(vpn)} {
			c := w.client(nil)
			conn := c.mustDial(how)
			for range 9 {
				time.Sleep(time.Minute)
				c.wantPing(conn, "198.18.0.2")
			}
			select {
			case <-conn.Done():
			case <-time.After(2 * time.Minute):
				t.Errorf("%s goes on", name)
			}
		}
		time.Sleep(2 * time.Minute)
		w.wantEmpty()
	})
}

// TestMovedClientGetsLittleUntilItAnswers: whoever has a client's packets come from elsewhere
// has at most 4 MB sent there, whatever the client is being sent; when it answers, it goes on.
func TestMovedClientGetsLittleUntilItAnswers(t *testing.T) {
	a := newAuthority(t, "a")
	inWorld(t, goodRoad, promisesConfig+a.server(vpn), func(t *testing.T, w *world) {
		for name, how := range map[string]func(*dialer.DialConfig){"L2TP": func(*dialer.DialConfig) {}, "IKEv2": a.trusts(vpn)} {
			nat := w.net.NAT(w.addr("198.51.100." + fmt.Sprint(len(name))))
			c := w.client(nat)
			conn := c.mustDial(how)
			c.wantPing(conn, "198.18.0.2")
			nat.Rebind()
			sent := 0
			w.net.Tap(func(from, _ netip.AddrPort, data []byte) bool {
				if from.Addr().String() != serverAddr {
					return true
				}
				if len(data) > 1000 {
					sent += len(data)
				}
				return false
			})
			c.ping(conn, w.addr("198.18.0.2"), time.Second)
			pkt := append(echoRequest(w.addr("198.18.0.2"), conn.Local, 0), make([]byte, 1200)...)
			binary.BigEndian.PutUint16(pkt[2:], uint16(len(pkt)))
			ipkt.SetHeaderChecksum(pkt[:20])
			for range 80 {
				for range 100 {
					w.nets["acme"].send(slices.Clone(pkt))
				}
				time.Sleep(10 * time.Millisecond)
			}
			if sent < 3<<20 || sent > 5<<20 || w.server.server.engine.Plane.Drops()[dataplane.DropUnproven] < 1000 {
				t.Errorf("%s: %d bytes were sent, and dropped: %v", name, sent, w.server.server.engine.Plane.Drops())
			}
			w.net.Tap(nil)
			time.Sleep(30 * time.Second)
			if !c.ping(conn, w.addr("198.18.0.2"), time.Minute) {
				t.Errorf("%s: nothing goes on when it has answered", name)
			}
		}
	})
}
