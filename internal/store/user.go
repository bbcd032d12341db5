package store

import (
	"encoding/hex"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	bolt "go.etcd.io/bbolt"
)

// Hash is the NT hash of a password (RFC 2759 section 8.3). It never prints
// itself: it is as good as the password to whoever reads it.
type Hash [16]byte

// String implements fmt.Stringer without showing the hash.
func (h Hash) String() string { return "[secret]" }

// Format implements fmt.Formatter, so that no verb or flag shows the hash.
func (h Hash) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, "[secret]") }

// User is a user of one tenant.
type User struct {
	// Name as it was given. Names are one when they differ in case only.
	Name string
	// Hash of the password.
	Hash Hash
	// Created and Changed (all but the name) are in UTC, to the second.
	Created, Changed time.Time
	// Disabled users cannot log in.
	Disabled bool
	Attributes
}

// Attributes are what a user has beside the secret. What is in them is not changed.
type Attributes struct {
	// Groups that the user is in, beside those that the configuration says.
	Groups []string `json:"groups,omitempty"`
	// Filters by which the user is held.
	Filters []string `json:"filters,omitempty"`
	// Pool is the name of the pool that the user gets addresses of; empty: the configuration
	// says which.
	Pool string `json:"pool,omitempty"`
}

// userRecord is a User in the file.
type userRecord struct {
	Name     string    `json:"name"`
	Hash     string    `json:"nt_hash"`
	Created  time.Time `json:"created"`
	Changed  time.Time `json:"changed"`
	Disabled bool      `json:"disabled,omitempty"`
	Attributes
}

// record returns the user as it is kept.
func (u User) record() userRecord {
	return userRecord{u.Name, hex.EncodeToString(u.Hash[:]), u.Created, u.Changed, u.Disabled, u.Attributes}
}

// user returns the user that is kept in a record.
func (r userRecord) user() (User, error) {
	u := User{Name: r.Name, Created: r.Created, Changed: r.Changed, Disabled: r.Disabled, Attributes: r.Attributes}
	b, err := hex.DecodeString(r.Hash)
	if err != nil || len(b) != len(u.Hash) {
		return u, fmt.Errorf("the hash of user %q is damaged; set the password anew", r.Name)
	}
	copy(u.Hash[:], b)
	clear(b)
	return u, nil
}

// AddUser adds a user to a tenant; ErrExists when there is one of that name.
// Created and Changed are set here.
func (s *Store) AddUser(tenant string, u User) error {
	if err := checkName(u.Name); err != nil {
		return err
	}
	u.Created = s.second()
	u.Changed = u.Created
	return s.update(func(tx *bolt.Tx) error {
		b, err := userBucket(tx, tenant)
		if err != nil {
			return err
		}
		if b.Get(key(u.Name)) != nil {
			return ErrExists
		}
		return put(b, key(u.Name), u.record())
	})
}

// SetPassword gives a user another password; ErrNotFound when there is none.
func (s *Store) SetPassword(tenant, name string, h Hash) error {
	return s.changeUser(tenant, name, func(r *userRecord) { r.Hash = hex.EncodeToString(h[:]) })
}

// SetDisabled keeps a user from logging in, or lets it again; ErrNotFound when
// there is none.
func (s *Store) SetDisabled(tenant, name string, disabled bool) error {
	return s.changeUser(tenant, name, func(r *userRecord) { r.Disabled = disabled })
}

// SetAttributes changes what a user has beside the secret; ErrNotFound when there is none.
func (s *Store) SetAttributes(tenant, name string, change func(*Attributes)) error {
	return s.changeUser(tenant, name, func(r *userRecord) { change(&r.Attributes) })
}

// changeUser changes one user's record.
func (s *Store) changeUser(tenant, name string, change func(*userRecord)) error {
	return s.update(func(tx *bolt.Tx) error {
		b, err := userBucket(tx, tenant)
		if err != nil {
			return err
		}
		if b.Get(key(name)) == nil {
			return ErrNotFound
		}
		r, err := get[userRecord](b, key(name))
		if err != nil {
			return err
		}
		change(&r)
		r.Changed = s.second()
		return put(b, key(name), r)
	})
}

// DeleteUser removes a user and the addresses it had; ErrNotFound when there is
// none.
func (s *Store) DeleteUser(tenant, name string) error {
	return s.update(func(tx *bolt.Tx) error {
		users, err := userBucket(tx, tenant)
		if err != nil {
			return err
		}
		if users.Get(key(name)) == nil {
			return ErrNotFound
		}
		if err := users.Delete(key(name)); err != nil {
			return err
		}
		return dropLeases(tx, tenant, name)
	})
}

// User returns a user of a tenant; ErrNotFound when there is none.
func (s *Store) User(tenant, name string) (User, error) {
	now, err := s.read()
	if err != nil {
		return User{}, err
	}
	u, ok := now.users.records[tenant][string(key(name))]
	if !ok {
		return User{}, ErrNotFound
	}
	return u, nil
}

// Users returns a tenant's users, by name.
func (s *Store) Users(tenant string) ([]User, error) {
	now, err := s.read()
	if err != nil {
		return nil, err
	}
	all := slices.Collect(maps.Values(now.users.records[tenant]))
	slices.SortFunc(all, func(a, b User) int { return strings.Compare(a.Name, b.Name) })
	return all, nil
}

// Changes returns another number whenever any user was added, changed or removed since it was
// asked last.
func (s *Store) Changes() (uint64, error) {
	now, err := s.read()
	if err != nil {
		return 0, err
	}
	return now.counts, nil
}

// second returns the time as it is kept.
func (s *Store) second() time.Time { return s.now().UTC().Truncate(time.Second) }
