package gateway

import (
	"context"
	"crypto/rand"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/culvert-vpn/culvert/internal/dialer"
	"github.com/culvert-vpn/culvert/internal/engine"
	"github.com/culvert-vpn/culvert/l2tp"
	"github.com/culvert-vpn/culvert/ppp"
	"github.com/culvert-vpn/culvert/ppp/persona"
)

// nextDevice is the device of what comes up next in a call, which is not what it has now.
func (c *client) nextDevice() <-chan *echoDevice {
	c.next = make(chan *echoDevice, 1)
	return c.next
}

// speaksAs has the links of a client be those of another user from now on.
func (c *client) speaksAs(user, password string) {
	c.g.Engine.Config.Link = func(*engine.Peer, int) (ppp.Config, error) {
		own, _ := persona.Named("culvert")
		return ppp.Config{
			Role: ppp.Client, Rand: rand.Reader, Persona: own, MRU: maxMRU, User: user, Password: []byte(password),
			Auth: ppp.AuthPolicy{MSCHAPv2: true},
		}, nil
	}
}

// opened waits a while for it.
func (c *client) opened(next <-chan *echoDevice) {
	time.Sleep(10 * time.Second)
	select {
	case c.dev = <-next:
	default:
	}
}

// logInAgain has a client begin anew with PPP in its call, and log in as somebody.
func (c *client) logInAgain(user, password string) {
	c.w.t.Helper()
	var next <-chan *echoDevice
	err := c.g.Engine.Work.Do(context.Background(), func(now time.Time) {
		for _, s := range c.g.Engine.Table.Sessions {
			next = c.nextDevice()
			s.Link.Forget()
			c.g.Engine.Deadlines.Stop(s)
			c.speaksAs(user, password)
			link, err := c.g.Engine.Config.Link(s.Peer, maxMRU)
			if err != nil {
				c.w.t.Fatal(err)
			}
			if s.Link, err = ppp.NewLink(link); err != nil {
				c.w.t.Fatal(err)
			}
			s.Link.Start(now)
			c.g.Engine.Touch(s)
		}
		c.g.Engine.DrainAll(now)
	})
	if err != nil {
		c.w.t.Fatal(err)
	}
	c.opened(next)
}

// TestLoginAgainInOneLink: who logs in anew within a session is the same user, or the
// session ends. It never becomes somebody else's.
func TestLoginAgainInOneLink(t *testing.T) {
	yaml := strings.Replace(testConfig, "    default: true\n", "", 1) + `  - name: globex
    match: {realms: [globex]}
    psk: ["correct horse battery staple"]
    auth: {local: {users: [{name: alice, password: alicepw}]}}
    pool: [10.200.1.0/24]
`
	for _, x := range []struct{ user, password, cause string }{
		{"alice@acme", "alicepw", ""},
		{`ACME\Alice`, "alicepw", ""},
		{"bob@acme", "bobpw", "another user than before"},
		{"alice@globex", "alicepw", "another user than before"},
		{"alice@acme", "wrong", "wrong password"},
		{"mallory@acme", "wrong", "unknown user"},
	} {
		t.Run(x.user+" "+x.password, func(t *testing.T) {
			inWorld(t, goodRoad, yaml, func(t *testing.T, w *world) {
				c := w.client(nil)
				conn := c.mustDial(func(d *dialer.DialConfig) { d.User = "alice@acme" })
				c.wantPing(conn, "198.18.0.2")
				before := w.sessions()
				first := c.dev
				defer first.Close()
				c.logInAgain(x.user, x.password)
				after := w.sessions()
				if x.cause == "" {
					c.wantPing(conn, "198.18.0.2")
					if len(after) != 1 || after[0].ID != before[0].ID || after[0].User != "alice" || after[0].Address != before[0].Address {
						t.Errorf("%+v, then %+v", before, after)
					}
					return
				}
				if len(after) != 0 {
					t.Errorf("there are %+v", after)
				}
				w.wantLog("login-refused", "cause", x.cause)
				w.wantLog("session-down", "user", "alice")
				w.wantLog("session-down", "tenant", "acme")
				w.wantLog("session-down", "reason", x.cause)
				if n := w.log.FilterMessage("session-up").Len(); n != 1 {
					t.Errorf("%d sessions came up", n)
				}
			})
		})
	}
}

// secondTunnel places another call, by a tunnel of its own within the same security
// association, as xl2tpd does for each of its `lac` sections.
func (c *client) secondTunnel(user, password string) {
	c.w.t.Helper()
	var next <-chan *echoDevice
	err := c.g.Engine.Work.Do(context.Background(), func(now time.Time) {
		for _, p := range c.g.Engine.Table.Peers {
			next = c.nextDevice()
			c.speaksAs(user, password)
			if _, err := c.g.Engine.L2TP.Dial(now, l2tp.Peer(p.ID), l2tp.DialConfig{}); err != nil {
				c.w.t.Error(err)
			}
		}
		c.g.Engine.DrainAll(now)
	})
	if err != nil {
		c.w.t.Fatal(err)
	}
	c.opened(next)
}

// users are those of the sessions that are up, sorted by their numbers.
func (w *world) users() string {
	var list []string
	for _, s := range w.sessions() {
		list = append(list, s.User)
	}
	return strings.Join(list, " ")
}

// TestTwoTunnelsOfOneClient: a second tunnel of a client ends the first neither when it
// opens, nor when it logs in, whoever that is: both sessions carry packets.
func TestTwoTunnelsOfOneClient(t *testing.T) {
	for user, password := range map[string]string{"alice": "alicepw", "bob": "bobpw"} {
		t.Run(user, func(t *testing.T) {
			inWorld(t, goodRoad, testConfig, func(t *testing.T, w *world) {
				c := w.client(nil)
				conn := c.mustDial()
				c.wantPing(conn, "198.18.0.2")
				first := c.dev
				defer first.Close()
				c.secondTunnel(user, password)
				second := c.dev
				for range 20 { // minutes of silence but for what asks whether they live
					time.Sleep(30 * time.Second)
					if list := w.sessions(); len(list) != 2 || list[0].Address == list[1].Address {
						t.Fatalf("sessions %+v", list)
					}
				}
				list := w.sessions()
				for n, dev := range []*echoDevice{first, second} {
					if !dev.echo(list[n].Address, w.addr("198.18.0.2"), 5*time.Second) {
						t.Errorf("session %d carries nothing", n)
					}
				}
				if n := w.log.FilterMessage("session-down").Len(); n != 0 {
					t.Errorf("%d sessions ended", n)
				}
			})
		})
	}
}

// TestSecondTunnelWithWrongPassword: who does not get in ends nothing. (Our client hangs
// up all of its calls then; that is its own doing.)
func TestSecondTunnelWithWrongPassword(t *testing.T) {
	inWorld(t, goodRoad, testConfig, func(t *testing.T, w *world) {
		c := w.client(nil)
		c.mustDial()
		first := c.dev
		defer first.Close()
		c.secondTunnel("alice", "wrong")
		w.wantLog("login-refused", "cause", "wrong password")
		for _, e := range w.log.FilterMessage("session-down").All() {
			if reason := fmt.Sprint(e.ContextMap()["reason"]); !strings.HasPrefix(reason, "the peer ended it") {
				t.Errorf("a session ended: %s", reason)
			}
		}
	})
}

// TestDialsAgainWithinOneSA: a client that forgot its tunnel and dials again by the same
// security association is served soon, by the address that it had; what was left is over
// and its end is told.
func TestDialsAgainWithinOneSA(t *testing.T) {
	inWorld(t, goodRoad, testConfig, func(t *testing.T, w *world) {
		c := w.client(nil)
		conn := c.mustDial()
		c.wantPing(conn, "198.18.0.2")
		before := w.sessions()
		first := c.dev
		defer first.Close()
		c.forget(t)
		c.secondTunnel("alice", "alicepw")
		after := w.sessions()
		if len(after) != 1 || after[0].ID == before[0].ID || after[0].Address != before[0].Address {
			t.Errorf("%+v, then %+v", before, after)
		}
		w.wantLog("session-down", "reason", "the user logged in again, and this session does not answer")
	})
}

// forget makes the client forget its tunnel without a word, as a program does that was
// killed, while the security association stays.
func (c *client) forget(t *testing.T) {
	t.Helper()
	err := c.g.Engine.Work.Do(context.Background(), func(now time.Time) {
		for _, s := range c.g.Engine.Table.Sessions {
			c.g.Engine.L2TP.Forget(l2tp.Peer(s.Peer.ID))
			c.g.Engine.End(s)
			for more := true; more; { // nobody is told: the call as such is not over
				_, more = c.g.Engine.Next(now)
			}
		}
	})
	if err != nil {
		t.Fatal(err)
	}
}

// TestSessionsPerUser: one user cannot take all of a tenant, by whatever protocol, and
// who is refused reads why in the log. Sessions that are dead do not count.
func TestSessionsPerUser(t *testing.T) {
	a := newAuthority(t, "a")
	yaml := strings.Replace(testConfig, "auth: {", "auth: {allow: [mschapv2, eap-mschapv2, xauth], ", 1) +
		a.server(vpn) + "    limits: {sessions_per_user: 3}\n"
	inWorld(t, goodRoad, yaml, func(t *testing.T, w *world) {
		for _, how := range []func(*dialer.DialConfig){func(*dialer.DialConfig) {}, byXAUTH, a.trusts(vpn)} {
			c := w.client(nil)
			c.wantPing(c.mustDial(how), "198.18.0.2")
		}
		for _, how := range []func(*dialer.DialConfig){func(*dialer.DialConfig) {}, byXAUTH, a.trusts(vpn)} {
			w.client(nil).wantRefused(how)
			bob := w.client(nil)
			conn := bob.mustDial(how, func(d *dialer.DialConfig) { d.User, d.Password = "bob", "bobpw" })
			bob.wantPing(conn, "198.18.0.2")
			conn.Close(context.Background())
			<-conn.Done()
		}
		if n := w.log.FilterMessage("login-refused").Len(); n != 3 {
			t.Errorf("%d logins were refused", n)
		}
		w.wantLog("login-refused", "cause", "too many sessions of this user")
		time.Sleep(time.Minute)
		if got := w.users(); got != "alice alice alice" {
			t.Errorf("users %q", got)
		}
		w.net.Tap(w.clients[0].mute)
		w.clients[0].close()
		w.clients[0].stop = func() {}
		w.net.Tap(nil)
		again := w.client(nil)
		again.wantPing(again.mustDial(), "198.18.0.2")
		w.wantLog("session-down", "reason", "the user logged in again, and this session does not answer")
	})
}
