package auth

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"
	"fmt"
	"sync"
	"testing"

	"github.com/culvert-vpn/culvert/ike/suite"
	"github.com/culvert-vpn/culvert/ike/wire"
)

// keysOnce makes one key of each kind for all tests.
var keysOnce = sync.OnceValue(func() map[string]crypto.Signer {
	rsaKey, _ := rsa.GenerateKey(rand.Reader, 2048)
	_, ed, _ := ed25519.GenerateKey(rand.Reader)
	out := map[string]crypto.Signer{"rsa": rsaKey, "ed25519": ed}
	for name, c := range map[string]elliptic.Curve{"p256": elliptic.P256(), "p384": elliptic.P384(), "p521": elliptic.P521()} {
		out[name], _ = ecdsa.GenerateKey(c, rand.Reader)
	}
	return out
})

// TestSharedKey follows RFC 7296 section 2.15 literally.
func TestSharedKey(t *testing.T) {
	prf := func(key, data string) string {
		m := hmac.New(sha256.New, []byte(key))
		m.Write([]byte(data))
		return string(m.Sum(nil))
	}
	o := Octets{Message: []byte("RealMessage1"), Nonce: []byte("NonceR"), ID: []byte("RestOfInitIDPayload"),
		PRF: suite.HashSHA256, SKp: []byte("SK_pi"), IntAuth: []byte("IntAuth")}
	octets := "RealMessage1NonceR" + prf("SK_pi", "RestOfInitIDPayload") + "IntAuth"
	if string(o.Bytes()) != octets {
		t.Errorf("%q", o.Bytes())
	}
	want := []byte(prf(prf("secret", "Key Pad for IKEv2"), octets))
	if !bytes.Equal(SharedKey(o, []byte("secret")), want) || !VerifySharedKey(o, []byte("secret"), want) {
		t.Error("AUTH")
	}
	for _, sent := range [][]byte{nil, want[1:], append(want, 0), make([]byte, 32)} {
		if VerifySharedKey(o, []byte("secret"), sent) {
			t.Errorf("%x accepted", sent)
		}
	}
}

// TestSignatures: each kind of key signs in the way that the peer can verify, and
// nothing else verifies.
func TestSignatures(t *testing.T) {
	all := []HashAlgorithm{HashSHA1, HashSHA256, HashSHA384, HashSHA512, HashIdentity}
	octets := []byte("octets")
	for name, want := range map[string]wire.AuthMethod2{
		"rsa": wire.AuthRSA, "p256": wire.AuthECDSA256, "p384": wire.AuthECDSA384, "p521": wire.AuthECDSA512, "ed25519": 0,
	} {
		key := keysOnce()[name]
		for _, p := range []SignPolicy{{}, {Hashes: all}, {Hashes: all, PSS: true}, {Hashes: all[:1]}} {
			a, err := Sign(rand.Reader, key, octets, p)
			digital := len(p.Hashes) > 1
			if want == 0 && !digital {
				if !errors.Is(err, ErrMethod) {
					t.Errorf("%s %+v: %v", name, p, err)
				}
				continue
			}
			if err != nil || digital != (a.Method == wire.AuthDigital) || !digital && a.Method != want {
				t.Errorf("%s %+v: %v, %v", name, p, a.Method, err)
			}
			wantVerified(t, name, key.Public(), a, octets)
		}
	}
}

func wantVerified(t *testing.T, name string, pub crypto.PublicKey, a wire.Auth, octets []byte) {
	t.Helper()
	if err := VerifySignature(pub, a, octets); err != nil {
		t.Errorf("%s: %v: %v", name, a.Method, err)
	}
	if err := VerifySignature(pub, a, []byte("others")); !errors.Is(err, ErrSignature) {
		t.Errorf("%s: %v: other octets: %v", name, a.Method, err)
	}
	for i := range a.Data {
		bad := bytes.Clone(a.Data)
		bad[i] ^= 1
		if VerifySignature(pub, wire.Auth{Method: a.Method, Data: bad}, octets) == nil {
			t.Errorf("%s: %v: byte %d changed", name, a.Method, i)
		}
		if VerifySignature(pub, wire.Auth{Method: a.Method, Data: a.Data[:i]}, octets) == nil {
			t.Errorf("%s: %v: cut to %d", name, a.Method, i)
		}
	}
	for other, key := range keysOnce() {
		if other != name && VerifySignature(key.Public(), a, octets) == nil {
			t.Errorf("a signature of %s verifies with %s", name, other)
		}
	}
	for _, m := range []wire.AuthMethod2{wire.AuthShared, wire.AuthDSS, wire.AuthNULL, 200} {
		if err := VerifySignature(pub, wire.Auth{Method: m, Data: a.Data}, octets); !errors.Is(err, ErrMethod) {
			t.Errorf("%s: %v: %v", name, m, err)
		}
	}
}

// TestMethodOne: Apple's and Windows' clients sign with SHA-1, others with SHA-2
// under the same number (RFC 7296, section 3.8). In RFC 7427, SHA-1 is refused.
func TestMethodOne(t *testing.T) {
	key := keysOnce()["rsa"].(*rsa.PrivateKey)
	for _, h := range []crypto.Hash{crypto.SHA1, crypto.SHA256, crypto.SHA384, crypto.SHA512} {
		sig, err := rsa.SignPKCS1v15(nil, key, h, digest(h, []byte("octets")))
		if err != nil {
			t.Fatal(err)
		}
		if err := VerifySignature(key.Public(), wire.Auth{Method: wire.AuthRSA, Data: sig}, []byte("octets")); err != nil {
			t.Errorf("%v: %v", h, err)
		}
	}
	sum := sha1.Sum([]byte("octets"))
	sig, _ := rsa.SignPKCS1v15(nil, key, crypto.SHA1, sum[:])
	a := wire.Auth{Method: wire.AuthDigital, Data: appendDigital(rsaID(5), sig)}
	if err := VerifySignature(key.Public(), a, []byte("octets")); !errors.Is(err, ErrMethod) {
		t.Errorf("SHA-1 in method 14: %v", err)
	}
}

// TestAlgorithmIdentifiers: each is DER, with the object identifier that its RFC
// gives it, and takes no more than its length byte can say.
func TestAlgorithmIdentifiers(t *testing.T) {
	var got []string
	for _, s := range schemes() {
		var id pkix.AlgorithmIdentifier
		rest, err := asn1.Unmarshal(s.algorithm, &id)
		if err != nil || len(rest) != 0 || len(s.algorithm) > 255 {
			t.Errorf("%x: %v", s.algorithm, err)
		}
		got = append(got, id.Algorithm.String())
	}
	want := []string{"1.2.840.113549.1.1.11", "1.2.840.113549.1.1.12", "1.2.840.113549.1.1.13", "1.2.840.113549.1.1.10",
		"1.2.840.113549.1.1.10", "1.2.840.113549.1.1.10", "1.2.840.10045.4.3.2", "1.2.840.10045.4.3.3", "1.2.840.10045.4.3.4", "1.3.101.112"}
	for i := range want {
		if got[i] != want[i] {
			t.Errorf("%d: %s, want %s", i, got[i], want[i])
		}
	}
	if algorithmName([]byte{1}) != "that cannot be read" {
		t.Error("junk has a name")
	}
	// RFC 7427, appendices A.1.2 and A.4.3.
	if got := fmt.Sprintf("%x", rsaID(11)); got != "300d06092a864886f70d01010b0500" {
		t.Error(got)
	}
	if got := fmt.Sprintf("%x", pssID(1, 32)); got != "304106092a864886f70d01010a3034a00f300d06096086480165030402010500"+
		"a11c301a06092a864886f70d010108300d06096086480165030402010500a203020120" {
		t.Error(got)
	}
}

// TestIdentifiersWithoutNull are accepted as well.
func TestIdentifiersWithoutNull(t *testing.T) {
	key := keysOnce()["rsa"]
	for _, s := range schemes()[:6] {
		sig, err := key.Sign(rand.Reader, digest(s.hash.crypto(), []byte("octets")), s.options())
		if err != nil {
			t.Fatal(err)
		}
		var id pkix.AlgorithmIdentifier
		if rest, err := asn1.Unmarshal(s.withoutNull(), &id); err != nil || len(rest) != 0 {
			t.Errorf("%x: %v", s.withoutNull(), err)
		}
		a := wire.Auth{Method: wire.AuthDigital, Data: appendDigital(s.withoutNull(), sig)}
		if err := VerifySignature(key.Public(), a, []byte("octets")); err != nil {
			t.Errorf("%x: %v", s.withoutNull(), err)
		}
	}
}

func TestShortRSA(t *testing.T) {
	t.Setenv("GODEBUG", "rsa1024min=0")
	key, err := rsa.GenerateKey(rand.Reader, 1024)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range []SignPolicy{{}, {Hashes: []HashAlgorithm{HashSHA256}}} {
		a, err := Sign(rand.Reader, key, []byte("octets"), p)
		if err != nil {
			t.Fatal(err)
		}
		if err := VerifySignature(key.Public(), a, []byte("octets")); !errors.Is(err, ErrMethod) {
			t.Errorf("%v: %v", a.Method, err)
		}
	}
}

func FuzzVerifySignature(f *testing.F) {
	f.Add(byte(14), []byte{1, 2})
	f.Fuzz(func(t *testing.T, m byte, b []byte) {
		for name, key := range keysOnce() {
			if VerifySignature(key.Public(), wire.Auth{Method: wire.AuthMethod2(m), Data: b}, []byte("octets")) == nil {
				t.Fatalf("%s: %d %x verifies", name, m, b)
			}
		}
	})
}
