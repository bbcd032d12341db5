package wire

import (
	"encoding/binary"
	"slices"
)

const (
	// MaxPayloads is the largest number of payloads a message may have.
	MaxPayloads = 64

	genericLen = 4
	critical   = 0x80
)

// Payload is one link of the chain (RFC 2408, section 3.2).
//
//	+---------------+---------------+-------------------------------+
//	| Next Payload  |C|  RESERVED   |        Payload Length         |
//	+---------------+---------------+-------------------------------+
type Payload struct {
	Type     PayloadType
	Critical bool   // IKEv2 only
	Raw      []byte // the whole payload with its generic header, borrowed
	Body     []byte // what follows the generic header, borrowed
}

// ConsumePayload reads the payload at the front of b, whose type the field
// before it has named. It returns the type of the following payload and the
// bytes after this one.
func ConsumePayload(v Version, t PayloadType, b []byte) (p Payload, next PayloadType, rest []byte, err error) {
	if len(b) < genericLen {
		return Payload{}, 0, nil, ErrShort
	}
	n := int(binary.BigEndian.Uint16(b[2:]))
	if n < genericLen {
		return Payload{}, 0, nil, ErrLength
	}
	if n > len(b) {
		return Payload{}, 0, nil, ErrShort
	}
	// RFC 2408, section 5.3: a RESERVED field that is not zero discards the
	// message. RFC 7296, section 3.2, wants it ignored.
	if v.Major() == 1 && b[1] != 0 {
		return Payload{}, 0, nil, ErrReserved
	}
	p = Payload{Type: t, Critical: b[1]&critical != 0, Raw: b[:n:n], Body: b[genericLen:n:n]}
	return p, PayloadType(b[0]), b[n:], nil
}

// ParsePayloads appends the payloads of the plain message body b to dst; first is
// the type of the first one. The chain must fill b; in IKEv1 zero octets may follow it,
// for "any padding will be added at the end of the message to make the message 4-octet
// aligned" (RFC 2408, section 3.6).
func ParsePayloads(dst []Payload, v Version, first PayloadType, b []byte) ([]Payload, error) {
	out, rest, err := parseChain(dst, v, first, b)
	if err != nil {
		return dst, err
	}
	if len(rest) != 0 && (v.Major() != 1 || !allZero(rest)) {
		return dst, ErrLength
	}
	return out, nil
}

// ParseDecrypted is ParsePayloads for a decrypted IKEv1 body, which padding may
// follow. It also returns the length of the chain without the padding: hashes
// cover b up to there. The padding's contents are not looked at, for some peers
// pad with random bytes and others with a count in the last one.
func ParseDecrypted(dst []Payload, first PayloadType, b []byte) ([]Payload, int, error) {
	out, rest, err := parseChain(dst, V1, first, b)
	if err != nil {
		return dst, 0, err
	}
	return out, len(b) - len(rest), nil
}

func parseChain(dst []Payload, v Version, next PayloadType, b []byte) ([]Payload, []byte, error) {
	dst = slices.Grow(dst, countChain(next, b))
	for n := 0; next != PayloadNone; n++ {
		if n == MaxPayloads {
			return nil, nil, ErrCount
		}
		var p Payload
		var err error
		if p, next, b, err = ConsumePayload(v, next, b); err != nil {
			return nil, nil, err
		}
		dst = append(dst, p)
	}
	return dst, b, nil
}

// Find returns the first payload of type t.
func Find(chain []Payload, t PayloadType) (Payload, bool) {
	for _, p := range chain {
		if p.Type == t {
			return p, true
		}
	}
	return Payload{}, false
}

// Count returns the number of payloads of type t.
func Count(chain []Payload, t PayloadType) int {
	n := 0
	for _, p := range chain {
		if p.Type == t {
			n++
		}
	}
	return n
}

// countChain returns how many payloads a chain has at least as far as it can be read, and
// MaxPayloads at the most: what parseChain makes room for.
func countChain(next PayloadType, b []byte) (n int) {
	for next != PayloadNone && n < MaxPayloads && len(b) >= genericLen {
		length := int(binary.BigEndian.Uint16(b[2:]))
		if length < genericLen || length > len(b) {
			break
		}
		n, next, b = n+1, PayloadType(b[0]), b[length:]
	}
	return n
}
