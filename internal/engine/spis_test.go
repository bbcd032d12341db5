package engine

import (
	"crypto/aes"
	"crypto/rand"
	"encoding/binary"
	"testing"

	"github.com/culvert-vpn/culvert/ike"
)

// TestSPIsAreUnique: none comes twice, none is reserved, and another gateway has
// them in another order. Drawn at random, some 30 of so many would come twice.
func TestSPIsAreUnique(t *testing.T) {
	const n = 1 << 19
	s, err1 := newSPIs(rand.Reader)
	other, err2 := newSPIs(rand.Reader)
	if err1 != nil || err2 != nil {
		t.Fatal(err1, err2)
	}
	seen, same := make(map[ike.SPI]bool, n), 0
	for range n {
		spi := s.next()
		if seen[spi] || spi < leastSPI {
			t.Fatalf("%#x again, or reserved", spi)
		}
		seen[spi] = true
		if spi == other.next() {
			same++
		}
	}
	if same > 10 {
		t.Errorf("%d of two gateways are the same", same)
	}
}

// unmix is the number that mix makes n of.
func (s *spis) unmix(n uint32) uint32 {
	left, right := uint16(n>>16), uint16(n)
	for round := 3; round >= 0; round-- {
		b := [aes.BlockSize]byte{byte(round)}
		binary.BigEndian.PutUint16(b[1:], left)
		s.key.Encrypt(b[:], b[:])
		left, right = right^binary.BigEndian.Uint16(b[:]), left
	}
	return uint32(left)<<16 | uint32(right)
}

// TestSPIsSkipTheReserved: every number comes once, and only those that are not
// ours to use are left out.
func TestSPIsSkipTheReserved(t *testing.T) {
	s, err := newSPIs(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	for want := range uint32(1 << 16) {
		at := s.unmix(want)
		if got := s.mix(at); got != want {
			t.Fatalf("%#x became %#x", want, got)
		}
		s.last = at - 1
		if spi := s.next(); (spi == ike.SPI(want)) != (want >= leastSPI) || spi < leastSPI {
			t.Errorf("%d came for %d", spi, want)
		}
	}
}
