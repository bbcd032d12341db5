package esp

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/des"
	"crypto/hmac"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/binary"
	"fmt"
	"hash"
	"strings"
	"testing"

	"golang.org/x/crypto/chacha20poly1305"
)

// reference is ESP written down as the RFCs say it, with no regard to speed,
// by the name of a transform only, so that it shares no table with the package.
type reference struct {
	name string
	keys Keys
	spi  uint32
	esn  bool
}

// isAEAD reports whether the transform of that name needs no HMAC.
func isAEAD(name string) bool {
	return strings.Contains(name, "gcm") || strings.Contains(name, "poly1305")
}

func (r reference) aead() cipher.AEAD {
	key := r.keys.Encryption[:len(r.keys.Encryption)-4]
	if strings.HasPrefix(r.name, "chacha20") {
		aead, err := chacha20poly1305.New(key)
		if err != nil {
			panic(err)
		}
		return aead
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		panic(err)
	}
	tag := 16
	if strings.HasSuffix(r.name, "gcm12") {
		tag = 12
	}
	aead, err := cipher.NewGCMWithTagSize(block, tag)
	if err != nil {
		panic(err)
	}
	return aead
}

func (r reference) block() cipher.Block {
	if strings.HasPrefix(r.name, "3des") {
		b, err := des.NewTripleDESCipher(r.keys.Encryption)
		if err != nil {
			panic(err)
		}
		return b
	}
	b, err := aes.NewCipher(r.keys.Encryption)
	if err != nil {
		panic(err)
	}
	return b
}

func (r reference) mac(data []byte) []byte {
	_, name, _ := strings.Cut(r.name, "-")
	row := map[string]struct {
		hash func() hash.Hash
		icv  int
	}{
		"sha1":   {sha1.New, 12},
		"sha256": {sha256.New, 16},
		"sha384": {sha512.New384, 24},
		"sha512": {sha512.New, 32},
	}[name]
	h := hmac.New(row.hash, r.keys.Integrity)
	h.Write(data)
	return h.Sum(nil)[:row.icv]
}

// seal makes the packet of a payload, with the given IV.
func (r reference) seal(seq uint64, iv, plain []byte, nh uint8) []byte {
	pkt := binary.BigEndian.AppendUint32(nil, r.spi)
	pkt = binary.BigEndian.AppendUint32(pkt, uint32(seq))
	block := 4
	if !isAEAD(r.name) {
		block = r.block().BlockSize()
	}
	body := bytes.Clone(plain)
	pad := 0
	for (len(body)+2)%block != 0 {
		pad++
		body = append(body, byte(pad))
	}
	body = append(body, byte(pad), nh)
	if isAEAD(r.name) {
		nonce := append(bytes.Clone(r.keys.Encryption[len(r.keys.Encryption)-4:]), iv...)
		return append(append(pkt, iv...), r.aead().Seal(nil, nonce, body, r.aad(seq))...)
	}
	cipher.NewCBCEncrypter(r.block(), iv).CryptBlocks(body, body)
	pkt = append(append(pkt, iv...), body...)
	return append(pkt, r.mac(r.authenticated(pkt, seq))...)
}

// open returns the decrypted packet from the IV's end to the ICV's beginning.
func (r reference) open(seq uint64, pkt []byte) ([]byte, error) {
	if isAEAD(r.name) {
		nonce := append(bytes.Clone(r.keys.Encryption[len(r.keys.Encryption)-4:]), pkt[8:16]...)
		return r.aead().Open(nil, nonce, pkt[16:], r.aad(seq))
	}
	end := len(pkt) - len(r.mac(nil))
	if !bytes.Equal(r.mac(r.authenticated(pkt[:end], seq)), pkt[end:]) {
		return nil, fmt.Errorf("wrong ICV")
	}
	block := r.block()
	n := 8 + block.BlockSize()
	body := bytes.Clone(pkt[n:end])
	cipher.NewCBCDecrypter(block, pkt[8:n]).CryptBlocks(body, body)
	return body, nil
}

func (r reference) aad(seq uint64) []byte {
	aad := binary.BigEndian.AppendUint32(nil, r.spi)
	if r.esn {
		return binary.BigEndian.AppendUint64(aad, seq)
	}
	return binary.BigEndian.AppendUint32(aad, uint32(seq))
}

func (r reference) authenticated(pkt []byte, seq uint64) []byte {
	if !r.esn {
		return pkt
	}
	return binary.BigEndian.AppendUint32(bytes.Clone(pkt), uint32(seq>>32))
}

const testSPI = 0xC0FFEE11

// testKeys are different bytes for every place in them.
func testKeys(t Transform) Keys {
	keys := Keys{
		Encryption: make([]byte, t.EncryptionKeyLen()),
		Integrity:  make([]byte, t.IntegrityKeyLen()),
	}
	for i := range keys.Encryption {
		keys.Encryption[i] = byte(3*i + 7)
	}
	for i := range keys.Integrity {
		keys.Integrity[i] = byte(5*i + 11)
	}
	return keys
}

// wantPair makes both ends of an SA and the reference for it.
func wantPair(tb testing.TB, t Transform, esn bool) (*Outbound, *Inbound, reference) {
	tb.Helper()
	keys := testKeys(t)
	out, err := NewOutbound(OutboundConfig{SPI: testSPI, Transform: t, Keys: keys, ESN: esn})
	if err != nil {
		tb.Fatal(err)
	}
	in, err := NewInbound(InboundConfig{SPI: testSPI, Transform: t, Keys: keys, ESN: esn})
	if err != nil {
		tb.Fatal(err)
	}
	clear(keys.Encryption) // the SAs must not have kept the slices
	clear(keys.Integrity)
	return out, in, reference{name: t.String(), keys: testKeys(t), spi: testSPI, esn: esn}
}

// forEach runs f for every transform, with and without extended sequence
// numbers.
func forEach(t *testing.T, f func(t *testing.T, tr Transform, esn bool)) {
	for _, tr := range Transforms() {
		for _, esn := range []bool{false, true} {
			name := tr.String()
			if esn {
				name += "-esn"
			}
			t.Run(name, func(t *testing.T) { f(t, tr, esn) })
		}
	}
}

func testPayload(n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(i*13 + n)
	}
	return b
}
