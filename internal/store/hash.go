package store

import (
	"encoding/binary"
	"unicode/utf16"

	"golang.org/x/crypto/md4"
)

// HashPassword returns the NT hash of a password: MD4 over its UTF-16LE form
// (RFC 2759 section 8.3).
func HashPassword(password string) Hash {
	d := md4.New()
	var unit [2]byte
	for _, u := range utf16.Encode([]rune(password)) {
		binary.LittleEndian.PutUint16(unit[:], u)
		d.Write(unit[:])
	}
	clear(unit[:])
	var h Hash
	d.Sum(h[:0])
	return h
}
