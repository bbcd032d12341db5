package esp

import (
	"reflect"
	"runtime"
)

// wipe has the expanded keys of an SA in CBC mode overwritten once the SA is collected:
// when nobody uses it any more, however long somebody was still in the middle of a batch.
// A Vault does so with those of AES-GCM. What the standard library's HMAC keeps of a key
// it does not let go of.
func wipe[T any](sa *T, k *cbcKeys) { runtime.AddCleanup(sa, (*cbcKeys).zero, k) }

func (k *cbcKeys) zero() {
	if k.aes != nil {
		k.aes.Zero()
	}
	if k.iv != nil {
		k.iv.Zero()
	}
	if k.mac.sums != nil {
		k.mac.sums.Zero()
	}
	if v := reflect.ValueOf(k.des); v.Kind() == reflect.Pointer {
		v.Elem().SetZero()
	}
}
