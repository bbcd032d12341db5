package aeskey

import (
	"crypto/subtle"
	"encoding/binary"
	"unsafe"
)

// BlockSize is the length of a block, and of a round key, in bytes.
const BlockSize = 16

// MaxRounds is how many rounds the longest key has.
const MaxRounds = 14

// Schedule is the round keys of a key, one more than it has rounds. What is behind
// those of a shorter key is zero.
type Schedule [MaxRounds + 1][BlockSize]byte

// Expand fills an empty Schedule with the round keys of a key of 16, 24 or 32
// bytes, and returns how many rounds it has. It needs AES-NI and AVX.
func (s *Schedule) Expand(key []byte) (rounds int) {
	w := s.words()
	n := len(key) / 4
	rounds = n + 6
	for i := range n {
		copy(w[i][:], key[4*i:])
	}
	round := uint32(1)
	for i := n; i < 4*(rounds+1); i++ {
		t := binary.LittleEndian.Uint32(w[i-1][:])
		switch {
		case i%n == 0:
			t = subWord(t>>8|t<<24) ^ round
			round = round<<1 ^ round>>7*0x11B
		case n > 6 && i%n == 4:
			t = subWord(t)
		}
		binary.LittleEndian.PutUint32(w[i][:], t)
		subtle.XORBytes(w[i][:], w[i][:], w[i-n][:])
	}
	return rounds
}

// words is the schedule as FIPS 197 numbers it, four bytes a word.
func (s *Schedule) words() *[4 * (MaxRounds + 1)][4]byte {
	return (*[4 * (MaxRounds + 1)][4]byte)(unsafe.Pointer(s))
}
