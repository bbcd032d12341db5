package suite

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/des"
	"crypto/hmac"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/hex"
	"errors"
	"hash"
	"testing"
)

// NIST SP 800-38A, appendix F.2.
func TestCBCVectors(t *testing.T) {
	iv := unhex(t, "000102030405060708090a0b0c0d0e0f")
	plain := unhex(t, "6bc1bee22e409f96e93d7e117393172aae2d8a571e03ac9c9eb76fac45af8e51")
	tests := []struct{ key, want string }{
		{"2b7e151628aed2a6abf7158809cf4f3c",
			"7649abac8119b246cee98e9b12e9197d5086cb9b507219ee95db113a917678b2"},
		{"8e73b0f7da0e6452c810f32b809079e562f8ead2522c6b7b",
			"4f021db243bc633d7178183a9fa071e8b4d9ada9ad7dedf4e5e738763f69145a"},
		{"603deb1015ca71be2b73aef0857d77811f352c073b6108d72d9810a30914dff4",
			"f58c4c04d6e5f1ba779eabfb5f7bfbd69cfc4e967edb808d679f777bc6702c7d"},
	}
	for _, tt := range tests {
		c, err := NewCBC(EncAESCBC, unhex(t, tt.key))
		if err != nil {
			t.Fatal(err)
		}
		b := bytes.Clone(plain)
		if err := c.Encrypt(iv, b); err != nil || hex.EncodeToString(b) != tt.want {
			t.Errorf("AES-%d encrypts to %x, %v", 4*len(tt.key), b, err)
		}
		if err := c.Decrypt(b, iv, b); err != nil || !bytes.Equal(b, plain) {
			t.Errorf("AES-%d decrypts to %x, %v", 4*len(tt.key), b, err)
		}
	}
}

func TestCBC3DES(t *testing.T) {
	key := []byte("0123456789abcdefFEDCBA98")
	c, err := NewCBC(Enc3DES, key)
	if err != nil {
		t.Fatal(err)
	}
	iv, b := []byte("initvect"), []byte("two whole blocks")
	if err := c.Encrypt(iv, b); err != nil {
		t.Fatal(err)
	}
	block, err := des.NewTripleDESCipher(key)
	if err != nil {
		t.Fatal(err)
	}
	got := make([]byte, len(b))
	cipher.NewCBCDecrypter(block, iv).CryptBlocks(got, b)
	if string(got) != "two whole blocks" || string(iv) != "initvect" || c.BlockSize() != 8 {
		t.Errorf("decrypted %q, iv %q", got, iv)
	}
}

func TestCBCRefuses(t *testing.T) {
	for e, size := range map[Encryption]int{EncDES: 8, EncNULL: 0, EncAESGCM16: 16, EncCamellia: 16} {
		if _, err := NewCBC(e, make([]byte, size)); !errors.Is(err, ErrUnsupported) {
			t.Errorf("%v: error %v", e, err)
		}
	}
	for e, size := range map[Encryption]int{EncAESCBC: 20, Enc3DES: 16} {
		if _, err := NewCBC(e, make([]byte, size)); !errors.Is(err, ErrKeyLength) {
			t.Errorf("%v with %d bytes: error %v", e, size, err)
		}
	}
	c, err := NewCBC(EncAESCBC, make([]byte, 16))
	if err != nil {
		t.Fatal(err)
	}
	iv := make([]byte, 16)
	for _, n := range []int{0, 1, 15, 17} {
		b := make([]byte, n)
		if err := c.Decrypt(b, iv, b); !errors.Is(err, ErrBlockSize) {
			t.Errorf("decrypts %d bytes: %v", n, err)
		}
		if err := c.Encrypt(iv, b); n != 0 && !errors.Is(err, ErrBlockSize) {
			t.Errorf("encrypts %d bytes: %v", n, err)
		}
	}
	if err := c.Decrypt(make([]byte, 16), iv[:8], make([]byte, 16)); !errors.Is(err, ErrBlockSize) {
		t.Errorf("decrypts with half an IV: %v", err)
	}
	if err := c.Decrypt(nil, iv, make([]byte, 16)); !errors.Is(err, ErrBlockSize) {
		t.Errorf("decrypts into nothing: %v", err)
	}
}

// RFC 2202, section 3, and RFC 4231, section 4: test case 2.
func TestPRFVectors(t *testing.T) {
	tests := map[Hash]string{
		HashSHA1:   "effcdf6ae5eb2fa2d27416d5f184df9c259a7c79",
		HashSHA256: "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843",
		HashSHA384: "af45d2e376484031617f78d2b58a6b1b9c7ef464f5a01b47e42ec3736322445e8e2240ca5e69e2c78b3239ecfab21649",
		HashSHA512: "164b7a7bfcf819e2e395fbe73b56e0a387bd64222e831fd610270cd7ea2505549758bf75c05a994a6d034f65f8f0e6fd" +
			"caeab1a34d4a6b4b636e070a38bce737",
	}
	for h, want := range tests {
		got := h.PRF([]byte("Jefe"), []byte("what do ya want "), nil, []byte("for nothing?"))
		if hex.EncodeToString(got) != want || len(got) != h.Size() || !h.Supported() {
			t.Errorf("%v: %x, want %s", h, got, want)
		}
	}
	for _, h := range []Hash{0, HashMD5, HashTiger, 7, 255} {
		if h.Supported() {
			t.Errorf("hash %d is supported", h)
		}
	}
}

func TestSum(t *testing.T) {
	if got := hex.EncodeToString(HashSHA1.Sum([]byte("a"), []byte("bc"))); got != "a9993e364706816aba3e25717850c26c9cd0d89d" {
		t.Errorf("SHA-1 of abc is %s", got)
	}
}

// RFC 7296, section 2.13.
func TestPRFPlus(t *testing.T) {
	h, key, seed := HashSHA256, []byte("key"), []byte("seed")
	t1 := h.PRF(key, seed, []byte{1})
	t2 := h.PRF(key, t1, seed, []byte{2})
	t3 := h.PRF(key, t2, seed, []byte{3})
	whole := append(append(append([]byte{}, t1...), t2...), t3...)
	for n := range len(whole) + 1 {
		if got := h.PRFPlus(key, seed, n); !bytes.Equal(got, whole[:n]) {
			t.Fatalf("%d bytes: %x", n, got)
		}
	}
	if n := len(h.PRFPlus(key, seed, 255*32)); n != 255*32 {
		t.Errorf("%d bytes", n)
	}
	defer func() {
		if recover() == nil {
			t.Error("more than 255 blocks were made")
		}
	}()
	h.PRFPlus(key, seed, 255*32+1)
}

// RFC 2404, 2451, 3602, 4106, 4868 and 7634.
func TestESPKeyLengths(t *testing.T) {
	tests := []struct {
		suite              ESPSuite
		encryption, keymat int
	}{
		{ESPSuite{EncAESCBC, 128, IntegSHA1}, 16, 36},
		{ESPSuite{EncAESCBC, 192, IntegSHA1}, 24, 44},
		{ESPSuite{EncAESCBC, 256, IntegSHA1}, 32, 52},
		{ESPSuite{EncAESCBC, 256, IntegSHA256}, 32, 64},
		{ESPSuite{EncAESCBC, 256, IntegSHA384}, 32, 80},
		{ESPSuite{EncAESCBC, 256, IntegSHA512}, 32, 96},
		{ESPSuite{Enc3DES, 0, IntegSHA1}, 24, 44},
		{ESPSuite{EncAESGCM16, 128, IntegNone}, 20, 20},
		{ESPSuite{EncAESGCM16, 192, IntegNone}, 28, 28},
		{ESPSuite{EncAESGCM16, 256, IntegNone}, 36, 36},
		{ESPSuite{EncChaCha20, 0, IntegNone}, 36, 36},
	}
	for _, tt := range tests {
		if !tt.suite.Supported() || tt.suite.EncryptionKeyLen() != tt.encryption || tt.suite.KeymatLen() != tt.keymat {
			t.Errorf("%v: supported %v, cipher %d, KEYMAT %d", tt.suite, tt.suite.Supported(),
				tt.suite.EncryptionKeyLen(), tt.suite.KeymatLen())
		}
	}
	for _, s := range []ESPSuite{
		{EncDES, 0, IntegSHA1}, {EncNULL, 0, IntegSHA1}, {EncAESCBC, 256, IntegMD5}, {EncAESCBC, 256, IntegNone},
		{EncAESCBC, 0, IntegSHA1}, {EncAESCBC, 100, IntegSHA1}, {EncAESGCM16, 256, IntegSHA1}, {EncAESGCM16, 0, IntegNone},
		{Enc3DES, 128, IntegSHA1}, {EncAESGCM8, 256, IntegNone}, {EncChaCha20, 256, IntegNone}, {EncChaCha20, 0, IntegSHA1}, {},
	} {
		if s.Supported() {
			t.Errorf("%v is supported", s)
		}
	}
}

// TestPRFIsHMAC: for keys and messages of any length.
func TestPRFIsHMAC(t *testing.T) {
	all := make([]byte, 3000)
	for i := range all {
		all[i] = byte(i * 7)
	}
	for h, makeHash := range map[Hash]func() hash.Hash{
		HashSHA1: sha1.New, HashSHA256: sha256.New, HashSHA384: sha512.New384, HashSHA512: sha512.New,
	} {
		for _, key := range []int{0, 1, 20, 63, 64, 65, 128, 129, 300} {
			for _, n := range []int{0, 1, 55, 200, 511, 512, 575, 576, 577, 3000} {
				want := hmac.New(makeHash, all[:key])
				want.Write(all[:n])
				if got := h.PRF(all[:key], all[:n/3], nil, all[n/3:n]); !bytes.Equal(got, want.Sum(nil)) {
					t.Errorf("hash %d, key of %d bytes, message of %d: %x", h, key, n, got)
				}
			}
		}
		if h.Size() != makeHash().Size() {
			t.Errorf("hash %d: %d bytes", h, h.Size())
		}
	}
}

// TestCBCIsCBC: in place and not, for one block and many.
func TestCBCIsCBC(t *testing.T) {
	for e, size := range map[Encryption]int{EncAESCBC: 32, Enc3DES: 24} {
		key := make([]byte, size)
		for i := range key {
			key[i] = byte(i)
		}
		c, err := NewCBC(e, key)
		if err != nil {
			t.Fatal(err)
		}
		block, _ := aes.NewCipher(key)
		if e == Enc3DES {
			block, _ = des.NewTripleDESCipher(key)
		}
		iv := bytes.Repeat([]byte{9}, c.BlockSize())
		for blocks := 1; blocks < 20; blocks++ {
			plain := make([]byte, blocks*c.BlockSize())
			for i := range plain {
				plain[i] = byte(i * 11)
			}
			want := make([]byte, len(plain))
			cipher.NewCBCEncrypter(block, iv).CryptBlocks(want, plain)
			got, apart := bytes.Clone(plain), make([]byte, len(plain)+5)
			if err := c.Encrypt(iv, got); err != nil || !bytes.Equal(got, want) {
				t.Errorf("cipher %d, %d blocks: %v, %x", e, blocks, err, got)
			}
			if err := c.Decrypt(apart, iv, got); err != nil || !bytes.Equal(apart[:len(plain)], plain) {
				t.Errorf("cipher %d, %d blocks, elsewhere: %v", e, blocks, err)
			}
			if err := c.Decrypt(got, iv, got); err != nil || !bytes.Equal(got, plain) {
				t.Errorf("cipher %d, %d blocks, in place: %v", e, blocks, err)
			}
		}
	}
}
