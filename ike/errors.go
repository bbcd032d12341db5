package ike

import "errors"

// Errors of Input: the datagram was dropped and the state is as it was.
var (
	ErrMalformed   = errors.New("ike: malformed message")
	ErrVersion     = errors.New("ike: unsupported IKE version")
	ErrExchange    = errors.New("ike: unexpected exchange")
	ErrUnknownSA   = errors.New("ike: no such IKE SA")
	ErrDuplicate   = errors.New("ike: repeated message")
	ErrWindow      = errors.New("ike: message ID outside the window")
	ErrState       = errors.New("ike: message does not fit the state of its exchange")
	ErrAuth        = errors.New("ike: authentication failed")
	ErrLimit       = errors.New("ike: limit reached")
	ErrRefused     = errors.New("ike: refused by policy")
	ErrBanned      = errors.New("ike: from a refused address")
	ErrCookie      = errors.New("ike: asked for a cookie")
	ErrUnprotected = errors.New("ike: unprotected notification ignored")
	// ErrBusy is also what a Compute that Waits comes back with if it was not run.
	ErrBusy = errors.New("ike: too much waits already")
	// ErrFault is what a Compute comes back with that met a fault of the program: its
	// exchange is given up in time.
	ErrFault = errors.New("ike: a fault of the program")
)

// Errors of Dial, Rekey and NewServer.
var (
	ErrNoPeer = errors.New("ike: no such peer")
	ErrConfig = errors.New("ike: invalid configuration")
)
