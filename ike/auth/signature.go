package auth

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"fmt"
	"io"
	"slices"

	"github.com/culvert-vpn/culvert/ike/wire"
)

// HashAlgorithm is an entry of SIGNATURE_HASH_ALGORITHMS (RFC 7427, section 4).
type HashAlgorithm uint16

// The hash algorithms (RFC 7427, section 7; RFC 8420).
const (
	HashSHA1     HashAlgorithm = 1
	HashSHA256   HashAlgorithm = 2
	HashSHA384   HashAlgorithm = 3
	HashSHA512   HashAlgorithm = 4
	HashIdentity HashAlgorithm = 5 // the message itself: Ed25519
)

// HashAlgorithms are those that we announce in SIGNATURE_HASH_ALGORITHMS.
func HashAlgorithms() []uint16 {
	return []uint16{uint16(HashSHA256), uint16(HashSHA384), uint16(HashSHA512), uint16(HashIdentity)}
}

func (h HashAlgorithm) crypto() crypto.Hash {
	switch h {
	case HashSHA1:
		return crypto.SHA1
	case HashSHA256:
		return crypto.SHA256
	case HashSHA384:
		return crypto.SHA384
	case HashSHA512:
		return crypto.SHA512
	}
	return 0
}

// SignPolicy is what the peer can verify.
type SignPolicy struct {
	// Hashes are those of the peer's SIGNATURE_HASH_ALGORITHMS. Empty: the peer
	// does not know RFC 7427, and gets the methods of RFC 7296 and RFC 4754.
	Hashes []HashAlgorithm
	// PSS signs with RSASSA-PSS where RFC 7427 is used: for peers that have used it
	// themselves. Otherwise PKCS#1 v1.5, which more verify (Android's does not take PSS),
	// although PSS is what RFC 8247, section 3.2.1, demands.
	PSS bool
}

// Sign returns the AUTH payload with a signature by key over octets. rand is for
// RSA-PSS and ECDSA.
func Sign(rand io.Reader, key crypto.Signer, octets []byte, p SignPolicy) (wire.Auth, error) {
	if len(p.Hashes) > 0 {
		if a, err := signDigital(rand, key, octets, p); err == nil {
			return a, nil
		}
	}
	return signClassic(rand, key, octets)
}

// signClassic signs without RFC 7427: method 1 for RSA, 9 to 11 for ECDSA. Ed25519
// has no such method.
func signClassic(rand io.Reader, key crypto.Signer, octets []byte) (wire.Auth, error) {
	switch pub := key.Public().(type) {
	case *rsa.PublicKey:
		// RFC 7296, section 3.8: implementations use SHA-1 by default here.
		sig, err := key.Sign(rand, digest(crypto.SHA1, octets), crypto.SHA1)
		return wire.Auth{Method: wire.AuthRSA, Data: sig}, err
	case *ecdsa.PublicKey:
		return signECDSA(rand, key, pub, octets)
	}
	return wire.Auth{}, fmt.Errorf("%w: a key of type %T needs digital signatures (RFC 7427), which the peer does not announce", ErrMethod, key.Public())
}

// signDigital signs with method 14.
func signDigital(rand io.Reader, key crypto.Signer, octets []byte, p SignPolicy) (wire.Auth, error) {
	for _, s := range schemes() {
		if !s.fits(key.Public()) || s.pss != (p.PSS && s.kind == keyRSA) || !slices.Contains(p.Hashes, s.hash) || s.hash == HashSHA1 {
			continue
		}
		sig, err := key.Sign(rand, digest(s.hash.crypto(), octets), s.options())
		if err != nil {
			return wire.Auth{}, fmt.Errorf("auth: %w", err)
		}
		return wire.Auth{Method: wire.AuthDigital, Data: appendDigital(s.algorithm, sig)}, nil
	}
	return wire.Auth{}, ErrHash
}

// digest hashes octets; without a hash it returns them.
func digest(h crypto.Hash, octets []byte) []byte {
	if h == 0 {
		return octets
	}
	sum := h.New()
	sum.Write(octets)
	return sum.Sum(nil)
}

// VerifySignature checks the signature of an AUTH payload over octets with the
// public key of the peer's certificate. SHA-1 is accepted in method 1 only, where
// Apple's clients use it. The errors are ErrMethod and ErrSignature.
func VerifySignature(pub crypto.PublicKey, a wire.Auth, octets []byte) error {
	switch key := pub.(type) {
	case *rsa.PublicKey:
		if a.Method == wire.AuthRSA {
			return verifyRSA(key, a.Data, octets)
		}
	case *ecdsa.PublicKey:
		if a.Method >= wire.AuthECDSA256 && a.Method <= wire.AuthECDSA512 {
			return verifyECDSA(key, a, octets)
		}
	case ed25519.PublicKey:
	default:
		return fmt.Errorf("%w: a key of type %T", ErrMethod, pub)
	}
	if a.Method != wire.AuthDigital {
		return fmt.Errorf("%w: %v with a key of type %T", ErrMethod, a.Method, pub)
	}
	return verifyDigital(pub, a.Data, octets)
}
