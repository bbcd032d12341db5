package engine

import (
	"crypto/aes"
	"crypto/cipher"
	"encoding/binary"
	"io"

	"github.com/culvert-vpn/culvert/ike"
)

// spis gives out the SPIs that we receive on. Packets are told apart by nothing
// else, so none comes twice; drawn at random, among 20,000 sessions there are two
// with one SPI in one start of twenty. They are the numbers from 1 on in an
// order that only the key knows, so they say nothing of how many there are.
type spis struct {
	key  cipher.Block
	last uint32
}

// leastSPI is the first that is not reserved (RFC 4303, section 2.1).
const leastSPI = 256

func newSPIs(random io.Reader) (*spis, error) {
	var key [16]byte
	if _, err := io.ReadFull(random, key[:]); err != nil {
		return nil, err
	}
	block, err := aes.NewCipher(key[:])
	return &spis{key: block}, err
}

// next returns an SPI that was not given out before, until all are used up.
func (s *spis) next() ike.SPI {
	for {
		s.last++
		if spi := s.mix(s.last); spi >= leastSPI {
			return ike.SPI(spi)
		}
	}
}

// mix is a permutation of the numbers of 32 bits: a Feistel network of four
// rounds, with AES as what a round does with one half.
func (s *spis) mix(n uint32) uint32 {
	var b [aes.BlockSize]byte
	left, right := uint16(n>>16), uint16(n)
	for round := range byte(4) {
		b = [aes.BlockSize]byte{round}
		binary.BigEndian.PutUint16(b[1:], right)
		s.key.Encrypt(b[:], b[:])
		left, right = right, left^binary.BigEndian.Uint16(b[:])
	}
	return uint32(left)<<16 | uint32(right)
}
