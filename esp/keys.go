package esp

// Keys are the secrets of one SA in one direction, as the key exchange derived
// them. Whoever holds a Keys zeroes it; the constructors of this package do
// not, and do not keep the slices.
type Keys struct {
	// Encryption is the key of the cipher. For an AEAD the four bytes of salt
	// follow the key (RFC 4106, section 8.1; RFC 7634, section 2).
	Encryption []byte
	// Integrity is the HMAC key; empty for an AEAD.
	Integrity []byte
}

// String hides the keys from logs and error messages.
func (k Keys) String() string { return "esp.Keys(hidden)" }

// GoString hides the keys from %#v.
func (k Keys) GoString() string { return k.String() }
