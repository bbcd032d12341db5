package store

import (
	"os"
	"syscall"
	"time"

	bolt "go.etcd.io/bbolt"
)

// settled is how old a file's last change must be at the time it is read for
// a later change to be sure to show in its times: well over the steps in which
// file systems count.
const settled = 2 * time.Second

// stamp tells one content of the file from another.
type stamp struct {
	inode   uint64
	size    int64
	changed time.Time
	sure    bool // the file had settled when it was read
}

// same reports whether the file is as it was at the stamp.
func (s stamp) same(now stamp) bool {
	return s.sure && s.inode == now.inode && s.size == now.size && s.changed.Equal(now.changed)
}

// look takes the file's stamp.
func (s *Store) look() (stamp, error) {
	info, err := os.Stat(s.path)
	if err != nil {
		return stamp{}, wrap(err)
	}
	st := stamp{size: info.Size(), changed: info.ModTime()}
	st.sure = s.now().Sub(st.changed) > settled
	if sys, ok := info.Sys().(*syscall.Stat_t); ok {
		st.inode = sys.Ino
	}
	return st, nil
}

// snapshot is the whole content of the file. It is never written to once it
// is made.
type snapshot struct {
	users  part[map[string]User] // by tenant, by key of the name
	leases part[[]Lease]         // by tenant
	counts uint64                // how often users were found changed
}

// part is the content of one bucket, and how often that had been written.
type part[T any] struct {
	sequence uint64
	records  map[string]T
}

// refresh returns the content of a bucket: what is known already if nobody
// has written to it since, and else what load reads.
func (p part[T]) refresh(b *bolt.Bucket, load func(*bolt.Bucket) (map[string]T, error)) (part[T], error) {
	if b == nil { // a file that somebody makes now
		return part[T]{records: map[string]T{}}, nil
	}
	if p.records != nil && p.sequence == b.Sequence() {
		return p, nil
	}
	records, err := load(b)
	return part[T]{b.Sequence(), records}, err
}

// read returns what the file holds now. It takes the stamp before it opens
// the file: a change in between is seen by the next read.
func (s *Store) read() (*snapshot, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed.Load() {
		return nil, ErrClosed
	}
	now, err := s.look()
	if err != nil {
		return nil, err
	}
	if s.stamp.same(now) {
		return s.cache, nil
	}
	if s.stamp.inode != now.inode {
		s.cache = &snapshot{counts: s.cache.counts} // another file: its sequences say nothing
	}
	fresh, err := s.load()
	if err != nil {
		return nil, err
	}
	s.cache, s.stamp = fresh, now
	return fresh, nil
}

// load reads what of the file has changed; s.mu is held.
func (s *Store) load() (*snapshot, error) {
	db, err := s.open(true)
	if err != nil {
		return nil, err
	}
	defer db.Close()
	fresh := *s.cache
	err = db.View(func(tx *bolt.Tx) error {
		if err := checkSchema(tx); err != nil {
			return err
		}
		if fresh.users, err = fresh.users.refresh(tx.Bucket(bucketUsers), loadUsers); err != nil {
			return err
		}
		if s.cache.users.records == nil || fresh.users.sequence != s.cache.users.sequence {
			fresh.counts++
		}
		fresh.leases, err = fresh.leases.refresh(tx.Bucket(bucketLeases), records[[]Lease])
		return err
	})
	return &fresh, wrap(err)
}

// loadUsers reads the users of all tenants.
func loadUsers(b *bolt.Bucket) (map[string]map[string]User, error) {
	kept, err := perTenant[userRecord](b)
	if err != nil {
		return nil, err
	}
	all := make(map[string]map[string]User, len(kept))
	for tenant, users := range kept {
		all[tenant] = make(map[string]User, len(users))
		for k, r := range users {
			if all[tenant][k], err = r.user(); err != nil {
				return nil, err
			}
		}
	}
	return all, nil
}
