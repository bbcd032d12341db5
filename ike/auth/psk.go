package auth

import (
	"crypto/subtle"

	"github.com/culvert-vpn/culvert/ike/suite"
	"github.com/culvert-vpn/culvert/ike/wire"
)

// SKEYID is the root of all keys of an ISAKMP SA when the peers share a key:
//
//	SKEYID = prf(pre-shared-key, Ni_b | Nr_b)        (RFC 2409, section 5)
//
// The caller zeroes the result.
func SKEYID(h suite.Hash, psk, ni, nr []byte) []byte { return h.PRF(psk, ni, nr) }

// Proof is what both sides of phase 1 authenticate, in the order of the side
// that computes the hash: HASH_I begins with the initiator's values, HASH_R with
// the responder's (RFC 2409, section 5).
type Proof struct {
	Own, Other             []byte // public values of Diffie-Hellman
	OwnCookie, OtherCookie wire.Cookie
	SA                     []byte // body of the initiator's whole SA payload
	ID                     []byte // body of the ID payload
}

// Hash is HASH_I or HASH_R:
//
//	HASH_I = prf(SKEYID, g^xi | g^xr | CKY-I | CKY-R | SAi_b | IDii_b )
//	HASH_R = prf(SKEYID, g^xr | g^xi | CKY-R | CKY-I | SAi_b | IDir_b )
func (p Proof) Hash(h suite.Hash, skeyid []byte) []byte {
	return h.PRF(skeyid, p.Own, p.Other, p.OwnCookie[:], p.OtherCookie[:], p.SA, p.ID)
}

// Verify compares what the peer sent with what it should have sent, in constant
// time.
func (p Proof) Verify(h suite.Hash, skeyid, sent []byte) bool {
	return subtle.ConstantTimeCompare(p.Hash(h, skeyid), sent) == 1
}
