package suite

import "errors"

var (
	// ErrKeyLength: a key has a length that its cipher does not take.
	ErrKeyLength = errors.New("suite: wrong key length")
	// ErrUnsupported: an algorithm or group that this package does not have.
	ErrUnsupported = errors.New("suite: algorithm not supported")
	// ErrBlockSize: an encrypted message is not made of whole blocks.
	ErrBlockSize = errors.New("suite: message is not a multiple of the block size")
	// ErrPublicValue: a peer's Diffie-Hellman value has the wrong length, is out
	// of range, or is not on the curve.
	ErrPublicValue = errors.New("suite: invalid public value")
	// ErrZeroed: a private key that has been zeroed cannot be used.
	ErrZeroed = errors.New("suite: private key was zeroed")
	// ErrNoProposal: nothing in an offer is allowed here. The error itself is a
	// *Refusal, which says what was offered.
	ErrNoProposal = errors.New("suite: no proposal chosen")
	// ErrAnswer: the answer to our offer is not part of it.
	ErrAnswer = errors.New("suite: answer was not offered")
	// ErrSyntax: the name of a suite cannot be read.
	ErrSyntax = errors.New("suite: cannot read suite")
	// ErrIntegrity: the checksum of an encrypted message is wrong. Nothing of the
	// message has been decrypted.
	ErrIntegrity = errors.New("suite: message is not authentic")
	// ErrPadding: an authentic message ends in padding that does not fit.
	ErrPadding = errors.New("suite: padding does not fit")
	// ErrTooLong: a message needs more fragments than can be numbered.
	ErrTooLong = errors.New("suite: message too long")
)
