package store

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/netip"
	"slices"
	"time"

	bolt "go.etcd.io/bbolt"
)

// Lease is an address that a user had, to be given again.
type Lease struct {
	// User, without a realm.
	User string `json:"user"`
	// Addr that the user has or had.
	Addr netip.Addr `json:"addr"`
	// Seen is when the user was seen with it last, in UTC.
	Seen time.Time `json:"seen"`
}

// PutLeases records the leases of a tenant, all of them and in their order, in
// place of those recorded before. Nothing is written when they are the same.
func (s *Store) PutLeases(tenant string, leases []Lease) error {
	if err := checkName(tenant); err != nil {
		return err
	}
	known, err := s.Leases(tenant)
	if err != nil || slices.Equal(known, leases) {
		return err
	}
	return s.update(func(tx *bolt.Tx) error { return putLeases(tx, tenant, leases) })
}

// putLeases writes a tenant's leases, which are one record: they are written
// and read together.
func putLeases(tx *bolt.Tx, tenant string, leases []Lease) error {
	b, err := writeBucket(tx, bucketLeases)
	if err != nil {
		return err
	}
	return put(b, []byte(tenant), leases)
}

// dropLeases removes what addresses a user had.
func dropLeases(tx *bolt.Tx, tenant, user string) error {
	value := tx.Bucket(bucketLeases).Get([]byte(tenant))
	if value == nil {
		return nil
	}
	var all []Lease
	if err := json.Unmarshal(value, &all); err != nil {
		return fmt.Errorf("the leases of tenant %q: %w", tenant, err)
	}
	kept := slices.DeleteFunc(all, func(l Lease) bool { return bytes.Equal(key(l.User), key(user)) })
	return putLeases(tx, tenant, kept)
}

// Leases returns what addresses a tenant's users had, in the order that
// PutLeases was given.
func (s *Store) Leases(tenant string) ([]Lease, error) {
	now, err := s.read()
	if err != nil {
		return nil, err
	}
	return slices.Clone(now.leases.records[tenant]), nil
}
