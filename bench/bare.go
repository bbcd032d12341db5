package bench

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hmac"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"hash"
	"strings"
	"time"

	"github.com/culvert-vpn/culvert/esp"
)

// bareCipher is what the standard library's cipher alone does with a packet, in
// both directions: the ceiling of any gateway that is made of it.
type bareCipher struct {
	seal, open func()
}

// newBare returns the cipher of a transform at work on n bytes.
func newBare(t esp.Transform, n int) bareCipher {
	key := make([]byte, t.EncryptionKeyLen())
	if strings.Contains(t.String(), "gcm") {
		return bareGCM(key[:len(key)-4], n)
	}
	if strings.HasPrefix(t.String(), "aes") {
		return bareCBC(key, hashOf(t.String()), n)
	}
	return bareCipher{}
}

func bareGCM(key []byte, n int) bareCipher {
	block, err := aes.NewCipher(key)
	if err != nil {
		return bareCipher{}
	}
	aead, err := cipher.NewGCM(block)
	if err != nil {
		return bareCipher{}
	}
	nonce, ad := make([]byte, aead.NonceSize()), make([]byte, 8)
	buf := make([]byte, n, n+aead.Overhead())
	sealed := aead.Seal(nil, nonce, buf, ad)
	plain := make([]byte, 0, n)
	return bareCipher{
		seal: func() { aead.Seal(buf[:0], nonce, buf, ad) },
		// Into other memory, or the second time would fail.
		open: func() { aead.Open(plain, nonce, sealed, ad) },
	}
}

func bareCBC(key []byte, h func() hash.Hash, n int) bareCipher {
	block, err := aes.NewCipher(key)
	if err != nil {
		return bareCipher{}
	}
	n = (n + 15) / 16 * 16
	iv, buf, sum := make([]byte, 16), make([]byte, n), make([]byte, 0, 64)
	enc, dec := cipher.NewCBCEncrypter(block, iv), cipher.NewCBCDecrypter(block, iv)
	mac := hmac.New(h, key)
	authenticate := func() { mac.Reset(); mac.Write(buf); mac.Sum(sum) }
	return bareCipher{
		seal: func() { enc.CryptBlocks(buf, buf); authenticate() },
		open: func() { authenticate(); dec.CryptBlocks(buf, buf) },
	}
}

func hashOf(name string) func() hash.Hash {
	switch {
	case strings.Contains(name, "sha256"):
		return sha256.New
	case strings.Contains(name, "sha384"):
		return sha512.New384
	case strings.Contains(name, "sha512"):
		return sha512.New
	}
	return sha1.New
}

// repeat returns how often a second f runs. Nil: 0.
func repeat(f func(), d time.Duration) float64 {
	if f == nil {
		return 0
	}
	n := 0
	began := time.Now()
	for time.Since(began) < d {
		for range 64 {
			f()
		}
		n += 64
	}
	return rate(n, time.Since(began))
}
