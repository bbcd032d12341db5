package access

import (
	"fmt"
	"net/netip"
	"testing"
	"time"

	"github.com/culvert-vpn/culvert/internal/config"
)

// attempts makes attempts by explicit times.
type attempts struct {
	throttle *Throttle
	now      time.Time
}

func newAttempts() *attempts { return &attempts{NewThrottle(), time.Unix(1e9, 0)} }

// try tries a password and returns after how long it was looked at; ok: it was.
func (a *attempts) try(x Attempt, o Outcome) (waited time.Duration, ok bool) {
	x.Began, x.Free = a.now, config.DefaultLoginFailures
	for {
		r := a.throttle.Ask(a.now, &x)
		switch {
		case r.Refuse:
			return a.now.Sub(x.Began), false
		case r.Wait == 0:
			a.throttle.Settle(a.now, &x, o)
			return a.now.Sub(x.Began), true
		}
		a.now = a.now.Add(r.Wait)
	}
}

func from(addr, device, user string) Attempt {
	return Attempt{Client: netip.AddrPortFrom(netip.MustParseAddr(addr), 4500), Device: device, Tenant: "acme", User: user}
}

// TestWrongPasswordsWaitLonger: some are free, those after them wait longer each time,
// and then none is looked at until time has passed.
func TestWrongPasswordsWaitLonger(t *testing.T) {
	a := newAttempts()
	x := from("192.0.2.1", "d", "alice")
	var waits []time.Duration
	for range 100 {
		if waited, ok := a.try(x, PasswordWrong); ok {
			waits = append(waits, waited.Round(failureStep))
		}
	}
	want := []time.Duration{0, 0, 0, 0, 0, failureStep, 2 * failureStep, 3 * failureStep, LongestDelay, LongestDelay}
	if fmt.Sprint(waits) != fmt.Sprint(want) {
		t.Errorf("looked at after %v, want %v", waits, want)
	}
	a.now = a.now.Add(2 * forgetOwn)
	if waited, ok := a.try(x, PasswordWrong); !ok || waited != 0 {
		t.Errorf("when all is forgotten: %v %v", waited, ok)
	}
}

// TestGuessingIsSlowForDays: who never stops gets no more looks than are forgotten.
func TestGuessingIsSlowForDays(t *testing.T) {
	a := newAttempts()
	x := from("192.0.2.1", "d", "alice")
	looks := 0
	for end := a.now.Add(24 * time.Hour); a.now.Before(end); a.now = a.now.Add(time.Second) {
		if _, ok := a.try(x, PasswordWrong); ok {
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
	a.try(from("198.51.100.1", "laptop", "alice"), RightPassword)
	looks := 0
	for n := range 1000 {
		if _, ok := a.try(from(fmt.Sprintf("192.0.%d.%d", n/250, n%250), "d", "alice"), PasswordWrong); ok {
			looks++
		}
	}
	if looks > 130 {
		t.Errorf("%d passwords were looked at", looks)
	}
	for _, x := range []Attempt{from("198.51.100.1", "laptop", "Alice"), from("198.51.100.1", "telephone", "alice"), from("192.0.2.7", "d", "bob")} {
		if waited, ok := a.try(x, RightPassword); !ok || waited > 0 {
			t.Errorf("%s of %s waits %v, %v", x.User, x.Client, waited, ok)
		}
	}
}

// TestAnOldPasswordOnOneDevice: a telephone with an old password, which dials every ten
// seconds for days, holds up no other device of its user.
func TestAnOldPasswordOnOneDevice(t *testing.T) {
	a := newAttempts()
	laptop, phone := from("198.51.100.1", "laptop", "alice"), from("198.51.100.1", "telephone", "alice")
	a.try(laptop, RightPassword)
	a.try(phone, RightPassword)
	for n := range 6 * 60 * 24 {
		a.try(phone, PasswordWrong)
		if n%100 == 0 {
			if waited, ok := a.try(laptop, RightPassword); !ok || waited > 0 {
				t.Fatalf("after %d the laptop waits %v, %v", n, waited, ok)
			}
		}
		a.now = a.now.Add(10 * time.Second)
	}
	a.now = a.now.Add(5 * time.Minute)
	if _, ok := a.try(phone, RightPassword); !ok {
		t.Error("the telephone stays out with the right password")
	}
}

// TestManyAtOnce: passwords that are looked at together count before they were found
// wrong, and a crowd of right ones does not count.
func TestManyAtOnce(t *testing.T) {
	throttle, now := NewThrottle(), time.Unix(1e9, 0)
	looked := 0
	for range 1000 {
		x := from("192.0.2.1", "d", "alice")
		x.Began, x.Free = now, config.DefaultLoginFailures
		if throttle.Ask(now, &x) == (Ruling{}) {
			looked++
		}
	}
	if looked > 20 {
		t.Errorf("%d at once", looked)
	}
	a := newAttempts()
	for n := range 1000 {
		if waited, ok := a.try(from("192.0.2.1", "d", fmt.Sprint("user", n%3)), RightPassword); !ok || waited > 0 {
			t.Fatalf("right login %d waits %v, %v", n, waited, ok)
		}
	}
}

// TestThrottleIsBounded: names without end take no memory without end.
func TestThrottleIsBounded(t *testing.T) {
	a := newAttempts()
	for n := range 3 * maxScores / 2 {
		x := from("192.0.2.1", "d", fmt.Sprint("user", n))
		x.Client = netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, byte(n >> 16), byte(n >> 8), byte(n)}), 1)
		a.try(x, []Outcome{PasswordWrong, RightPassword}[n%2])
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
		if _, ok := a.try(from(fmt.Sprintf("2001:db8:1:1::%x", n+1), "d", "alice"), PasswordWrong); ok {
			looks++
		}
	}
	if looks > 10 {
		t.Errorf("%d passwords were looked at", looks)
	}
	if waited, ok := a.try(from("2001:db8:1:2::1", "d", "bob"), RightPassword); !ok || waited > 0 {
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
			throttle, now, looks := NewThrottle(), time.Unix(1e9, 0), 0
			try := func(a netip.Addr, device string, o Outcome) bool {
				x := &Attempt{Client: netip.AddrPortFrom(a, 4500), Device: device, Tenant: "acme", User: "alice", Free: 5, Began: now}
				for now.Sub(x.Began) <= LongestDelay {
					switch r := throttle.Ask(now, x); {
					case r.Refuse:
						return false
					case r.Wait > 0:
						now = now.Add(r.Wait)
					default:
						throttle.Settle(now, x, o)
						return true
					}
				}
				return false
			}
			for n := range 2000 {
				if try(from(n), fmt.Sprint("device", n), PasswordWrong) {
					looks++
				}
			}
			if looks > 100 {
				t.Errorf("%d passwords were looked at", looks)
			}
			if !try(netip.MustParseAddr("203.0.113.9"), "phone", RightPassword) {
				t.Error("the user is kept out")
			}
		})
	}
}

// TestTenantsCountApart: wrong passwords of one tenant's users hold up nobody of another,
// though they come from the same address and device.
func TestTenantsCountApart(t *testing.T) {
	a := newAttempts()
	for n := range 1000 {
		x := from("192.0.2.1", "d", fmt.Sprint("user", n))
		x.Tenant = "globex"
		a.try(x, PasswordWrong)
	}
	if waited, ok := a.try(from("192.0.2.1", "d", "alice"), RightPassword); !ok || waited > 0 {
		t.Errorf("looked at: %v, after %v", ok, waited)
	}
}

// TestWaitingForOthersIsNoGuessing: a login that waits in vain for what others come to was
// not refused for wrong passwords.
func TestWaitingForOthersIsNoGuessing(t *testing.T) {
	throttle, now := NewThrottle(), time.Unix(1e9, 0)
	var r Ruling
	for range 1000 {
		x := from("192.0.2.1", "d", "alice")
		x.Free, x.Began = 5, now
		r = throttle.Ask(now, &x)
		for r.Wait > 0 {
			now = now.Add(r.Wait)
			r = throttle.Ask(now, &x)
		}
		if r != (Ruling{}) {
			break
		}
	}
	if r != (Ruling{Busy: true}) {
		t.Errorf("%+v", r)
	}
}
