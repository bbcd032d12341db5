package esp

import (
	"crypto/aes"
	"crypto/des"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"fmt"
	"hash"

	"golang.org/x/crypto/chacha20poly1305"

	"github.com/culvert-vpn/culvert/esp/internal/mac"
)

// Transform identifiers of ESP encryption algorithms, the same for IKEv1 and
// IKEv2 (IANA "IPSEC ESP Transform Identifiers").
const (
	Encryption3DES     uint8 = 3
	EncryptionAESCBC   uint8 = 12
	EncryptionGCM12    uint8 = 19
	EncryptionGCM16    uint8 = 20
	EncryptionChaCha20 uint8 = 28 // with Poly1305; IKEv2 only (RFC 7634, section 5)
)

// Integrity algorithms by their value of the IPsec DOI attribute
// "Authentication Algorithm" (RFC 2407, section 4.5, and RFC 4868).
const (
	IntegrityNone   uint16 = 0
	IntegritySHA1   uint16 = 2
	IntegritySHA256 uint16 = 5
	IntegritySHA384 uint16 = 6
	IntegritySHA512 uint16 = 7
)

const (
	headerLen = 8 // SPI and sequence number
	saltLen   = 4 // of an AEAD: RFC 4106, section 4; RFC 7634, section 2
	padFields = 2 // pad length and next header
)

// Transform is the set of algorithms of an SA. The zero Transform is none;
// ByIANA finds one. Transforms can be compared with ==.
type Transform struct {
	enc encryption
	mac integrity
}

// encryption is a row of the table of ciphers. Lengths are in bytes.
type encryption struct {
	id    uint8
	name  string
	bits  int // key length as negotiated; 0: it has only one
	key   int // key length as used, with the salt
	iv    int
	block int // ciphertext is a multiple of this; a power of two
	icv   int // of an AEAD; 0: the ICV is the integrity algorithm's
}

// integrity is a row of the table of HMACs. Lengths are in bytes.
type integrity struct {
	id   uint16
	name string
	key  int
	icv  int
}

var encryptions = [...]encryption{
	{id: EncryptionGCM16, name: "aes256gcm16", bits: 256, key: 32 + saltLen, iv: 8, block: 1, icv: 16},
	{id: EncryptionGCM16, name: "aes192gcm16", bits: 192, key: 24 + saltLen, iv: 8, block: 1, icv: 16},
	{id: EncryptionGCM16, name: "aes128gcm16", bits: 128, key: 16 + saltLen, iv: 8, block: 1, icv: 16},
	{id: EncryptionGCM12, name: "aes256gcm12", bits: 256, key: 32 + saltLen, iv: 8, block: 1, icv: 12},
	{id: EncryptionGCM12, name: "aes192gcm12", bits: 192, key: 24 + saltLen, iv: 8, block: 1, icv: 12},
	{id: EncryptionGCM12, name: "aes128gcm12", bits: 128, key: 16 + saltLen, iv: 8, block: 1, icv: 12},
	{id: EncryptionChaCha20, name: "chacha20poly1305", key: chacha20poly1305.KeySize + saltLen, iv: 8, block: 1, icv: 16},
	{id: EncryptionAESCBC, name: "aes256", bits: 256, key: 32, iv: aes.BlockSize, block: aes.BlockSize},
	{id: EncryptionAESCBC, name: "aes192", bits: 192, key: 24, iv: aes.BlockSize, block: aes.BlockSize},
	{id: EncryptionAESCBC, name: "aes128", bits: 128, key: 16, iv: aes.BlockSize, block: aes.BlockSize},
	{id: Encryption3DES, name: "3des", bits: 192, key: 24, iv: des.BlockSize, block: des.BlockSize},
}

var integrities = [...]integrity{
	{id: IntegritySHA256, name: "sha256", key: 32, icv: 16},
	{id: IntegritySHA384, name: "sha384", key: 48, icv: 24},
	{id: IntegritySHA512, name: "sha512", key: 64, icv: 32},
	{id: IntegritySHA1, name: "sha1", key: 20, icv: 12},
}

// ByIANA returns the transform of an ESP transform identifier, a key length in
// bits (3DES: 0 or 192; ChaCha20-Poly1305: 0) and an authentication algorithm of
// the IPsec DOI (an AEAD: IntegrityNone). An error wraps ErrTransform.
func ByIANA(encryption uint8, keyBits int, integrity uint16) (Transform, error) {
	if encryption == Encryption3DES && keyBits == 0 {
		keyBits = 192
	}
	for _, e := range encryptions {
		switch {
		case e.id != encryption || e.bits != keyBits || (e.icv > 0) != (integrity == IntegrityNone):
		case e.icv > 0:
			return Transform{enc: e}, nil
		default:
			for _, m := range integrities {
				if m.id == integrity {
					return Transform{enc: e, mac: m}, nil
				}
			}
		}
	}
	return Transform{}, fmt.Errorf("%w: encryption %d with %d bits, integrity %d", ErrTransform, encryption, keyBits, integrity)
}

// Transforms returns all transforms there are, in no order of preference.
func Transforms() []Transform {
	var all []Transform
	for _, e := range encryptions {
		if e.icv > 0 {
			all = append(all, Transform{enc: e})
			continue
		}
		for _, m := range integrities {
			all = append(all, Transform{enc: e, mac: m})
		}
	}
	return all
}

// String names the transform: "aes256gcm16", "aes128-sha256", "3des-sha1".
func (t Transform) String() string {
	switch {
	case t.enc.name == "":
		return "none"
	case t.mac.name == "":
		return t.enc.name
	}
	return t.enc.name + "-" + t.mac.name
}

// EncryptionKeyLen is the length of Keys.Encryption in bytes, with the salt of
// an AEAD.
func (t Transform) EncryptionKeyLen() int { return t.enc.key }

// IntegrityKeyLen is the length of Keys.Integrity in bytes; 0 for an AEAD.
func (t Transform) IntegrityKeyLen() int { return t.mac.key }

// ICVLen is the length of the integrity check value in bytes.
func (t Transform) ICVLen() int { return t.enc.icv + t.mac.icv }

// HeaderLen is what precedes the payload in a sealed packet, in bytes: SPI,
// sequence number and IV.
func (t Transform) HeaderLen() int { return headerLen + t.enc.iv }

// TrailerMax is the most that can follow a payload in a sealed packet, in bytes:
// padding, pad length, next header and ICV.
func (t Transform) TrailerMax() int { return t.align() - 1 + padFields + t.ICVLen() }

// SealedLen is the length in bytes of the packet that Seal makes of a payload
// of n bytes.
func (t Transform) SealedLen(n int) int {
	align := t.align()
	return t.HeaderLen() + (n+padFields+align-1)&^(align-1) + t.ICVLen()
}

// MaxPayload is the length in bytes of the longest payload that sealed takes no
// more than size bytes, and -1 if not even an empty one fits.
func (t Transform) MaxPayload(size int) int {
	room := size - t.HeaderLen() - t.ICVLen()
	if room < 0 {
		return -1
	}
	return max(room&^(t.align()-1)-padFields, -1)
}

// shape is the lengths of a transform, in bytes, as packets need them.
type shape struct {
	header, icv uint8
	block       uint8 // what the ciphertext is a multiple of
	align       uint8 // what it is padded to
}

func (t Transform) shape() shape {
	return shape{header: uint8(t.HeaderLen()), icv: uint8(t.ICVLen()), block: uint8(t.enc.block), align: uint8(t.align())}
}

func (s shape) sealedLen(n int) int {
	align := int(s.align)
	return int(s.header) + (n+padFields+align-1)&^(align-1) + int(s.icv)
}

// align is what the payload with its trailer, less the ICV, is a multiple of:
// the cipher's block, and at least 4 bytes (RFC 4303, section 2.4).
func (t Transform) align() int { return max(t.enc.block, 4) }

// checkKeys reports keys whose lengths are not those of the transform. Lengths
// are no secret.
func (t Transform) checkKeys(k Keys) error {
	if t.enc.id == 0 {
		return ErrTransform
	}
	if len(k.Encryption) != t.enc.key || len(k.Integrity) != t.mac.key {
		return fmt.Errorf("%w: %s takes %d and %d bytes, not %d and %d", ErrKeys,
			t, t.enc.key, t.mac.key, len(k.Encryption), len(k.Integrity))
	}
	return nil
}

// sums is the hash function of the HMAC, if package mac has it.
func (t Transform) sums() mac.Hash {
	switch t.mac.id {
	case IntegritySHA1:
		return mac.SHA1
	case IntegritySHA256:
		return mac.SHA256
	}
	return 0
}

// newHash is the hash function under the HMAC.
func (t Transform) newHash() hash.Hash {
	switch t.mac.id {
	case IntegritySHA1:
		return sha1.New()
	case IntegritySHA384:
		return sha512.New384()
	case IntegritySHA512:
		return sha512.New()
	}
	return sha256.New()
}
