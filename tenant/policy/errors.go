package policy

import "errors"

// ErrPrefix says that a list of destinations has what is no prefix; the text around
// it says which.
var ErrPrefix = errors.New("policy: bad prefix")
