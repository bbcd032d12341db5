package suite

import "io"

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

// GenerateKey returns a new secret of the group with the randomness of rand. The
// same bytes from rand give the same key.
func (g Group) GenerateKey(rand io.Reader) (*PrivateKey, error) {
	return nil, ErrUnsupported
}

// Group returns the group the key belongs to.
func (k *PrivateKey) Group() Group { return k.group }

// Public returns a copy of the public value, as long as Group.PublicLen says.
func (k *PrivateKey) Public() []byte { return k.public() }

// Shared returns the secret shared with the owner of the public value peer, or
// ErrPublicValue. It is safe for concurrent use; the caller zeroes the result.
func (k *PrivateKey) Shared(peer []byte) ([]byte, error) { return k.shared(peer) }

// Zero forgets the secret. The key is of no use afterwards.
func (k *PrivateKey) Zero() { k.zero() }
