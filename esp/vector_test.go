package esp

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha1"
	"encoding/hex"

	"strings"
	"testing"
)

func fromHex(t *testing.T, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(strings.Join(strings.Fields(s), ""))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// The first packet of draft-mcgrew-gcm-test-01, section 3: a DNS query over
// AES-GCM with extended sequence numbers. Its low half is zero, and its trailer
// pads with 1, 2.
func TestVectorGCMExtended(t *testing.T) {
	tr, err := ByIANA(EncryptionGCM16, 128, IntegrityNone)
	if err != nil {
		t.Fatal(err)
	}
	in, err := NewInbound(InboundConfig{
		SPI: 0x4321, Transform: tr, ESN: true,
		Keys: Keys{Encryption: fromHex(t, "4c80cdefbb5d10da906ac73c3613a634 2e443b68")},
	})
	if err != nil {
		t.Fatal(err)
	}
	in.window.top = 0x87654320_ffffffff
	got, nh, err := in.Open(fromHex(t, `00004321 00000000 4956ed7e3b244cfe
		fecf537e729d5b07dc30df528dd22b768d1b98736696a6fd348509fa13ceac34
		cfa2436f14a3f3cf65925bf1f4a13c5d15b21e1884f5ff6247aeabb786b93bce
		61bc17d768fd9732459018148f6cbe722fd04796562dfdb4`))
	want := fromHex(t, `45000048699a000080114db7c0a80102c0a801010a9bf15638d3010000010000
		00000000045f736970045f756470037369700963796265726369747902646b0000210001`)
	if err != nil || nh != 1 || !bytes.Equal(got, want) {
		t.Fatalf("opened %x, %d, %v", got, nh, err)
	}
}

// RFC 3602, section 4, case 5: a transport mode ping under AES-CBC. The RFC's
// packet carries no ICV; one is added by the standard library.
func TestVectorCBC(t *testing.T) {
	tr, err := ByIANA(EncryptionAESCBC, 128, IntegritySHA1)
	if err != nil {
		t.Fatal(err)
	}
	keys := Keys{Encryption: fromHex(t, "90d382b4 10eeba7a d938c46c ec1a82bf"), Integrity: make([]byte, 20)}
	in, err := NewInbound(InboundConfig{SPI: 0x4321, Transform: tr, Keys: keys})
	if err != nil {
		t.Fatal(err)
	}
	pkt := fromHex(t, `00004321 00000001 e96e8c08 ab465763 fd098d45 dd3ff893
		f663c25d 325c18c6 a9453e19 4e120849 a4870b66 cc6b9965 330013b4 898dc856
		a4699e52 3a55db08 0b59ec3a 8e4b7e52 775b07d1 db34ed9c 538ab50c 551b874a
		a269add0 47ad2d59 13ac19b7 cfbad4a6`)
	mac := hmac.New(sha1.New, keys.Integrity)
	mac.Write(pkt)
	got, nh, err := in.Open(append(pkt, mac.Sum(nil)[:12]...))
	want := fromHex(t, `08000ebd a70a0000 8e9c083d b95b0700
		08090a0b 0c0d0e0f 10111213 14151617 18191a1b 1c1d1e1f 20212223 24252627
		28292a2b 2c2d2e2f 30313233 34353637`)
	if err != nil || nh != 1 || !bytes.Equal(got, want) {
		t.Fatalf("opened %x, %d, %v", got, nh, err)
	}
}

// "Hi There" of RFC 2202, section 3, and RFC 4868, section 2.7.2.
func TestVectorHMAC(t *testing.T) {
	for integrity, want := range map[uint16]string{
		IntegritySHA1:   "b617318655057264e28bc0b6",
		IntegritySHA256: "198a607eb44bfbc69903a0f1cf2bbdc5",
		IntegritySHA384: "b6a8d5636f5c6a7224f9977dcf7ee6c7fb6d0c48cbdee973",
		IntegritySHA512: "637edc6e01dce7e6742a99451aae82df23da3e92439e590e43e761b33e910fb8",
	} {
		tr, err := ByIANA(EncryptionAESCBC, 128, integrity)
		if err != nil {
			t.Fatal(err)
		}
		keys := Keys{Encryption: make([]byte, 16), Integrity: bytes.Repeat([]byte{0x0b}, tr.IntegrityKeyLen())}
		key := newMACKey(tr, keys.Integrity, false)
		a := newAuthenticator(&key)
		for range 2 {
			sum := a.sum(append([]byte("Hi There"), make([]byte, tr.ICVLen())...), 0)
			if got := hex.EncodeToString(sum[:tr.ICVLen()]); got != want {
				t.Errorf("%v: %s, want %s", tr, got, want)
			}
		}
	}
}

// RFC 7634, appendix A: a ping in tunnel mode under ChaCha20-Poly1305.
func TestVectorChaCha20(t *testing.T) {
	tr, err := ByIANA(EncryptionChaCha20, 0, IntegrityNone)
	if err != nil {
		t.Fatal(err)
	}
	keys := Keys{Encryption: fromHex(t, `80818283 84858687 88898a8b 8c8d8e8f 90919293 94959697 98999a9b 9c9d9e9f a0a1a2a3`)}
	plain := fromHex(t, `45000054 a6f20000 4001e778 c6336405 c0000205 08005b7a 3a080000 553bec10
		00073627 08090a0b 0c0d0e0f 10111213 14151617 18191a1b 1c1d1e1f 20212223
		24252627 28292a2b 2c2d2e2f 30313233 34353637`)
	want := fromHex(t, `01020304 00000005 10111213 14151617
		24039428 b97f417e 3c13753a 4f05087b 67c352e6 a7fab1b9 82d466ef 407ae5c6
		14ee8099 d52844eb 61aa95df ab4c02f7 2aa71e7c 4c4f64c9 befe2fac c638e8f3
		cbec163f ac469b50 2773f6fb 94e664da 9165b828 29f641e0 76aaa826 6b7fb0f7 b11b3699 07e1ad43`)
	in, err := NewInbound(InboundConfig{SPI: 0x01020304, Transform: tr, Keys: keys})
	if err != nil {
		t.Fatal(err)
	}
	got, nh, err := in.Open(bytes.Clone(want))
	if err != nil || nh != 4 || !bytes.Equal(got, plain) {
		t.Fatalf("opened %x, %d, %v", got, nh, err)
	}
	// Our own IV is the sequence number, not the RFC's: sealed by the cipher itself.
	k, err := newAEADKeys(tr, keys, false)
	if err != nil {
		t.Fatal(err)
	}
	pkt := bytes.Clone(want)
	var s aeadScratch
	body := append(bytes.Clone(plain), 1, 2, 2, 4)
	k.aead.Seal(pkt[aeadHeader:aeadHeader], k.nonceOf(&s, pkt), body, k.aadOf(&s, pkt, 5))
	if !bytes.Equal(pkt, want) {
		t.Fatalf("sealed %x", pkt)
	}
}
