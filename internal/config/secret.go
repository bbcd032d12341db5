package config

import (
	"crypto/subtle"
	"fmt"
	"io"
)

// redacted is what a Secret shows of itself, always.
const redacted = "[secret]"

// Secret is a pre-shared key, a password or a password's hash. It never shows
// itself: no fmt verb, String, text, JSON or YAML encoding of it, or of a
// struct it is in, holds any byte of it. The zero value is an empty secret.
//
// Copies of a Secret share their bytes, and Zero clears all of them.
type Secret struct{ b *[]byte }

// NewSecret returns a Secret that holds a copy of b.
func NewSecret(b []byte) Secret {
	own := append([]byte(nil), b...)
	return Secret{&own}
}

// Bytes returns the secret itself, nil when it is empty. The bytes stay the
// Secret's: they are lent until Zero, and not to be written to.
func (s Secret) Bytes() []byte {
	if s.b == nil {
		return nil
	}
	return *s.b
}

// Len returns the number of bytes in the secret.
func (s Secret) Len() int { return len(s.Bytes()) }

// Equal reports whether both secrets hold the same bytes, in time that
// depends on their lengths only.
func (s Secret) Equal(other Secret) bool {
	return subtle.ConstantTimeCompare(s.Bytes(), other.Bytes()) == 1
}

// Zero overwrites the secret with zeros and empties it and all its copies.
func (s Secret) Zero() {
	if s.b == nil {
		return
	}
	clear(*s.b)
	*s.b = nil
}

// String implements fmt.Stringer without showing the secret.
func (s Secret) String() string { return redacted }

// GoString implements fmt.GoStringer without showing the secret.
func (s Secret) GoString() string { return redacted }

// Format implements fmt.Formatter, so that no verb or flag shows the secret.
func (s Secret) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, redacted) }

// MarshalText implements encoding.TextMarshaler without showing the secret.
func (s Secret) MarshalText() ([]byte, error) { return []byte(redacted), nil }
