package esp

import (
	"crypto/cipher"
	"encoding/binary"
	"reflect"
	"runtime"

	"golang.org/x/crypto/chacha20poly1305"

	"github.com/culvert-vpn/culvert/esp/internal/aesgcm"
	"github.com/culvert-vpn/culvert/internal/x/prefetch"
)

// aeadKeys are AES-GCM (RFC 4106) or ChaCha20-Poly1305 (RFC 7634) with the keys
// of an SA, in either direction, without state: the two build their nonces and
// their associated data alike. The nonce is the salt and the packet's IV; of what
// is sent, the IV is the sequence number, which is unique under the key (RFC 4106,
// section 3.1).
type aeadKeys struct {
	aead cipher.AEAD // nil: none
	salt [saltLen]byte
	size uint16 // of what aead points to, in bytes
	esn  bool
}

// aeadScratch is memory of whoever works: what passes through an interface must
// not be on the stack.
type aeadScratch struct {
	nonce [12]byte
	aad   [12]byte
}

const aeadHeader = headerLen + 8

// newAEADKeys keeps nothing of keys.
func newAEADKeys(t Transform, keys Keys, esn bool) (aeadKeys, error) {
	n := len(keys.Encryption) - saltLen
	aead, err := t.enc.aead(keys.Encryption[:n])
	if err != nil {
		return aeadKeys{}, err
	}
	k := aeadKeys{aead: aead, salt: [saltLen]byte(keys.Encryption[n:]), esn: esn}
	if t := reflect.TypeOf(aead); t.Kind() == reflect.Pointer {
		k.size = uint16(t.Elem().Size())
	}
	return k, nil
}

// prefetch asks for the key schedule and the tables of the cipher.
func (k *aeadKeys) prefetch() {
	if key, ok := k.aead.(*aesgcm.Key); ok { // quickly
		prefetch.Object(key)
	} else if k.size > 0 {
		prefetch.Lines((*byte)(reflect.ValueOf(k.aead).UnsafePointer()), uintptr(k.size))
	}
}

// aead returns the cipher under a key without its salt.
func (e encryption) aead(key []byte) (cipher.AEAD, error) {
	if e.id == EncryptionChaCha20 {
		return chacha20poly1305.New(key)
	}
	return aesgcm.New(key, e.icv)
}

func (k *aeadKeys) seal(s *aeadScratch, pkt, src []byte, seq uint64) {
	binary.BigEndian.PutUint64(pkt[headerLen:], seq)
	k.aead.Seal(pkt[aeadHeader:aeadHeader], k.nonceOf(s, pkt), src, k.aadOf(s, pkt, seq))
	runtime.KeepAlive(k) // or a Vault has the keys back too soon
}

func (k *aeadKeys) open(s *aeadScratch, pkt []byte, seq uint64) bool {
	body := pkt[aeadHeader:]
	_, err := k.aead.Open(body[:0], k.nonceOf(s, pkt), body, k.aadOf(s, pkt, seq))
	runtime.KeepAlive(k)
	return err == nil
}

func (k *aeadKeys) nonceOf(s *aeadScratch, pkt []byte) []byte {
	copy(s.nonce[:], k.salt[:])
	copy(s.nonce[saltLen:], pkt[headerLen:aeadHeader])
	return s.nonce[:]
}

// aadOf returns what is authenticated besides the ciphertext: the SPI and the
// sequence number, with extended ones all 64 bits of it (RFC 4106, section 5; RFC
// 7634, section 2.1).
func (k *aeadKeys) aadOf(s *aeadScratch, pkt []byte, seq uint64) []byte {
	if !k.esn {
		return pkt[:headerLen]
	}
	copy(s.aad[:4], pkt)
	binary.BigEndian.PutUint64(s.aad[4:], seq)
	return s.aad[:]
}

// aeadLane is for who has no scratch memory of his own.
type aeadLane struct {
	*aeadKeys
	scratch aeadScratch
}

func (l *aeadLane) seal(pkt, src []byte, seq uint64) { l.aeadKeys.seal(&l.scratch, pkt, src, seq) }

func (l *aeadLane) open(pkt []byte, seq uint64) bool {
	return l.aeadKeys.open(&l.scratch, pkt, seq)
}
