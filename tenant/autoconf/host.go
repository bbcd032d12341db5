package autoconf

import (
	"encoding/binary"
	"net/netip"
	"time"

	"github.com/culvert-vpn/culvert/tenant/ipkt"
)

// The other end of a link: what a host does that is told its prefix.

const (
	advertisementLen = 16
	flagAutonomous   = 0x40
)

// Advertised is what a router advertisement says to a host that needs an address.
type Advertised struct {
	// Prefix is what to make an address of (RFC 4862 section 5.5.3); invalid: none.
	Prefix netip.Prefix
	// DNS are the servers of names (RFC 8106 section 5.1).
	DNS []netip.Addr
}

// ParseAdvertisement reads an IPv6 packet with a router advertisement.
func ParseAdvertisement(packet []byte) (Advertised, error) {
	var a Advertised
	p, err := ipkt.Parse(packet)
	if err != nil || p.Is4() || p.Protocol != ipkt.ProtocolICMPv6 {
		return a, ErrIgnored
	}
	m := p.Payload()
	switch {
	case len(m) < advertisementLen || m[0] != routerAdvertisement:
		return a, ErrIgnored
	case ipkt.Checksum(m, p.PseudoChecksum(len(m))) != 0xffff:
		return a, ErrMalformed
	case p.Bytes[7] != 255 || m[1] != 0 || !p.Source().IsLinkLocalUnicast(): // RFC 4861 section 6.1.2
		return a, ErrMalformed
	}
	options := m[advertisementLen:]
	if err := checkDiscovery(options); err != nil {
		return a, err
	}
	for ; len(options) > 0; options = options[8*int(options[1]):] {
		a.learn(options[:8*int(options[1])])
	}
	return a, nil
}

// learn reads one option.
func (a *Advertised) learn(o []byte) {
	switch {
	case o[0] == optionPrefix && len(o) == 32 && !a.Prefix.IsValid():
		prefix := netip.PrefixFrom(netip.AddrFrom16([16]byte(o[16:])), int(o[2])).Masked()
		// An interface identifier has 64 bits: no other prefix gives an address.
		if o[3]&flagAutonomous != 0 && o[2] == prefixLen && binary.BigEndian.Uint32(o[4:]) > 0 && !prefix.Addr().IsLinkLocalUnicast() {
			a.Prefix = prefix
		}
	case o[0] == optionRDNSS && binary.BigEndian.Uint32(o[4:]) > 0:
		for b := o[8:]; len(b) >= 16 && len(a.DNS) < maxDNS; b = b[16:] {
			a.DNS = append(a.DNS, netip.AddrFrom16([16]byte(b)))
		}
	}
}

// maxDNS is how many servers a host remembers.
const maxDNS = 3

// Solicitations is how often a host asks, and SolicitAfter how long it waits
// between two (RFC 4861 section 10).
const (
	Solicitations = 3
	SolicitAfter  = 4 * time.Second
)

// Solicit returns a router solicitation (RFC 4861 section 4.1) of a host.
func Solicit(from netip.Addr) []byte {
	return icmp6(from, allRouters, []byte{routerSolicitation, 0, 0, 0, 0, 0, 0, 0})
}

// allRouters is ff02::2 (RFC 4291 section 2.7.1).
var allRouters = netip.AddrFrom16([16]byte{0xff, 2, 15: 2})
