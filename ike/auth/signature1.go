package auth

import (
	"crypto"
	"crypto/rsa"
	"crypto/x509"
	"encoding/asn1"
	"fmt"
	"io"
	"slices"

	"github.com/culvert-vpn/culvert/ike/suite"
	"github.com/culvert-vpn/culvert/internal/certificate"
)

// SKEYIDSigned is the root of all keys of an ISAKMP SA when the peers sign:
//
//	SKEYID = prf(Ni_b | Nr_b, g^xy)        (RFC 2409, section 5)
//
// The caller zeroes the result.
func SKEYIDSigned(h suite.Hash, ni, nr, gxy []byte) []byte {
	return h.PRF(slices.Concat(ni, nr), gxy)
}

// SignHash signs HASH_I or HASH_R of IKEv1 for a SIG payload: PKCS#1 padding around
// the hash itself, without the identifier of an algorithm (RFC 2409, section 5.1).
func SignHash(rand io.Reader, key crypto.Signer, hash []byte) ([]byte, error) {
	if _, ok := key.Public().(*rsa.PublicKey); !ok {
		return nil, fmt.Errorf("%w: IKEv1 signs with RSA, and the key is of type %T", ErrMethod, key.Public())
	}
	sig, err := key.Sign(rand, hash, crypto.Hash(0))
	if err != nil {
		return nil, fmt.Errorf("auth: %w", err)
	}
	return sig, nil
}

// VerifyHash checks a SIG payload of IKEv1 with the public key of the peer's
// certificate. The errors are ErrMethod and ErrSignature.
func VerifyHash(pub crypto.PublicKey, hash, sig []byte) error {
	key, ok := pub.(*rsa.PublicKey)
	if !ok {
		return fmt.Errorf("%w: IKEv1 signs with RSA, and the key is of type %T", ErrMethod, pub)
	}
	if err := checkRSA(key); err != nil {
		return err
	}
	if rsa.VerifyPKCS1v15(key, crypto.Hash(0), hash, sig) != nil {
		return ErrSignature
	}
	return nil
}

// ParsePKCS7 reads the certificates of a CERT payload of encoding wire.CertPKCS7, in
// which Windows sends its chain: a SignedData without signatures (RFC 2315, section
// 9.1). Their order says nothing.
func ParsePKCS7(b []byte) ([]*x509.Certificate, error) {
	var outer struct {
		Type    asn1.ObjectIdentifier
		Content asn1.RawValue // [0] EXPLICIT
	}
	var signed struct {
		Version      int
		Digests      asn1.RawValue
		Inner        asn1.RawValue
		Certificates asn1.RawValue // [0] IMPLICIT
	}
	signedData := asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 7, 2}
	if rest, err := asn1.Unmarshal(b, &outer); err != nil || len(rest) != 0 || !outer.Type.Equal(signedData) {
		return nil, fault(FaultMalformed, nil, "no PKCS#7 with certificates")
	}
	if _, err := asn1.Unmarshal(outer.Content.Bytes, &signed); err != nil || signed.Certificates.Class != asn1.ClassContextSpecific {
		return nil, fault(FaultMalformed, nil, "no PKCS#7 with certificates")
	}
	list, err := certificate.ParseAll(signed.Certificates.Bytes)
	if err != nil {
		return nil, fault(FaultMalformed, nil, "in PKCS#7: %v", err)
	}
	if len(list) == 0 || len(list) > maxCertificates {
		return nil, fault(FaultMalformed, nil, "%d certificates in PKCS#7", len(list))
	}
	return list, nil
}
