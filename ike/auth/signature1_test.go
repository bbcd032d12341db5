package auth

import (
	"bytes"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"
	"math/big"
	"slices"
	"testing"
)

// TestSignHash: the padded block holds the hash and nothing else (RFC 2409, section
// 5.1).
func TestSignHash(t *testing.T) {
	key, hash := keysOnce()["rsa"], bytes.Repeat([]byte{7}, 20)
	sig, err := SignHash(rand.Reader, key, hash)
	if err != nil {
		t.Fatal(err)
	}
	if err := VerifyHash(key.Public(), hash, sig); err != nil {
		t.Error(err)
	}
	for _, bad := range [][]byte{nil, sig[1:], make([]byte, len(sig))} {
		if err := VerifyHash(key.Public(), hash, bad); !errors.Is(err, ErrSignature) {
			t.Error(err)
		}
	}
	if err := VerifyHash(key.Public(), hash[1:], sig); !errors.Is(err, ErrSignature) {
		t.Error(err)
	}
	other := keysOnce()["p256"]
	if _, err := SignHash(rand.Reader, other, hash); !errors.Is(err, ErrMethod) {
		t.Error(err)
	}
	if err := VerifyHash(other.Public(), hash, sig); !errors.Is(err, ErrMethod) {
		t.Error(err)
	}
}

// TestLongKeys: what a stranger can have us verify with is bounded.
func TestLongKeys(t *testing.T) {
	long := &rsa.PublicKey{N: new(big.Int).SetBit(big.NewInt(1), 16384, 1), E: 65537}
	hash := bytes.Repeat([]byte{7}, 20)
	if err := VerifyHash(long, hash, make([]byte, 2048)); !errors.Is(err, ErrMethod) {
		t.Error(err)
	}
	if err := checkKey(&x509.Certificate{PublicKey: long}); err == nil {
		t.Error("accepted")
	}
	if left := affordable([]*x509.Certificate{{PublicKey: long}, {PublicKey: keysOnce()["rsa"].Public()}}); len(left) != 1 {
		t.Errorf("%d left", len(left))
	}
}

// pkcs7 wraps certificates as Windows does.
func pkcs7(t testing.TB, certs ...*x509.Certificate) []byte {
	t.Helper()
	var all []byte
	for _, c := range certs {
		all = append(all, c.Raw...)
	}
	wrap := func(class, tag int, parts ...[]byte) []byte {
		b, err := asn1.Marshal(asn1.RawValue{Class: class, Tag: tag, IsCompound: true, Bytes: slices.Concat(parts...)})
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	data, _ := asn1.Marshal(asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 7, 1})
	signed, _ := asn1.Marshal(asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 7, 2})
	inner := wrap(0, asn1.TagSequence, []byte{2, 1, 1}, wrap(0, asn1.TagSet), wrap(0, asn1.TagSequence, data),
		wrap(2, 0, all), wrap(0, asn1.TagSet))
	return wrap(0, asn1.TagSequence, signed, wrap(2, 0, inner))
}

func TestParsePKCS7(t *testing.T) {
	root := newAuthority(t, "root", nil)
	c := root.issue(&x509.Certificate{Subject: pkix.Name{CommonName: "bob"}})
	b := pkcs7(t, c, root.cert)
	got, err := ParsePKCS7(b)
	if err != nil || len(got) != 2 || !got[0].Equal(c) || !got[1].Equal(root.cert) {
		t.Errorf("%v, %v", got, err)
	}
	for i := range b {
		if _, err := ParsePKCS7(b[:i]); !errors.Is(err, ErrCertificate) {
			t.Fatalf("cut to %d: %v", i, err)
		}
	}
	if _, err := ParsePKCS7(pkcs7(t)); !errors.Is(err, ErrCertificate) {
		t.Error(err)
	}
}

func FuzzParsePKCS7(f *testing.F) {
	f.Add(pkcs7(f))
	f.Fuzz(func(t *testing.T, b []byte) {
		if list, err := ParsePKCS7(b); err == nil && len(list) == 0 {
			t.Fatal("nothing, and no error")
		}
	})
}
