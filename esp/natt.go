package esp

import "encoding/binary"

// SPI names an SA at its receiver. 1 to 255 are reserved by IANA, and 0 never
// appears in a packet (RFC 4303, section 2.1).
type SPI uint32

// minSPI is the lowest SPI that an SA may have.
const minSPI SPI = 256

// NextHeaderNone is the next header of a dummy packet, which is dropped after
// it was authenticated (RFC 4303, section 2.6).
const NextHeaderNone uint8 = 59

// MarkerLen is the length in bytes of the non-ESP marker that precedes an IKE
// message on UDP port 4500 (RFC 3948, section 2.2): four zeroes.
const MarkerLen = 4

// keepalive is the only byte of a NAT keepalive (RFC 3948, section 2.3).
const keepalive = 0xFF

// Kind is what a datagram on UDP port 4500 is.
type Kind uint8

// The kinds of datagrams.
const (
	Invalid   Kind = iota // none of the others: too short, or a reserved SPI
	Keepalive             // NAT keepalive, to be ignored
	IKE                   // an IKE message behind the non-ESP marker
	ESP                   // an ESP packet
)

// String names the kind for logs and metrics.
func (k Kind) String() string {
	switch k {
	case Keepalive:
		return "keepalive"
	case IKE:
		return "ike"
	case ESP:
		return "esp"
	}
	return "invalid"
}

// Classify tells what arrived in a datagram on UDP port 4500 (RFC 3948,
// section 2), and of ESP its SPI. It only looks at the first bytes.
func Classify(b []byte) (Kind, SPI) {
	if len(b) < MarkerLen {
		if len(b) == 1 && b[0] == keepalive {
			return Keepalive, 0
		}
		return Invalid, 0
	}
	spi := SPI(binary.BigEndian.Uint32(b))
	switch {
	case spi == 0 && len(b) > MarkerLen:
		return IKE, 0
	case spi < minSPI || len(b) < headerLen:
		return Invalid, 0
	}
	return ESP, spi
}
