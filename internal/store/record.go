package store

import (
	"encoding/json"
	"fmt"

	bolt "go.etcd.io/bbolt"
)

// put writes a record as JSON. bbolt keeps the bytes until the transaction ends.
func put(b *bolt.Bucket, key []byte, record any) error {
	value, err := json.Marshal(record)
	if err != nil {
		return err
	}
	return b.Put(key, value)
}

// get reads a record that is there.
func get[T any](b *bolt.Bucket, key []byte) (T, error) {
	var record T
	if err := json.Unmarshal(b.Get(key), &record); err != nil {
		return record, fmt.Errorf("record %q: %w", key, err)
	}
	return record, nil
}

// records reads all records of a bucket.
func records[T any](b *bolt.Bucket) (map[string]T, error) {
	all := map[string]T{}
	err := b.ForEach(func(k, v []byte) error {
		if v == nil {
			return nil
		}
		record, err := get[T](b, k)
		if err != nil {
			return err
		}
		all[string(k)] = record
		return nil
	})
	return all, err
}

// perTenant reads the buckets of all tenants in a bucket.
func perTenant[T any](b *bolt.Bucket) (map[string]map[string]T, error) {
	all := map[string]map[string]T{}
	err := b.ForEachBucket(func(name []byte) error {
		var err error
		all[string(name)], err = records[T](b.Bucket(name))
		return err
	})
	return all, err
}
