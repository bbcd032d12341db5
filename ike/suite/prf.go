package suite

import (
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"hash"
)

// Hash is a hash algorithm by its number in phase 1 (RFC 2409, appendix A; RFC
// 4868). Its HMAC is the phase's PRF.
type Hash uint8

// The hashes of phase 1.
const (
	HashMD5    Hash = 1 // named in refusals, never used
	HashSHA1   Hash = 2
	HashTiger  Hash = 3 // likewise
	HashSHA256 Hash = 4
	HashSHA384 Hash = 5
	HashSHA512 Hash = 6
)

func (h Hash) new() func() hash.Hash {
	switch h {
	case HashSHA1:
		return sha1.New
	case HashSHA256:
		return sha256.New
	case HashSHA384:
		return sha512.New384
	case HashSHA512:
		return sha512.New
	}
	return nil
}

// Supported reports whether h can be used.
func (h Hash) Supported() bool { return h.new() != nil }

// New returns a running hash. h must be supported.
func (h Hash) New() hash.Hash { return h.new()() }

// Size returns the length of the hash and of the PRF's result in bytes.
func (h Hash) Size() int {
	switch h {
	case HashSHA1:
		return sha1.Size
	case HashSHA256:
		return sha256.Size
	case HashSHA384:
		return sha512.Size384
	}
	return sha512.Size
}

// Sum returns the hash of the parts one after the other.
func (h Hash) Sum(parts ...[]byte) []byte {
	s := h.New()
	for _, p := range parts {
		s.Write(p)
	}
	return s.Sum(nil)
}

// The bytes that HMAC's key is mixed with (RFC 2104, section 2).
const (
	innerPad = 0x36
	outerPad = 0x5c
)

// PRF returns the HMAC under key of the parts one after the other. A login asks for dozens
// over a few hundred bytes each, which are put together on the stack and hashed at once:
// the running hashes of crypto/hmac are most of what a login leaves to collect.
func (h Hash) PRF(key []byte, parts ...[]byte) []byte {
	var room [640]byte
	n := h.blockSize()
	b := room[:n]
	if len(key) > n {
		h.appendSum(b[:0], key)
	} else {
		copy(b, key)
	}
	xorAll(b, innerPad)
	for _, p := range parts {
		b = append(b, p...)
	}
	var inner [sha512.Size]byte
	sum := h.appendSum(inner[:0], b)
	xorAll(b[:n], innerPad^outerPad)
	out := h.appendSum(nil, append(b[:n], sum...))
	clear(b[:cap(b)])
	clear(room[:])
	return out
}

func xorAll(b []byte, with byte) {
	for i := range b {
		b[i] ^= with
	}
}

// blockSize is the length of what the hash takes at once, in bytes.
func (h Hash) blockSize() int {
	if h == HashSHA384 || h == HashSHA512 {
		return sha512.BlockSize
	}
	return sha256.BlockSize // SHA-1's, too
}

// appendSum appends the hash of b to dst. h must be supported.
func (h Hash) appendSum(dst, b []byte) []byte {
	switch h {
	case HashSHA1:
		s := sha1.Sum(b)
		return append(dst, s[:]...)
	case HashSHA256:
		s := sha256.Sum256(b)
		return append(dst, s[:]...)
	case HashSHA384:
		s := sha512.Sum384(b)
		return append(dst, s[:]...)
	}
	s := sha512.Sum512(b)
	return append(dst, s[:]...)
}

// PRFPlus returns n bytes of prf+ (RFC 7296, section 2.13):
//
//	T1 = prf (K, S | 0x01), T2 = prf (K, T1 | S | 0x02), ...
//
// n is at most 255 times the PRF's size; more is a programmer's error and panics.
func (h Hash) PRFPlus(key, seed []byte, n int) []byte {
	var out, t []byte
	for i := 1; len(out) < n; i++ {
		if i > 255 {
			panic("suite: prf+ asked for more than 255 blocks")
		}
		t = h.PRF(key, t, seed, []byte{byte(i)})
		out = append(out, t...)
	}
	return out[:n:n]
}
