package gateway

import (
	"context"
	"fmt"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/culvert-vpn/culvert/internal/config"
)

// guess is one attack of many wrong passwords from the address of a NAT.
type guess struct {
	name  string
	allow string // the methods of the tenant
	call  func(*DialConfig)
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
		{name: "CHAP", allow: "chap", call: func(d *DialConfig) { d.AllowCHAP = true }, tries: 200, user: one, looks: 20},
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
		x.wantStopped(t, w)
		x.wantAnotherWay(t, w)
	})
}

// wrong tries a wrong password.
func (x guess) wrong(t *testing.T, c *client, n int) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	_, err := c.dial(ctx, func(d *DialConfig) {
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
		conn := c.mustDial(func(d *DialConfig) {
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

// attempts makes attempts by explicit times.
type attempts struct {
	throttle *throttle
	now      time.Time
}

func newAttempts() *attempts { return &attempts{newThrottle(), time.Unix(1e9, 0)} }

// try tries a password and returns after how long it was looked at; ok: it was.
func (a *attempts) try(x attempt, o outcome) (waited time.Duration, ok bool) {
	x.began, x.failures = a.now, config.DefaultLoginFailures
	for {
		r := a.throttle.ask(a.now, &x)
		switch {
		case r.refuse:
			return a.now.Sub(x.began), false
		case r.wait == 0:
			a.throttle.settle(a.now, &x, o)
			return a.now.Sub(x.began), true
		}
		a.now = a.now.Add(r.wait)
	}
}

func from(addr, device, user string) attempt {
	return attempt{client: netip.AddrPortFrom(netip.MustParseAddr(addr), 4500), device: device, tenant: "acme", user: user}
}

// TestWrongPasswordsWaitLonger: some are free, those after them wait longer each time,
// and then none is looked at until time has passed.
func TestWrongPasswordsWaitLonger(t *testing.T) {
	a := newAttempts()
	x := from("192.0.2.1", "d", "alice")
	var waits []time.Duration
	for range 100 {
		if waited, ok := a.try(x, wrongPassword); ok {
			waits = append(waits, waited.Round(failureStep))
		}
	}
	want := []time.Duration{0, 0, 0, 0, 0, failureStep, 2 * failureStep, 3 * failureStep, longestDelay, longestDelay}
	if fmt.Sprint(waits) != fmt.Sprint(want) {
		t.Errorf("looked at after %v, want %v", waits, want)
	}
	a.now = a.now.Add(2 * forgetOwn)
	if waited, ok := a.try(x, wrongPassword); !ok || waited != 0 {
		t.Errorf("when all is forgotten: %v %v", waited, ok)
	}
}

// TestGuessingIsSlowForDays: who never stops gets no more looks than are forgotten.
func TestGuessingIsSlowForDays(t *testing.T) {
	a := newAttempts()
	x := from("192.0.2.1", "d", "alice")
	looks := 0
	for end := a.now.Add(24 * time.Hour); a.now.Before(end); a.now = a.now.Add(time.Second) {
		if _, ok := a.try(x, wrongPassword); ok {
			looks++
		}
	}
	if most := 5*24*4 + 20; looks > most {
		t.Errorf("%d passwords a day, want %d at most", looks, most)
	}
}

// TestGuessingFromEverywhere: a thousand addresses stop each other, and hold up neither
// the user from where he was in before, on the device or on a new one, nor others.
func TestGuessingFromEverywhere(t *testing.T) {
	a := newAttempts()
	a.try(from("198.51.100.1", "laptop", "alice"), rightPassword)
	looks := 0
	for n := range 1000 {
		if _, ok := a.try(from(fmt.Sprintf("192.0.%d.%d", n/250, n%250), "d", "alice"), wrongPassword); ok {
			looks++
		}
	}
	if looks > 130 {
		t.Errorf("%d passwords were looked at", looks)
	}
	for _, x := range []attempt{from("198.51.100.1", "laptop", "Alice"), from("198.51.100.1", "telephone", "alice"), from("192.0.2.7", "d", "bob")} {
		if waited, ok := a.try(x, rightPassword); !ok || waited > 0 {
			t.Errorf("%s of %s waits %v, %v", x.user, x.client, waited, ok)
		}
	}
}

// TestAnOldPasswordOnOneDevice: a telephone with an old password, which dials every ten
// seconds for days, holds up no other device of its user.
func TestAnOldPasswordOnOneDevice(t *testing.T) {
	a := newAttempts()
	laptop, phone := from("198.51.100.1", "laptop", "alice"), from("198.51.100.1", "telephone", "alice")
	a.try(laptop, rightPassword)
	a.try(phone, rightPassword)
	for n := range 6 * 60 * 24 {
		a.try(phone, wrongPassword)
		if n%100 == 0 {
			if waited, ok := a.try(laptop, rightPassword); !ok || waited > 0 {
				t.Fatalf("after %d the laptop waits %v, %v", n, waited, ok)
			}
		}
		a.now = a.now.Add(10 * time.Second)
	}
	a.now = a.now.Add(5 * time.Minute)
	if _, ok := a.try(phone, rightPassword); !ok {
		t.Error("the telephone stays out with the right password")
	}
}

// TestManyAtOnce: passwords that are looked at together count before they were found
// wrong, and a crowd of right ones does not count.
func TestManyAtOnce(t *testing.T) {
	throttle, now := newThrottle(), time.Unix(1e9, 0)
	looked := 0
	for range 1000 {
		x := from("192.0.2.1", "d", "alice")
		x.began, x.failures = now, config.DefaultLoginFailures
		if throttle.ask(now, &x) == (ruling{}) {
			looked++
		}
	}
	if looked > 20 {
		t.Errorf("%d at once", looked)
	}
	a := newAttempts()
	for n := range 1000 {
		if waited, ok := a.try(from("192.0.2.1", "d", fmt.Sprint("user", n%3)), rightPassword); !ok || waited > 0 {
			t.Fatalf("right login %d waits %v, %v", n, waited, ok)
		}
	}
}

// TestThrottleIsBounded: names without end take no memory without end.
func TestThrottleIsBounded(t *testing.T) {
	a := newAttempts()
	for n := range 3 * maxScores / 2 {
		x := from("192.0.2.1", "d", fmt.Sprint("user", n))
		x.client = netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, byte(n >> 16), byte(n >> 8), byte(n)}), 1)
		a.try(x, []outcome{wrongPassword, rightPassword}[n%2])
	}
	if n, m := a.throttle.scores.Len(), a.throttle.known.Len(); n > maxScores || m > maxKnown {
		t.Errorf("%d scores, %d known", n, m)
	}
}

// TestNeighboursOfIPv6: addresses of one subscriber are one.
func TestNeighboursOfIPv6(t *testing.T) {
	a := newAttempts()
	looks := 0
	for n := range 1000 {
		if _, ok := a.try(from(fmt.Sprintf("2001:db8:1:1::%x", n+1), "d", "alice"), wrongPassword); ok {
			looks++
		}
	}
	if looks > 10 {
		t.Errorf("%d passwords were looked at", looks)
	}
	if waited, ok := a.try(from("2001:db8:1:2::1", "d", "bob"), rightPassword); !ok || waited > 0 {
		t.Errorf("another subscriber waits %v, %v", waited, ok)
	}
}

// TestOneCustomerLocksNobodyOut: whoever has a network of IPv6 (2^16 of what is given to
// one site), or a block of IPv4, and tries passwords of one user from all of it and as
// another device each time, does not keep that user out who comes for the first time, and
// from elsewhere. Two of them do not either.
func TestOneCustomerLocksNobodyOut(t *testing.T) {
	for name, from := range map[string]func(n int) netip.Addr{
		"IPv6": func(n int) netip.Addr { return netip.MustParseAddr(fmt.Sprintf("2001:db8:%x:%x::1", n%2, n/8)) },
		"IPv4": func(n int) netip.Addr { return netip.AddrFrom4([4]byte{198, 51, byte(n % 2), byte(n / 8)}) },
	} {
		t.Run(name, func(t *testing.T) {
			throttle, now, looks := newThrottle(), time.Unix(1e9, 0), 0
			try := func(a netip.Addr, device string, o outcome) bool {
				x := &attempt{client: netip.AddrPortFrom(a, 4500), device: device, tenant: "acme", user: "alice", failures: 5, began: now}
				for now.Sub(x.began) <= longestDelay {
					switch r := throttle.ask(now, x); {
					case r.refuse:
						return false
					case r.wait > 0:
						now = now.Add(r.wait)
					default:
						throttle.settle(now, x, o)
						return true
					}
				}
				return false
			}
			for n := range 2000 {
				if try(from(n), fmt.Sprint("device", n), wrongPassword) {
					looks++
				}
			}
			if looks > 100 {
				t.Errorf("%d passwords were looked at", looks)
			}
			if !try(netip.MustParseAddr("203.0.113.9"), "phone", rightPassword) {
				t.Error("the user is kept out")
			}
		})
	}
}
