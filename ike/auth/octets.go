package auth

import (
	"crypto/subtle"

	"github.com/culvert-vpn/culvert/ike/suite"
)

// Octets are what one side of IKEv2 signs, or proves with a shared key (RFC 7296,
// section 2.15):
//
//	InitiatorSignedOctets = RealMessage1 | NonceRData | MACedIDForI
//	ResponderSignedOctets = RealMessage2 | NonceIData | MACedIDForR
//
// and with IKE_INTERMEDIATE exchanges IntAuth behind it (RFC 9242, section 3.3.2).
type Octets struct {
	Message []byte     // that side's IKE_SA_INIT message, from the header on, as sent
	Nonce   []byte     // the other side's
	ID      []byte     // body of that side's ID payload
	PRF     suite.Hash //
	SKp     []byte     // that side's SK_p
	IntAuth []byte     // IntAuth_i | IntAuth_r | message ID of IKE_AUTH; else nil
}

// Bytes returns the octets.
func (o Octets) Bytes() []byte {
	b := append([]byte(nil), o.Message...)
	b = append(b, o.Nonce...)
	b = append(b, o.PRF.PRF(o.SKp, o.ID)...)
	return append(b, o.IntAuth...)
}

// SharedKey is the data of an AUTH payload of method wire.AuthShared, for a
// pre-shared key or for the MSK of an EAP method (RFC 7296, sections 2.15 and 2.16):
//
//	AUTH = prf( prf(Shared Secret, "Key Pad for IKEv2"), <SignedOctets>)
//
// Methods that give no MSK use the side's SK_p instead.
func SharedKey(o Octets, secret []byte) []byte {
	padded := o.PRF.PRF(secret, []byte("Key Pad for IKEv2"))
	defer clear(padded)
	return o.PRF.PRF(padded, o.Bytes())
}

// VerifySharedKey compares what the peer sent with what it should have sent, in
// constant time.
func VerifySharedKey(o Octets, secret, sent []byte) bool {
	return subtle.ConstantTimeCompare(SharedKey(o, secret), sent) == 1
}
