package access

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/culvert-vpn/culvert/internal/config"
)

// guessing is attempts with what the throttle finds out of them, and locks that are in force as
// the gateway has them.
type guessing struct {
	*attempts
	lockout config.Lockout
	locks   []Lock
	signs   []Sign
}

func newGuessing() *guessing {
	return &guessing{attempts: newAttempts(), lockout: config.DefaultLockout()}
}

// guess tries a password, and reports whether it was looked at.
func (g *guessing) guess(x Attempt, o Outcome) bool {
	x.Lockout = g.lockout
	if g.locked(x) {
		g.throttle.Unseen(g.now, &x)
		g.find()
		return false
	}
	_, ok := g.try(x, o)
	g.find()
	return ok
}

func (g *guessing) find() {
	for {
		switch f, ok := g.throttle.Next(); f := f.(type) {
		case Lock:
			g.locks = append(g.locks, f)
		case Sign:
			g.signs = append(g.signs, f)
		default:
			if !ok {
				return
			}
		}
	}
}

// locked reports whether somebody is locked out.
func (g *guessing) locked(x Attempt) bool {
	x.Free = config.DefaultLoginFailures
	for _, l := range g.locks {
		if l.Source == x.Source() && l.Tenant == x.Tenant && (l.User == "" || l.User == config.UserKey(x.User)) && (l.Device == "" || l.Device == x.Device) &&
			!g.throttle.Known(g.now, &x) {
			return true
		}
	}
	return false
}

// wantLocks fails the test unless somebody was locked out so, and nobody else.
func (g *guessing) wantLocks(t *testing.T, want ...Lock) {
	t.Helper()
	var got, wanted []string
	for _, l := range g.locks {
		l.Reason = ""
		if text := fmt.Sprintf("%+v", l); len(got) == 0 || got[len(got)-1] != text {
			got = append(got, text)
		}
	}
	for _, l := range want {
		l.For = g.lockout.For
		wanted = append(wanted, fmt.Sprintf("%+v", l))
	}
	if strings.Join(got, "\n") != strings.Join(wanted, "\n") {
		t.Errorf("locked out:\n%s\nwant:\n%s", strings.Join(got, "\n"), strings.Join(wanted, "\n"))
	}
}

var guesser = netip.MustParsePrefix("192.0.2.1/32")

// TestLockoutOfADevice: a device that goes on with wrong passwords of a user is locked out for
// him, and neither another device of his nor another user there.
func TestLockoutOfADevice(t *testing.T) {
	g := newGuessing()
	for range 1000 {
		g.guess(from("192.0.2.1", "d", "Alice"), PasswordWrong)
	}
	g.wantLocks(t, Lock{Source: guesser, Tenant: "acme", User: "alice", Device: "d"})
	for _, x := range []Attempt{from("192.0.2.1", "e", "alice"), from("192.0.2.1", "d", "bob"), from("192.0.2.2", "d", "alice")} {
		if !g.guess(x, RightPassword) {
			t.Errorf("%s of %s by %s is locked out", x.User, x.Client, x.Device)
		}
	}
}

// TestLockoutOfAUser: a user whose passwords are tried from one address by ever other devices is
// locked out there, but for the device that he was in from, and not elsewhere.
func TestLockoutOfAUser(t *testing.T) {
	g := newGuessing()
	g.guess(from("192.0.2.1", "laptop", "alice"), RightPassword)
	looks := 0
	for n := range 1000 {
		if g.guess(from("192.0.2.1", fmt.Sprint("d", n), "alice"), PasswordWrong) {
			looks++
		}
	}
	if looks > 30 {
		t.Errorf("%d passwords were looked at", looks)
	}
	g.wantLocks(t, Lock{Source: guesser, Tenant: "acme", User: "alice"})
	for _, x := range []Attempt{from("192.0.2.1", "laptop", "alice"), from("192.0.2.1", "e", "bob"), from("192.0.2.2", "e", "alice")} {
		if !g.guess(x, RightPassword) {
			t.Errorf("%s of %s by %s is locked out", x.User, x.Client, x.Device)
		}
	}
}

// TestLockoutOfAHostileDevice: who tries passwords of many users is locked out as the device
// that he is; the users behind his address, whom nobody has met yet, are not.
func TestLockoutOfAHostileDevice(t *testing.T) {
	g := newGuessing()
	looks := 0
	for n := range 1000 {
		if g.guess(from("192.0.2.1", "d", fmt.Sprint("user", n)), PasswordWrong) {
			looks++
		}
	}
	if looks > g.lockout.Users {
		t.Errorf("%d passwords were looked at", looks)
	}
	g.wantLocks(t, Lock{Source: guesser, Tenant: "acme", Device: "d"})
	for n := range 50 {
		if !g.guess(from("192.0.2.1", fmt.Sprint("own", n), fmt.Sprint("user", n)), RightPassword) {
			t.Errorf("user%d is locked out", n)
		}
	}
}

// TestLockoutOfAHostileAddress: an address from which ever other devices try passwords of ever
// other users, and nobody right comes, is locked out whole; where right users come from it is only
// devices that nobody knows, and later.
func TestLockoutOfAHostileAddress(t *testing.T) {
	g := newGuessing()
	for n := range 1000 {
		g.guess(from("192.0.2.1", fmt.Sprint("d", n), fmt.Sprint("user", n)), PasswordWrong)
	}
	g.wantLocks(t, Lock{Source: guesser, Tenant: "acme"})

	g = newGuessing()
	for n := range 50 {
		g.guess(from("192.0.2.1", fmt.Sprint("own", n), fmt.Sprint("user", n)), RightPassword)
	}
	looks := 0
	for n := range 1000 {
		if g.guess(from("192.0.2.1", fmt.Sprint("d", n), fmt.Sprint("user", n)), PasswordWrong) {
			looks++
		}
	}
	if looks > 210 {
		t.Errorf("%d passwords were looked at", looks)
	}
	g.wantLocks(t, Lock{Source: guesser, Tenant: "acme", Strangers: true})
	for n := range 50 {
		if !g.guess(from("192.0.2.1", fmt.Sprint("own", n), fmt.Sprint("user", n)), RightPassword) {
			t.Errorf("user%d is locked out on his device", n)
		}
	}
}

// TestRightUsersAreRemembered: however many addresses and devices try wrong passwords, an address
// from which a right user is in, whatever proved him, is not locked out whole.
func TestRightUsersAreRemembered(t *testing.T) {
	for name, welcome := range map[string]func(g *guessing){
		"password":    func(g *guessing) { g.guess(from("192.0.2.1", "own", "alice"), RightPassword) },
		"certificate": func(g *guessing) { g.throttle.Welcome(g.now, "acme", from("192.0.2.1", "", "").Client) },
	} {
		t.Run(name, func(t *testing.T) {
			g := newGuessing()
			welcome(g)
			for n := range 2 * maxHostile {
				g.guess(from(fmt.Sprintf("2001:db8:%x::1", n), fmt.Sprint("d", n), fmt.Sprint("user", n)), PasswordWrong)
			}
			g.locks = nil
			for n := range 1000 {
				g.guess(from("192.0.2.1", fmt.Sprint("d", n), fmt.Sprint("user", n)), PasswordWrong)
			}
			g.wantLocks(t, Lock{Source: guesser, Tenant: "acme", Strangers: true})
		})
	}
}

// TestLockoutOfNobodysNames: names that lead to no tenant lock out an address for such names
// alone.
func TestLockoutOfNobodysNames(t *testing.T) {
	g := newGuessing()
	for n := range 100 {
		x := from("192.0.2.1", fmt.Sprint("d", n), fmt.Sprint("user", n))
		x.Tenant = ""
		g.guess(x, PasswordWrong)
	}
	g.wantLocks(t, Lock{Source: guesser, Strangers: true})
}

// TestLockoutTakenBack: who was locked out and is let in again by an operator begins anew: his
// right password is looked at, and it takes as many wrong ones again.
func TestLockoutTakenBack(t *testing.T) {
	for name, x := range map[string]func(n int) Attempt{
		"device of a user": func(int) Attempt { return from("192.0.2.1", "d", "alice") },
		"user":             func(n int) Attempt { return from("192.0.2.1", fmt.Sprint("d", n), "alice") },
		"device":           func(n int) Attempt { return from("192.0.2.1", "d", fmt.Sprint("user", n)) },
		"address":          func(n int) Attempt { return from("192.0.2.1", fmt.Sprint("d", n), fmt.Sprint("user", n)) },
	} {
		t.Run(name, func(t *testing.T) {
			g := newGuessing()
			looks := func() (n int) {
				for len(g.locks) == 0 {
					if g.guess(x(n), PasswordWrong) {
						n++
					}
				}
				return n
			}
			first := looks()
			for _, l := range g.locks {
				g.throttle.Forgive(l)
			}
			g.locks = nil
			right := x(first + 1)
			if waited, ok := g.try(right, RightPassword); !ok || waited > LongestDelay {
				t.Errorf("the right password: looked at %v, after %v", ok, waited)
			}
		})
	}
}

// TestLockoutOff: where it is off, nobody is locked out, and guessing is seen all the same; an
// old password on a device that was in before is no guessing.
func TestLockoutOff(t *testing.T) {
	g := newGuessing()
	g.lockout.For = 0
	for n := range 1000 {
		g.guess(from("192.0.2.1", fmt.Sprint("d", n), "alice"), PasswordWrong)
	}
	g.wantLocks(t)
	if len(g.signs) != 1 || g.signs[0].User != "alice" {
		t.Errorf("%+v", g.signs)
	}
	g = newGuessing()
	phone := from("198.51.100.1", "telephone", "alice")
	g.guess(phone, RightPassword)
	for range 6 * 60 * 24 {
		g.guess(phone, PasswordWrong)
		g.now = g.now.Add(10 * time.Second)
	}
	g.wantLocks(t)
	if len(g.signs) != 0 {
		t.Errorf("%+v", g.signs)
	}
}

// TestBruteForceIsSeen: many wrong passwords of one user are said once, from one address as from
// many, and when it is over; how many were tried is known, looked at or not.
func TestBruteForceIsSeen(t *testing.T) {
	for name, address := range map[string]func(n int) string{
		"one address":    func(int) string { return "192.0.2.1" },
		"many addresses": func(n int) string { return fmt.Sprintf("192.0.%d.%d", n/250, n%250) },
	} {
		t.Run(name, func(t *testing.T) {
			g := newGuessing()
			for n := range 1000 {
				g.guess(from(address(n), "d", "alice"), PasswordWrong)
			}
			if len(g.signs) != 1 || g.signs[0].State != begun || g.signs[0].User != "alice" || g.signs[0].Tenant != "acme" || len(g.signs[0].Sample) == 0 || g.signs[0].Spraying {
				t.Fatalf("%+v", g.signs)
			}
			g.now = g.now.Add(guessTime)
			g.throttle.Advance(g.now)
			g.find()
			if last := g.signs[len(g.signs)-1]; len(g.signs) != 2 || last.State != isOver || last.Tries != 1000 {
				t.Errorf("%+v", g.signs)
			}
			if n := g.throttle.guesses.users.Len() + len(g.throttle.guesses.tenants); n != 0 {
				t.Errorf("%d are kept", n)
			}
		})
	}
}

// TestSprayingIsSeen: 1,000 users from 100 addresses, ten each, are seen as what they are, though
// no address is over any count: with how many users and addresses, and which; and when it is
// over.
func TestSprayingIsSeen(t *testing.T) {
	g := newGuessing()
	g.lockout.For = 0 // so that all are looked at
	for n := range 1000 {
		if !g.guess(from(fmt.Sprintf("192.0.2.%d", n%100), fmt.Sprint("d", n%100), fmt.Sprint("user", n)), PasswordWrong) {
			t.Fatalf("number %d is held up", n)
		}
		g.now = g.now.Add(time.Second)
	}
	first := g.signs[0]
	if !first.Spraying || first.State != begun || first.Tenant != "acme" || first.Users != g.lockout.Spraying || first.Sources != 100 || len(first.Sample) != maxSample {
		t.Errorf("%+v", first)
	}
	if len(g.signs) != 2 || g.signs[1].State != goesOn { // after ten minutes
		t.Errorf("%+v", g.signs)
	}
	g.now = g.now.Add(guessTime)
	g.throttle.Advance(g.now)
	g.find()
	last := g.signs[len(g.signs)-1]
	if len(g.signs) != 3 || last.State != isOver || last.Users != 1000 || last.Tries != 1000 || last.Sources != 100 {
		t.Errorf("%+v", last)
	}
}

// TestSprayingIsStopped: once it is seen, who takes part in it is locked out sooner.
func TestSprayingIsStopped(t *testing.T) {
	g := newGuessing()
	looks := 0
	for n := range 1000 {
		if g.guess(from(fmt.Sprintf("192.0.2.%d", n%100), fmt.Sprint("d", n%100), fmt.Sprint("user", n)), PasswordWrong) {
			looks++
		}
	}
	if looks > 510 || len(g.locks) != 100 {
		t.Errorf("%d passwords were looked at, %d are locked out", looks, len(g.locks))
	}
}

// TestPeopleMistype: a big tenant in the morning, of whose users many mistype their password once
// or twice and then get it right, is under no attack; nor is one where a few give up.
func TestPeopleMistype(t *testing.T) {
	g := newGuessing()
	for n := range 3000 {
		x := from(fmt.Sprintf("192.0.%d.%d", n/250, n%250), "d", fmt.Sprint("user", n))
		for range n % 3 {
			g.guess(x, PasswordWrong)
		}
		if n%60 != 1 {
			g.guess(x, RightPassword)
		}
	}
	g.wantLocks(t)
	if len(g.signs) != 0 {
		t.Errorf("%+v", g.signs)
	}
	if n := g.throttle.guesses.users.Len(); n != 50 {
		t.Errorf("%d users are watched", n)
	}
}

// TestSignsAreBounded: whatever is tried, what is kept and said of it is bounded.
func TestSignsAreBounded(t *testing.T) {
	g := newGuessing()
	for n := range 400 {
		for m := range 12 {
			g.guess(from(fmt.Sprintf("192.0.%d.%d", n%250, m), "d", fmt.Sprint("user", n)), PasswordWrong)
		}
	}
	told := 0
	for _, s := range g.signs {
		if !s.Spraying {
			told++
		}
	}
	if told == 0 || told > 100 {
		t.Errorf("%d users are told of", told)
	}
	for n := range 3 * maxOfTenant {
		x := from("192.0.2.1", "d", fmt.Sprint("name", n))
		x.Client = netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, byte(n >> 16), byte(n >> 8), byte(n)}), 1)
		g.guess(x, PasswordWrong)
	}
	if n := g.throttle.guesses.users.Len(); n > maxOfTenant {
		t.Errorf("%d users of a tenant are kept", n)
	}
	for n := range 2 * maxGuessed {
		x := from("192.0.2.1", "d", fmt.Sprint("name", n))
		x.Tenant = fmt.Sprint("tenant", n/1000)
		x.Client = netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, byte(n >> 16), byte(n >> 8), byte(n)}), 1)
		g.guess(x, PasswordWrong)
	}
	if n, m := g.throttle.guesses.users.Len(), g.throttle.suspects.known.Len(); n > maxGuessed || m > 2*maxHostile {
		t.Errorf("%d users, %d suspects", n, m)
	}
	sum := 0
	for _, s := range g.throttle.guesses.tenants {
		sum += s.all
		if s.few < 0 || s.few > s.all {
			t.Errorf("%+v", s)
		}
	}
	if n := g.throttle.guesses.users.Len(); n != sum {
		t.Errorf("%d users, and %d of tenants", n, sum)
	}
}
