package store

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	bolt "go.etcd.io/bbolt"
	bolterrors "go.etcd.io/bbolt/errors"
)

// LockWait is how long a method waits for another process to let go of the
// file.
const LockWait = 5 * time.Second

// fileName is the store's file in the state directory.
const fileName = "state.db"

// schema is the version of what is in the file: 1 has users and leases, and bans,
// which older versions leave alone.
const schema = 1

// The buckets of the file. users has one bucket a tenant in it.
var (
	bucketMeta   = []byte("meta")
	bucketUsers  = []byte("users")
	bucketLeases = []byte("leases")
	bucketBans   = []byte("bans")
	keySchema    = []byte("schema")
)

// Store is the state of one server.
type Store struct {
	path string
	wait time.Duration
	now  func() time.Time

	closed atomic.Bool
	mu     sync.Mutex // one transaction of this process at a time
	cache  *snapshot
	stamp  stamp
}

// Open opens the store in a directory and makes both where they are missing:
// the directory with mode 0700, the file with 0600. A file that others may
// read is made the owner's alone.
func Open(dir string) (*Store, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, explain(err)
	}
	s := &Store{path: filepath.Join(dir, fileName), wait: LockWait, now: time.Now, cache: &snapshot{}}
	if err := s.prepare(); err != nil {
		return nil, err
	}
	return s, nil
}

// Look opens the store in a directory to be read, and makes nothing; fs.ErrNotExist if there
// is none.
func Look(dir string) (*Store, error) {
	s := &Store{path: filepath.Join(dir, fileName), wait: LockWait, now: time.Now, cache: &snapshot{}}
	if _, err := s.look(); err != nil {
		return nil, err
	}
	return s, nil
}

// Close forgets what is in memory; the file is not open between calls. What is under way
// comes to its end by itself, and is not waited for.
func (s *Store) Close() error {
	s.closed.Store(true)
	if s.mu.TryLock() {
		s.cache = nil
		s.mu.Unlock()
	}
	return nil
}

// prepare makes the buckets, checks the schema and the mode of the file.
func (s *Store) prepare() error {
	err := s.update(func(tx *bolt.Tx) error {
		for _, name := range [][]byte{bucketMeta, bucketUsers, bucketLeases, bucketBans} {
			if _, err := tx.CreateBucketIfNotExists(name); err != nil {
				return err
			}
		}
		meta := tx.Bucket(bucketMeta)
		if meta.Get(keySchema) == nil {
			return meta.Put(keySchema, binary.BigEndian.AppendUint32(nil, schema))
		}
		return nil
	})
	if err != nil {
		return err
	}
	if err := os.Chmod(s.path, 0o600); err != nil {
		return fmt.Errorf("store: %w", err)
	}
	return nil
}

// checkSchema refuses a file that a later version wrote.
func checkSchema(tx *bolt.Tx) error {
	meta := tx.Bucket(bucketMeta)
	if meta == nil {
		return nil // a file that prepare makes now
	}
	if v := meta.Get(keySchema); len(v) == 4 && binary.BigEndian.Uint32(v) > schema {
		return ErrNewer
	}
	return nil
}

// update does one read-write transaction.
func (s *Store) update(do func(*bolt.Tx) error) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	db, err := s.open(false)
	if err != nil {
		return err
	}
	err = db.Update(func(tx *bolt.Tx) error {
		if err := checkSchema(tx); err != nil {
			return err
		}
		return do(tx)
	})
	s.stamp.sure = false
	return wrap(errors.Join(err, db.Close()))
}

// open opens the file and waits for its lock; s.mu is held.
func (s *Store) open(readOnly bool) (*bolt.DB, error) {
	if s.closed.Load() {
		return nil, ErrClosed
	}
	db, err := bolt.Open(s.path, 0o600, &bolt.Options{Timeout: s.wait, ReadOnly: readOnly})
	switch {
	case errors.Is(err, bolterrors.ErrTimeout):
		return nil, ErrBusy
	case errors.Is(err, bolterrors.ErrInvalid), errors.Is(err, bolterrors.ErrChecksum), errors.Is(err, bolterrors.ErrVersionMismatch):
		return nil, fmt.Errorf("store: %s is damaged (%w); restore it from a backup, or move it away to start empty", s.path, err)
	case err != nil:
		return nil, explain(err)
	}
	return db, nil
}

// explain says what to do about a file that does not open.
func explain(err error) error {
	if errors.Is(err, os.ErrPermission) {
		return fmt.Errorf("store: %w; run this as the user that culvert runs as, or with sudo", err)
	}
	return fmt.Errorf("store: %w", err)
}

// wrap puts the package's name before errors that do not have it.
func wrap(err error) error {
	if err == nil || strings.HasPrefix(err.Error(), "store: ") {
		return err
	}
	return fmt.Errorf("store: %w", err)
}

// userBucket returns the bucket of a tenant's users, to be written to; it is
// made when it is missing.
func userBucket(tx *bolt.Tx, tenant string) (*bolt.Bucket, error) {
	if err := checkName(tenant); err != nil {
		return nil, err
	}
	b, err := writeBucket(tx, bucketUsers)
	if err != nil {
		return nil, err
	}
	return b.CreateBucketIfNotExists([]byte(tenant))
}

// writeBucket returns a bucket to be written to. Its sequence, which counts
// the transactions that did, tells readers that it has changed.
func writeBucket(tx *bolt.Tx, name []byte) (*bolt.Bucket, error) {
	b := tx.Bucket(name)
	if _, err := b.NextSequence(); err != nil {
		return nil, err
	}
	return b, nil
}

// checkName refuses what cannot be a key.
func checkName(name string) error {
	if name == "" || len(name) > 255 {
		return ErrName
	}
	return nil
}

// key is the form of a user's name that users are kept under: case does not
// count.
func key(name string) []byte { return []byte(strings.ToLower(name)) }
