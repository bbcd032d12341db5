package suite

import (
	"crypto/subtle"
	"slices"

	"filippo.io/bigmod"
)

// windowSize is the number of powers a window chooses from: it has four bits.
const windowSize = 16

// fixedBase raises one number to secret powers. It keeps, for each window of four
// bits of the exponent, the sixteen powers the window can stand for, so that no
// squaring is left: half the multiplications of a general exponentiation.
type fixedBase struct {
	m      *bigmod.Modulus
	powers [][windowSize][]uint // powers[i][d] = base^(d * 16^i), least word first
}

func newFixedBase(m *bigmod.Modulus, base uint, exponent int) *fixedBase {
	f := &fixedBase{m: m, powers: make([][windowSize][]uint, 2*exponent)}
	b := bigmod.NewNat().SetUint(base).ExpandFor(m)
	for i := range f.powers {
		p := bigmod.NewNat().SetUint(1).ExpandFor(m)
		for d := range windowSize {
			f.powers[i][d] = slices.Clone(p.Bits())
			p.Mul(b, m)
		}
		b = p // base^(16 * 16^i)
	}
	return f
}

// exp returns base^x. Time and memory accesses depend on nothing but the length
// of x, which must be that of the table: every window reads all its powers.
func (f *fixedBase) exp(x []byte) *bigmod.Nat {
	out := bigmod.NewNat().SetUint(1).ExpandFor(f.m)
	factor := bigmod.NewNat().ExpandFor(f.m)
	for i := range f.powers {
		digit := x[len(x)-1-i/2] >> (4 * (i % 2)) & (windowSize - 1)
		f.choose(factor.Bits(), i, digit)
		out.Mul(factor, f.m)
	}
	clear(factor.Bits())
	return out
}

// choose copies powers[i][digit] into dst without telling by its timing which.
func (f *fixedBase) choose(dst []uint, i int, digit byte) {
	clear(dst)
	for d, power := range f.powers[i] {
		mask := -uint(subtle.ConstantTimeByteEq(digit, byte(d)))
		for j, word := range power[:len(dst)] {
			dst[j] |= word & mask
		}
	}
}
