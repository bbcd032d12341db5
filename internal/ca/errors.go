package ca

import "errors"

var (
	// ErrExists: a file that would be written is there already.
	ErrExists = errors.New("ca: exists already")
	// ErrNotFound: there is no authority, or no certificate of that name.
	ErrNotFound = errors.New("ca: not found")
	// ErrName: a name that cannot stand in a certificate or as a file name.
	ErrName = errors.New("ca: name cannot be used")
	// ErrRevoked: the certificate was revoked before.
	ErrRevoked = errors.New("ca: revoked already")
	// ErrOptions: options that make no sense.
	ErrOptions = errors.New("ca: invalid options")
)
