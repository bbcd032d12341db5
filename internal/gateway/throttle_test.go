package gateway

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/culvert-vpn/culvert/internal/dialer"
)

// guess is one attack of many wrong passwords from the address of a NAT.
type guess struct {
	name  string
	allow string // the methods of the tenant
	call  func(*dialer.DialConfig)
	tries int
	user  func(n int) string // whose password is tried
	// device says what the guesser calls himself in IKE; nil: his address.
	device func(n int) string
	// known: the right users were in before. A guesser who is another device each time,
	// and knows their names, can make those wait who never were.
	known bool
	// looks is how many passwords may be looked at.
	looks int
}

const rightUsers = 50

// TestWrongPasswordsBesideRightUsers: a thousand wrong passwords from one address are
// stopped, whatever the protocol, and none of 50 right users behind the same address
// waits longer than 2 s, whosever passwords are tried.
func TestWrongPasswordsBesideRightUsers(t *testing.T) {
	a := newAuthority(t, "a")
	server := a.server(vpn)
	one := func(int) string { return "user7" }
	all := func(n int) string { return fmt.Sprintf("user%d", n%rightUsers) }
	none := func(n int) string { return fmt.Sprintf("nobody%d", n) }
	for _, x := range []guess{
		{name: "MS-CHAPv2, one user", allow: "mschapv2", tries: 1000, user: one, looks: 20},
		{name: "MS-CHAPv2, all users", allow: "mschapv2", tries: 1000, user: all, looks: 80},
		{name: "MS-CHAPv2, users that there are not", allow: "mschapv2", tries: 300, user: none, looks: 80},
		{name: "MS-CHAPv2, all users, another device each time", allow: "mschapv2", tries: 1000, user: all,
			device: func(n int) string { return fmt.Sprintf("device%d.example.org", n) }, known: true, looks: 350},
		{name: "CHAP", allow: "chap", call: func(d *dialer.DialConfig) { d.AllowCHAP = true }, tries: 200, user: one, looks: 20},
		{name: "EAP in L2TP", allow: "eap-mschapv2", call: allowEAP, tries: 200, user: one, looks: 20},
		{name: "EAP in IKEv2", allow: "eap-mschapv2", call: a.trusts(vpn), tries: 200, user: one, looks: 20},
		{name: "XAUTH", allow: "xauth", call: byXAUTH, tries: 200, user: one, looks: 20},
	} {
		t.Run(x.name, func(t *testing.T) { x.run(t, server) })
	}
}

func (x guess) run(t *testing.T, server string) {
	var users []string
	for n := range rightUsers {
		users = append(users, fmt.Sprintf("{name: user%d, password: right}", n))
	}
	yaml := strings.Replace(testConfig, "{name: alice, password: alicepw}, {name: bob, password: bobpw}", strings.Join(users, ", "), 1)
	yaml = strings.Replace(yaml, "auth: {", "auth: {allow: ["+x.allow+"], ", 1) + server
	inWorld(t, goodRoad, yaml, func(t *testing.T, w *world) {
		nat := w.net.NAT(w.addr("198.51.100.7"))
		var right []*client
		for range rightUsers {
			right = append(right, w.client(nat))
		}
		if x.known {
			x.login(t, right)
		}
		guesser := w.client(nat)
		var attack sync.WaitGroup
		for worker := range 5 {
			attack.Go(func() {
				for n := worker; n < x.tries; n += 5 {
					x.wrong(t, guesser, n)
				}
			})
		}
		time.Sleep(20 * time.Second)
		x.login(t, right)
		attack.Wait()
		x.login(t, right)
		x.wantBans(t, w)
		x.wantStopped(t, w)
		x.wantAnotherWay(t, w)
	})
}

// wrong tries a wrong password.
func (x guess) wrong(t *testing.T, c *client, n int) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	_, err := c.dial(ctx, func(d *dialer.DialConfig) {
		d.User, d.Password = x.user(n), "wrong"
		if x.device != nil {
			d.Identity = x.device(n)
		}
		if x.call != nil {
			x.call(d)
		}
	})
	if err == nil {
		t.Error("a wrong password opens")
	}
}

// login has all right users log in, one after another, and hang up.
func (x guess) login(t *testing.T, right []*client) {
	t.Helper()
	for n, c := range right {
		began := time.Now()
		conn := c.mustDial(func(d *dialer.DialConfig) {
			d.User, d.Password = fmt.Sprintf("user%d", n), "right"
			if x.call != nil {
				x.call(d)
			}
		})
		if took := time.Since(began); took > 2*time.Second {
			t.Errorf("user%d waited %v", n, took)
		}
		conn.Close(context.Background())
		<-conn.Done()
	}
}

// wantStopped fails the test if too many passwords were looked at, or too much was said.
func (x guess) wantStopped(t *testing.T, w *world) {
	t.Helper()
	looks := w.log.FilterMessage("login-refused").Len()
	if looks > x.looks || looks < 5 {
		t.Errorf("of %d wrong passwords %d were looked at, want %d at most", x.tries, looks, x.looks)
	}
	if n := w.log.FilterMessage("logins-throttled").Len(); n == 0 || n > 60 {
		t.Errorf("%d lines about it", n)
	}
}

// wantAnotherWay fails the test if a user whose password was tried cannot log in from
// somewhere else.
func (x guess) wantAnotherWay(t *testing.T, w *world) {
	t.Helper()
	if !x.known {
		x.login(t, []*client{w.client(nil), w.client(nil)})
	}
}
