package store

import "errors"

// What a caller may want to tell apart.
var (
	// ErrBusy: another process held the file for longer than LockWait.
	ErrBusy = errors.New("store: another process holds the state store; try again, and if it stays so look for a culvert process that hangs")
	// ErrNotFound: there is no such user or ban.
	ErrNotFound = errors.New("store: there is no such entry")
	// ErrExists: the tenant has a user of that name.
	ErrExists = errors.New("store: the user exists already")
	// ErrNewer: the file was written by a later version of culvert.
	ErrNewer = errors.New("store: the state store was written by a newer culvert; run that, or move state.db away")
	// ErrClosed: the Store was closed.
	ErrClosed = errors.New("store: closed")
	// ErrName: a tenant or user name that cannot be a key.
	ErrName = errors.New("store: empty or overlong name")
)
