package store

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"testing"

	bolt "go.etcd.io/bbolt"
)

// TestAttributes: groups and filters of a user are kept beside what there was, also of one
// that was written before users had any; whoever looks learns that something changed.
func TestAttributes(t *testing.T) {
	s := wantStore(t)
	want(t, s.update(func(tx *bolt.Tx) error {
		b, err := userBucket(tx, "acme")
		if err != nil {
			return err
		}
		return b.Put([]byte("ann"), []byte(`{"name":"Ann","nt_hash":"000102030405060708090a0b0c0d0e0f","created":"2025-01-02T03:04:05Z","changed":"2025-01-02T03:04:05Z","disabled":true}`))
	}), nil)
	changes := func() uint64 {
		t.Helper()
		n, err := s.Changes()
		want(t, err, nil)
		return n
	}
	before := changes()
	if u, err := s.User("acme", "ANN"); err != nil || len(u.Groups) != 0 || !u.Disabled {
		t.Fatalf("%+v, %v", u, err)
	}
	want(t, s.PutLeases("acme", []Lease{{User: "ann"}}), nil)
	if changes() != before {
		t.Error("leases count as changes of users")
	}
	want(t, s.SetAttributes("acme", "ann", func(a *Attributes) { a.Groups, a.Filters = []string{"staff"}, []string{"web"} }), nil)
	if changes() == before {
		t.Error("a change was not seen")
	}
	want(t, s.SetAttributes("acme", "eve", func(*Attributes) {}), ErrNotFound)
	want(t, s.AddUser("acme", User{Name: "bob", Attributes: Attributes{Filters: []string{"web"}}}), nil)
	again, err := Look(filepath.Dir(s.path))
	want(t, err, nil)
	for name, has := range map[string]string{"ann": "Ann 000102 true [staff] [web]", "bob": "bob 000000 false [] [web]"} {
		u, err := again.User("acme", name)
		if got := fmt.Sprintf("%s %06x %v %v %v", u.Name, []byte(u.Hash[:3]), u.Disabled, u.Groups, u.Filters); err != nil || got != has {
			t.Errorf("%s, %v; want %s", got, err, has)
		}
	}
	want(t, s.SetAttributes("acme", "ann", func(a *Attributes) { a.Groups = nil }), nil)
	if u, err := again.User("acme", "ann"); err != nil || len(u.Groups) != 0 || len(u.Filters) != 1 {
		t.Errorf("%+v, %v", u, err)
	}
}

// TestLookMakesNothing: where there is no store, there is none afterwards.
func TestLookMakesNothing(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "state")
	if _, err := Look(dir); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("%v", err)
	}
	if all, err := filepath.Glob(dir + "*"); err != nil || len(all) != 0 {
		t.Errorf("%v, %v", all, err)
	}
}
