package esp

import (
	"crypto/aes"
	"crypto/cipher"
	"encoding/binary"

	"golang.org/x/crypto/chacha20poly1305"
)

// aeadLane is AES-GCM (RFC 4106) or ChaCha20-Poly1305 (RFC 7634), in either
// direction: the two build their nonces and their associated data alike. The
// nonce is the salt and the packet's IV; of what is sent, the IV is the sequence
// number, which is unique under the key (RFC 4106, section 3.1).
type aeadLane struct {
	aead cipher.AEAD // without state, shared by the lanes of an SA
	icv  int
	esn  bool
	// Scratch: what passes through an interface must not be on the stack.
	nonce [12]byte
	aad   [12]byte
}

const aeadHeader = headerLen + 8

// newAEAD returns what makes the lanes of an SA. It keeps nothing of keys.
func newAEAD(t Transform, keys Keys, esn bool) (func() *aeadLane, error) {
	n := len(keys.Encryption) - saltLen
	aead, err := t.enc.aead(keys.Encryption[:n])
	if err != nil {
		return nil, err
	}
	salt := [saltLen]byte(keys.Encryption[n:])
	return func() *aeadLane {
		l := &aeadLane{aead: aead, icv: t.enc.icv, esn: esn}
		copy(l.nonce[:], salt[:])
		return l
	}, nil
}

// aead returns the cipher under a key without its salt.
func (e encryption) aead(key []byte) (cipher.AEAD, error) {
	if e.id == EncryptionChaCha20 {
		return chacha20poly1305.New(key)
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	return cipher.NewGCMWithTagSize(block, e.icv)
}

func (l *aeadLane) seal(pkt, src []byte, seq uint64) {
	binary.BigEndian.PutUint64(pkt[headerLen:], seq)
	l.aead.Seal(pkt[aeadHeader:aeadHeader], l.setNonce(pkt), src, l.setAAD(pkt, seq))
}

func (l *aeadLane) open(pkt []byte, seq uint64) bool {
	body := pkt[aeadHeader:]
	_, err := l.aead.Open(body[:0], l.setNonce(pkt), body, l.setAAD(pkt, seq))
	return err == nil
}

func (l *aeadLane) setNonce(pkt []byte) []byte {
	copy(l.nonce[saltLen:], pkt[headerLen:aeadHeader])
	return l.nonce[:]
}

// setAAD returns what is authenticated besides the ciphertext: the SPI and the
// sequence number, with extended ones all 64 bits of it (RFC 4106, section 5; RFC
// 7634, section 2.1).
func (l *aeadLane) setAAD(pkt []byte, seq uint64) []byte {
	if !l.esn {
		return pkt[:headerLen]
	}
	copy(l.aad[:4], pkt)
	binary.BigEndian.PutUint64(l.aad[4:], seq)
	return l.aad[:]
}
