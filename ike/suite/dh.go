package suite

import (
	"crypto/ecdh"
	"fmt"
	"io"
)

// Group is a Diffie-Hellman group by its number in IKE, the same in both versions.
type Group uint16

// The groups that are implemented.
const (
	GroupNone     Group = 0
	GroupMODP1024 Group = 2  // legacy (RFC 2409, section 6.2)
	GroupMODP1536 Group = 5  // legacy (RFC 3526)
	GroupMODP2048 Group = 14 // RFC 3526
	GroupMODP3072 Group = 15 // RFC 3526
	GroupMODP4096 Group = 16 // RFC 3526
	GroupECP256   Group = 19 // RFC 5903
	GroupECP384   Group = 20 // RFC 5903
	GroupECP521   Group = 21 // RFC 5903
	GroupX25519   Group = 31 // RFC 8031
)

// exchange is one side's secret in a group.
type exchange interface {
	public() []byte
	shared(peer []byte) ([]byte, error)
	zero()
}

// PrivateKey is one side's secret of a Diffie-Hellman exchange, for one use.
type PrivateKey struct {
	group Group
	exchange
}

// generator makes keys of a group.
type generator interface {
	generate(rand io.Reader) (exchange, error)
}

func (g Group) generator() generator {
	switch g {
	case GroupMODP1024:
		return modp1024()
	case GroupMODP1536:
		return modp1536()
	case GroupMODP2048:
		return modp2048()
	case GroupMODP3072:
		return modp3072()
	case GroupMODP4096:
		return modp4096()
	case GroupECP256:
		return curve{Curve: ecdh.P256(), scalar: 32, mask: 0xff, point: true}
	case GroupECP384:
		return curve{Curve: ecdh.P384(), scalar: 48, mask: 0xff, point: true}
	case GroupECP521:
		return curve{Curve: ecdh.P521(), scalar: 66, mask: 0x01, point: true}
	case GroupX25519:
		return curve{Curve: ecdh.X25519(), scalar: 32, mask: 0xff}
	case GroupMLKEM768, GroupMLKEM1024:
		return kem{g}
	}
	return nil
}

// GenerateKey returns a new secret of the group with the randomness of rand. The
// same bytes from rand give the same key. The first key of a MODP group takes
// some milliseconds longer, for the group's table.
func (g Group) GenerateKey(rand io.Reader) (*PrivateKey, error) {
	gen := g.generator()
	if gen == nil {
		return nil, fmt.Errorf("%w: %v", ErrUnsupported, g)
	}
	x, err := gen.generate(rand)
	if err != nil {
		return nil, err
	}
	return &PrivateKey{group: g, exchange: x}, nil
}

// PublicLen returns the length of a public value in bytes, zero for a group that
// is not supported, and for a KEM, whose sides differ.
func (g Group) PublicLen() int {
	switch g {
	case GroupMODP1024:
		return 128
	case GroupMODP1536:
		return 192
	case GroupMODP2048:
		return 256
	case GroupMODP3072:
		return 384
	case GroupMODP4096:
		return 512
	case GroupECP256:
		return 64
	case GroupECP384:
		return 96
	case GroupECP521:
		return 132
	case GroupX25519:
		return 32
	}
	return 0
}

// Supported reports whether the group can be the one key exchange of an SA. A KEM
// only comes on top of one.
func (g Group) Supported() bool { return g.PublicLen() != 0 }

// Public returns a copy of the public value, as long as Group.PublicLen says.
func (k *PrivateKey) Public() []byte { return k.public() }

// Shared returns the secret shared with the owner of the public value peer, or
// ErrPublicValue. It is safe for concurrent use; the caller zeroes the result.
func (k *PrivateKey) Shared(peer []byte) ([]byte, error) { return k.shared(peer) }

// Take moves the secret into a key of its own, and leaves this one zeroed: for a
// computation on another goroutine, while the owner may give up and zero its own.
func (k *PrivateKey) Take() *PrivateKey {
	taken := &PrivateKey{group: k.group, exchange: k.exchange}
	k.exchange = spent{}
	return taken
}

// spent is what is left of a key that was taken.
type spent struct{}

func (spent) public() []byte                { return nil }
func (spent) shared([]byte) ([]byte, error) { return nil, ErrZeroed }
func (spent) zero()                         {}

// Zero forgets the secret. The key is of no use afterwards.
func (k *PrivateKey) Zero() { k.zero() }
