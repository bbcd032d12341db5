package netstack

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"time"

	"github.com/culvert-vpn/culvert/internal/x/fault"
	"github.com/culvert-vpn/culvert/tenant/dns"
	"github.com/culvert-vpn/culvert/tenant/policy"
)

// ErrConfig says that a Config cannot be used.
var ErrConfig = errors.New("netstack: bad configuration")

// Defaults of Config.
const (
	DefaultMTU                = 1500
	DefaultFlows              = 65536
	DefaultFlowsPerSource     = 1024
	DefaultHandshakes         = 4096
	DefaultHandshakeTimeout   = 15 * time.Second
	DefaultTCPIdle            = 124 * time.Minute // RFC 5382 REQ-5
	DefaultTCPHalfClosed      = 10 * time.Minute
	DefaultUDPIdle            = 5 * time.Minute  // RFC 4787 REQ-5
	DefaultDNSIdle            = 30 * time.Second // the RFC lets known ports have less
	DefaultICMPIdle           = 60 * time.Second // RFC 5508 REQ-2
	DefaultEchoesPerSecond    = 1000
	DefaultEchoesPerSource    = 100
	DefaultQueue              = 16 << 20
	DefaultUnacknowledged     = 30 * time.Second
	minMTU                    = 576
	minQueue                  = 256 << 10
	maxMTU                    = 65535
	handshakeShare            = 32 // one source may have a 32nd of the handshakes
	minHandshakesPerSource    = 64
	maxErrors                 = 5000     // ICMP errors a second in total
	maxErrorsPerSource        = 200      // and for one client
	maxBuffer                 = 16 << 20 // of one direction of one TCP flow, in bytes
	firstBuffer               = 16 << 10 // before anything was acknowledged
	defaultBuffer, minBufSize = 128 << 10, 4 << 10
)

// Config describes a Device. Addresses is what must be given.
type Config struct {
	// Addresses are the tenant's gateway addresses, each with the length of
	// the prefix that its clients are in.
	Addresses []netip.Prefix
	// Pool lists the prefixes of clients, which are no destinations: what goes
	// from client to client does not come here.
	Pool []netip.Prefix
	// MTU is the largest packet in bytes; 0: DefaultMTU.
	MTU int
	// Deny and Allow say which destinations are reached: an entry of Allow counts
	// where it is at least as long as what it contradicts. policy.NeverReached,
	// Pool, Others and the addresses of Host are denied besides.
	Deny, Allow []netip.Prefix
	// Others is what belongs to other tenants; nil: nothing does. It may be
	// shared by devices.
	Others policy.Closer
	// Host knows the addresses of the host; nil: the device makes one of its
	// own. It may be shared by devices, and outlives them.
	Host *Host
	// DNS answers at the gateway addresses, port 53; nil: nobody does. It may
	// be shared by devices.
	DNS *dns.Forwarder

	// Faults is told of panics: what met one costs its client's flow, or the packet.
	// nil: they are not survived.
	Faults *fault.Log

	// ClientBits is the length of the IPv6 prefix that one client is given; 0: 64.
	ClientBits int
	// Hairpin lets clients reach each other where they are seen from outside.
	Hairpin bool

	// Flows and FlowsPerSource bound the TCP flows, and apart from them the UDP
	// mappings, in total and for one client.
	Flows, FlowsPerSource int
	// Ports are what devices share for their UDP mappings; nil: this one has
	// what the host has.
	Ports *Ports
	// Handshakes bounds the TCP connections that are being dialled.
	Handshakes int
	// HandshakeTimeout is how long dialling may take.
	HandshakeTimeout time.Duration
	// TCPIdle is how long TCP flows last without a byte. UDPIdle and DNSIdle are
	// how long UDP mappings last without a datagram, those that have sent to port
	// 53 alone less; and whoever was sent to may answer as long.
	TCPIdle, UDPIdle, DNSIdle time.Duration
	// ICMPIdle is how long the answer to an echo is waited for.
	ICMPIdle time.Duration
	// EchoesPerSecond and EchoesPerSource bound ICMP echoes a second in total
	// and for one client address.
	EchoesPerSecond, EchoesPerSource int
	// TCPHalfClosed is TCPIdle for connections one side of which sends no more.
	TCPHalfClosed time.Duration
	// Queue bounds the packets that wait to be read, in bytes. One flow may
	// fill a third of it, one client half.
	Queue int
	// Buffers is how many bytes TCP connections may hold altogether, and one
	// client half of it; 0: half of what those of all devices that share a Host
	// may, which is a quarter of the machine's memory. Near it, they hold less.
	Buffers int
	// Unacknowledged is how long a connection that does not move may keep what it
	// holds when memory is short: when three quarters are held.
	Unacknowledged time.Duration

	// DialContext makes the host's TCP sockets; network is "tcp" and address a
	// literal one. nil: a net.Dialer, which is not led to what is closed by
	// whatever the host does with addresses.
	DialContext func(ctx context.Context, network, address string) (net.Conn, error)
	// ListenUDP makes the host's UDP sockets, unconnected; nil: as the host has them.
	ListenUDP func(is4 bool) (*net.UDPConn, error)
	// ListenPacket makes the host's ICMP sockets, of the networks "udp4" and
	// "udp6" (unprivileged) or "ip4:icmp" and "ip6:ipv6-icmp", in the manner
	// of golang.org/x/net/icmp. nil: that package.
	ListenPacket func(network, address string) (net.PacketConn, error)
}

// withDefaults fills in what is zero and checks the rest.
func (c Config) withDefaults() (Config, error) {
	if len(c.Addresses) == 0 {
		return c, fmt.Errorf("%w: no gateway address", ErrConfig)
	}
	for _, a := range c.Addresses {
		if !a.IsValid() || a.Addr().Is4In6() {
			return c, fmt.Errorf("%w: %v is no gateway address", ErrConfig, a)
		}
	}
	for _, n := range []*int{&c.MTU, &c.Flows, &c.FlowsPerSource, &c.Handshakes, &c.EchoesPerSecond, &c.EchoesPerSource, &c.Queue, &c.Buffers} {
		if *n < 0 {
			return c, fmt.Errorf("%w: negative limit %d", ErrConfig, *n)
		}
	}
	setDefault(&c.MTU, DefaultMTU)
	setDefault(&c.ClientBits, 64)
	setDefault(&c.Flows, DefaultFlows)
	setDefault(&c.FlowsPerSource, DefaultFlowsPerSource)
	setDefault(&c.Handshakes, DefaultHandshakes)
	setDefault(&c.EchoesPerSecond, DefaultEchoesPerSecond)
	setDefault(&c.EchoesPerSource, DefaultEchoesPerSource)
	setDefault(&c.Queue, DefaultQueue)
	setDefault(&c.Unacknowledged, DefaultUnacknowledged)
	setDefault(&c.HandshakeTimeout, DefaultHandshakeTimeout)
	setDefault(&c.TCPIdle, DefaultTCPIdle)
	setDefault(&c.TCPHalfClosed, DefaultTCPHalfClosed)
	setDefault(&c.UDPIdle, DefaultUDPIdle)
	setDefault(&c.DNSIdle, DefaultDNSIdle)
	setDefault(&c.ICMPIdle, DefaultICMPIdle)
	if c.Queue < minQueue {
		return c, fmt.Errorf("%w: a queue of %d bytes, at least %d", ErrConfig, c.Queue, minQueue)
	}
	if c.MTU < minMTU || c.MTU > maxMTU {
		return c, fmt.Errorf("%w: MTU %d is not between %d and %d", ErrConfig, c.MTU, minMTU, maxMTU)
	}
	if c.ClientBits < 1 || c.ClientBits > 128 {
		return c, fmt.Errorf("%w: a client's prefix of %d bits", ErrConfig, c.ClientBits)
	}
	if c.ListenUDP == nil {
		c.ListenUDP = listenUDP
	}
	if c.Ports == nil {
		c.Ports = NewPorts(0)
	}
	if c.ListenPacket == nil {
		c.ListenPacket = listenICMP
	}
	return c, nil
}

func setDefault[T int | time.Duration](v *T, fallback T) {
	if *v == 0 {
		*v = fallback
	}
}

// purse is what the device's TCP connections may hold.
func (c Config) purse() *purse {
	all := newMemory()
	if c.Host != nil {
		all = c.Host.memory
	}
	p := all.part(devicePart)
	if c.Buffers > 0 {
		p.limit = int64(c.Buffers)
	}
	return p
}

// reach compiles which destinations are denied.
func (c Config) reach() (*policy.Reach, error) {
	deny := append(policy.NeverReached(), c.Deny...)
	for _, prefix := range c.Pool {
		deny = append(deny, prefix.Masked())
	}
	for _, a := range c.Addresses {
		deny = append(deny, netip.PrefixFrom(a.Addr(), a.Addr().BitLen()))
	}
	also := []policy.Closer{c.Host}
	if c.Others != nil {
		also = append(also, c.Others)
	}
	return policy.NewReach(deny, c.Allow, also...)
}
