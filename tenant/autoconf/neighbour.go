package autoconf

import (
	"encoding/binary"
	"net/netip"
	"time"

	"github.com/culvert-vpn/culvert/tenant/ipkt"
)

// ICMPv6 messages (RFC 4443 section 4, RFC 4861 section 4).
const (
	echoRequest           = 128
	echoReply             = 129
	routerSolicitation    = 133
	routerAdvertisement   = 134
	neighbourSolicitation = 135
	neighbourAdvert       = 136

	solicitationLen = 8
	neighbourLen    = 24
)

// Options of neighbour discovery (RFC 4861 section 4.6, RFC 4191, RFC 8106).
const (
	optionPrefix  = 3
	optionMTU     = 5
	optionRoute   = 24
	optionRDNSS   = 25
	optionDNSSL   = 31
	prefixLen     = 64 // what hosts make addresses of, RFC 4862
	onLinkAuto    = 0xc0
	otherConfig   = 0x40 // DHCPv6 has more to tell: Windows looks for DNS there
	hopLimit      = 64
	validLifetime = 24 * time.Hour
	preferred     = 4 * time.Hour
	// routerLifetime outlives two advertisements that are lost.
	routerLifetime = 30 * time.Minute
)

// AdvertiseAfter says how long after the n-th advertisement, counted from 0,
// the next one is due without being asked for: soon for the first three (RFC 4861
// section 6.2.4), and every few minutes from then on.
func AdvertiseAfter(n int) time.Duration {
	if n < 2 {
		return 16 * time.Second
	}
	return 8 * time.Minute
}

// allNodes is ff02::1 (RFC 4291 section 2.7.1).
var allNodes = netip.AddrFrom16([16]byte{0xff, 2, 15: 1})

// neighbour answers neighbour discovery, and whoever pings our address on the link.
func (r *Responder) neighbour(c Client, p ipkt.Packet) ([]byte, error) {
	m := p.Payload()
	if len(m) < 8 || ipkt.Checksum(m, p.PseudoChecksum(len(m))) != 0xffff {
		return nil, ErrMalformed
	}
	if m[0] == echoRequest && p.Destination() == c.Router {
		reply := append([]byte{echoReply, 0, 0, 0}, m[4:]...)
		return icmp6(c.Router, p.Source(), reply), nil
	}
	if m[0] != routerSolicitation && m[0] != neighbourSolicitation {
		return nil, ErrIgnored
	}
	if p.Bytes[7] != 255 || m[1] != 0 { // RFC 4861 sections 6.1.1 and 7.1.1
		return nil, ErrMalformed
	}
	if m[0] == routerSolicitation {
		return r.solicited(c, p, m)
	}
	return resolve(c, p, m)
}

// solicited answers a router solicitation.
func (r *Responder) solicited(c Client, p ipkt.Packet, m []byte) ([]byte, error) {
	if err := checkDiscovery(m[solicitationLen:]); err != nil {
		return nil, err
	}
	to := p.Source()
	if to.IsUnspecified() {
		to = allNodes
	}
	return r.advertisement(c, to), nil
}

// checkDiscovery tells whether b is nothing but well-formed options: none is
// empty (RFC 4861 section 4.6).
func checkDiscovery(b []byte) error {
	for len(b) > 0 {
		if len(b) < 8 || b[1] == 0 || len(b) < 8*int(b[1]) {
			return ErrMalformed
		}
		b = b[8*int(b[1]):]
	}
	return nil
}

// resolve answers a neighbour solicitation for our address (RFC 4861 section
// 7.2.4). A link between two has no link-layer addresses: there is none to tell.
func resolve(c Client, p ipkt.Packet, m []byte) ([]byte, error) {
	if len(m) < neighbourLen {
		return nil, ErrMalformed
	}
	target := netip.AddrFrom16([16]byte(m[8:]))
	if err := checkDiscovery(m[neighbourLen:]); err != nil || target.IsMulticast() {
		return nil, ErrMalformed
	}
	if target != c.Router {
		return nil, ErrIgnored
	}
	// R, S and O; to a client that looks whether the address is free, R and O.
	to, flags := p.Source(), byte(0xe0)
	if to.IsUnspecified() {
		to, flags = allNodes, 0xa0
	}
	reply := append([]byte{neighbourAdvert, 0, 0, 0, flags, 0, 0, 0}, target.AsSlice()...)
	return icmp6(target, to, reply), nil
}

// Advertisement returns a router advertisement that nobody asked for.
func (r *Responder) Advertisement(c Client) []byte {
	c.MTU = max(c.MTU, minMTU)
	return r.advertisement(c, allNodes)
}

// advertisement makes a router advertisement (RFC 4861 section 4.2). We are a
// default router only where everything goes through the tunnel.
func (r *Responder) advertisement(c Client, to netip.Addr) []byte {
	lifetime := time.Duration(0)
	if r.everything {
		lifetime = routerLifetime
	}
	m := []byte{routerAdvertisement, 0, 0, 0, hopLimit, otherConfig}
	m = binary.BigEndian.AppendUint16(m, uint16(lifetime/time.Second))
	m = append(m, 0, 0, 0, 0, 0, 0, 0, 0) // reachable time and retransmission timer: the host's own
	if c.MTU >= 1280 {                    // a host refuses less, RFC 8200 section 5
		m = append(m, optionMTU, 1, 0, 0)
		m = binary.BigEndian.AppendUint32(m, uint32(c.MTU))
	}
	m = appendPrefix(m, netip.PrefixFrom(c.Prefix.Addr(), prefixLen))
	room := c.MTU - ipv6HeaderLen
	m = r.appendServers(m, room)
	m = r.appendSearch(m, room)
	for _, p := range r.routes6 {
		if len(m)+24 <= room {
			m = appendRoute(m, p)
		}
	}
	return icmp6(c.Router, to, m)
}

// appendPrefix appends the prefix that hosts make addresses of (RFC 4861 section 4.6.2).
func appendPrefix(b []byte, p netip.Prefix) []byte {
	b = append(b, optionPrefix, 4, byte(p.Bits()), onLinkAuto)
	b = appendSeconds(b, validLifetime)
	b = appendSeconds(b, preferred)
	return append(append(b, 0, 0, 0, 0), p.Masked().Addr().AsSlice()...)
}

// appendServers appends the DNS servers (RFC 8106 section 5.1).
func (r *Responder) appendServers(b []byte, room int) []byte {
	n := min(len(r.dns6), max(0, room-len(b)-8)/16)
	if n == 0 {
		return b
	}
	b = appendSeconds(append(b, optionRDNSS, byte(1+2*n), 0, 0), routerLifetime)
	for _, a := range r.dns6[:n] {
		b = append(b, a.AsSlice()...)
	}
	return b
}

// appendSearch appends the domains (RFC 8106 section 5.2), padded with zeros.
func (r *Responder) appendSearch(b []byte, room int) []byte {
	units := 1 + (len(r.names)+7)/8
	if len(r.names) == 0 || units > 255 || len(b)+8*units > room {
		return b
	}
	start := len(b)
	b = appendSeconds(append(b, optionDNSSL, byte(units), 0, 0), routerLifetime)
	b = append(b, r.names...)
	return append(b, make([]byte, start+8*units-len(b))...)
}

// appendRoute appends a route through us (RFC 4191 section 2.3).
func appendRoute(b []byte, p netip.Prefix) []byte {
	addr := p.Addr().As16()
	n := (p.Bits() + 63) / 64 * 8
	b = appendSeconds(append(b, optionRoute, byte(1+n/8), byte(p.Bits()), 0), routerLifetime)
	return append(b, addr[:n]...)
}

func appendSeconds(b []byte, d time.Duration) []byte {
	return binary.BigEndian.AppendUint32(b, uint32(d/time.Second))
}
