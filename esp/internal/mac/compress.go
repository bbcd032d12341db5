package mac

import (
	"encoding/binary"
	"math/bits"
	"unsafe"
)

// BlockSize is the block of both hash functions in bytes.
const BlockSize = 64

// state is the chaining value; SHA-1 uses five words of it.
type state [8]uint32

// wideState is the states of all lanes, word by word.
type wideState [8][laneCount]uint32

// Hash is the hash function under an HMAC.
type Hash uint8

// The hash functions.
const (
	SHA1 Hash = iota + 1
	SHA256
)

// Size is the length of the hash function's output in bytes.
func (h Hash) Size() int { return 4 * h.words() }

func (h Hash) words() int {
	if h == SHA1 {
		return 5
	}
	return 8
}

// initial is the state before the first block (FIPS 180-4, section 5.3).
func (h Hash) initial() state {
	if h == SHA1 {
		return state{0x67452301, 0xEFCDAB89, 0x98BADCFE, 0x10325476, 0xC3D2E1F0}
	}
	return state{
		0x6A09E667, 0xBB67AE85, 0x3C6EF372, 0xA54FF53A,
		0x510E527F, 0x9B05688C, 0x1F83D9AB, 0x5BE0CD19,
	}
}

// compress takes whole blocks into s.
func (h Hash) compress(s *state, data []byte) {
	n := len(data) / BlockSize
	switch {
	case n == 0:
	case cpu.SHA && h == SHA1:
		sha1NI1(s, &data[0], n)
	case cpu.SHA:
		sha256NI1(s, &data[0], n)
	default:
		h.compressGo(s, data)
	}
}

// compressTwo takes as many blocks of each of two messages.
func (h Hash) compressTwo(s1 *state, data1 unsafe.Pointer, s2 *state, data2 unsafe.Pointer, blocks int) {
	if h == SHA1 {
		sha1NI2(s1, (*byte)(data1), s2, (*byte)(data2), blocks)
	} else {
		sha256NI2(s1, (*byte)(data1), s2, (*byte)(data2), blocks)
	}
}

// compressWide takes as many blocks of a message in each lane.
func (h Hash) compressWide(s *wideState, data *[laneCount]unsafe.Pointer, blocks int) {
	if h == SHA1 {
		sha1Wide(s, data, blocks)
	} else {
		sha256Wide(s, data, blocks)
	}
}

// compressGo is the twin of the assembly.
func (h Hash) compressGo(s *state, data []byte) {
	for ; len(data) >= BlockSize; data = data[BlockSize:] {
		var w [80]uint32
		for i := range 16 {
			w[i] = binary.BigEndian.Uint32(data[4*i:])
		}
		if h == SHA1 {
			roundsSHA1(s, &w)
		} else {
			roundsSHA256(s, &w)
		}
	}
}

// roundsSHA1 is FIPS 180-4, section 6.1.2.
func roundsSHA1(s *state, w *[80]uint32) {
	for t := 16; t < 80; t++ {
		w[t] = bits.RotateLeft32(w[t-3]^w[t-8]^w[t-14]^w[t-16], 1)
	}
	a, b, c, d, e := s[0], s[1], s[2], s[3], s[4]
	for t := range 80 {
		var f, k uint32
		switch t / 20 {
		case 0:
			f, k = b&c|^b&d, 0x5A827999
		case 1:
			f, k = b^c^d, 0x6ED9EBA1
		case 2:
			f, k = b&c|b&d|c&d, 0x8F1BBCDC
		default:
			f, k = b^c^d, 0xCA62C1D6
		}
		a, b, c, d, e = bits.RotateLeft32(a, 5)+f+e+k+w[t], a, bits.RotateLeft32(b, 30), c, d
	}
	for i, x := range [...]uint32{a, b, c, d, e} {
		s[i] += x
	}
}

// roundsSHA256 is FIPS 180-4, section 6.2.2.
func roundsSHA256(s *state, w *[80]uint32) {
	rotr := func(x uint32, n int) uint32 { return bits.RotateLeft32(x, -n) }
	for t := 16; t < 64; t++ {
		s0 := rotr(w[t-15], 7) ^ rotr(w[t-15], 18) ^ w[t-15]>>3
		s1 := rotr(w[t-2], 17) ^ rotr(w[t-2], 19) ^ w[t-2]>>10
		w[t] = w[t-16] + s0 + w[t-7] + s1
	}
	a, b, c, d, e, f, g, h := s[0], s[1], s[2], s[3], s[4], s[5], s[6], s[7]
	for t, k := range sha256K {
		t1 := h + (rotr(e, 6) ^ rotr(e, 11) ^ rotr(e, 25)) + (e&f ^ ^e&g) + k + w[t]
		t2 := (rotr(a, 2) ^ rotr(a, 13) ^ rotr(a, 22)) + (a&b ^ a&c ^ b&c)
		h, g, f, e, d, c, b, a = g, f, e, d+t1, c, b, a, t1+t2
	}
	for i, x := range [...]uint32{a, b, c, d, e, f, g, h} {
		s[i] += x
	}
}

var sha256K = [64]uint32{
	0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
	0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
	0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
	0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
	0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
	0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
	0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
	0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2,
}
