package suite

import (
	"crypto/subtle"

	"filippo.io/bigmod"
)

// windowSize is the number of powers a window chooses from: it has four bits.
const windowSize = 16

// fixedBase raises one number to secret powers. It keeps, for each window of four
// bits of the exponent, the sixteen powers the window can stand for, so that no
// squaring is left: half the multiplications of a general exponentiation.
type fixedBase struct {
	m      *bigmod.Modulus
	powers [][windowSize][]byte // powers[i][d] = base^(d * 16^i), big endian
}

func newFixedBase(m *bigmod.Modulus, base uint, exponent int) *fixedBase {
	f := &fixedBase{m: m, powers: make([][windowSize][]byte, 2*exponent)}
	b := bigmod.NewNat().SetUint(base).ExpandFor(m)
	for i := range f.powers {
		p := bigmod.NewNat().SetUint(1).ExpandFor(m)
		for d := range windowSize {
			f.powers[i][d] = p.Bytes(m)
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
	chosen := make([]byte, f.m.Size())
	factor := bigmod.NewNat()
	for i, window := range f.powers {
		digit := x[len(x)-1-i/2] >> (4 * (i % 2)) & (windowSize - 1)
		for d, power := range window {
			subtle.ConstantTimeCopy(subtle.ConstantTimeByteEq(digit, byte(d)), chosen, power)
		}
		if _, err := factor.SetBytes(chosen, f.m); err != nil {
			panic("suite: power out of range")
		}
		out.Mul(factor, f.m)
	}
	clear(chosen)
	return out
}
