package esp

import (
	"crypto/aes"
	"crypto/cipher"
	"encoding/binary"
)

// gcmLane is AES-GCM (RFC 4106), in either direction. The nonce is the salt and
// the packet's IV; of what is sent, the IV is the sequence number, which is
// unique under the key (section 3.1).
type gcmLane struct {
	aead cipher.AEAD // without state, shared by the lanes of an SA
	icv  int
	esn  bool
	// Scratch: what passes through an interface must not be on the stack.
	nonce [12]byte
	aad   [12]byte
}

const gcmHeader = headerLen + 8

// newGCM returns what makes the lanes of an SA. It keeps nothing of keys.
func newGCM(t Transform, keys Keys, esn bool) (func() *gcmLane, error) {
	n := len(keys.Encryption) - saltLen
	block, err := aes.NewCipher(keys.Encryption[:n])
	if err != nil {
		return nil, err
	}
	aead, err := cipher.NewGCMWithTagSize(block, t.enc.icv)
	if err != nil {
		return nil, err
	}
	salt := [saltLen]byte(keys.Encryption[n:])
	return func() *gcmLane {
		l := &gcmLane{aead: aead, icv: t.enc.icv, esn: esn}
		copy(l.nonce[:], salt[:])
		return l
	}, nil
}

func (l *gcmLane) seal(pkt, src []byte, seq uint64) {
	binary.BigEndian.PutUint64(pkt[headerLen:], seq)
	l.aead.Seal(pkt[gcmHeader:gcmHeader], l.setNonce(pkt), src, l.setAAD(pkt, seq))
}

func (l *gcmLane) open(pkt []byte, seq uint64) bool {
	body := pkt[gcmHeader:]
	_, err := l.aead.Open(body[:0], l.setNonce(pkt), body, l.setAAD(pkt, seq))
	return err == nil
}

func (l *gcmLane) setNonce(pkt []byte) []byte {
	copy(l.nonce[saltLen:], pkt[headerLen:gcmHeader])
	return l.nonce[:]
}

// setAAD returns what is authenticated besides the ciphertext: the SPI and the
// sequence number, with extended ones all 64 bits of it (RFC 4106, section 5).
func (l *gcmLane) setAAD(pkt []byte, seq uint64) []byte {
	if !l.esn {
		return pkt[:headerLen]
	}
	copy(l.aad[:4], pkt)
	binary.BigEndian.PutUint64(l.aad[4:], seq)
	return l.aad[:]
}
