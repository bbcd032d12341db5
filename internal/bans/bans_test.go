package bans

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/culvert-vpn/culvert/internal/store"
)

var start = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

// ban is a ban of an address or a network by an operator; for 0 it is for ever.
func ban(prefix, tenant string, d time.Duration) store.Ban {
	b := store.Ban{Prefix: netip.MustParsePrefix(prefix), Tenant: tenant, By: ByOperator, Made: start}
	if d > 0 {
		b.Until = start.Add(d)
	}
	return b
}

// mustAdd adds a ban.
func mustAdd(t *testing.T, l *List, b store.Ban) []store.Ban {
	t.Helper()
	_, overlaps, err := l.Add(b)
	if err != nil {
		t.Fatal(err)
	}
	return overlaps
}

// prefixesOf writes the networks of bans.
func prefixesOf(list []store.Ban) string {
	var all []string
	for _, b := range list {
		all = append(all, b.Prefix.String())
	}
	return strings.Join(all, " ")
}

func TestParsePrefix(t *testing.T) {
	for text, want := range map[string]string{
		"192.0.2.7": "192.0.2.7/32", "192.0.2.0/24": "192.0.2.0/24", "::ffff:192.0.2.7": "192.0.2.7/32", "::ffff:192.0.2.0/120": "192.0.2.0/24",
		"2001:db8::1": "2001:db8::1/128", "2001:db8::/32": "2001:db8::/32", "0.0.0.0/0": "0.0.0.0/0",
	} {
		if p, err := ParsePrefix(text); err != nil || p.String() != want {
			t.Errorf("%s: %s, %v", text, p, err)
		}
	}
	for text, want := range map[string]string{
		"192.0.2.7/24": "write 192.0.2.0/24 for the network, or 192.0.2.7 for the address", "192.0.2.0/33": "is no address or network", "": "is no address",
		"fe80::1%eth0": "is no address", "example.org": "is no address", "192.0.2": "is no address", "::ffff:0:0/90": "is no address", strings.Repeat("9", 9999): "is no address",
	} {
		if p, err := ParsePrefix(text); err == nil || !strings.Contains(err.Error(), want) || len(err.Error()) > 250 {
			t.Errorf("%.40s: %s, %v", text, p, err)
		}
	}
}

func TestCheck(t *testing.T) {
	for _, text := range []string{"0.0.0.0/0", "::/0"} {
		p := netip.MustParsePrefix(text)
		if err := Check(p, false); err == nil || !strings.Contains(err.Error(), "--force") {
			t.Errorf("%s: %v", text, err)
		}
		if err := Check(p, true); err != nil {
			t.Error(err)
		}
	}
	for text, wide := range map[string]bool{"10.0.0.0/8": false, "10.0.0.0/7": true, "2001::/16": false, "2000::/15": true} {
		if p := netip.MustParsePrefix(text); Wide(p) != wide || Check(p, false) != nil {
			t.Errorf("%s is wide: %v", text, !wide)
		}
	}
	own := []netip.Addr{netip.MustParseAddr("203.0.113.1"), netip.MustParseAddr("2001:db8::1")}
	if list := Own(netip.MustParsePrefix("203.0.113.0/24"), own); fmt.Sprint(list) != "[203.0.113.1]" {
		t.Error(list)
	}
}

// TestList: what is banned is found by the narrowest network, the server's before the
// tenant's, and what is over or removed is not.
func TestList(t *testing.T) {
	l := NewList(nil)
	mustAdd(t, l, ban("198.51.100.0/24", "", time.Hour))
	mustAdd(t, l, ban("198.51.100.7/32", "", time.Minute))
	mustAdd(t, l, ban("192.0.2.0/24", "acme", 0))
	mustAdd(t, l, ban("2001:db8::/32", "", 0))
	of := func(tenant, addr, want string) {
		t.Helper()
		b, ok := l.Of(tenant, netip.MustParseAddr(addr))
		if ok != (want != "") || ok && b.Prefix.String() != want {
			t.Errorf("%s of %q: %v, want %s", addr, tenant, b, want)
		}
	}
	of("", "198.51.100.7", "198.51.100.7/32")
	of("acme", "198.51.100.8", "198.51.100.0/24")
	of("", "::ffff:198.51.100.8", "198.51.100.0/24")
	of("", "192.0.2.1", "")
	of("acme", "192.0.2.1", "192.0.2.0/24")
	of("globex", "192.0.2.1", "")
	of("globex", "2001:db8:7::1", "2001:db8::/32")
	if l.Table("globex") != nil || l.Table("acme").Size() != 1 || l.Table("").Size() != 3 {
		t.Error("the tables do not have what is banned")
	}
	before := l.Table("")
	if at := l.Deadline(); !at.Equal(start.Add(time.Minute)) {
		t.Errorf("something is due at %v", at)
	}
	if gone := l.Expire(start.Add(time.Minute - 1)); len(gone) != 0 {
		t.Error(gone)
	}
	if gone := l.Expire(start.Add(time.Minute)); prefixesOf(gone) != "198.51.100.7/32" {
		t.Error(gone)
	}
	of("", "198.51.100.7", "198.51.100.0/24")
	if before.Size() != 3 || l.Table("").Size() != 2 {
		t.Error("a table that was handed out has changed")
	}
	if gone := l.Remove(netip.MustParsePrefix("192.0.2.0/24"), "globex"); len(gone) != 0 {
		t.Error(gone)
	}
	if gone := l.Remove(netip.MustParsePrefix("192.0.2.0/24"), ""); len(gone) != 1 || l.Table("acme") != nil {
		t.Error(gone)
	}
	of("acme", "192.0.2.1", "")
	if l.Len() != 2 || len(l.All()) != 2 {
		t.Errorf("%d are left", l.Len())
	}
}

// TestOverlaps: a ban that is a part of others, or has others in it, says so; the same again
// takes the place of the former.
func TestOverlaps(t *testing.T) {
	l := NewList(nil)
	mustAdd(t, l, ban("10.0.0.0/8", "", 0))
	mustAdd(t, l, ban("10.1.2.3/32", "acme", 0))
	mustAdd(t, l, ban("10.1.2.4/32", "globex", 0))
	if list := mustAdd(t, l, ban("10.1.0.0/16", "acme", 0)); prefixesOf(list) != "10.0.0.0/8 10.1.2.3/32" {
		t.Errorf("overlaps with %s", prefixesOf(list))
	}
	replaced, list, err := l.Add(ban("10.0.0.0/8", "", time.Hour))
	if err != nil || !replaced || len(list) != 0 || l.Len() != 4 {
		t.Errorf("replaced %v, overlaps with %s, %v", replaced, prefixesOf(list), err)
	}
	for n := range 100 {
		mustAdd(t, l, ban(fmt.Sprintf("10.2.0.%d/32", n), "", 0))
	}
	if list := mustAdd(t, l, ban("10.2.0.0/16", "", 0)); len(list) != maxOverlaps {
		t.Errorf("%d are named", len(list))
	}
}

// TestAgainst: a login is held up by what is about its user, its device, or all devices that
// nobody knows, from its source alone.
func TestAgainst(t *testing.T) {
	source := netip.MustParsePrefix("198.51.100.7/32")
	against := func(b store.Ban, user, device string) bool {
		l := NewList(nil)
		b.Prefix, b.Tenant, b.By, b.Until = source, "acme", ByLockout, start.Add(time.Hour)
		mustAdd(t, l, b)
		if _, all := l.Of("acme", source.Addr()); all || l.Table("acme") != nil {
			t.Errorf("%+v bans the address", b)
		}
		for _, other := range []string{"globex", ""} {
			if _, ok := l.Against(other, user, device, source); ok {
				t.Errorf("%+v is about %q", b, other)
			}
		}
		if _, ok := l.Against("acme", user, device, netip.MustParsePrefix("198.51.100.8/32")); ok {
			t.Errorf("%+v is about another address", b)
		}
		_, ok := l.Against("acme", user, device, source)
		return ok
	}
	for _, x := range []struct {
		ban                              store.Ban
		itself, device, user, neighbours bool
	}{
		{store.Ban{User: "alice", Device: "d"}, true, false, false, false},
		{store.Ban{User: "alice"}, true, true, false, false},
		{store.Ban{Device: "d"}, true, false, true, false},
		{store.Ban{Strangers: true}, true, true, true, true},
	} {
		got := [4]bool{against(x.ban, "alice", "d"), against(x.ban, "alice", "e"), against(x.ban, "bob", "d"), against(x.ban, "bob", "e")}
		if want := [4]bool{x.itself, x.device, x.user, x.neighbours}; got != want {
			t.Errorf("%+v: %v, want %v", x.ban, got, want)
		}
	}
}

// TestListIsBounded: operators are told that there is no room, and what the program bans makes
// room for itself, and takes nothing of theirs.
func TestListIsBounded(t *testing.T) {
	kept := make([]store.Ban, 0, MaxBans)
	for n := range MaxBans {
		kept = append(kept, store.Ban{Prefix: Whole(netip.AddrFrom4([4]byte{10, byte(n >> 16), byte(n >> 8), byte(n)})), By: ByOperator})
	}
	l := NewList(kept)
	if l.Len() != MaxBans || l.Changed() {
		t.Fatalf("%d of %d; changed: %v", l.Len(), MaxBans, l.Changed())
	}
	if _, _, err := l.Add(ban("192.0.2.1/32", "", 0)); err != ErrFull {
		t.Errorf("one more: %v", err)
	}
	mustAdd(t, l, ban("10.0.0.1/32", "", time.Hour)) // in the place of another
	for n := range maxAutomatic + 500 {
		mustAdd(t, l, store.Ban{Prefix: netip.MustParsePrefix("192.0.2.1/32"), Tenant: "acme", User: fmt.Sprint(n), By: ByLockout, Until: start.Add(time.Duration(n) * time.Second)})
	}
	if n := l.Len(); n != MaxBans+maxAutomatic {
		t.Errorf("%d bans", n)
	}
	if _, ok := l.Against("acme", "499", "", netip.MustParsePrefix("192.0.2.1/32")); ok {
		t.Error("the one that would be over first is there")
	}
	if _, ok := l.Against("acme", "500", "", netip.MustParsePrefix("192.0.2.1/32")); !ok {
		t.Error("another has made room")
	}
}

// TestOperatorsBanStays: what the program bans does not shorten what an operator has.
func TestOperatorsBanStays(t *testing.T) {
	l := NewList(nil)
	mustAdd(t, l, ban("192.0.2.1/32", "acme", 0))
	b := ban("192.0.2.1/32", "acme", time.Minute)
	b.By = ByLockout
	mustAdd(t, l, b)
	if gone := l.Expire(start.Add(time.Hour)); len(gone) != 0 || l.Len() != 1 {
		t.Errorf("it is over: %v", gone)
	}
}

// TestChanges: what has come and gone is told once, and again if it could not be kept, unless
// something newer is known.
func TestChanges(t *testing.T) {
	l := NewList([]store.Ban{ban("192.0.2.1/32", "", 0)})
	mustAdd(t, l, ban("192.0.2.2/32", "", 0))
	l.Remove(netip.MustParsePrefix("192.0.2.1/32"), "")
	changes := l.Changes()
	if len(changes) != 2 || l.Changed() {
		t.Fatalf("%d changes", len(changes))
	}
	mustAdd(t, l, ban("192.0.2.1/32", "", 0))
	l.Restore(changes)
	again := l.Changes()
	for key, b := range again {
		if b == nil {
			t.Errorf("%s is to be removed, and is there", key)
		}
	}
	if len(again) != 2 {
		t.Errorf("%d changes", len(again))
	}
}

// TestBansOfLoginsAreNotKept: who was in before, and is not held up by them, is not known any more
// after a restart: nobody is then.
func TestBansOfLoginsAreNotKept(t *testing.T) {
	login := ban("192.0.2.1/32", "acme", time.Hour)
	login.By, login.Strangers = ByLockout, true
	l := NewList(nil)
	mustAdd(t, l, login)
	if l.Changed() {
		t.Errorf("to be kept: %v", l.Changes())
	}
	l = NewList([]store.Ban{login})
	if _, found := l.Against("acme", "alice", "d", login.Prefix); found || l.Len() != 0 {
		t.Error("it is in force after a restart")
	}
	if gone, ok := l.Changes()[login.Key()]; !ok || gone != nil {
		t.Error("it stays in the file")
	}
}
