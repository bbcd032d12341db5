package v2

import (
	"encoding/binary"
	"net/netip"
	"slices"

	"github.com/culvert-vpn/culvert/ike/wire"
)

// rangesOf reads the selectors of a TSi or TSr payload. Types that are not known
// are left out (RFC 7296, section 2.9: the responder narrows).
func rangesOf(t wire.TS) []Range {
	var list []Range
	for _, s := range t.List {
		if s.Start.IsValid() {
			list = append(list, Range{From: s.Start, To: s.End, Protocol: s.Protocol, FromPort: s.StartPort, ToPort: s.EndPort})
		}
	}
	return list
}

// selectorsOf is the payload of ranges.
func selectorsOf(responder bool, list []Range) wire.TS {
	out := wire.TS{Responder: responder}
	for _, r := range list {
		t := wire.TSIPv6
		if r.From.Is4() {
			t = wire.TSIPv4
		}
		out.List = append(out.List, wire.TrafficSelector{Type: t, Protocol: r.Protocol,
			StartPort: r.FromPort, EndPort: r.ToPort, Start: r.From, End: r.To})
	}
	return out
}

// prefixRange is all traffic of a network.
func prefixRange(p netip.Prefix) Range {
	s := wire.PrefixSelector(p, 0, 0)
	return Range{From: s.Start, To: s.End, ToPort: 65535}
}

// everything is all traffic of both families.
func everything() []Range {
	return []Range{prefixRange(netip.MustParsePrefix("0.0.0.0/0")), prefixRange(netip.MustParsePrefix("::/0"))}
}

// unspecifiedIsAll reads 0.0.0.0 and ::, which are nobody's address, as any: what OpenIKED
// asks for as "the address that you give me".
func unspecifiedIsAll(list []Range) []Range {
	out := slices.Clone(list)
	for n, r := range out {
		if r.From == r.To && r.From.IsUnspecified() {
			out[n].To = prefixRange(netip.PrefixFrom(r.From, 0)).To
		}
	}
	return out
}

// maxRanges bounds what narrowing may produce.
const maxRanges = 64

// narrow is what is both asked for and allowed, in the order of what is allowed
// (RFC 7296, section 2.9).
func narrow(asked, allowed []Range) []Range {
	var out []Range
	for _, y := range allowed {
		for _, x := range asked {
			r, ok := intersect(x, y)
			if ok && !contains(out, r) && len(out) < maxRanges {
				out = append(out, r)
			}
		}
	}
	return out
}

// contains reports whether a range of the list covers r.
func contains(list []Range, r Range) bool {
	for _, x := range list {
		if both, ok := intersect(x, r); ok && both == r {
			return true
		}
	}
	return false
}

// intersect is what two ranges have in common.
func intersect(a, b Range) (Range, bool) {
	if a.From.Is4() != b.From.Is4() {
		return Range{}, false
	}
	r := Range{From: a.From, To: a.To, Protocol: a.Protocol, FromPort: max(a.FromPort, b.FromPort), ToPort: min(a.ToPort, b.ToPort)}
	if r.From.Less(b.From) {
		r.From = b.From
	}
	if b.To.Less(r.To) {
		r.To = b.To
	}
	if r.Protocol == 0 {
		r.Protocol = b.Protocol
	}
	ok := !r.To.Less(r.From) && r.FromPort <= r.ToPort && (b.Protocol == 0 || b.Protocol == r.Protocol)
	return r, ok
}

// single returns the address of a list that stands for one host only.
func single(list []Range) (netip.Addr, bool) {
	if len(list) == 0 {
		return netip.Addr{}, false
	}
	for _, r := range list {
		if r.From != r.To || r.From != list[0].From {
			return netip.Addr{}, false
		}
	}
	return list[0].From, true
}

// isL2TP reports whether a range leaves room for L2TP at the responder.
func isL2TP(r Range) bool {
	return (r.Protocol == 0 || r.Protocol == 17) && r.FromPort <= portL2TP && portL2TP <= r.ToPort
}

const portL2TP = 1701

// natHash is the data of NAT_DETECTION_SOURCE_IP and NAT_DETECTION_DESTINATION_IP
// (RFC 7296, section 2.23): the SHA-1 digest of SPIs, address and port.
func natHash(i, r wire.Cookie, a netip.AddrPort) []byte {
	port := binary.BigEndian.AppendUint16(nil, a.Port())
	return sha1Of(i[:], r[:], a.Addr().Unmap().AsSlice(), port)
}

// Networks are all traffic of these networks.
func Networks(list ...netip.Prefix) []Range {
	var out []Range
	for _, p := range list {
		out = append(out, prefixRange(p))
	}
	return out
}

// L2TP is UDP from or to a port of one address; port zero is any.
func L2TP(a netip.Addr, port uint16) []Range {
	s := wire.PrefixSelector(netip.PrefixFrom(a.Unmap(), a.Unmap().BitLen()), 17, port)
	return []Range{{From: s.Start, To: s.End, Protocol: 17, FromPort: s.StartPort, ToPort: s.EndPort}}
}
