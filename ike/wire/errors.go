package wire

import "errors"

// What can be wrong with bytes. The errors say nothing about their contents.
var (
	// ErrShort: the bytes end before the field does.
	ErrShort = errors.New("wire: message is cut short")
	// ErrLength: a length field contradicts the bytes around it.
	ErrLength = errors.New("wire: length field does not fit")
	// ErrReserved: a field that must be zero is not (RFC 2408, section 5.3).
	ErrReserved = errors.New("wire: reserved field is not zero")
	// ErrNext: a next payload field names a payload that cannot stand there.
	ErrNext = errors.New("wire: unexpected next payload")
	// ErrCount: more payloads, proposals or transforms than are accepted, or a
	// count that disagrees with what follows.
	ErrCount = errors.New("wire: wrong or excessive number of elements")
	// ErrValue: a field holds a value that its definition forbids.
	ErrValue = errors.New("wire: value not allowed")
	// ErrDOI: a domain of interpretation other than ISAKMP's and IPsec's.
	ErrDOI = errors.New("wire: unknown domain of interpretation")
)
