package auth

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"encoding/asn1"
	"fmt"
	"io"
	"math/big"

	"github.com/culvert-vpn/culvert/ike/wire"
)

// minRSA and maxRSA are the shortest and the longest RSA keys that are accepted from
// a peer, in bits: anybody can send a long one, and have us compute with it.
const (
	minRSA = 2048
	maxRSA = 8192
)

func checkRSA(key *rsa.PublicKey) error {
	if n := key.N.BitLen(); n < minRSA || n > maxRSA {
		return fmt.Errorf("%w: an RSA key of %d bits", ErrMethod, n)
	}
	return nil
}

type keyKind uint8

const (
	keyRSA keyKind = iota + 1
	keyECDSA
	keyEd25519
)

func kindOf(pub crypto.PublicKey) keyKind {
	switch pub.(type) {
	case *rsa.PublicKey:
		return keyRSA
	case *ecdsa.PublicKey:
		return keyECDSA
	case ed25519.PublicKey:
		return keyEd25519
	}
	return 0
}

// scheme is one way to sign, with the AlgorithmIdentifier that names it in DER
// (RFC 7427, appendix A).
type scheme struct {
	kind      keyKind
	hash      HashAlgorithm
	pss       bool
	algorithm []byte
}

// schemes lists the ways to sign in the order in which we choose.
func schemes() []scheme {
	return []scheme{
		{keyRSA, HashSHA256, false, rsaID(11)},
		{keyRSA, HashSHA384, false, rsaID(12)},
		{keyRSA, HashSHA512, false, rsaID(13)},
		{keyRSA, HashSHA256, true, pssID(1, 32)},
		{keyRSA, HashSHA384, true, pssID(2, 48)},
		{keyRSA, HashSHA512, true, pssID(3, 64)},
		{keyECDSA, HashSHA256, false, ecdsaID(2)},
		{keyECDSA, HashSHA384, false, ecdsaID(3)},
		{keyECDSA, HashSHA512, false, ecdsaID(4)},
		{keyEd25519, HashIdentity, false, []byte{0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70}}, // RFC 8420
	}
}

// rsaID is shaWithRSAEncryption, with its NULL (RFC 7427, appendix A.1).
func rsaID(n byte) []byte {
	return []byte{0x30, 0x0d, 0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, n, 0x05, 0x00}
}

// ecdsaID is ecdsa-with-SHA2, without parameters (appendix A.3).
func ecdsaID(n byte) []byte {
	return []byte{0x30, 0x0a, 0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, n}
}

// pssID is RSASSA-PSS with the hash 2.16.840.1.101.3.4.2.n for the message and for
// MGF1, and salt as long as the hash (appendix A.4).
func pssID(n, salt byte) []byte {
	return pssOver([]byte{0x30, 0x0d, 0x06, 0x09, 0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, n, 0x05, 0x00}, salt)
}

// pssOver is pssID for an identifier of a hash.
func pssOver(hash []byte, salt byte) []byte {
	oid := []byte{0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x08}
	mgf := append(append([]byte{0x30, byte(len(oid) + len(hash))}, oid...), hash...)
	params := append([]byte{0xa0, byte(len(hash))}, hash...)
	params = append(append(params, 0xa1, byte(len(mgf))), mgf...)
	params = append(params, 0xa2, 0x03, 0x02, 0x01, salt)
	oid = []byte{0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x0a, 0x30, byte(len(params))}
	return append(append([]byte{0x30, byte(len(oid) + len(params))}, oid...), params...)
}

// fits reports whether a key can sign so. With ECDSA the hash goes with the curve,
// which Windows insists on.
func (s scheme) fits(pub crypto.PublicKey) bool {
	if kindOf(pub) != s.kind {
		return false
	}
	if key, ok := pub.(*ecdsa.PublicKey); ok {
		return curveHash(key.Curve) == s.hash
	}
	return true
}

func curveHash(c elliptic.Curve) HashAlgorithm {
	switch c {
	case elliptic.P256():
		return HashSHA256
	case elliptic.P384():
		return HashSHA384
	case elliptic.P521():
		return HashSHA512
	}
	return 0
}

// options is what crypto.Signer wants to know.
func (s scheme) options() crypto.SignerOpts {
	if s.pss {
		return &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash, Hash: s.hash.crypto()}
	}
	return s.hash.crypto()
}

// appendDigital writes the data of an AUTH payload of method 14: the length of the
// AlgorithmIdentifier, itself, and the signature (RFC 7427, section 3).
func appendDigital(algorithm, sig []byte) []byte {
	return append(append([]byte{byte(len(algorithm))}, algorithm...), sig...)
}

// UsesPSS reports whether an AUTH payload was made by RSASSA-PSS: then its maker verifies
// that too, and perhaps nothing else.
func UsesPSS(a wire.Auth) bool {
	s, _, ok := schemeOf(a.Data)
	return a.Method == wire.AuthDigital && ok && s.pss
}

// schemeOf finds out how the data of an AUTH payload of method 14 is signed, and returns the
// signature.
func schemeOf(data []byte) (s scheme, sig []byte, ok bool) {
	if len(data) < 1 || len(data) < 1+int(data[0]) {
		return s, nil, false
	}
	algorithm, sig := data[1:1+int(data[0])], data[1+int(data[0]):]
	for _, s := range schemes() {
		if bytes.Equal(s.algorithm, algorithm) || bytes.Equal(s.withoutNull(), algorithm) {
			return s, sig, true
		}
	}
	return s, sig, false
}

func verifyDigital(pub crypto.PublicKey, data, octets []byte) error {
	if len(data) < 1 || len(data) < 1+int(data[0]) {
		return ErrSignature
	}
	if s, sig, ok := schemeOf(data); ok && s.kind == kindOf(pub) {
		return s.verify(pub, sig, octets)
	}
	return fmt.Errorf("%w: signature algorithm %s with a key of type %T", ErrMethod, algorithmName(data[1:1+int(data[0])]), pub)
}

// withoutNull is the form of an identifier in which the parameters of hashes and of
// RSA are left out, where they are NULL; some peers write it (RFC 4055, section 2.1).
func (s scheme) withoutNull() []byte {
	id := s.algorithm
	switch {
	case s.pss:
		n := map[HashAlgorithm]byte{HashSHA256: 1, HashSHA384: 2, HashSHA512: 3}[s.hash]
		hash := []byte{0x30, 0x0b, 0x06, 0x09, 0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, n}
		return pssOver(hash, byte(s.hash.crypto().Size()))
	case s.kind == keyRSA:
		out := append([]byte(nil), id[:len(id)-2]...)
		out[1] -= 2
		return out
	}
	return id
}

// algorithmName names the object identifier in an AlgorithmIdentifier.
func algorithmName(der []byte) string {
	var id struct {
		Algorithm  asn1.ObjectIdentifier
		Parameters asn1.RawValue `asn1:"optional"`
	}
	if _, err := asn1.Unmarshal(der, &id); err != nil {
		return "that cannot be read"
	}
	return id.Algorithm.String()
}

func (s scheme) verify(pub crypto.PublicKey, sig, octets []byte) error {
	sum := digest(s.hash.crypto(), octets)
	ok := false
	switch key := pub.(type) {
	case *rsa.PublicKey:
		if err := checkRSA(key); err != nil {
			return err
		}
		if s.pss {
			ok = rsa.VerifyPSS(key, s.hash.crypto(), sum, sig, &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash}) == nil
		} else {
			ok = rsa.VerifyPKCS1v15(key, s.hash.crypto(), sum, sig) == nil
		}
	case *ecdsa.PublicKey:
		ok = ecdsa.VerifyASN1(key, sum, sig)
	case ed25519.PublicKey:
		ok = ed25519.Verify(key, octets, sig)
	}
	if !ok {
		return ErrSignature
	}
	return nil
}

// verifyRSA checks method 1: any hash may be used with it, and the signature itself
// names it (RFC 7296, section 3.8). Windows and Apple use SHA-1.
func verifyRSA(key *rsa.PublicKey, sig, octets []byte) error {
	if err := checkRSA(key); err != nil {
		return err
	}
	for _, h := range []crypto.Hash{crypto.SHA1, crypto.SHA256, crypto.SHA384, crypto.SHA512} {
		if rsa.VerifyPKCS1v15(key, h, digest(h, octets), sig) == nil {
			return nil
		}
	}
	return ErrSignature
}

// ecdsaMethod is the method of RFC 4754 that goes with a curve.
func ecdsaMethod(c elliptic.Curve) (wire.AuthMethod2, HashAlgorithm) {
	switch h := curveHash(c); h {
	case HashSHA256:
		return wire.AuthECDSA256, h
	case HashSHA384:
		return wire.AuthECDSA384, h
	case HashSHA512:
		return wire.AuthECDSA512, h
	}
	return 0, 0
}

// signECDSA writes r and s one after the other, each as long as the order of the
// curve (RFC 4754, section 7).
func signECDSA(rand io.Reader, key crypto.Signer, pub *ecdsa.PublicKey, octets []byte) (wire.Auth, error) {
	method, hash := ecdsaMethod(pub.Curve)
	if method == 0 {
		return wire.Auth{}, fmt.Errorf("%w: an ECDSA key of this curve", ErrMethod)
	}
	der, err := key.Sign(rand, digest(hash.crypto(), octets), hash.crypto())
	if err != nil {
		return wire.Auth{}, fmt.Errorf("auth: %w", err)
	}
	var sig struct{ R, S *big.Int }
	if _, err := asn1.Unmarshal(der, &sig); err != nil {
		return wire.Auth{}, fmt.Errorf("auth: %w", err)
	}
	n := (pub.Params().BitSize + 7) / 8
	out := make([]byte, 2*n)
	sig.R.FillBytes(out[:n])
	sig.S.FillBytes(out[n:])
	return wire.Auth{Method: method, Data: out}, nil
}

func verifyECDSA(key *ecdsa.PublicKey, a wire.Auth, octets []byte) error {
	method, hash := ecdsaMethod(key.Curve)
	if method != a.Method {
		return fmt.Errorf("%w: %v with a key of another curve", ErrMethod, a.Method)
	}
	n := (key.Params().BitSize + 7) / 8
	if len(a.Data) != 2*n {
		return ErrSignature
	}
	r, s := new(big.Int).SetBytes(a.Data[:n]), new(big.Int).SetBytes(a.Data[n:])
	der, err := asn1.Marshal(struct{ R, S *big.Int }{r, s})
	if err != nil || !ecdsa.VerifyASN1(key, digest(hash.crypto(), octets), der) {
		return ErrSignature
	}
	return nil
}
