package suite

import (
	"crypto/mlkem"
	"fmt"
	"io"
)

// The key encapsulation methods (FIPS 203), which share the numbers of the groups.
// They are used beside a group, as additional key exchanges (RFC 9370).
const (
	GroupMLKEM512  Group = 35 // named, never used
	GroupMLKEM768  Group = 36
	GroupMLKEM1024 Group = 37
)

// IsKEM reports whether g is a key encapsulation method that can be used: the two
// sides' public values differ in kind, so that the responder uses Respond.
func (g Group) IsKEM() bool { return g == GroupMLKEM768 || g == GroupMLKEM1024 }

// Respond is the responder's whole part of a key exchange: given the initiator's
// public value it returns ours and the secret shared, which the caller zeroes. For
// a group it generates a key with the randomness of rand; for a KEM the standard
// library draws its own. The error is ErrPublicValue for a value that is no good.
func (g Group) Respond(rand io.Reader, peer []byte) (public, shared []byte, err error) {
	if g.IsKEM() {
		return g.encapsulate(peer)
	}
	k, err := g.GenerateKey(rand)
	if err != nil {
		return nil, nil, err
	}
	defer k.Zero()
	if shared, err = k.Shared(peer); err != nil {
		return nil, nil, err
	}
	return k.Public(), shared, nil
}

// encapsulator is the public key of a KEM.
type encapsulator interface {
	Encapsulate() (shared, ciphertext []byte)
}

func (g Group) encapsulate(peer []byte) (public, shared []byte, err error) {
	var key encapsulator
	if g == GroupMLKEM768 {
		key, err = mlkem.NewEncapsulationKey768(peer)
	} else {
		key, err = mlkem.NewEncapsulationKey1024(peer)
	}
	if err != nil {
		return nil, nil, ErrPublicValue
	}
	shared, public = key.Encapsulate()
	return public, shared, nil
}

// kem makes decapsulation keys.
type kem struct{ group Group }

func (m kem) generate(rand io.Reader) (exchange, error) {
	seed := make([]byte, mlkem.SeedSize)
	defer clear(seed)
	if _, err := io.ReadFull(rand, seed); err != nil {
		return nil, fmt.Errorf("suite: randomness: %w", err)
	}
	if m.group == GroupMLKEM768 {
		k, err := mlkem.NewDecapsulationKey768(seed)
		if err != nil {
			return nil, fmt.Errorf("suite: %w", err)
		}
		return &decapsulation{k, k.EncapsulationKey().Bytes()}, nil
	}
	k, err := mlkem.NewDecapsulationKey1024(seed)
	if err != nil {
		return nil, fmt.Errorf("suite: %w", err)
	}
	return &decapsulation{k, k.EncapsulationKey().Bytes()}, nil
}

// decapsulation is the initiator's secret of a KEM.
type decapsulation struct {
	key interface {
		Decapsulate(ciphertext []byte) ([]byte, error)
	}
	encapsulation []byte
}

func (d *decapsulation) public() []byte { return append([]byte(nil), d.encapsulation...) }

func (d *decapsulation) shared(ciphertext []byte) ([]byte, error) {
	if d.key == nil {
		return nil, ErrZeroed
	}
	secret, err := d.key.Decapsulate(ciphertext)
	if err != nil {
		return nil, ErrPublicValue
	}
	return secret, nil
}

// zero lets go of the key, whose memory is the standard library's.
func (d *decapsulation) zero() { d.key = nil }
