package auth

import (
	"crypto/md5"
	"crypto/subtle"
)

// MD5Response is what CHAP answers to a challenge: MD5 over identifier, secret and
// challenge (RFC 1994 section 4.1).
func MD5Response(identifier uint8, secret, challenge []byte) (response [md5.Size]byte) {
	h := md5.New()
	h.Write([]byte{identifier})
	h.Write(secret)
	h.Write(challenge)
	h.Sum(response[:0])
	return response
}

// VerifyMD5 tells whether the response was made with that secret.
func VerifyMD5(identifier uint8, secret, challenge, response []byte) bool {
	want := MD5Response(identifier, secret, challenge)
	return subtle.ConstantTimeCompare(want[:], response) == 1
}
