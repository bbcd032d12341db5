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

// EncryptionKeyLen returns the length of the cipher's part of the KEYMAT in
// bytes: the key and, for GCM, the four bytes of salt behind it (RFC 4106,
// section 8.1). Zero: not supported.
func (s ESPSuite) EncryptionKeyLen() int { return 0 }

// IntegrityKeyLen returns the length of the integrity key, which follows the
// cipher's (RFC 2404; RFC 4868, section 2.6).
func (s ESPSuite) IntegrityKeyLen() int { return 0 }

// KeymatLen returns the length of the KEYMAT of one SA.
func (s ESPSuite) KeymatLen() int { return s.EncryptionKeyLen() + s.IntegrityKeyLen() }
