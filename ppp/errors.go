package ppp

import "errors"

// What NewLink, Input and Authenticated return. Each names one cause, so that the
// owner can count by errors.Is.
var (
	ErrConfig       = errors.New("ppp: configuration")
	ErrFrame        = errors.New("ppp: malformed frame")
	ErrPacket       = errors.New("ppp: malformed packet")
	ErrOption       = errors.New("ppp: malformed option")
	ErrCode         = errors.New("ppp: code is not one of this protocol")
	ErrPhase        = errors.New("ppp: protocol does not belong to this phase of the link")
	ErrNotControl   = errors.New("ppp: data frame given to the control machine")
	ErrMismatch     = errors.New("ppp: reply does not match our request")
	ErrRepetition   = errors.New("ppp: late repetition of a request that was answered")
	ErrLoopedBack   = errors.New("ppp: frame carries our own magic number")
	ErrAnswer       = errors.New("ppp: no authentication waits for this answer")
	ErrIncomplete   = errors.New("ppp: verdict lacks what the client must be told")
	ErrTooLong      = errors.New("ppp: packet is larger than the peer takes")
	ErrClosed       = errors.New("ppp: link is closed")
	ErrNoRandomness = errors.New("ppp: source of randomness failed")
)
