package aesgcm

import (
	"crypto/aes"
	"crypto/cipher"
	"errors"
	"slices"
	"unsafe"

	"github.com/culvert-vpn/culvert/esp/internal/aeskey"
	"github.com/culvert-vpn/culvert/esp/internal/x86"
)

const (
	nonceSize = 12
	powers    = 16 // blocks that are hashed at once, at the most
	// maxSize is the longest message, in bytes (NIST SP 800-38D, section 5.2.1.1).
	maxSize = (1<<32 - 2) * aeskey.BlockSize
)

var cpu = x86.Detect()

var errOpen = errors.New("aesgcm: message authentication failed")

// Key is an expanded key, eight lines of memory if it begins with one. It has no
// pointers and does not change.
type Key struct {
	// The assembly knows where these are.
	powers [powers][aeskey.BlockSize]byte // of the hash key, the highest first
	enc    aeskey.Schedule
	rounds uint8
	tag    uint8 // how long tags are, in bytes

	_ [14]byte
}

// One of each two is negative, and so does not compile, if the assembly's idea of
// a Key is not Go's.
const (
	_ = uint(unsafe.Offsetof(Key{}.enc) - 256)
	_ = uint(256 - unsafe.Offsetof(Key{}.enc))
	_ = uint(unsafe.Offsetof(Key{}.tag) - 497)
	_ = uint(497 - unsafe.Offsetof(Key{}.tag))
)

// New expands a key of 16, 24 or 32 bytes, which it does not keep, for tags of 12
// to 16 bytes. The AEAD is a *Key, or the standard library's: on processors that
// there is no assembly for, and for tags of other lengths than ESP's 12 and 16.
func New(key []byte, tag int) (cipher.AEAD, error) {
	ours := (len(key) == 16 || len(key) == 24 || len(key) == 32) && (tag == 12 || tag == 16)
	if !cpu.VAES256 || !ours {
		block, err := aes.NewCipher(key)
		if err != nil {
			return nil, err
		}
		return cipher.NewGCMWithTagSize(block, tag)
	}
	k := &Key{tag: uint8(tag)}
	k.rounds = uint8(k.enc.Expand(key))
	hashKeys(k)
	return k, nil
}

// NonceSize is the length of a nonce in bytes.
func (k *Key) NonceSize() int { return nonceSize }

// Overhead is the length of a tag in bytes.
func (k *Key) Overhead() int { return int(k.tag) }

// Seal appends the ciphertext of plain, and its tag, to dst, as the Seal of a
// cipher.AEAD does. The associated data is 8 or 12 bytes.
func (k *Key) Seal(dst, nonce, plain, aad []byte) []byte {
	check(nonce, plain, aad)
	dst = slices.Grow(dst, len(plain)+int(k.tag))
	out := dst[len(dst) : len(dst)+len(plain)+int(k.tag)]
	checkOverlap(out, plain)
	if cpu.VPCLMUL {
		seal512(k, &out[0], unsafe.SliceData(plain), len(plain), &nonce[0], &aad[0], len(aad))
	} else {
		seal256(k, &out[0], unsafe.SliceData(plain), len(plain), &nonce[0], &aad[0], len(aad))
	}
	return dst[:len(dst)+len(out)]
}

// Open appends the plaintext of sealed to dst, as the Open of a cipher.AEAD does.
// If sealed is not authentic, there are zeroes where the plaintext would be.
func (k *Key) Open(dst, nonce, sealed, aad []byte) ([]byte, error) {
	n := len(sealed) - int(k.tag)
	if n < 0 {
		return nil, errOpen
	}
	check(nonce, sealed[:n], aad)
	dst = slices.Grow(dst, n)
	out := dst[len(dst) : len(dst)+n]
	checkOverlap(out, sealed)
	if !k.open(out, sealed, nonce, aad) {
		clear(out)
		return nil, errOpen
	}
	return dst[:len(dst)+n], nil
}

// open decrypts sealed to out, and reports whether it is authentic.
func (k *Key) open(out, sealed, nonce, aad []byte) bool {
	if cpu.VPCLMUL {
		return open512(k, unsafe.SliceData(out), &sealed[0], len(out), &nonce[0], &aad[0], len(aad)) == 0
	}
	return open256(k, unsafe.SliceData(out), &sealed[0], len(out), &nonce[0], &aad[0], len(aad)) == 0
}

// check refuses what would lead the assembly out of its memory, and what it does
// not know.
func check(nonce, message, aad []byte) {
	if len(nonce) != nonceSize || len(aad) != 8 && len(aad) != 12 || len(message) > maxSize {
		panic("aesgcm: no nonce of 12 bytes, no associated data of 8 or 12, or too long")
	}
}

// checkOverlap refuses two slices that share memory and do not begin together.
func checkOverlap(a, b []byte) {
	if len(a) == 0 || len(b) == 0 || &a[0] == &b[0] {
		return
	}
	if from, to := start(a), start(b); from < to+uintptr(len(b)) && to < from+uintptr(len(a)) {
		panic("aesgcm: messages overlap")
	}
}

func start(b []byte) uintptr { return uintptr(unsafe.Pointer(&b[0])) }
