package eap

import "errors"

// Errors of Input: the packet was dropped.
var (
	ErrMalformed  = errors.New("eap: malformed packet")
	ErrUnexpected = errors.New("eap: packet does not answer what was asked")
	ErrBusy       = errors.New("eap: an answer is being worked on")
	ErrConfig     = errors.New("eap: invalid configuration")
)

// Reasons of a Done that is not OK.
var (
	ErrNoMethod = errors.New("eap: the client knows no method that is allowed")
	ErrRejected = errors.New("eap: wrong user name or password")
	ErrRefused  = errors.New("eap: the other side refused")
	ErrProof    = errors.New("eap: the server does not know the password")
	ErrTLS      = errors.New("eap: TLS failed")
	ErrTooMany  = errors.New("eap: too many round trips")
)
