package esp

import "errors"

// Reasons for which a packet is refused, and configurations with it. They are
// returned as they are, without a wrapper, so that a caller can count by value.
var (
	// ErrShort: a packet is too short for its transform to hold a header, an
	// IV, a trailer and an ICV, or its ciphertext is no whole number of blocks.
	ErrShort = errors.New("esp: packet too short or not a whole number of blocks")
	// ErrSPI: a packet carries another SPI than the SA it was given to.
	ErrSPI = errors.New("esp: packet belongs to another security association")
	// ErrReplay: the sequence number was received before, or is older than the
	// window remembers, or is zero (RFC 4303, section 3.4.3).
	ErrReplay = errors.New("esp: sequence number replayed or too old")
	// ErrAuth: the ICV is not that of the packet. The peer uses other keys, or
	// somebody else made or changed the packet.
	ErrAuth = errors.New("esp: integrity check failed")
	// ErrPadding: an authentic packet whose padding is not 1, 2, 3, ... or is
	// longer than the packet (RFC 4303, section 2.4).
	ErrPadding = errors.New("esp: malformed padding")
	// ErrSequenceExhausted: every sequence number has been used. The SA can
	// send nothing more; it should have been rekeyed (RFC 4303, section 3.3.3).
	ErrSequenceExhausted = errors.New("esp: sequence numbers exhausted")
	// ErrSpace: the memory given to Seal cannot hold the sealed packet.
	ErrSpace = errors.New("esp: no room for the sealed packet")
	// ErrTransform: a combination of algorithms that this package does not have.
	ErrTransform = errors.New("esp: unknown transform")
	// ErrKeys: keys of other lengths than the transform uses.
	ErrKeys = errors.New("esp: wrong key length")
	// ErrConfig: an SPI in the reserved range or an impossible window size.
	ErrConfig = errors.New("esp: invalid configuration")
)
