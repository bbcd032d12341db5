package store

import (
	"encoding/hex"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	bolt "go.etcd.io/bbolt"
)

// wantStore opens a store in a directory of its own.
func wantStore(t *testing.T) *Store {
	t.Helper()
	s, err := Open(filepath.Join(t.TempDir(), "state"))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// want fails the test unless err is what is wanted.
func want(t *testing.T, err, wanted error) {
	t.Helper()
	if !errors.Is(err, wanted) {
		t.Fatalf("error %v, want %v", err, wanted)
	}
}

func TestModes(t *testing.T) {
	s := wantStore(t)
	for path, mode := range map[string]os.FileMode{s.path: 0o600, filepath.Dir(s.path): 0o700} {
		info, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		if info.Mode().Perm() != mode {
			t.Errorf("%s has mode %o, want %o", path, info.Mode().Perm(), mode)
		}
	}
	if err := os.Chmod(s.path, 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(filepath.Dir(s.path)); err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(s.path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("a store that others could read stays so: %v %v", info.Mode(), err)
	}
}

func TestUsers(t *testing.T) {
	s := wantStore(t)
	h := Hash{1, 2, 3}
	want(t, s.AddUser("acme", User{Name: "Alice", Hash: h}), nil)
	want(t, s.AddUser("acme", User{Name: "alice"}), ErrExists)
	want(t, s.AddUser("globex", User{Name: "alice", Hash: Hash{9}}), nil)
	want(t, s.AddUser("acme", User{Name: "bob", Hash: h}), nil)
	want(t, s.AddUser("acme", User{}), ErrName)
	want(t, s.AddUser("", User{Name: "x"}), ErrName)

	u, err := s.User("acme", "ALICE")
	if err != nil || u.Name != "Alice" || u.Hash != h || u.Created.IsZero() || u.Disabled {
		t.Errorf("user %+v, %v", u, err)
	}
	_, err = s.User("initech", "alice")
	want(t, err, ErrNotFound)

	want(t, s.SetPassword("acme", "alice", Hash{7}), nil)
	want(t, s.SetDisabled("acme", "alice", true), nil)
	if u, _ = s.User("acme", "alice"); u.Hash != (Hash{7}) || !u.Disabled {
		t.Errorf("user %+v", u)
	}
	if u, _ = s.User("globex", "alice"); u.Hash != (Hash{9}) || u.Disabled {
		t.Errorf("another tenant's user changed: %+v", u)
	}
	want(t, s.SetPassword("acme", "carol", Hash{}), ErrNotFound)

	all, err := s.Users("acme")
	if err != nil || len(all) != 2 || all[0].Name != "Alice" {
		t.Errorf("users %v, %v", all, err)
	}
	want(t, s.DeleteUser("acme", "alice"), nil)
	want(t, s.DeleteUser("acme", "alice"), ErrNotFound)
	_, err = s.User("acme", "alice")
	want(t, err, ErrNotFound)
}

func TestHashNeverShowsItself(t *testing.T) {
	u := User{Name: "alice", Hash: Hash{0xab, 0xcd}}
	shown := fmt.Sprintf("%v %+v %#v %s %x %d", u, u, u, u.Hash, u.Hash, u.Hash)
	for _, form := range []string{"abcd", "171", "0xab"} {
		if strings.Contains(shown, form) {
			t.Errorf("shows as %s in %s", form, shown)
		}
	}
}

func TestLeases(t *testing.T) {
	s := wantStore(t)
	day := time.Date(2026, 11, 21, 0, 0, 0, 0, time.UTC)
	a, b := netip.MustParseAddr("10.1.0.2"), netip.MustParseAddr("10.1.0.3")
	want(t, s.PutLeases("acme", nil), nil)
	want(t, s.PutLeases("", nil), ErrName)
	want(t, s.PutLeases("acme", []Lease{{"zoe", b, day}, {"Alice", a, day}}), nil)
	want(t, s.PutLeases("globex", []Lease{{"alice", a, day}}), nil)
	got, err := s.Leases("acme")
	if err != nil || !slices.Equal(got, []Lease{{"zoe", b, day}, {"Alice", a, day}}) {
		t.Errorf("leases %v, %v", got, err)
	}
	sequence := s.cache.leases.sequence
	want(t, s.PutLeases("acme", got), nil)
	if _, err := s.Leases("acme"); err != nil || s.cache.leases.sequence != sequence {
		t.Errorf("the same leases are written again: %v", err)
	}
	want(t, s.AddUser("acme", User{Name: "alice"}), nil)
	want(t, s.DeleteUser("acme", "alice"), nil)
	if got, _ = s.Leases("acme"); len(got) != 1 || got[0].User != "zoe" {
		t.Errorf("a deleted user keeps the address: %v", got)
	}
	if got, _ = s.Leases("globex"); len(got) != 1 {
		t.Errorf("another tenant's leases changed: %v", got)
	}
}

func TestChangesOfOthersAreSeen(t *testing.T) {
	server := wantStore(t)
	if _, err := server.User("acme", "alice"); !errors.Is(err, ErrNotFound) {
		t.Fatal(err)
	}
	command, err := Open(filepath.Dir(server.path))
	if err != nil {
		t.Fatal(err)
	}
	for i := range 20 {
		name := fmt.Sprint("user", i)
		want(t, command.AddUser("acme", User{Name: name}), nil)
		if _, err := server.User("acme", name); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
	}
}

func TestCacheIsUsedOnceTheFileHasSettled(t *testing.T) {
	s := wantStore(t)
	want(t, s.AddUser("acme", User{Name: "alice"}), nil)
	s.now = func() time.Time { return time.Now().Add(time.Minute) }
	if _, err := s.User("acme", "alice"); err != nil {
		t.Fatal(err)
	}
	before := s.cache
	if _, err := s.User("acme", "alice"); err != nil || s.cache != before {
		t.Errorf("the file was read again: %v", err)
	}
	if err := os.Remove(s.path); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(filepath.Dir(s.path)); err != nil {
		t.Fatal(err)
	}
	_, err := s.User("acme", "alice")
	want(t, err, ErrNotFound)
}

func TestUnchangedPartsAreKept(t *testing.T) {
	s := wantStore(t)
	want(t, s.AddUser("acme", User{Name: "alice"}), nil)
	if _, err := s.Users("acme"); err != nil {
		t.Fatal(err)
	}
	users, leases := s.cache.users.sequence, s.cache.leases.sequence
	want(t, s.PutLeases("acme", []Lease{{User: "alice"}}), nil)
	if _, err := s.Users("acme"); err != nil {
		t.Fatal(err)
	}
	if s.cache.users.sequence != users || s.cache.leases.sequence == leases {
		t.Errorf("users %d -> %d, leases %d -> %d", users, s.cache.users.sequence, leases, s.cache.leases.sequence)
	}
}

func TestConcurrentUse(t *testing.T) {
	s := wantStore(t)
	var wg sync.WaitGroup
	for i := range 4 {
		wg.Go(func() {
			for j := range 5 {
				name := fmt.Sprintf("u%d.%d", i, j)
				if err := s.AddUser("acme", User{Name: name}); err != nil {
					t.Errorf("%s: %v", name, err)
				}
				if _, err := s.User("acme", name); err != nil {
					t.Errorf("%s: %v", name, err)
				}
			}
		})
	}
	wg.Wait()
	if all, err := s.Users("acme"); err != nil || len(all) != 20 {
		t.Errorf("%d users, %v", len(all), err)
	}
}

func TestBusy(t *testing.T) {
	s := wantStore(t)
	db, err := bolt.Open(s.path, 0o600, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	s.wait = 100 * time.Millisecond
	want(t, s.AddUser("acme", User{Name: "alice"}), ErrBusy)
	_, err = s.Users("acme")
	want(t, err, ErrBusy)
}

func TestNewerSchema(t *testing.T) {
	s := wantStore(t)
	err := s.update(func(tx *bolt.Tx) error { return tx.Bucket(bucketMeta).Put(keySchema, []byte{0, 0, 0, schema + 1}) })
	want(t, err, nil)
	_, err = Open(filepath.Dir(s.path))
	want(t, err, ErrNewer)
	_, err = s.Users("acme")
	want(t, err, ErrNewer)
}

func TestDamagedFile(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, fileName), []byte(strings.Repeat("not a database ", 1000)), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(dir); err == nil || !strings.Contains(err.Error(), "damaged") {
		t.Errorf("a damaged file: %v", err)
	}
}

func TestClosed(t *testing.T) {
	s := wantStore(t)
	want(t, s.Close(), nil)
	want(t, s.AddUser("acme", User{Name: "alice"}), ErrClosed)
	_, err := s.Users("acme")
	want(t, err, ErrClosed)
}

// RFC 2759 section 9.2 hashes this password.
func TestHashPassword(t *testing.T) {
	h := HashPassword("clientPass")
	if got := hex.EncodeToString(h[:]); got != "44ebba8d5312b8d611474411f56989ae" {
		t.Errorf("hash %s", got)
	}
}
