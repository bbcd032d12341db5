package store

import (
	"maps"
	"net/netip"
	"slices"
	"time"

	bolt "go.etcd.io/bbolt"
)

// Ban keeps a source address from being served.
type Ban struct {
	// Addr is the client's outer address.
	Addr netip.Addr `json:"addr"`
	// Until is when the ban ends, in UTC; the zero time: never.
	Until time.Time `json:"until"`
	// Reason in plain words, for whoever lists bans.
	Reason string `json:"reason"`
}

// over reports whether the ban has ended.
func (b Ban) over(now time.Time) bool { return !b.Until.IsZero() && !now.Before(b.Until) }

// PutBan records a ban; one address has one, and the last counts. Bans that
// have ended are removed with it.
func (s *Store) PutBan(b Ban) error {
	if !b.Addr.IsValid() {
		return ErrName
	}
	b.Addr = b.Addr.Unmap()
	return s.update(func(tx *bolt.Tx) error {
		bans, err := writeBucket(tx, bucketBans)
		if err != nil {
			return err
		}
		all, err := records[Ban](bans)
		if err != nil {
			return err
		}
		for k, old := range all {
			if old.over(s.now()) {
				if err := bans.Delete([]byte(k)); err != nil {
					return err
				}
			}
		}
		return put(bans, []byte(b.Addr.String()), b)
	})
}

// DeleteBan lifts a ban; ErrNotFound when there is none.
func (s *Store) DeleteBan(addr netip.Addr) error {
	k := []byte(addr.Unmap().String())
	return s.update(func(tx *bolt.Tx) error {
		bans, err := writeBucket(tx, bucketBans)
		if err != nil {
			return err
		}
		if bans.Get(k) == nil {
			return ErrNotFound
		}
		return bans.Delete(k)
	})
}

// Bans returns the bans in force, by address.
func (s *Store) Bans() ([]Ban, error) {
	now, err := s.read()
	if err != nil {
		return nil, err
	}
	all := slices.Collect(maps.Values(now.bans.records))
	all = slices.DeleteFunc(all, func(b Ban) bool { return b.over(s.now()) })
	slices.SortFunc(all, func(a, b Ban) int { return a.Addr.Compare(b.Addr) })
	return all, nil
}
