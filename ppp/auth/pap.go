package auth

import (
	"crypto/sha256"
	"crypto/subtle"
	"fmt"
)

// VerifyPAP tells whether the password is the one given. The time it takes tells
// nothing of the password, not even its length.
func VerifyPAP(password, given []byte) bool {
	a, b := sha256.Sum256(password), sha256.Sum256(given)
	return subtle.ConstantTimeCompare(a[:], b[:]) == 1
}

// VerifyPAPHash tells whether the password given has that NT hash.
func VerifyPAPHash(hash [16]byte, given []byte) bool {
	got := NTHashBytes(given)
	defer clear(got[:])
	return subtle.ConstantTimeCompare(hash[:], got[:]) == 1
}

// AppendPAP appends the data of an Authenticate-Request (RFC 1334 section 2.2.1). Both
// have at most 255 octets; the rest is cut off.
func AppendPAP(b []byte, user string, password []byte) []byte {
	user, password = user[:min(len(user), 255)], password[:min(len(password), 255)]
	b = append(b, byte(len(user)))
	b = append(b, user...)
	b = append(b, byte(len(password)))
	return append(b, password...)
}

// ParsePAP reads the data of an Authenticate-Request. What it returns lies within b.
func ParsePAP(b []byte) (user, password []byte, err error) {
	user, b, ok := cutString(b)
	if !ok {
		return nil, nil, fmt.Errorf("%w: PAP request", ErrFormat)
	}
	password, _, ok = cutString(b)
	if !ok {
		return nil, nil, fmt.Errorf("%w: PAP request", ErrFormat)
	}
	return user, password, nil
}

// cutString takes a string with one octet of length off b.
func cutString(b []byte) (s, rest []byte, ok bool) {
	if len(b) == 0 || len(b) < 1+int(b[0]) {
		return nil, nil, false
	}
	n := 1 + int(b[0])
	return b[1:n], b[n:], true
}
