package policy

import (
	"encoding/binary"
	"net/netip"

	"github.com/gaissmai/bart"

	"github.com/culvert-vpn/culvert/tenant/ipkt"
)

// prefix4 is an IPv4 prefix as numbers.
type prefix4 struct{ base, mask uint32 }

// addressRange is which addresses are of clients.
type addressRange struct {
	four []prefix4
	six  []netip.Prefix
	many *bart.Lite // in place of both, where there are many prefixes
}

// fewPrefixes are looked through faster than a table is asked.
const fewPrefixes = 8

func newRange(prefixes []netip.Prefix) (r addressRange) {
	if len(prefixes) > fewPrefixes {
		r.many = new(bart.Lite)
		for _, p := range prefixes {
			r.many.Insert(p.Masked())
		}
		return r
	}
	for _, p := range prefixes {
		if p.Addr().Is6() {
			r.six = append(r.six, p.Masked())
			continue
		}
		b := p.Addr().As4()
		mask := ^uint32(0) << (32 - p.Bits())
		r.four = append(r.four, prefix4{binary.BigEndian.Uint32(b[:]) & mask, mask})
	}
	return r
}

// source and destination report whether an address of a packet is a client's.
func (r *addressRange) source(ip *ipkt.Packet) bool { return r.has(ip, 12, 8) }

func (r *addressRange) destination(ip *ipkt.Packet) bool { return r.has(ip, 16, 24) }

// has looks at the address that is at one offset in IPv4, at another in IPv6.
func (r *addressRange) has(ip *ipkt.Packet, at4, at6 int) bool {
	if r.many != nil {
		if ip.Is4() {
			return r.many.Contains(netip.AddrFrom4([4]byte(ip.Bytes[at4:])))
		}
		return r.many.Contains(netip.AddrFrom16([16]byte(ip.Bytes[at6:])))
	}
	if ip.Is4() {
		addr := binary.BigEndian.Uint32(ip.Bytes[at4:])
		for _, p := range r.four {
			if addr&p.mask == p.base {
				return true
			}
		}
		return false
	}
	for _, p := range r.six {
		if p.Contains(netip.AddrFrom16([16]byte(ip.Bytes[at6:]))) {
			return true
		}
	}
	return false
}
