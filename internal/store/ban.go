package store

import (
	"fmt"
	"net/netip"
	"time"

	bolt "go.etcd.io/bbolt"
)

// Ban is somebody who is not to dial in for a time: an address or a network, or no more
// than one user, or one device, from there.
type Ban struct {
	// Prefix is from where; IPv4 as such.
	Prefix netip.Prefix `json:"prefix"`
	// Tenant whose clients it is about; empty: everybody's.
	Tenant string `json:"tenant,omitempty"`
	// User and Device narrow it to the logins of one user, and to what calls itself so in
	// IKE; empty: all.
	User   string `json:"user,omitempty"`
	Device string `json:"device,omitempty"`
	// Strangers narrows it to devices that no user was in from before.
	Strangers bool `json:"strangers,omitempty"`
	// Keep says that sessions from there stay; otherwise they end.
	Keep bool `json:"keep,omitempty"`
	// By is who made it: operator, lockout.
	By string `json:"by"`
	// Reason in words.
	Reason string `json:"reason,omitempty"`
	// Made and Until, in UTC; zero Until: for ever.
	Made  time.Time `json:"made"`
	Until time.Time `json:"until,omitzero"`
}

// Login reports whether it is about logins that say a name or a device, and not about all
// that comes from there.
func (b *Ban) Login() bool { return b.User != "" || b.Device != "" || b.Strangers }

// Key is what one ban is told from another by: the same again takes its place.
func (b *Ban) Key() string {
	return fmt.Sprintf("%s|%q|%q|%q", b.Prefix, b.Tenant, b.User, b.Device)
}

// ChangeBans writes bans, and removes those of keys that are nil, in one transaction.
func (s *Store) ChangeBans(changes map[string]*Ban) error {
	if len(changes) == 0 {
		return nil
	}
	return s.update(func(tx *bolt.Tx) error {
		b, err := writeBucket(tx, bucketBans)
		if err != nil {
			return err
		}
		for key, ban := range changes {
			if ban == nil {
				err = b.Delete([]byte(key))
			} else {
				err = put(b, []byte(key), ban)
			}
			if err != nil {
				return err
			}
		}
		return nil
	})
}

// Bans returns all bans, also those that have expired, in no order. They are read from the
// file each time: whoever looks up users and leases has no use for them.
func (s *Store) Bans() (list []Ban, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	db, err := s.open(true)
	if err != nil {
		return nil, err
	}
	defer db.Close()
	err = db.View(func(tx *bolt.Tx) error {
		if err := checkSchema(tx); err != nil {
			return err
		}
		b := tx.Bucket(bucketBans)
		if b == nil { // an older culvert has opened it last
			return nil
		}
		return b.ForEach(func(key, _ []byte) error {
			ban, err := get[Ban](b, key)
			list = append(list, ban)
			return err
		})
	})
	return list, wrap(err)
}
