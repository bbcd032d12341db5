package access

import (
	"fmt"
	"net/netip"
	"testing"
	"time"
)

// TestNobodyHasOthersForgotten: a user who logs in as ever another device, as long as he
// likes, does not make the devices of others unknown, which nothing holds up that is tried
// elsewhere.
func TestNobodyHasOthersForgotten(t *testing.T) {
	th, now := NewThrottle(), time.Date(2026, 11, 29, 0, 0, 0, 0, time.UTC)
	try := func(addr, device, tenant, user string, o Outcome) Ruling {
		a := &Attempt{Client: netip.AddrPortFrom(netip.MustParseAddr(addr), 4500), Device: device, Tenant: tenant, User: user, Free: 5, Began: now}
		r := th.Ask(now, a)
		if r == (Ruling{}) {
			th.Settle(now, a, o)
		}
		return r
	}
	alice := func() Ruling { return try("192.0.2.7", "laptop", "acme", "alice", RightPassword) }
	alice()
	for n := range 70000 {
		if r := try("198.51.100.9", fmt.Sprint("device", n), "globex", "mallory", RightPassword); r != (Ruling{}) {
			t.Fatalf("login %d: %+v", n, r)
		}
	}
	for n := range 400 { // from everywhere, until others of hers are held up
		try(fmt.Sprintf("203.%d.113.9", n%200), fmt.Sprint(n), "acme", "alice", PasswordWrong)
	}
	if r := try("192.0.2.200", "another", "acme", "alice", RightPassword); r == (Ruling{}) {
		t.Error("what is tried from everywhere holds nobody up")
	}
	if r := alice(); r != (Ruling{}) {
		t.Errorf("her device is held up: %+v", r)
	}
}
