package v1

import "errors"

// What can be wrong with a message.
var (
	ErrState        = errors.New("v1: message does not fit the state of its exchange")
	ErrPayloads     = errors.New("v1: payloads do not fit the exchange")
	ErrAuth         = errors.New("v1: authentication failed")
	ErrTunnel       = errors.New("v1: tunnel mode is not spoken")
	ErrAnswer       = errors.New("v1: answer does not fit the offer")
	ErrCompute      = errors.New("v1: computation failed")
	ErrCertificates = errors.New("v1: too many certificates, or too long ones")
	ErrTooLong      = errors.New("v1: offer or identity longer than any client's")
	ErrOffer        = errors.New("v1: nothing left to propose")
)
