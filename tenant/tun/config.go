package tun

import (
	"errors"
	"fmt"
	"net/netip"

	"github.com/culvert-vpn/culvert/tenant/dns"
)

// Errors of the package. The text around them says what to do.
var (
	// ErrConfig says that a Config cannot be used.
	ErrConfig = errors.New("tun: bad configuration")
	// ErrPermission says that CAP_NET_ADMIN, or CAP_SYS_ADMIN for a
	// namespace, is missing.
	ErrPermission = errors.New("tun: not permitted")
	// ErrNamespace says that the network namespace cannot be entered.
	ErrNamespace = errors.New("tun: no such network namespace")
	// ErrBusy says that a device of that name is there already.
	ErrBusy = errors.New("tun: device name in use")
)

// Defaults and bounds of Config.
const (
	DefaultMTU = 1500
	minMTU     = 576
	maxMTU     = 65535
	maxQueues  = 256
	maxName    = 15 // IFNAMSIZ with its zero
)

// Config describes a Device.
type Config struct {
	// Name is the device's name, of at most 15 bytes; "%d" in it is a number
	// that the kernel chooses. Empty: "culvert%d".
	Name string
	// Netns is the network namespace that the device is made in: a name under
	// /run/netns, or a path. Empty: this process's.
	Netns string
	// Addresses are the device's own, each with the length of the prefix that
	// is routed to the device with it.
	Addresses []netip.Prefix
	// Routes are further prefixes that lead to the device.
	Routes []netip.Prefix
	// MTU is the largest packet in bytes; 0: DefaultMTU.
	MTU int
	// Queues is how many sources there are; 0: one.
	Queues int
	// NoOffload gives up vnet headers: packets go one by one.
	NoOffload bool
	// DNS answers at Addresses, port 53; nil: nobody does. Its queries leave
	// from the namespace of the process. It may be shared by devices.
	DNS *dns.Forwarder
	// ClientBits is the length of the IPv6 prefix that one client is given; 0: 64.
	ClientBits int
}

// withDefaults fills in what is zero and checks the rest.
func (c Config) withDefaults() (Config, error) {
	if c.Name == "" {
		c.Name = "culvert%d"
	}
	if c.MTU == 0 {
		c.MTU = DefaultMTU
	}
	if c.Queues == 0 {
		c.Queues = 1
	}
	switch {
	case len(c.Name) > maxName:
		return c, fmt.Errorf("%w: device name %q is longer than %d bytes", ErrConfig, c.Name, maxName)
	case c.MTU < minMTU || c.MTU > maxMTU:
		return c, fmt.Errorf("%w: MTU %d is not between %d and %d", ErrConfig, c.MTU, minMTU, maxMTU)
	case c.Queues < 1 || c.Queues > maxQueues:
		return c, fmt.Errorf("%w: %d queues, at most %d", ErrConfig, c.Queues, maxQueues)
	}
	for _, a := range c.Addresses {
		if !a.IsValid() || a.Addr().Is4In6() {
			return c, fmt.Errorf("%w: %v is no address with a prefix length", ErrConfig, a)
		}
	}
	for _, r := range c.Routes {
		if !r.IsValid() || r.Masked() != r {
			return c, fmt.Errorf("%w: %v is no prefix to route", ErrConfig, r)
		}
	}
	return c, nil
}

// sessionOf returns what stands for a session where what it has is bounded: its
// IPv4 address, or its IPv6 prefix.
func (c *Config) sessionOf(source netip.Addr) netip.Addr {
	bits := c.ClientBits
	if bits == 0 {
		bits = 64
	}
	if prefix, err := source.Prefix(bits); err == nil && source.Is6() {
		return prefix.Addr()
	}
	return source
}
