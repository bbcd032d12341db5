package autoconf

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/culvert-vpn/culvert/tenant/ipkt"
)

// Errors of the package.
var (
	// ErrConfig says that a Config cannot be used.
	ErrConfig = errors.New("autoconf: bad configuration")
	// ErrMalformed says that a packet is not what it claims to be.
	ErrMalformed = errors.New("autoconf: malformed packet")
	// ErrIgnored says that a packet is well-formed and gets no answer.
	ErrIgnored = errors.New("autoconf: nothing to answer")
)

// minMTU is the smallest MTU of a link with IPv6 (RFC 8200 section 5), and the
// smallest that answers are made for.
const minMTU = 576

// Config is what a tenant tells its clients.
type Config struct {
	// Name makes the server's DHCPv6 identifier: the same for a tenant for ever.
	Name string
	// Gateway is our IPv4 address on the links.
	Gateway netip.Addr
	// Pools are the ranges that clients have their addresses from, of both
	// families. Clients reach them through the tunnel in any case.
	Pools []netip.Prefix
	// DNS servers of both families, and NBNS servers.
	DNS, NBNS []netip.Addr
	// Domains are searched, and resolved inside; the first one is the tenant's own.
	Domains []string
	// Routes are what clients reach through the tunnel, of both families; none
	// means everything.
	Routes []netip.Prefix
	// Delegate gives a client that asks for it the second half of its prefix
	// for networks behind it (RFC 8415 section 6.3).
	Delegate bool
}

// Client is one session.
type Client struct {
	// Addr is the IPv4 address it was given; invalid: none.
	Addr netip.Addr
	// Prefix is the IPv6 prefix it was given, a /64 or a larger one. The link
	// has the first /64 of it. Invalid: none.
	Prefix netip.Prefix
	// Router is our link-local address on its link.
	Router netip.Addr
	// MTU is the largest packet that the link carries, in bytes.
	MTU int
}

// Responder answers the clients of one tenant. It is immutable and may be used
// by any number of goroutines.
type Responder struct {
	gateway    netip.Addr
	pools      []netip.Prefix
	dns4, nbns []byte // as options have them
	dns6       []netip.Addr
	domains    []string
	names      []byte // the domains as DNS writes them, RFC 1035 section 3.1
	routes4    []netip.Prefix
	routes6    []netip.Prefix
	everything bool
	delegate   bool
	duid       []byte
}

// New checks the configuration and returns a Responder.
func New(c Config) (*Responder, error) {
	if c.Gateway.IsValid() && !c.Gateway.Is4() {
		return nil, fmt.Errorf("%w: gateway %v is no IPv4 address", ErrConfig, c.Gateway)
	}
	r := &Responder{
		gateway: c.Gateway, pools: slices.Clone(c.Pools), domains: slices.Clone(c.Domains),
		everything: len(c.Routes) == 0, delegate: c.Delegate, duid: newDUID(c.Name),
	}
	for _, p := range append(slices.Clone(c.Routes), c.Pools...) {
		if !p.IsValid() || p.Addr().Is4In6() {
			return nil, fmt.Errorf("%w: %v is no range", ErrConfig, p)
		}
	}
	r.addServers(c)
	r.addRoutes(c)
	for _, d := range c.Domains {
		var err error
		if r.names, err = appendName(r.names, d); err != nil {
			return nil, err
		}
	}
	return r, nil
}

func (r *Responder) addServers(c Config) {
	for _, a := range c.DNS {
		if a = a.Unmap(); a.Is4() {
			r.dns4 = append(r.dns4, a.AsSlice()...)
		} else if a.Is6() {
			r.dns6 = append(r.dns6, a.WithZone(""))
		}
	}
	for _, a := range c.NBNS {
		if a = a.Unmap(); a.Is4() {
			r.nbns = append(r.nbns, a.AsSlice()...)
		}
	}
}

// addRoutes collects what clients reach through the tunnel where that is not
// everything: the tenant's routes, and the pools, in which the gateway answers
// their DNS.
func (r *Responder) addRoutes(c Config) {
	if r.everything {
		return
	}
	for _, p := range append(slices.Clone(c.Routes), c.Pools...) {
		p = p.Masked()
		list := &r.routes4
		if p.Addr().Is6() {
			list = &r.routes6
		}
		if !covers(*list, p) {
			*list = append(*list, p)
		}
	}
}

// covers reports whether one of the ranges has all of p.
func covers(list []netip.Prefix, p netip.Prefix) bool {
	return slices.ContainsFunc(list, func(q netip.Prefix) bool { return q.Bits() <= p.Bits() && q.Contains(p.Addr()) })
}

// newDUID makes a DHCPv6 identifier of the form of RFC 6355.
func newDUID(name string) []byte {
	sum := sha256.Sum256([]byte("culvert " + name))
	return append([]byte{0, 4}, sum[:16]...)
}

// appendName appends a domain name as DNS writes it (RFC 1035 section 3.1).
func appendName(b []byte, name string) ([]byte, error) {
	name = strings.TrimSuffix(name, ".")
	if len(name) == 0 || len(name) > 253 {
		return nil, fmt.Errorf("%w: %q is no domain", ErrConfig, name)
	}
	for label := range strings.SplitSeq(name, ".") {
		if len(label) == 0 || len(label) > 63 {
			return nil, fmt.Errorf("%w: %q is no domain", ErrConfig, name)
		}
		b = append(b, byte(len(label)))
		b = append(b, label...)
	}
	return append(b, 0), nil
}

// Answer returns the packet that answers a client's packet. ErrIgnored says
// that there is nothing to answer, ErrMalformed that it makes no sense.
func (r *Responder) Answer(c Client, packet []byte) ([]byte, error) {
	p, err := ipkt.Parse(packet)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrMalformed, err)
	}
	if p.Fragment() {
		return nil, ErrIgnored
	}
	c.MTU = max(c.MTU, minMTU)
	switch {
	case p.Is4() && p.Protocol == ipkt.ProtocolUDP && c.Addr.Is4() && r.gateway.IsValid():
		return r.inform(c, p)
	case p.Is4() || !c.Prefix.IsValid():
	case p.Protocol == ipkt.ProtocolICMPv6:
		return r.neighbour(c, p)
	case p.Protocol == ipkt.ProtocolUDP:
		return r.dhcp6(c, p)
	}
	return nil, ErrIgnored
}
