package v1

import (
	"encoding/binary"

	"github.com/culvert-vpn/culvert/ike/suite"
	"github.com/culvert-vpn/culvert/ike/wire"
)

// keys are the secrets of an ISAKMP SA (RFC 2409, section 5).
type keys struct {
	d, a []byte // SKEYID_d, SKEYID_a
	cbc  *suite.CBC
}

func (k *keys) zero() {
	clear(k.d)
	clear(k.a)
	k.cbc = nil
}

// deriveKeys makes the secrets from SKEYID and the shared secret of
// Diffie-Hellman:
//
//	SKEYID_d = prf(SKEYID, g^xy | CKY-I | CKY-R | 0)
//	SKEYID_a = prf(SKEYID, SKEYID_d | g^xy | CKY-I | CKY-R | 1)
//	SKEYID_e = prf(SKEYID, SKEYID_a | g^xy | CKY-I | CKY-R | 2)
func deriveKeys(s suite.IKESuite, skeyid, gxy []byte, i, r wire.Cookie) (keys, error) {
	prf := s.Hash.PRF
	d := prf(skeyid, gxy, i[:], r[:], []byte{0})
	a := prf(skeyid, d, gxy, i[:], r[:], []byte{1})
	e := prf(skeyid, a, gxy, i[:], r[:], []byte{2})
	defer clear(e)
	key := stretch(s.Hash, e, keyLen(s))
	defer clear(key)
	cbc, err := suite.NewCBC(s.Encryption, key)
	return keys{d: d, a: a, cbc: cbc}, err
}

// keyLen is the length of the cipher's key in bytes.
func keyLen(s suite.IKESuite) int {
	if s.KeyBits != 0 {
		return int(s.KeyBits) / 8
	}
	return 24 // 3DES, the only cipher of one length
}

// stretch makes n bytes of key from SKEYID_e. Where it is too short,
// "Ka = K1 | K2 | K3, K1 = prf(SKEYID_e, 0), K2 = prf(SKEYID_e, K1)"
// (RFC 2409, appendix B).
func stretch(h suite.Hash, e []byte, n int) []byte {
	if len(e) >= n {
		return append([]byte(nil), e[:n]...)
	}
	key := make([]byte, 0, n+h.Size())
	block := []byte{0}
	for len(key) < n {
		block = h.PRF(e, block)
		key = append(key, block...)
	}
	return key[:n]
}

// firstIV is "derived from a hash of a concatenation of the initiator's public
// Diffie-Hellman value and the responder's" (RFC 2409, appendix B).
func firstIV(s suite.IKESuite, cbc *suite.CBC, gxi, gxr []byte) []byte {
	return s.Hash.Sum(gxi, gxr)[:cbc.BlockSize()]
}

// phase2IV is "a hash of a concatenation of the last phase 1 CBC output block and
// the phase 2 message id" (RFC 2409, appendix B).
func phase2IV(h suite.Hash, last []byte, id wire.MessageID) []byte {
	return h.Sum(last, be32(uint32(id)))[:len(last)]
}

// keymat makes the keys of one direction of a child SA (RFC 2409, section 5.5):
//
//	K1 = prf(SKEYID_d, [ g(qm)^xy | ] protocol | SPI | Ni_b | Nr_b)
//	K2 = prf(SKEYID_d, K1 | [ g(qm)^xy | ] protocol | SPI | Ni_b | Nr_b) ...
func keymat(h suite.Hash, d, gxy []byte, spi [4]byte, ni, nr []byte, n int) []byte {
	out := make([]byte, 0, n+h.Size())
	var block []byte
	for len(out) < n {
		block = h.PRF(d, block, gxy, []byte{byte(wire.ProtocolESP)}, spi[:], ni, nr)
		out = append(out, block...)
	}
	clear(block)
	return out[:n:n]
}

func be32(v uint32) []byte { return binary.BigEndian.AppendUint32(nil, v) }
