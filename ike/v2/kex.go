package v2

import (
	"crypto/sha3"
	"encoding/binary"

	"github.com/culvert-vpn/culvert/ike/suite"
)

// sharedSecret is the result of a key exchange that was computed elsewhere.
type sharedSecret struct {
	key    []byte
	public []byte // ours, if it was made in the same step
	err    error
}

// madeKey is a key of ours that was made elsewhere.
type madeKey struct {
	key *suite.PrivateKey
	err error
}

// makeKey makes a key of ours. Like answerExchange it stretches a seed.
func makeKey(seed []byte, g suite.Group) madeKey {
	key, err := g.GenerateKey(stretch(seed))
	return madeKey{key: key, err: err}
}

// finish computes the secret that our key shares with the peer's public value. The
// key is finish's own, and zeroed.
func finish(key *suite.PrivateKey, peer []byte) sharedSecret {
	defer key.Zero()
	k, err := key.Shared(peer)
	return sharedSecret{key: k, err: err}
}

// answerExchange makes a public value of ours and the secret. It may run on
// another goroutine while Rand belongs to this one, so it stretches a seed.
func answerExchange(seed []byte, g suite.Group, peer []byte) sharedSecret {
	public, key, err := g.Respond(stretch(seed), peer)
	return sharedSecret{key: key, public: public, err: err}
}

// zeroKey forgets a private key, if there is one.
func zeroKey(k *suite.PrivateKey) {
	if k != nil {
		k.Zero()
	}
}

// Discard overwrites a result that nobody waits for any more.
func Discard(result any) {
	switch s := result.(type) {
	case sharedSecret:
		clear(s.key)
	case madeKey:
		zeroKey(s.key)
	case sharedSecrets:
		s.zero()
	}
}

func spiBytes(spi uint32) []byte { return binary.BigEndian.AppendUint32(nil, spi) }

func spiOf(b []byte) uint32 { return binary.BigEndian.Uint32(b) }

// stretch is a source of randomness that may be read on another goroutine.
func stretch(seed []byte) *sha3.SHAKE {
	s := sha3.NewSHAKE256()
	s.Write(seed)
	clear(seed)
	return s
}
