package store

import (
	"cmp"
	"maps"
	"net/netip"
	"slices"
	"time"

	bolt "go.etcd.io/bbolt"
)

// Lease is an address that a user had, to be given again.
type Lease struct {
	// User, without a realm. Names are one when they differ in case only.
	User string `json:"user"`
	// Addr that the user had last.
	Addr netip.Addr `json:"addr"`
	// Seen is when the user had it last, in UTC.
	Seen time.Time `json:"seen"`
}

// PutLeases records the leases of a tenant's users, in one transaction; a user
// has one, and the last one counts.
func (s *Store) PutLeases(tenant string, leases []Lease) error {
	if len(leases) == 0 {
		return nil
	}
	return s.update(func(tx *bolt.Tx) error {
		b, err := tenantBucket(tx, bucketLeases, tenant)
		if err != nil {
			return err
		}
		for _, l := range leases {
			if err := checkName(l.User); err != nil {
				return err
			}
			if err := put(b, key(l.User), l); err != nil {
				return err
			}
		}
		return nil
	})
}

// DeleteLease forgets a user's address; ErrNotFound when there is none.
func (s *Store) DeleteLease(tenant, user string) error {
	return s.update(func(tx *bolt.Tx) error {
		b, err := tenantBucket(tx, bucketLeases, tenant)
		if err != nil {
			return err
		}
		if b.Get(key(user)) == nil {
			return ErrNotFound
		}
		return b.Delete(key(user))
	})
}

// Leases returns what addresses a tenant's users had, the longest ago first.
func (s *Store) Leases(tenant string) ([]Lease, error) {
	now, err := s.read()
	if err != nil {
		return nil, err
	}
	all := slices.Collect(maps.Values(now.leases.records[tenant]))
	slices.SortFunc(all, func(a, b Lease) int {
		return cmp.Or(a.Seen.Compare(b.Seen), cmp.Compare(a.User, b.User))
	})
	return all, nil
}
