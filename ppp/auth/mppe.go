package auth

import "crypto/sha1"

// MasterKey is the root of the MPPE keys of an MS-CHAPv2 login (GetMasterKey, RFC 3079
// section 3.4). RADIUS carries what comes of it; L2TP/IPsec encrypts below PPP and
// has no use for it.
func MasterKey(hash [16]byte, response [24]byte) (key [16]byte) {
	hashHash := md4Sum(hash[:])
	h := sha1.New()
	h.Write(hashHash[:])
	h.Write(response[:])
	h.Write([]byte("This is the MPPE Master Key"))
	copy(key[:], h.Sum(nil))
	clear(hashHash[:])
	return key
}

const (
	magicClientSends = "On the client side, this is the send key; on the server side, it is the receive key."
	magicClientGets  = "On the client side, this is the receive key; on the server side, it is the send key."
)

// StartKey is the 128-bit key that one side begins to send, or to receive, with
// (GetAsymmetricStartKey, RFC 3079 section 3.4).
func StartKey(master [16]byte, send, server bool) (key [16]byte) {
	magic := magicClientGets
	if send != server {
		magic = magicClientSends
	}
	var pad1, pad2 [40]byte
	for i := range pad2 {
		pad2[i] = 0xf2
	}
	h := sha1.New()
	h.Write(master[:])
	h.Write(pad1[:])
	h.Write([]byte(magic))
	h.Write(pad2[:])
	copy(key[:], h.Sum(nil))
	return key
}
