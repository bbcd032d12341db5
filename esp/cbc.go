package esp

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/des"
	"encoding/binary"
	"fmt"
	"io"

	"github.com/culvert-vpn/culvert/esp/internal/aescbc"
)

// blockMode is the standard library's CBC, which can be given a new IV.
type blockMode interface {
	cipher.BlockMode
	SetIV([]byte)
}

// cbcKeys are the ciphers and the HMAC of an SA in CBC mode, without state:
// what its lanes share, and what a Batch works with.
type cbcKeys struct {
	aes *aescbc.Key  // RFC 3602; nil: triple DES
	des cipher.Block // RFC 2451
	iv  *aescbc.Key  // to send with: makes IVs of sequence numbers
	mac macKey
}

// newCBCKeys keeps nothing of keys.
func newCBCKeys(t Transform, keys Keys, esn bool) (*cbcKeys, error) {
	k := &cbcKeys{mac: newMACKey(t, keys.Integrity, esn)}
	var err error
	if t.enc.id == Encryption3DES {
		k.des, err = des.NewTripleDESCipher(keys.Encryption)
	} else {
		k.aes, err = aescbc.New(keys.Encryption)
	}
	return k, err
}

// newCBCSendKeys also reads the key that makes the IVs from rand.
func newCBCSendKeys(t Transform, keys Keys, esn bool, rand io.Reader) (*cbcKeys, error) {
	k, err := newCBCKeys(t, keys, esn)
	if err != nil {
		return nil, err
	}
	var key [aes.BlockSize]byte
	defer clear(key[:])
	if _, err := io.ReadFull(rand, key[:]); err != nil {
		return nil, fmt.Errorf("esp: reading randomness: %w", err)
	}
	k.iv, err = aescbc.New(key[:])
	return k, err
}

// putIV makes the IV by encrypting the sequence number under a key that nobody
// else knows: never the same twice, and not to be foreseen (RFC 3602, section 3).
func (k *cbcKeys) putIV(iv *[aescbc.BlockSize]byte, seq uint64) {
	binary.BigEndian.PutUint64(iv[:8], seq)
	clear(iv[8:])
	k.iv.EncryptBlock(iv)
}

// message is the part of a packet that the cipher knows: the IV and the
// ciphertext.
func (k *cbcKeys) message(pkt []byte) []byte { return pkt[headerLen : len(pkt)-k.mac.icv] }

// cbcSealer encrypts in CBC mode, then authenticates.
type cbcSealer struct {
	*cbcKeys
	mode blockMode // with triple DES
	auth authenticator
	seed [aescbc.BlockSize]byte
}

func newCBCSealer(k *cbcKeys) *cbcSealer {
	l := &cbcSealer{cbcKeys: k, auth: newAuthenticator(&k.mac)}
	if k.des != nil {
		l.mode = cipher.NewCBCEncrypter(k.des, l.seed[:des.BlockSize]).(blockMode)
	}
	return l
}

func (l *cbcSealer) seal(pkt, src []byte, seq uint64) {
	m := l.message(pkt)
	if l.aes != nil {
		l.putIV((*[aescbc.BlockSize]byte)(m), seq)
		l.aes.Encrypt(m, src)
	} else {
		l.putIV(&l.seed, seq) // as much of it as a block has
		l.mode.SetIV(l.seed[:des.BlockSize])
		l.mode.CryptBlocks(m[copy(m, l.seed[:des.BlockSize]):], src)
	}
	l.auth.put(pkt, seq)
}

// cbcOpener verifies, then decrypts.
type cbcOpener struct {
	*cbcKeys
	mode blockMode // with triple DES
	auth authenticator
	seed [des.BlockSize]byte
}

func newCBCOpener(k *cbcKeys) *cbcOpener {
	l := &cbcOpener{cbcKeys: k, auth: newAuthenticator(&k.mac)}
	if k.des != nil {
		l.mode = cipher.NewCBCDecrypter(k.des, l.seed[:]).(blockMode)
	}
	return l
}

func (l *cbcOpener) open(pkt []byte, seq uint64) bool {
	if !l.auth.verify(pkt, seq) {
		return false
	}
	m := l.message(pkt)
	if l.aes != nil {
		l.aes.Decrypt(m)
		return true
	}
	l.mode.SetIV(m[:des.BlockSize])
	l.mode.CryptBlocks(m[des.BlockSize:], m[des.BlockSize:])
	return true
}
