package v2

import "errors"

// Errors of Input: the message was dropped and the state is as it was.
var (
	ErrMalformed = errors.New("v2: malformed message")
	ErrState     = errors.New("v2: message does not fit the state of its exchange")
	ErrAuth      = errors.New("v2: authentication failed")
	ErrDuplicate = errors.New("v2: repeated message")
	ErrWindow    = errors.New("v2: message ID outside the window")
	ErrLimit     = errors.New("v2: limit reached")
	ErrRefused   = errors.New("v2: refused by policy")
)

// ErrConfig: a Dial asks for what cannot be.
var ErrConfig = errors.New("v2: invalid configuration")
