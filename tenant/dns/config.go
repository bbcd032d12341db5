package dns

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"time"

	"github.com/culvert-vpn/culvert/internal/x/fault"
)

// Errors of the package.
var (
	// ErrConfig says that a Config cannot be used.
	ErrConfig = errors.New("dns: bad configuration")
	// ErrQuery says that a client sent no query.
	ErrQuery = errors.New("dns: malformed query")
	// ErrNoAnswer says that no resolver answered.
	ErrNoAnswer = errors.New("dns: no resolver answered")
)

// Defaults of Config.
const (
	DefaultResolvConf = "/etc/resolv.conf"
	DefaultTimeout    = 2 * time.Second
	DefaultAttempts   = 4
	DefaultQueries    = 1024
	DefaultPerSource  = 128
	DefaultConns      = 256
	// A share that leaves room for others, and is more than clients have.
	DefaultConnsPerSource = 16
)

// Config describes a Forwarder. The zero Config asks the host's resolvers.
type Config struct {
	// Resolvers are asked in turn. Empty: those in ResolvConf, which is read
	// again when it changes.
	Resolvers []netip.AddrPort
	// ResolvConf is the resolv.conf(5) to read; empty: DefaultResolvConf.
	ResolvConf string
	// Timeout is how long one resolver may take; 0: DefaultTimeout.
	Timeout time.Duration
	// Attempts is how often resolvers are asked for one query, each in its
	// turn; 0: DefaultAttempts.
	Attempts int
	// Queries bounds the queries under way; 0: DefaultQueries. What comes
	// beyond it by UDP is dropped.
	Queries int
	// PerSource bounds the queries under way for one session; 0:
	// DefaultPerSource.
	PerSource int
	// Conns and ConnsPerSource bound the TCP connections of clients, in total and
	// for one session; 0: DefaultConns, DefaultConnsPerSource.
	Conns, ConnsPerSource int
	// DialContext reaches resolvers; nil: the host's network.
	DialContext func(ctx context.Context, network, address string) (net.Conn, error)
	// Faults is told of panics, which cost the query that met one; nil: they are
	// not survived.
	Faults *fault.Log
}

// withDefaults fills in what is zero and checks the rest.
func (c Config) withDefaults() (Config, error) {
	for _, r := range c.Resolvers {
		if !r.IsValid() || r.Port() == 0 {
			return c, fmt.Errorf("%w: %v is no resolver's address and port", ErrConfig, r)
		}
	}
	if c.Timeout < 0 || c.Attempts < 0 || c.Queries < 0 || c.PerSource < 0 || c.Conns < 0 || c.ConnsPerSource < 0 {
		return c, fmt.Errorf("%w: negative limit", ErrConfig)
	}
	if c.ResolvConf == "" {
		c.ResolvConf = DefaultResolvConf
	}
	if c.Timeout == 0 {
		c.Timeout = DefaultTimeout
	}
	c.Attempts = orDefault(c.Attempts, DefaultAttempts)
	c.Queries = orDefault(c.Queries, DefaultQueries)
	c.PerSource = orDefault(c.PerSource, DefaultPerSource)
	c.Conns = orDefault(c.Conns, DefaultConns)
	c.ConnsPerSource = orDefault(c.ConnsPerSource, DefaultConnsPerSource)
	if c.DialContext == nil {
		c.DialContext = (&net.Dialer{}).DialContext
	}
	return c, nil
}

func orDefault(n, fallback int) int {
	if n == 0 {
		return fallback
	}
	return n
}
