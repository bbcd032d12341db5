package bench

import (
	"crypto/rand"
)

// newSecret returns a key for one run, that never leaves this machine.
func newSecret() string { return rand.Text() }
