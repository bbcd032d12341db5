package v2

import (
	"errors"
	"fmt"

	"github.com/culvert-vpn/culvert/ike/suite"
)

// Errors of Input: the message was dropped and the state is as it was.
var (
	ErrMalformed = errors.New("v2: malformed message")
	ErrState     = errors.New("v2: message does not fit the state of its exchange")
	ErrAuth      = errors.New("v2: authentication failed")
	ErrDuplicate = errors.New("v2: repeated message")
	ErrWindow    = errors.New("v2: message ID outside the window")
	ErrLimit     = errors.New("v2: limit reached")
	ErrRefused   = errors.New("v2: refused by policy")
	// ErrUnproven, of Answer: the answer would be so long that its receiver has to bring
	// a cookie first.
	ErrUnproven = errors.New("v2: a cookie comes first")
)

// wrapped is an error in the words of this package, put together when it is read: most
// are only counted.
type wrapped struct{ kind, cause error }

// Error is both.
func (w wrapped) Error() string { return w.kind.Error() + ": " + w.cause.Error() }

// Unwrap returns both.
func (w wrapped) Unwrap() []error { return []error{w.kind, w.cause} }

// otherGroup: the key exchange is of another group than was chosen.
type otherGroup struct{ chosen, sent suite.Group }

// Error is a sentence for the operator's log.
func (g otherGroup) Error() string {
	return fmt.Sprintf("the key exchange is of group %v, not %v", g.sent, g.chosen)
}

// ErrConfig: a Dial asks for what cannot be.
var ErrConfig = errors.New("v2: invalid configuration")
