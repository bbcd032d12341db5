package suite

import (
	"bytes"
	"crypto/rand"
	"errors"
	"testing"

	"github.com/culvert-vpn/culvert/ike/wire"
)

func nonces() Nonces {
	return Nonces{Ni: []byte("Ni-sixteen-bytes"), Nr: []byte("Nr-sixteen-bytes"), SPIi: wire.Cookie{1}, SPIr: wire.Cookie{2}}
}

// TestDerivations follows RFC 7296 sections 2.14, 2.17 and 2.18, RFC 9370 section
// 2.2 and RFC 8784 section 3 literally.
func TestDerivations(t *testing.T) {
	h, n := HashSHA384, nonces()
	s := IKE2Suite{Encryption: EncAESGCM16, KeyBits: 256, PRF: h, Group: GroupX25519}
	seed := append(append([]byte("Ni-sixteen-bytesNr-sixteen-bytes"), n.SPIi[:]...), n.SPIr[:]...)
	want := func(skeyseed []byte) []byte { return h.PRFPlus(skeyseed, seed, 3*48+2*36) }
	got := func(k *Keys2) []byte { return bytes.Join([][]byte{k.D, k.Ai, k.Ar, k.Ei, k.Er, k.Pi, k.Pr}, nil) }
	cat := func(s ...string) (b []byte) {
		for _, x := range s {
			b = append(b, x...)
		}
		return b
	}
	first := s.Keys([]byte("g^ir"), n)
	if !bytes.Equal(got(first), want(h.PRF(cat("Ni-sixteen-bytesNr-sixteen-bytes"), cat("g^ir")))) {
		t.Error("Keys")
	}
	if k := s.NextKeys(first.D, []byte("SK(1)"), n); !bytes.Equal(got(k), want(h.PRF(first.D, cat("SK(1)", "Ni-sixteen-bytesNr-sixteen-bytes")))) {
		t.Error("NextKeys")
	}
	shared := [][]byte{[]byte("SK(0)"), []byte("SK(1)"), []byte("SK(2)")}
	k := s.RekeyKeys(HashSHA1, first.D, shared, n)
	if !bytes.Equal(got(k), want(HashSHA1.PRF(first.D, cat("SK(0)", "Ni-sixteen-bytesNr-sixteen-bytes", "SK(1)SK(2)")))) {
		t.Error("RekeyKeys")
	}
	e := ESPSuite{EncAESCBC, 256, IntegSHA256}
	i, r := e.ChildKeys(h, first.D, shared, n.Ni, n.Nr)
	mat := h.PRFPlus(first.D, cat("SK(0)", "Ni-sixteen-bytesNr-sixteen-bytes", "SK(1)SK(2)"), 128)
	if !bytes.Equal(bytes.Join([][]byte{i.Encryption, i.Integrity, r.Encryption, r.Integrity}, nil), mat) || len(i.Integrity) != 32 {
		t.Error("ChildKeys")
	}
	i, _ = e.ChildKeys(h, first.D, nil, n.Ni, n.Nr)
	if !bytes.Equal(i.Encryption, h.PRFPlus(first.D, cat("Ni-sixteen-bytesNr-sixteen-bytes"), 32)) {
		t.Error("ChildKeys without a key exchange")
	}
	d, pi, pr := bytes.Clone(first.D), bytes.Clone(first.Pi), bytes.Clone(first.Pr)
	first.MixPPK(h, []byte("ppk"))
	for _, x := range [][2][]byte{{first.D, d}, {first.Pi, pi}, {first.Pr, pr}} {
		if !bytes.Equal(x[0], h.PRFPlus([]byte("ppk"), x[1], 48)) {
			t.Error("MixPPK")
		}
	}
	first.Zero()
	if !bytes.Equal(got(first), make([]byte, len(got(first)))) {
		t.Error("Zero")
	}
}

// TestIntAuth follows RFC 9242 section 3.3.2: the header and the generic header with
// the lengths that they would have without encryption.
func TestIntAuth(t *testing.T) {
	h := wire.Header{Initiator: wire.Cookie{1}, Responder: wire.Cookie{2}, Version: wire.V2,
		Exchange: wire.ExchangeIntermediate, Flags: wire.FlagInitiator, MessageID: 1}
	plain := []byte("payloads")
	a := unhex(t, "01000000000000000200000000000000"+"2e202b08"+"00000001"+"00000028"+"2200000c")
	want := HashSHA256.PRF([]byte("SK_pi"), []byte("before"), a, plain)
	if got := IntAuth(HashSHA256, []byte("SK_pi"), []byte("before"), h, wire.PayloadKE2, plain); !bytes.Equal(got, want) {
		t.Errorf("%x", got)
	}
}

// TestRespond: both sides of every key exchange come to the same secret.
func TestRespond(t *testing.T) {
	for _, g := range []Group{GroupX25519, GroupECP256, GroupMODP2048, GroupMLKEM768, GroupMLKEM1024} {
		k, err := g.GenerateKey(rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		public, shared, err := g.Respond(rand.Reader, k.Public())
		if err != nil {
			t.Fatal(err)
		}
		got, err := k.Shared(public)
		if err != nil || !bytes.Equal(got, shared) {
			t.Errorf("%v: %x and %x, %v", g, got, shared, err)
		}
		if _, _, err := g.Respond(rand.Reader, k.Public()[1:]); !errors.Is(err, ErrPublicValue) {
			t.Errorf("%v: cut: %v", g, err)
		}
		if _, err := k.Shared(public[1:]); !errors.Is(err, ErrPublicValue) {
			t.Errorf("%v: answer cut: %v", g, err)
		}
		k.Zero()
		if _, err := k.Shared(public); err == nil {
			t.Errorf("%v: used after it was zeroed", g)
		}
	}
	if GroupMLKEM768.Supported() || GroupMLKEM512.IsKEM() {
		t.Error("a KEM is no group, and ML-KEM-512 is not used")
	}
}
