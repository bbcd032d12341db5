package suite

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"math/rand/v2"
	"testing"

	"github.com/culvert-vpn/culvert/ike/wire"
)

// body2 returns the body of the first payload of a type in a plain message.
func body2(t *testing.T, msg []byte, kind wire.PayloadType) []byte {
	t.Helper()
	h, rest, err := wire.ConsumeHeader(msg)
	if err != nil {
		t.Fatal(err)
	}
	chain, err := wire.ParsePayloads(nil, h.Version, h.Next, rest)
	if err != nil {
		t.Fatal(err)
	}
	p, ok := wire.Find(chain, kind)
	if !ok {
		t.Fatalf("no %v", kind)
	}
	return p.Body
}

// TestRecordedExchange derives the keys of a recorded exchange with Windows Server,
// and opens the message that followed.
func TestRecordedExchange(t *testing.T) {
	first, answer := unhex(t, recordedInit), unhex(t, recordedAnswer)
	h, _, err := wire.ConsumeHeader(answer)
	if err != nil {
		t.Fatal(err)
	}
	offer, err := wire.ConsumeSA2(body2(t, first, wire.PayloadSA2))
	if err != nil {
		t.Fatal(err)
	}
	chosen, err := wire.ConsumeSA2(body2(t, answer, wire.PayloadSA2))
	if err != nil {
		t.Fatal(err)
	}
	// The initiator forgot the length of the key: its offer cannot be chosen.
	if c, err := SelectIKE2(offer, DefaultIKE2(true)); !errors.Is(err, ErrNoProposal) {
		t.Errorf("chose %v", c)
	}
	c, err := SelectIKE2(chosen, DefaultIKE2(true))
	if err != nil || c.IKE2Suite.String() != "aes128-sha1-modp1024" {
		t.Fatalf("%v, %v", c, err)
	}
	n := Nonces{Ni: body2(t, first, wire.PayloadNonce2), Nr: body2(t, answer, wire.PayloadNonce2), SPIi: h.Initiator, SPIr: h.Responder}
	k := c.Keys(unhex(t, recordedShared), n)
	for _, key := range [][]byte{k.D, k.Ai, k.Ar, k.Pi, k.Pr} {
		if len(key) != 20 {
			t.Errorf("a key of %d bytes", len(key))
		}
	}
	sk, err := NewSK(c.IKE2Suite, k.Ei, k.Ai)
	if err != nil {
		t.Fatal(err)
	}
	msg := unhex(t, recordedAuth)
	e, plain, err := sk.Open(msg)
	if err != nil {
		t.Fatal(err)
	}
	chain, err := wire.ParsePayloads(nil, wire.V2, e.First, plain)
	if err != nil || len(chain) != 1 || chain[0].Type != wire.PayloadIDi {
		t.Fatalf("%v, %v", chain, err)
	}
	if id, err := wire.ConsumeID2(wire.PayloadIDi, chain[0].Body); err != nil || id.Type != wire.IDUserFQDN {
		t.Errorf("%v, %v", id, err)
	}
}

// TestChaChaVector is RFC 7634, appendix B.
func TestChaChaVector(t *testing.T) {
	s := IKE2Suite{Encryption: EncChaCha20, PRF: HashSHA256, Group: GroupX25519}
	key := unhex(t, "808182838485868788898a8b8c8d8e8f909192939495969798999a9b9c9d9e9f"+"a0a1a2a3")
	msg := unhex(t, "c0c1c2c3c4c5c6c7d0d1d2d3d4d5d6d72e20250000000009000000452900002910111213141516"+
		"17"+"610394701f8d017f7c12924889"+"6b71bfe25236efd7cdc67066906315b2")
	k, err := NewSK(s, key, nil)
	if err != nil {
		t.Fatal(err)
	}
	e, plain, err := k.Open(bytes.Clone(msg))
	if err != nil || hex.EncodeToString(plain) != "0000000c000040010000000a" || e.First != wire.PayloadNotify2 {
		t.Fatalf("%x, %v", plain, err)
	}
	k.used = binary.BigEndian.Uint64(unhex(t, "1011121314151617"))
	h, _, _ := wire.ConsumeHeader(msg)
	if got, err := k.Seal(nil, nil, h, wire.PayloadNotify2, plain); err != nil || !bytes.Equal(got, msg) {
		t.Errorf("%x, %v", got, err)
	}
}

// protections are suites with every way to protect a message.
func protections() []IKE2Suite {
	var out []IKE2Suite
	for _, c := range DefaultIKE2(true).Ciphers {
		for _, i := range []Integrity{IntegNone, IntegSHA1, IntegSHA256, IntegSHA384, IntegSHA512} {
			s := IKE2Suite{Encryption: c.Encryption, KeyBits: c.KeyBits, PRF: HashSHA256, Integrity: i, Group: GroupX25519}
			if s.Supported() {
				out = append(out, s)
			}
		}
	}
	return append(out, IKE2Suite{Encryption: EncAESGCM12, KeyBits: 256, PRF: HashSHA256, Group: GroupX25519})
}

func sealPair(t *testing.T, s IKE2Suite) (seal, open *SK, random *rand.ChaCha8) {
	t.Helper()
	random = rand.NewChaCha8([32]byte{7})
	e, a := make([]byte, s.cipher().keyLen()), make([]byte, s.integrityKeyLen())
	random.Read(e)
	random.Read(a)
	seal, err := NewSK(s, e, a)
	if err != nil {
		t.Fatal(err)
	}
	open, err = NewSK(s, e, a)
	if err != nil {
		t.Fatal(err)
	}
	return seal, open, random
}

func TestSealAndOpen(t *testing.T) {
	if len(protections()) != 4+4*4+1 {
		t.Errorf("%d ways to protect", len(protections()))
	}
	h := wire.Header{Initiator: wire.Cookie{1}, Responder: wire.Cookie{2}, Version: wire.V2, Exchange: wire.ExchangeAuth, MessageID: 1}
	for _, s := range protections() {
		seal, open, random := sealPair(t, s)
		for n := range 40 {
			plain := bytes.Repeat([]byte{0xa5}, n)
			msg, err := seal.Seal([]byte("before"), random, h, wire.PayloadIDi, plain)
			if err != nil {
				t.Fatal(err)
			}
			msg = msg[6:]
			e, got, err := open.Open(bytes.Clone(append(msg, 0, 0)))
			if err != nil || !bytes.Equal(got, plain) || e.First != wire.PayloadIDi || e.Fragment() {
				t.Fatalf("%v: %x, %v", s, got, err)
			}
		}
	}
}

// TestTampering: a message of which any byte was changed, or which was cut, is
// refused.
func TestTampering(t *testing.T) {
	for _, s := range protections() {
		seal, open, random := sealPair(t, s)
		msg, err := seal.Seal(nil, random, wire.Header{Version: wire.V2}, wire.PayloadIDi, []byte("some payloads"))
		if err != nil {
			t.Fatal(err)
		}
		for i := range msg {
			bad := bytes.Clone(msg)
			bad[i] ^= 1
			if _, _, err := open.Open(bad); err == nil {
				t.Errorf("%v: byte %d changed", s, i)
			}
			bad = bytes.Clone(msg[:i])
			if i >= 28 {
				binary.BigEndian.PutUint32(bad[24:], uint32(i))
			}
			if i >= 32 {
				binary.BigEndian.PutUint16(bad[30:], uint16(i-28))
			}
			if _, _, err := open.Open(bad); err == nil {
				t.Errorf("%v: cut to %d", s, i)
			}
		}
	}
}

// TestFragments: pieces are as long as allowed and no longer, and together they
// are the message (RFC 7383, section 2.5).
func TestFragments(t *testing.T) {
	for _, s := range protections() {
		seal, open, random := sealPair(t, s)
		plain := make([]byte, 3001)
		random.Read(plain)
		for _, most := range []int{200, 576, 1280, 1400, 4000} {
			list, err := seal.SealFragments(random, wire.Header{Version: wire.V2}, wire.PayloadIDr, plain, most)
			if err != nil {
				t.Fatal(err)
			}
			var got []byte
			for i, msg := range list {
				e, piece, err := open.Open(msg)
				if err != nil || len(msg) > most || len(list) > 1 && (int(e.Number) != i+1 || int(e.Total) != len(list)) {
					t.Fatalf("%v, %d: %+v of %d bytes, %v", s, most, e, len(msg), err)
				}
				if (e.First == wire.PayloadIDr) != (i == 0) {
					t.Errorf("fragment %d begins with %v", i, e.First)
				}
				got = append(got, piece...)
			}
			if !bytes.Equal(got, plain) {
				t.Errorf("%v, %d: not the message", s, most)
			}
			if want := (most == 4000); want != (len(list) == 1) {
				t.Errorf("%d pieces of %d", len(list), most)
			}
		}
		if _, err := seal.SealFragments(random, wire.Header{}, 0, plain, 40); !errors.Is(err, ErrTooLong) {
			t.Errorf("no room: %v", err)
		}
	}
}

func TestSKKeyLengths(t *testing.T) {
	s := IKE2Suite{Encryption: EncAESCBC, KeyBits: 256, PRF: HashSHA256, Integrity: IntegSHA256, Group: GroupX25519}
	for _, n := range [][2]int{{16, 32}, {32, 20}, {0, 0}, {36, 32}} {
		if _, err := NewSK(s, make([]byte, n[0]), make([]byte, n[1])); !errors.Is(err, ErrKeyLength) {
			t.Errorf("%v: %v", n, err)
		}
	}
	seal, _, random := sealPair(t, s)
	if _, err := seal.Seal(nil, random, wire.Header{}, 0, make([]byte, 1<<16)); !errors.Is(err, ErrTooLong) {
		t.Error(err)
	}
	seal.Zero()
}

// TestIVsDiffer: an AEAD never sees a nonce twice.
func TestIVsDiffer(t *testing.T) {
	seal, _, random := sealPair(t, IKE2Suite{Encryption: EncAESGCM16, KeyBits: 256, PRF: HashSHA256, Group: GroupX25519})
	seen := map[string]bool{}
	for range 100 {
		msg, _ := seal.Seal(nil, random, wire.Header{}, 0, []byte{1})
		if iv := string(msg[32:40]); seen[iv] {
			t.Fatal("an IV came twice")
		} else {
			seen[iv] = true
		}
	}
}

func FuzzOpen(f *testing.F) {
	f.Add(make([]byte, 60), true)
	f.Fuzz(func(t *testing.T, b []byte, aead bool) {
		s := IKE2Suite{Encryption: EncAESCBC, KeyBits: 128, PRF: HashSHA256, Integrity: IntegSHA256, Group: GroupX25519}
		if aead {
			s.Encryption, s.Integrity = EncAESGCM16, IntegNone
		}
		k, err := NewSK(s, make([]byte, s.cipher().keyLen()), make([]byte, s.integrityKeyLen()))
		if err != nil {
			t.Fatal(err)
		}
		if _, plain, err := k.Open(b); err != nil && plain != nil {
			t.Fatal("an error and a text")
		}
	})
}

// TestGCMVector is test case 16 of the specification of GCM that NIST took over.
func TestGCMVector(t *testing.T) {
	key := unhex(t, "feffe9928665731c6d6a8f9467308308feffe9928665731c6d6a8f9467308308")
	plain := unhex(t, `d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a72
		1c3c0c95956809532fcf0e2449a6b525b16aedf5aa0de657ba637b39`)
	want := unhex(t, `522dc1f099567d07f47f37a32a84427d643a8cdcbfe5c0c97598a2bd2555d1aa
		8cb08e48590dbb3da7b08b1056828838c5f61e6393ba7a0abcc9f662 76fc6ece0f4e1768cddf8853bb2d551b`)
	aead, err := newGCM(key, 16)
	if err != nil {
		t.Fatal(err)
	}
	got := aead.Seal(nil, unhex(t, "cafebabefacedbaddecaf888"), plain, unhex(t, "feedfacedeadbeeffeedfacedeadbeefabaddad2"))
	if !bytes.Equal(got, want) {
		t.Errorf("%x", got)
	}
}
