package suite

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/des"
	"crypto/subtle"
	"fmt"
)

// Encryption is a cipher, by the number that the ESP transform registry
// (RFC 2407, section 4.4.4) and IKEv2's share.
type Encryption uint8

// The ciphers that have a name here. Those without keys below are known only so
// that a refusal can name them.
const (
	EncDES      Encryption = 2
	Enc3DES     Encryption = 3
	EncRC5      Encryption = 4
	EncIDEA     Encryption = 5
	EncCAST     Encryption = 6
	EncBlowfish Encryption = 7
	EncNULL     Encryption = 11
	EncAESCBC   Encryption = 12
	EncAESCTR   Encryption = 13
	EncAESGCM8  Encryption = 18
	EncAESGCM12 Encryption = 19
	EncAESGCM16 Encryption = 20
	EncCamellia Encryption = 22
	EncChaCha20 Encryption = 28 // ChaCha20-Poly1305 (RFC 7634)
)

// IKEKeyLen returns the length of an IKE SA's key in bytes, zero for a cipher
// that is not used there.
func (s IKESuite) IKEKeyLen() int {
	switch {
	case s.Encryption == Enc3DES && s.KeyBits == 0:
		return 24
	case s.Encryption == EncAESCBC && aesBits(s.KeyBits):
		return int(s.KeyBits) / 8
	}
	return 0
}

func aesBits(n uint16) bool { return n == 128 || n == 192 || n == 256 }

// CBC is one key of an IKE SA's cipher. It goes from block to block itself: messages of IKE
// are short, and an object of crypto/cipher for each costs more than the blocks.
type CBC struct{ block cipher.Block }

// NewCBC returns the cipher e under key: EncAESCBC with 16, 24 or 32 bytes, or
// Enc3DES with 24.
func NewCBC(e Encryption, key []byte) (*CBC, error) {
	var block cipher.Block
	var err error
	switch e {
	case EncAESCBC:
		block, err = aes.NewCipher(key)
	case Enc3DES:
		block, err = des.NewTripleDESCipher(key)
	default:
		return nil, fmt.Errorf("%w: encryption %d", ErrUnsupported, e)
	}
	if err != nil {
		return nil, ErrKeyLength
	}
	return &CBC{block: block}, nil
}

// BlockSize returns the size of a block, and of the IV, in bytes.
func (c *CBC) BlockSize() int { return c.block.BlockSize() }

// Encrypt encrypts b in place. The last block of b is the next IV (RFC 2409,
// section 5.3 and appendix B). iv is not changed.
func (c *CBC) Encrypt(iv, b []byte) error {
	if len(b)%c.BlockSize() != 0 || len(iv) != c.BlockSize() {
		return ErrBlockSize
	}
	for n := len(iv); len(b) > 0; iv, b = b[:n], b[n:] {
		subtle.XORBytes(b, b[:n], iv)
		c.block.Encrypt(b, b)
	}
	return nil
}

// Decrypt decrypts b into dst, which may be b. The last block of b before
// decryption is the next IV. iv is not changed.
func (c *CBC) Decrypt(dst, iv, b []byte) error {
	if len(b) == 0 || len(b)%c.BlockSize() != 0 || len(iv) != c.BlockSize() || len(dst) < len(b) {
		return ErrBlockSize
	}
	n := len(iv)
	for at := len(b) - n; at >= 0; at -= n { // backwards: a block needs the one before it as it came
		previous := iv
		if at > 0 {
			previous = b[at-n : at]
		}
		c.block.Decrypt(dst[at:], b[at:])
		subtle.XORBytes(dst[at:], dst[at:at+n], previous)
	}
	return nil
}
