package suite

// Integrity is an authentication algorithm of an ESP transform (RFC 2407, section
// 4.5; RFC 4868).
type Integrity uint16

// The algorithms that have a name here.
const (
	IntegNone   Integrity = 0
	IntegMD5    Integrity = 1 // named in refusals, never used
	IntegSHA1   Integrity = 2
	IntegSHA256 Integrity = 5
	IntegSHA384 Integrity = 6
	IntegSHA512 Integrity = 7
)

// Encapsulation is an encapsulation mode of an ESP transform.
type Encapsulation uint16

// Encapsulation modes (RFC 2407, section 4.5; RFC 3947, section 5.1; the drafts
// before it).
const (
	Tunnel            Encapsulation = 1
	Transport         Encapsulation = 2
	UDPTunnel         Encapsulation = 3
	UDPTransport      Encapsulation = 4
	UDPTunnelDraft    Encapsulation = 61443
	UDPTransportDraft Encapsulation = 61444
)

// UDP reports whether ESP travels in UDP.
func (e Encapsulation) UDP() bool { return e > Transport }

// IsTransport reports whether only the payload of the IP packet is protected.
func (e Encapsulation) IsTransport() bool {
	return e == Transport || e == UDPTransport || e == UDPTransportDraft
}

// gcmSalt is the length of the salt behind the key of an AEAD (RFC 4106, section
// 4; RFC 7634, section 2).
const gcmSalt = 4

// IsAEAD reports whether the cipher authenticates by itself.
func (e Encryption) IsAEAD() bool { return e >= EncAESGCM8 && e <= EncAESGCM16 || e == EncChaCha20 }

// EncryptionKeyLen returns the length of the cipher's part of the KEYMAT in
// bytes: the key and, for an AEAD, the four bytes of salt behind it (RFC 4106,
// section 8.1). Zero: the cipher is not supported.
func (s ESPSuite) EncryptionKeyLen() int {
	switch {
	case s.Encryption == Enc3DES && s.KeyBits == 0:
		return 24
	case s.Encryption == EncAESCBC && aesBits(s.KeyBits):
		return int(s.KeyBits) / 8
	case s.Encryption == EncChaCha20 && s.KeyBits == 0:
		return 32 + gcmSalt // RFC 7634, section 2
	case s.Encryption.IsAEAD() && s.Encryption != EncChaCha20 && aesBits(s.KeyBits):
		return int(s.KeyBits)/8 + gcmSalt
	}
	return 0
}

// IntegrityKeyLen returns the length of the integrity key, which follows the
// cipher's: that of the hash (RFC 2404, section 3; RFC 4868, section 2.1.1). Zero:
// none, or one that is not supported.
func (s ESPSuite) IntegrityKeyLen() int {
	switch s.Integrity {
	case IntegSHA1:
		return 20
	case IntegSHA256:
		return 32
	case IntegSHA384:
		return 48
	case IntegSHA512:
		return 64
	}
	return 0
}

// KeymatLen returns the length of the KEYMAT of one SA: the cipher's part first,
// then the integrity key (RFC 2409, section 5.5).
func (s ESPSuite) KeymatLen() int { return s.EncryptionKeyLen() + s.IntegrityKeyLen() }

// Supported reports whether SAs of the suite can be made: the cipher is known and
// there is integrity, either its own or another's. AES-GCM with checksums of 8
// bytes has few friends (RFC 8221, section 5) and no user.
func (s ESPSuite) Supported() bool {
	if s.Encryption == EncAESGCM8 {
		return false
	}
	if s.Encryption.IsAEAD() {
		return s.EncryptionKeyLen() > 0 && s.Integrity == IntegNone
	}
	return s.EncryptionKeyLen() > 0 && s.IntegrityKeyLen() > 0
}
