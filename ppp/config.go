package ppp

import (
	"fmt"
	"io"
	"time"
)

// Role says which end of the link we are.
type Role uint8

// The roles. A server authenticates its client and gives it an address.
const (
	Server Role = iota
	Client
)

// Bounds of the Maximum-Receive-Unit that we take from the peer and give ourselves,
// in bytes. Without the option the peer takes 1500 (RFC 1661 section 6.1).
const (
	minMRU     = 576
	maxMRU     = 1500
	defaultMRU = 1400
)

// Config describes a Link. Zero values mean what the fields say; Rand is required.
type Config struct {
	Role Role
	Rand io.Reader  // challenges and magic numbers; crypto/rand.Reader, pinned in tests
	Auth AuthPolicy // what a server demands, in the order MS-CHAPv2, CHAP, PAP, and what a client agrees to
	Name string     // what a server calls itself in challenges; empty: culvert
	MRU  uint16     // the largest packet we take, in bytes; 0: 1400, or the persona's

	Restart time.Duration // from a packet without an answer to its repetition; 0: 3 s
	Tries   uint8         // transmissions of a packet before giving up; 0: 10
	// LoginTimeout bounds the time from Start to the first Up, and that of each
	// further attempt at a password; 0: 60 s.
	LoginTimeout time.Duration

	// EchoInterval is the silence after which the peer is asked whether it lives;
	// 0: 30 s, or the persona's; negative: never. EchoFailures is how many
	// questions in a row may stay unanswered; 0: 4, or the persona's.
	EchoInterval time.Duration
	EchoFailures uint8

	// Of the client: who it is, which native client it speaks like, and what that
	// calls its host. Password is copied, and the copy is zeroed at the end.
	User     string
	Password []byte
	Persona  *Persona // not copied; nil: culvert itself
	HostName string
	IPv6     bool // ask for IPv6 also where the persona does not
}

// GoString is String.
func (c Config) GoString() string { return c.String() }

// String leaves out the password.
func (c Config) String() string {
	if c.Role == Client {
		return fmt.Sprintf("PPP client %q as %s", c.User, c.Persona.orOwn().Name)
	}
	return fmt.Sprintf("PPP server %q", c.Name)
}

const (
	defaultName         = "culvert"
	defaultRestart      = 3 * time.Second
	firstRestart        = 250 * time.Millisecond // of a request from before the peer's first
	defaultTries        = 10
	defaultLogin        = time.Minute
	defaultEcho         = 30 * time.Second
	defaultEchoFailures = 4
	maxNameLen          = 255
)

// check refuses what cannot work and fills in what is left to us.
func (c *Config) check() error {
	switch {
	case c.Rand == nil:
		return fmt.Errorf("%w: no source of randomness", ErrConfig)
	case c.Role > Client:
		return fmt.Errorf("%w: role %d", ErrConfig, c.Role)
	case len(c.Name) > maxNameLen || len(c.User) > maxNameLen:
		return fmt.Errorf("%w: a name has more than %d octets", ErrConfig, maxNameLen)
	case c.Role == Client && c.User == "":
		return fmt.Errorf("%w: a client needs a user name", ErrConfig)
	case len(c.Password) > maxNameLen:
		return fmt.Errorf("%w: the password has more than %d octets", ErrConfig, maxNameLen)
	case c.Restart < 0 || c.LoginTimeout < 0:
		return fmt.Errorf("%w: negative time", ErrConfig)
	case c.MRU != 0 && (c.MRU < minMRU || c.MRU > maxMRU):
		return fmt.Errorf("%w: MRU %d is not within %d and %d", ErrConfig, c.MRU, minMRU, maxMRU)
	}
	c.fill()
	return nil
}

func (c *Config) fill() {
	p := c.Persona.orOwn()
	c.Auth = c.Auth.orDefault()
	if c.Role == Client {
		c.MRU = orElse(c.MRU, p.MRU)
		c.HostName = orElse(c.HostName, p.HostName)
		c.EchoInterval = orElse(c.EchoInterval, p.Echo)
		c.EchoFailures = orElse(c.EchoFailures, p.EchoFailures)
	}
	c.MRU = orElse(c.MRU, defaultMRU)
	c.Name = orElse(c.Name, defaultName)
	c.Restart = orElse(c.Restart, defaultRestart)
	c.Tries = orElse(c.Tries, defaultTries)
	c.LoginTimeout = orElse(c.LoginTimeout, defaultLogin)
	c.EchoInterval = orElse(c.EchoInterval, defaultEcho)
	c.EchoFailures = orElse(c.EchoFailures, defaultEchoFailures)
}

// orElse returns value, or other where value is zero.
func orElse[T comparable](value, other T) T {
	var zero T
	if value == zero {
		return other
	}
	return value
}
