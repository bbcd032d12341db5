package aescbc

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/subtle"

	"github.com/culvert-vpn/culvert/esp/internal/aeskey"
	"github.com/culvert-vpn/culvert/esp/internal/x86"
)

// BlockSize is the length of a block, and of an IV, in bytes.
const BlockSize = aes.BlockSize

var cpu = x86.Detect()

// Key is an expanded AES key.
type Key struct {
	rounds int
	enc    aeskey.Schedule
	dec    aeskey.Schedule
	block  cipher.Block // where there is no assembly
}

// New expands a key of 16, 24 or 32 bytes, which it does not keep.
func New(key []byte) (*Key, error) {
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	k := &Key{rounds: len(key)/4 + 6}
	if !cpu.AES {
		k.block = block
		return k, nil
	}
	k.enc.Expand(key)
	invertKeys(&k.dec, &k.enc, k.rounds)
	return k, nil
}

// Zero overwrites the expanded key. The Key is of no use afterwards.
func (k *Key) Zero() { *k = Key{} }

// Encrypt encrypts src, whole blocks of it, to message behind the IV that
// message begins with. src is either elsewhere or message's own rest.
func (k *Key) Encrypt(message, src []byte) {
	n := blocks(message, src)
	switch {
	case n == 0:
	case k.block != nil:
		encryptBlocks(k.block, message, src)
	default:
		encryptChain(&k.enc, &message[0], &message[BlockSize], &src[0], k.rounds, n)
	}
}

// EncryptBlock encrypts one block on its own, in place.
func (k *Key) EncryptBlock(b *[BlockSize]byte) {
	if k.block != nil {
		k.block.Encrypt(b[:], b[:])
		return
	}
	var zero [BlockSize]byte
	encryptChain(&k.enc, &zero[0], &b[0], &b[0], k.rounds, 1)
}

// Decrypt decrypts message, whole blocks behind an IV, in place.
func (k *Key) Decrypt(message []byte) {
	n := blocks(message, message[BlockSize:])
	switch {
	case n == 0:
	case k.block != nil:
		decryptBlocks(k.block, message)
	case cpu.VAES:
		decryptVAES(&k.dec, &message[BlockSize], k.rounds, n)
	default:
		decryptNI(&k.dec, &message[BlockSize], k.rounds, n)
	}
}

// blocks counts what has to be done, and refuses what would lead the assembly
// out of its memory.
func blocks(message, src []byte) int {
	if len(src)%BlockSize != 0 || len(message) != BlockSize+len(src) {
		panic("aescbc: message is no IV and whole blocks")
	}
	return len(src) / BlockSize
}

// encryptBlocks is the mode as it is written down.
func encryptBlocks(b cipher.Block, message, src []byte) {
	for i := 0; i < len(src); i += BlockSize {
		out := message[i+BlockSize : i+2*BlockSize]
		subtle.XORBytes(out, src[i:i+BlockSize], message[i:i+BlockSize])
		b.Encrypt(out, out)
	}
}

// decryptBlocks goes backwards, so that the ciphertext before a block is still there.
func decryptBlocks(b cipher.Block, message []byte) {
	for i := len(message) - BlockSize; i > 0; i -= BlockSize {
		out := message[i : i+BlockSize]
		b.Decrypt(out, out)
		subtle.XORBytes(out, out, message[i-BlockSize:i])
	}
}
