package suite

import (
	"encoding/hex"
	"fmt"
	"io"
	"sync"

	"filippo.io/bigmod"
)

// modp is a group of integers modulo a safe prime with generator 2.
type modp struct {
	prime *bigmod.Modulus
	base  *fixedBase
	// exponent is the length of a secret exponent in bytes. In a group whose
	// order has no small factors it needs twice the bits of the group's
	// strength (RFC 3526, section 8; RFC 7919, section 5.2): those say 160, 180,
	// 225, 275 and 325 bits at least. A shorter exponent is a faster login.
	exponent int
}

// The groups are worked out on their first use: the Montgomery constants and the
// table of powers of the generator.
var (
	modp1024 = sync.OnceValue(func() *modp { return newMODP(prime1024, 32) })
	modp1536 = sync.OnceValue(func() *modp { return newMODP(prime1536, 32) })
	modp2048 = sync.OnceValue(func() *modp { return newMODP(prime2048, 32) })
	modp3072 = sync.OnceValue(func() *modp { return newMODP(prime3072, 40) })
	modp4096 = sync.OnceValue(func() *modp { return newMODP(prime4096, 48) })
)

func newMODP(prime string, exponent int) *modp {
	b, err := hex.DecodeString(prime)
	if err != nil {
		panic(err)
	}
	m, err := bigmod.NewModulus(b)
	if err != nil {
		panic(err)
	}
	return &modp{prime: m, base: newFixedBase(m, 2, exponent), exponent: exponent}
}

// modpKey is a secret exponent and its public value.
type modpKey struct {
	group *modp
	x     []byte
	y     []byte
}

func (g *modp) generate(rand io.Reader) (exchange, error) {
	x := make([]byte, g.exponent)
	if _, err := io.ReadFull(rand, x); err != nil {
		return nil, fmt.Errorf("suite: no randomness: %w", err)
	}
	// The uppermost bit keeps the exponent away from zero and one.
	x[0] |= 0x80
	return &modpKey{group: g, x: x, y: g.base.exp(x).Bytes(g.prime)}, nil
}

func (k *modpKey) public() []byte { return append([]byte(nil), k.y...) }

// shared returns peer^x, with leading zeroes up to the length of the prime (RFC
// 2409, section 5).
func (k *modpKey) shared(peer []byte) ([]byte, error) {
	if len(k.x) == 0 {
		return nil, ErrZeroed
	}
	y, err := k.group.value(peer)
	if err != nil {
		return nil, err
	}
	return bigmod.NewNat().Exp(y, k.x, k.group.prime).Bytes(k.group.prime), nil
}

// value reads a public value and refuses 0, 1, p-1 and everything from p on: with
// a safe prime no other value confines the secret to a small subgroup (RFC 2631,
// section 2.1.5; RFC 6989, section 2.1).
func (g *modp) value(b []byte) (*bigmod.Nat, error) {
	if len(b) != g.prime.Size() {
		return nil, ErrPublicValue
	}
	y, err := bigmod.NewNat().SetBytes(b, g.prime)
	if err != nil || y.IsZero()|y.IsOne()|y.IsMinusOne(g.prime) == 1 {
		return nil, ErrPublicValue
	}
	return y, nil
}

func (k *modpKey) zero() {
	clear(k.x)
	k.x = nil
}
