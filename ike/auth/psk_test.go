package auth

import (
	"crypto/hmac"
	"crypto/sha256"
	"testing"

	"github.com/culvert-vpn/culvert/ike/suite"
	"github.com/culvert-vpn/culvert/ike/wire"
)

// TestProof follows RFC 2409 section 5 literally.
func TestProof(t *testing.T) {
	h := suite.HashSHA256
	prf := func(key, data string) []byte {
		m := hmac.New(sha256.New, []byte(key))
		m.Write([]byte(data))
		return m.Sum(nil)
	}
	skeyid := SKEYID(h, []byte("psk"), []byte("Ni"), []byte("Nr"))
	if !hmac.Equal(skeyid, prf("psk", "NiNr")) {
		t.Error("SKEYID")
	}
	p := Proof{Own: []byte("gxi"), Other: []byte("gxr"), OwnCookie: wire.Cookie([]byte("CKY-I---")),
		OtherCookie: wire.Cookie([]byte("CKY-R---")), SA: []byte("SAi_b"), ID: []byte("IDii_b")}
	want := prf(string(skeyid), "gxigxrCKY-I---CKY-R---SAi_bIDii_b")
	if !hmac.Equal(p.Hash(h, skeyid), want) || !p.Verify(h, skeyid, want) {
		t.Error("HASH_I")
	}
	for _, sent := range [][]byte{nil, want[:31], append(want, 0), make([]byte, 32)} {
		if p.Verify(h, skeyid, sent) {
			t.Errorf("%x accepted", sent)
		}
	}
}
