package tenant

import (
	"net/netip"
	"sync/atomic"

	"github.com/culvert-vpn/culvert/tenant/ipkt"
)

// Verdict is what a Policy says of a packet.
type Verdict uint8

// Verdicts. Only Pass lets a packet on.
const (
	Pass      Verdict = iota
	Malformed         // no IPv4 or IPv6 packet
	Spoofed           // the source is not the session's address
	Broadcast         // to 255.255.255.255: DHCP and NetBIOS of Windows clients
	Multicast         // to a multicast group: mDNS, SSDP and the like
	Forbidden         // to a destination that the tenant does not reach
	NumVerdicts
)

var verdictNames = [NumVerdicts]string{"pass", "malformed", "spoofed", "broadcast", "multicast", "forbidden"}

// String names the verdict as counters are labelled.
func (v Verdict) String() string {
	if v < NumVerdicts {
		return verdictNames[v]
	}
	return "unknown"
}

// PolicyConfig describes a Policy.
type PolicyConfig struct {
	// Deny lists destinations that clients do not reach, besides those that
	// are never reached: see NeverReached.
	Deny []netip.Prefix
	// Allow lists exceptions from Deny and NeverReached. An entry counts where
	// it is at least as long as the one it contradicts.
	Allow []netip.Prefix
}

// NeverReached are the destinations that no client reaches through culvert
// unless the tenant's policy allows them by name: this host's loopback, its
// links and other places where clouds answer with credentials, and what is no
// unicast address.
func NeverReached() []netip.Prefix {
	return []netip.Prefix{
		netip.MustParsePrefix("0.0.0.0/8"),
		netip.MustParsePrefix("127.0.0.0/8"),
		netip.MustParsePrefix("169.254.0.0/16"),
		netip.MustParsePrefix("100.100.100.200/32"), // metadata of Alibaba's cloud
		netip.MustParsePrefix("168.63.129.16/32"),   // Azure's
		netip.MustParsePrefix("192.0.0.192/32"),     // Oracle's
		netip.MustParsePrefix("224.0.0.0/4"),
		netip.MustParsePrefix("240.0.0.0/4"),
		netip.MustParsePrefix("::/96"),
		netip.MustParsePrefix("::ffff:0:0/96"),
		netip.MustParsePrefix("fe80::/10"),
		netip.MustParsePrefix("fec0::/10"),
		netip.MustParsePrefix("fd00:ec2::254/128"),      // Amazon's
		netip.MustParsePrefix("fd00:ec2::23/128"),       // Amazon's, for pods
		netip.MustParsePrefix("fd20:ce::254/128"),       // Google's
		netip.MustParsePrefix("fd00:c1::a9fe:a9fe/128"), // Oracle's
		netip.MustParsePrefix("fd00:42::42/128"),        // Scaleway's
		netip.MustParsePrefix("ff00::/8"),
	}
}

// Policy judges the packets of one tenant's clients. It does not allocate and
// may be used concurrently.
type Policy struct {
	reach    *Reach
	counters [NumVerdicts]atomic.Uint64
}

// NewPolicy checks the configuration and returns a Policy.
func NewPolicy(cfg PolicyConfig) (*Policy, error) {
	reach, err := NewReach(append(NeverReached(), cfg.Deny...), cfg.Allow)
	if err != nil {
		return nil, err
	}
	return &Policy{reach: reach}, nil
}

// Up judges a packet that a client sent; from is the address, or the IPv6
// prefix, that its session was given. What does not pass is counted. packet is
// b without what lies behind the packet's end, and is valid for every verdict
// but Malformed.
func (p *Policy) Up(b []byte, from netip.Prefix) (packet ipkt.Packet, verdict Verdict) {
	packet, err := ipkt.Parse(b)
	if err != nil {
		return packet, p.count(Malformed)
	}
	if !from.Contains(packet.Source()) {
		return packet, p.count(Spoofed)
	}
	if dst := packet.Destination(); p.reach.Denies(dst) {
		return packet, p.count(unreached(dst))
	}
	return packet, Pass
}

// Down judges a packet that the tenant's network sends to a client; to is the
// address, or the IPv6 prefix, of the session.
func (p *Policy) Down(b []byte, to netip.Prefix) (packet ipkt.Packet, verdict Verdict) {
	packet, err := ipkt.Parse(b)
	if err != nil || !to.Contains(packet.Destination()) {
		return packet, p.count(Malformed)
	}
	return packet, Pass
}

// Dropped is how many packets got a verdict other than Pass so far.
func (p *Policy) Dropped(v Verdict) uint64 { return p.counters[v].Load() }

func (p *Policy) count(v Verdict) Verdict {
	p.counters[v].Add(1)
	return v
}

// unreached names the kind of a destination that is denied.
func unreached(dst netip.Addr) Verdict {
	switch {
	case dst == netip.AddrFrom4([4]byte{255, 255, 255, 255}):
		return Broadcast
	case dst.IsMulticast():
		return Multicast
	}
	return Forbidden
}
