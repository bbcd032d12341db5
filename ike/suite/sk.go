package suite

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hmac"
	"encoding/binary"
	"fmt"
	"io"

	"golang.org/x/crypto/chacha20poly1305"

	"github.com/culvert-vpn/culvert/ike/wire"
)

const aeadIV = 8 // explicit part of an AEAD's nonce (RFC 5282, section 3)

// SK seals or opens the messages of one direction of an IKE SA (RFC 7296, section
// 3.14; RFC 5282). An SK of one direction only ever seals or only ever opens.
type SK struct {
	aead cipher.AEAD
	salt [gcmSalt]byte
	used uint64 // AEAD: IVs used so far

	cbc *CBC
	mac Hash // its HMAC
	key []byte
	icv int
}

// NewSK returns the protection under the keys SK_e and SK_a of one side. They may
// be zeroed afterwards.
func NewSK(s IKE2Suite, e, a []byte) (*SK, error) {
	if len(e) != s.cipher().keyLen() || len(a) != s.integrityKeyLen() {
		return nil, ErrKeyLength
	}
	if !s.Encryption.IsAEAD() {
		c, err := NewCBC(s.Encryption, e)
		if err != nil {
			return nil, err
		}
		mac, ok := lookup(hashNames, s.Integrity.String())
		if !ok || !mac.Supported() {
			return nil, fmt.Errorf("%w: integrity %d", ErrUnsupported, s.Integrity)
		}
		return &SK{cbc: c, mac: mac, key: append([]byte(nil), a...), icv: s.checksumLen()}, nil
	}
	k := &SK{icv: s.checksumLen()}
	key := e[:len(e)-gcmSalt]
	k.salt = [gcmSalt]byte(e[len(key):])
	var err error
	if s.Encryption == EncChaCha20 {
		k.aead, err = chacha20poly1305.New(key)
	} else {
		k.aead, err = newGCM(key, k.icv)
	}
	return k, err
}

func newGCM(key []byte, tag int) (cipher.AEAD, error) {
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, ErrKeyLength
	}
	return cipher.NewGCMWithTagSize(block, tag)
}

// checksumLen is the length of the integrity checksum at the end of a message.
func (s IKE2Suite) checksumLen() int {
	switch {
	case s.Encryption == EncAESGCM12:
		return 12
	case s.Encryption.IsAEAD():
		return 16
	case s.Integrity == IntegSHA1:
		return 12
	}
	return s.integrityKeyLen() / 2
}

// Zero forgets the key as far as it is in our memory.
func (k *SK) Zero() {
	clear(k.key)
	*k = SK{}
}

// ivLen and blockLen are in bytes.
func (k *SK) ivLen() int {
	if k.aead != nil {
		return aeadIV
	}
	return k.cbc.BlockSize()
}

func (k *SK) blockLen() int {
	if k.aead != nil {
		return 1
	}
	return k.cbc.BlockSize()
}

// bodyLen is the length of IV, ciphertext and checksum for n bytes of payloads.
func (k *SK) bodyLen(n int) int {
	block := k.blockLen()
	return k.ivLen() + (n+1+block-1)/block*block + k.icv
}

// Room returns how many bytes of payloads fit into one fragment of a message whose
// length is at most max, header included.
func (k *SK) Room(max int) int {
	n := max - wire.HeaderLen - 4 - wire.FragmentLen - k.ivLen() - k.icv
	return n/k.blockLen()*k.blockLen() - 1
}

// Seal appends a whole message to dst: the header h, and an SK payload with the
// chain of payloads plain, of which the first has the type first. rand gives the
// IV of CBC. h.Next and h.Length are filled in.
func (k *SK) Seal(dst []byte, rand io.Reader, h wire.Header, first wire.PayloadType, plain []byte) ([]byte, error) {
	return k.seal(dst, rand, h, wire.Encrypted{First: first}, plain)
}

// SealFragments returns the message as it is to be sent: in one piece if it is not
// longer than max, else in fragments none of which is (RFC 7383). A max of zero
// never fragments.
func (k *SK) SealFragments(rand io.Reader, h wire.Header, first wire.PayloadType, plain []byte, max int) ([][]byte, error) {
	if max == 0 || wire.HeaderLen+4+k.bodyLen(len(plain)) <= max {
		msg, err := k.Seal(nil, rand, h, first, plain)
		return [][]byte{msg}, err
	}
	room := k.Room(max)
	if room <= 0 || (len(plain)+room-1)/room > 0xffff {
		return nil, ErrTooLong
	}
	total := (len(plain) + room - 1) / room
	out := make([][]byte, 0, total)
	for i := range total {
		e := wire.Encrypted{Number: uint16(i + 1), Total: uint16(total)}
		if i == 0 {
			e.First = first
		}
		piece := plain[i*room : min((i+1)*room, len(plain))]
		msg, err := k.seal(nil, rand, h, e, piece)
		if err != nil {
			return nil, err
		}
		out = append(out, msg)
	}
	return out, nil
}

func (k *SK) seal(dst []byte, rand io.Reader, h wire.Header, e wire.Encrypted, plain []byte) ([]byte, error) {
	n := k.bodyLen(len(plain))
	if n > 0xffff-4-wire.FragmentLen {
		return nil, ErrTooLong
	}
	start := len(dst)
	dst = wire.AppendEncrypted(dst, h, e, n)
	aad := len(dst)
	dst = append(dst, make([]byte, n)...)
	body := dst[aad:]
	iv, inner := body[:k.ivLen()], body[k.ivLen():n-k.icv]
	copy(inner, plain)
	inner[len(inner)-1] = byte(len(inner) - len(plain) - 1) // Pad Length; the padding is zero
	if k.aead != nil {
		binary.BigEndian.PutUint64(iv, k.used)
		k.used++
		k.aead.Seal(inner[:0], k.nonce(iv), inner, dst[start:aad])
		return dst, nil
	}
	if _, err := io.ReadFull(rand, iv); err != nil {
		return nil, fmt.Errorf("suite: randomness: %w", err)
	}
	if err := k.cbc.Encrypt(iv, inner); err != nil {
		return nil, err
	}
	sum := k.mac.PRF(k.key, dst[start:len(dst)-k.icv])
	copy(body[n-k.icv:], sum)
	return dst, nil
}

func (k *SK) nonce(iv []byte) []byte {
	return append(append(make([]byte, 0, gcmSalt+aeadIV), k.salt[:]...), iv...)
}

// Open verifies the message msg, header included, and decrypts its SK or SKF
// payload in place. It returns what ConsumeEncrypted found, and the chain of
// payloads, or the piece of it, without padding, which is a part of msg. Payloads
// that stand before the encrypted one are authentic as well and are not returned.
func (k *SK) Open(msg []byte) (wire.Encrypted, []byte, error) {
	e, _, err := wire.ConsumeEncrypted(nil, msg)
	if err != nil {
		return e, nil, err
	}
	msg = msg[:e.Offset+len(e.Body)] // zeroes may follow
	iv := k.ivLen()
	inner := len(e.Body) - iv - k.icv
	if inner <= 0 || inner%k.blockLen() != 0 {
		return e, nil, wire.ErrLength
	}
	plain, err := k.decrypt(msg, e, iv, inner)
	if err != nil {
		return e, nil, err
	}
	pad := int(plain[len(plain)-1]) + 1
	if pad > len(plain) {
		return e, nil, ErrPadding
	}
	n := len(plain) - pad
	return e, plain[:n:n], nil
}

// decrypt verifies before it decrypts.
func (k *SK) decrypt(msg []byte, e wire.Encrypted, iv, inner int) ([]byte, error) {
	if k.aead != nil {
		plain, err := k.aead.Open(e.Body[iv:iv], k.nonce(e.Body[:iv]), e.Body[iv:], msg[:e.Offset])
		if err != nil {
			return nil, ErrIntegrity
		}
		return plain, nil
	}
	sum := k.mac.PRF(k.key, msg[:len(msg)-k.icv])[:k.icv]
	if !hmac.Equal(sum, e.Body[iv+inner:]) {
		return nil, ErrIntegrity
	}
	plain := e.Body[iv : iv+inner]
	return plain, k.cbc.Decrypt(plain, e.Body[:iv], plain)
}
