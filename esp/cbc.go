package esp

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hmac"
	"crypto/subtle"
	"encoding/binary"
	"fmt"
	"hash"
	"io"
)

// blockMode is the standard library's CBC, which can be given a new IV.
type blockMode interface {
	cipher.BlockMode
	SetIV([]byte)
}

// cbcSealer encrypts in CBC mode (RFC 3602, RFC 2451), then authenticates.
type cbcSealer struct {
	mode blockMode
	iv   cipher.Block // AES under a key of its own: makes counters unpredictable
	size int          // of the IV
	mac  authenticator
	seed [aes.BlockSize]byte
}

// cbcOpener verifies, then decrypts.
type cbcOpener struct {
	mode blockMode
	size int
	mac  authenticator
}

// newCBCSealer returns what makes the lanes of an SA. It keeps nothing of keys.
// rand is read for the key that makes the IVs.
func newCBCSealer(t Transform, keys Keys, esn bool, rand io.Reader) (func() *cbcSealer, error) {
	block, mac, err := newCBC(t, keys)
	if err != nil {
		return nil, err
	}
	var key [aes.BlockSize]byte
	defer clear(key[:])
	if _, err := io.ReadFull(rand, key[:]); err != nil {
		return nil, fmt.Errorf("esp: reading randomness: %w", err)
	}
	iv, err := aes.NewCipher(key[:])
	if err != nil {
		return nil, err
	}
	zero := make([]byte, t.enc.iv)
	return func() *cbcSealer {
		mode := cipher.NewCBCEncrypter(block, zero).(blockMode)
		return &cbcSealer{mode: mode, iv: iv, size: t.enc.iv, mac: newAuthenticator(t, mac, esn)}
	}, nil
}

// newCBCOpener returns what makes the lanes of an SA. It keeps nothing of keys.
func newCBCOpener(t Transform, keys Keys, esn bool) (func() *cbcOpener, error) {
	block, mac, err := newCBC(t, keys)
	if err != nil {
		return nil, err
	}
	zero := make([]byte, t.enc.iv)
	return func() *cbcOpener {
		mode := cipher.NewCBCDecrypter(block, zero).(blockMode)
		return &cbcOpener{mode: mode, size: t.enc.iv, mac: newAuthenticator(t, mac, esn)}
	}, nil
}

// newCBC makes the block cipher and the HMAC that all lanes start from.
func newCBC(t Transform, keys Keys) (cipher.Block, hash.Cloner, error) {
	block, err := t.newBlock(keys.Encryption)
	if err != nil {
		return nil, nil, err
	}
	mac := hmac.New(t.newHash, keys.Integrity)
	mac.Reset() // computes the inner and outer states that clones begin with
	return block, mac.(hash.Cloner), nil
}

// seal makes the IV by encrypting the sequence number under a key that nobody
// else knows: never the same twice, and not to be foreseen (RFC 3602, section 3).
func (l *cbcSealer) seal(pkt []byte, seq uint64) {
	binary.BigEndian.PutUint64(l.seed[:8], seq)
	clear(l.seed[8:])
	l.iv.Encrypt(l.seed[:], l.seed[:])
	copy(pkt[headerLen:], l.seed[:l.size])
	l.mode.SetIV(l.seed[:l.size])
	body := pkt[headerLen+l.size : len(pkt)-l.mac.icv]
	l.mode.CryptBlocks(body, body)
	l.mac.sum(pkt, seq)
	copy(pkt[len(pkt)-l.mac.icv:], l.mac.icvBytes())
}

func (l *cbcOpener) open(pkt []byte, seq uint64) bool {
	l.mac.sum(pkt, seq)
	if subtle.ConstantTimeCompare(pkt[len(pkt)-l.mac.icv:], l.mac.icvBytes()) != 1 {
		return false
	}
	l.mode.SetIV(pkt[headerLen : headerLen+l.size])
	body := pkt[headerLen+l.size : len(pkt)-l.mac.icv]
	l.mode.CryptBlocks(body, body)
	return true
}

// authenticator is a truncated HMAC (RFC 2404, RFC 4868). The standard
// library's HMAC keeps its inner and outer states after the first Reset, so a
// packet costs no compression of the key.
type authenticator struct {
	hmac hash.Hash
	icv  int
	esn  bool
	high [4]byte
	out  [64]byte
}

func newAuthenticator(t Transform, from hash.Cloner, esn bool) authenticator {
	mac, err := from.Clone()
	if err != nil {
		panic("esp: HMAC cannot be cloned: " + err.Error()) // every hash of newHash can
	}
	return authenticator{hmac: mac, icv: t.mac.icv, esn: esn}
}

// sum computes the ICV over everything before its place in pkt and, with
// extended sequence numbers, the high half, which is not in the packet
// (RFC 4303, section 2.2.1).
func (a *authenticator) sum(pkt []byte, seq uint64) {
	a.hmac.Reset()
	a.hmac.Write(pkt[:len(pkt)-a.icv])
	if a.esn {
		binary.BigEndian.PutUint32(a.high[:], uint32(seq>>32))
		a.hmac.Write(a.high[:])
	}
	a.hmac.Sum(a.out[:0])
}

// icvBytes are those of the last sum, until the next.
func (a *authenticator) icvBytes() []byte { return a.out[:a.icv] }
