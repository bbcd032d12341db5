package auth

import (
	"crypto/des"
	"crypto/sha1"
	"crypto/subtle"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"unicode/utf16"
	"unicode/utf8"

	//lint:ignore SA1019 MS-CHAPv2 is made of MD4 (RFC 2759 section 8.3), and nothing else here uses it.
	"golang.org/x/crypto/md4"
)

// ErrFormat tells that a response or a message is not of the form that the RFC gives it.
var ErrFormat = errors.New("ppp/auth: malformed")

// Lengths in octets.
const (
	ChallengeLen = 16 // of the challenges of both sides
	ResponseLen  = 49 // of the value of an MS-CHAPv2 Response
)

// NTHash returns the NT hash of a password: MD4 of it in UTF-16, little-endian
// (NtPasswordHash, RFC 2759 section 8.3). It is as secret as the password.
func NTHash(password string) [16]byte {
	b := []byte(password)
	defer clear(b)
	return NTHashBytes(b)
}

// NTHashBytes is NTHash of a password in memory that its owner can zero.
func NTHashBytes(password []byte) [16]byte {
	b := make([]byte, 0, 2*len(password)) // UTF-16 has at most two octets for one of UTF-8
	for len(password) > 0 {
		r, n := utf8.DecodeRune(password)
		password = password[n:]
		if hi, lo := utf16.EncodeRune(r); hi != utf8.RuneError {
			b = append(b, byte(hi), byte(hi>>8), byte(lo), byte(lo>>8))
		} else {
			b = append(b, byte(r), byte(r>>8))
		}
	}
	defer clear(b)
	return md4Sum(b)
}

func md4Sum(b []byte) (sum [16]byte) {
	h := md4.New()
	h.Write(b)
	h.Sum(sum[:0])
	h.Reset()
	return sum
}

// ChallengeHash mixes both challenges and the user's name into the eight octets that
// the response encrypts (RFC 2759 section 8.2). A domain before the name does not
// take part: "BIGCO\johndoe" counts as "johndoe" (section 4).
func ChallengeHash(peerChallenge, challenge [ChallengeLen]byte, user string) [8]byte {
	h := sha1.New()
	h.Write(peerChallenge[:])
	h.Write(challenge[:])
	h.Write([]byte(user[strings.LastIndexByte(user, '\\')+1:]))
	return [8]byte(h.Sum(nil))
}

// NTResponse is what a client that knows the hash answers to the challenge
// (GenerateNTResponse, RFC 2759 section 8.1).
func NTResponse(hash [16]byte, challenge, peerChallenge [ChallengeLen]byte, user string) (response [24]byte) {
	clear8 := ChallengeHash(peerChallenge, challenge, user)
	var key [21]byte
	copy(key[:], hash[:])
	for i := range 3 {
		encryptDES(response[8*i:8*i+8], clear8[:], key[7*i:7*i+7])
	}
	clear(key[:])
	return response
}

// encryptDES encrypts one block with a key of 56 bits, spread over eight octets whose
// lowest bits DES does not look at (RFC 2759 section 8.6).
func encryptDES(dst, src, key []byte) {
	var k [8]byte
	var bits uint64
	for _, b := range key {
		bits = bits<<8 | uint64(b)
	}
	for i := range k {
		k[i] = byte(bits>>(49-7*i)) << 1
	}
	c, err := des.NewCipher(k[:])
	if err != nil {
		panic(err) // the key has eight octets
	}
	c.Encrypt(dst, src)
	clear(k[:])
}

const (
	magicServer = "Magic server to client signing constant"
	magicPad    = "Pad to make it do more than one iteration"
)

// AuthenticatorResponse is how a server proves that it knows the hash as well: "S="
// and 40 upper-case hexadecimal digits (RFC 2759 section 8.7).
func AuthenticatorResponse(hash [16]byte, response [24]byte, challenge, peerChallenge [ChallengeLen]byte, user string) string {
	hashHash := md4Sum(hash[:])
	h := sha1.New()
	h.Write(hashHash[:])
	h.Write(response[:])
	h.Write([]byte(magicServer))
	digest := h.Sum(nil)
	clear(hashHash[:])

	mixed := ChallengeHash(peerChallenge, challenge, user)
	h.Reset()
	h.Write(digest)
	h.Write(mixed[:])
	h.Write([]byte(magicPad))
	return "S=" + strings.ToUpper(hex.EncodeToString(h.Sum(nil)))
}

// Verify tells whether a response was made with that hash, and if so what the server
// answers to prove itself.
func Verify(hash [16]byte, challenge, peerChallenge [ChallengeLen]byte, response [24]byte, user string) (success string, ok bool) {
	want := NTResponse(hash, challenge, peerChallenge, user)
	if subtle.ConstantTimeCompare(want[:], response[:]) != 1 {
		return "", false
	}
	return AuthenticatorResponse(hash, response, challenge, peerChallenge, user), true
}

// VerifySuccess tells whether the message of a Success packet proves that the server
// knows the hash: it begins with the authenticator response, in digits of any case.
func VerifySuccess(message []byte, want string) bool {
	if len(message) < len(want) {
		return false
	}
	got := strings.ToUpper(string(message[:len(want)]))
	return subtle.ConstantTimeCompare([]byte(got), []byte(want)) == 1
}

// Response is the value of an MS-CHAPv2 Response packet (RFC 2759 section 4).
//
//	| peer challenge 16 | reserved 8 | NT response 24 | flags 1 |
type Response struct {
	PeerChallenge [ChallengeLen]byte
	NTResponse    [24]byte
}

// ParseResponse reads a value of 49 octets. Reserved octets and flags are not looked at.
func ParseResponse(b []byte) (r Response, err error) {
	if len(b) != ResponseLen {
		return r, fmt.Errorf("%w: response of %d octets", ErrFormat, len(b))
	}
	copy(r.PeerChallenge[:], b)
	copy(r.NTResponse[:], b[24:])
	return r, nil
}

// AppendResponse appends the value, with reserved octets and flags zero.
func AppendResponse(b []byte, r Response) []byte {
	b = append(b, r.PeerChallenge[:]...)
	b = append(b, make([]byte, 8)...)
	b = append(b, r.NTResponse[:]...)
	return append(b, 0)
}
