package store

import (
	"cmp"
	"fmt"
	"net/netip"
	"path/filepath"
	"slices"
	"testing"
	"time"

	bolt "go.etcd.io/bbolt"
)

// sorted are bans in the order of their keys.
func sorted(list []Ban) []Ban {
	slices.SortFunc(list, func(a, b Ban) int { return cmp.Compare(a.Key(), b.Key()) })
	return list
}

// TestBans: bans are there again after a restart, each with all that it says; one of the
// same key takes the place of the former, and those that go are gone.
func TestBans(t *testing.T) {
	s := wantStore(t)
	made := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	all := []Ban{
		{Prefix: netip.MustParsePrefix("192.0.2.0/24"), By: "operator", Reason: "scans", Made: made},
		{Prefix: netip.MustParsePrefix("192.0.2.0/24"), Tenant: "acme", By: "operator", Made: made, Until: made.Add(time.Hour), Keep: true},
		{Prefix: netip.MustParsePrefix("2001:db8:1::/64"), Tenant: "acme", User: "alice", Device: "a|b", By: "lockout", Made: made, Until: made.Add(time.Minute)},
		{Prefix: netip.MustParsePrefix("198.51.100.7/32"), Tenant: "acme", Strangers: true, By: "lockout", Made: made, Until: made.Add(time.Minute)},
	}
	changes := map[string]*Ban{}
	for n := range all {
		changes[all[n].Key()] = &all[n]
	}
	want(t, s.ChangeBans(changes), nil)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	again, err := Open(filepath.Dir(s.path))
	want(t, err, nil)
	list, err := again.Bans()
	want(t, err, nil)
	if !slices.Equal(sorted(list), sorted(slices.Clone(all))) {
		t.Errorf("kept %+v", list)
	}
	other := all[0]
	other.Reason = "another"
	want(t, again.ChangeBans(map[string]*Ban{other.Key(): &other, all[1].Key(): nil, "nobody's": nil}), nil)
	list, err = again.Bans()
	want(t, err, nil)
	if len(list) != 3 || !slices.Contains(list, other) || slices.Contains(list, all[1]) {
		t.Errorf("kept %+v", list)
	}
}

// TestBansOfAnOlderStore: a file that has no place for bans yet has none, and gets one.
func TestBansOfAnOlderStore(t *testing.T) {
	s := wantStore(t)
	db, err := bolt.Open(s.path, 0o600, nil)
	want(t, err, nil)
	want(t, db.Update(func(tx *bolt.Tx) error { return tx.DeleteBucket(bucketBans) }), nil)
	want(t, db.Close(), nil)
	if list, err := s.Bans(); err != nil || len(list) != 0 {
		t.Error(list, err)
	}
	s, err = Open(filepath.Dir(s.path))
	want(t, err, nil)
	b := Ban{Prefix: netip.MustParsePrefix("192.0.2.1/32"), By: "operator"}
	want(t, s.ChangeBans(map[string]*Ban{b.Key(): &b}), nil)
	if list, err := s.Bans(); err != nil || fmt.Sprint(list) != fmt.Sprint([]Ban{b}) {
		t.Error(list, err)
	}
}

// TestUsersBesideManyBans: what is looked up at every login does not read the bans.
func TestUsersBesideManyBans(t *testing.T) {
	s := wantStore(t)
	want(t, s.AddUser("acme", User{Name: "alice"}), nil)
	changes := map[string]*Ban{}
	for n := range 20_000 {
		b := Ban{Prefix: netip.PrefixFrom(netip.AddrFrom4([4]byte{10, byte(n >> 16), byte(n >> 8), byte(n)}), 32), By: "operator"}
		changes[b.Key()] = &b
	}
	want(t, s.ChangeBans(changes), nil)
	if n := testing.AllocsPerRun(1, func() {
		s.stamp = stamp{}
		if _, err := s.User("acme", "alice"); err != nil {
			t.Error(err)
		}
	}); n > 5000 {
		t.Errorf("looking up a user allocates %v times", n)
	}
	if list, err := s.Bans(); err != nil || len(list) != len(changes) {
		t.Error(len(list), err)
	}
}
