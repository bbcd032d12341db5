package suite

import (
	"crypto/ecdh"
	"fmt"
	"io"
)

// maxTries bounds the search for a scalar below the order of a curve, which at
// random succeeds at once but for one time in 2^32.
const maxTries = 64

// curve is an elliptic curve group.
type curve struct {
	ecdh.Curve
	scalar int  // length of a scalar in bytes
	mask   byte // of the scalar's first byte
	point  bool // public values are x|y (RFC 5903, section 7), else as ecdh has them
}

type curveKey struct {
	curve curve
	key   *ecdh.PrivateKey
}

func (c curve) generate(rand io.Reader) (exchange, error) {
	b := make([]byte, c.scalar)
	defer clear(b)
	for range maxTries {
		if _, err := io.ReadFull(rand, b); err != nil {
			return nil, fmt.Errorf("suite: no randomness: %w", err)
		}
		b[0] &= c.mask
		// Scalars that are zero or not below the order are drawn again.
		if key, err := c.NewPrivateKey(b); err == nil {
			return &curveKey{curve: c, key: key}, nil
		}
	}
	return nil, fmt.Errorf("suite: randomness gives no key: %w", ErrUnsupported)
}

func (k *curveKey) public() []byte {
	if k.key == nil {
		return nil
	}
	b := k.key.PublicKey().Bytes()
	if k.curve.point {
		b = b[1:] // the 0x04 of an uncompressed point
	}
	return b
}

// shared returns the X coordinate alone (RFC 5903, section 9, which corrects RFC
// 4753). NewPublicKey checks that the point is on the curve.
func (k *curveKey) shared(peer []byte) ([]byte, error) {
	if k.key == nil {
		return nil, ErrZeroed
	}
	if k.curve.point {
		peer = append([]byte{4}, peer...)
	}
	pub, err := k.curve.NewPublicKey(peer)
	if err != nil {
		return nil, ErrPublicValue
	}
	secret, err := k.key.ECDH(pub)
	if err != nil { // X25519: a point of small order (RFC 8031, section 2)
		return nil, ErrPublicValue
	}
	return secret, nil
}

// zero drops the key: the standard library offers no way to overwrite it.
func (k *curveKey) zero() { k.key = nil }
