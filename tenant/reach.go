package tenant

import (
	"fmt"
	"net/netip"
	"slices"
)

// Reach says which destinations are denied. It is never changed after NewReach,
// does not allocate and may be used concurrently. The zero Reach denies
// nothing.
type Reach struct {
	v4, v6 []reachRange
}

// reachRange is the part of the address space from one address to the start of
// the next range, in which all destinations are treated alike.
type reachRange struct {
	from netip.Addr
	deny bool
}

// NewReach compiles lists of prefixes. The longest prefix that holds a
// destination decides, and allow decides between two of one length.
func NewReach(deny, allow []netip.Prefix) (*Reach, error) {
	rules := make([]reachRule, 0, len(deny)+len(allow))
	for _, prefix := range deny {
		rules = append(rules, reachRule{prefix, true})
	}
	for _, prefix := range allow {
		rules = append(rules, reachRule{prefix, false})
	}
	for _, r := range rules {
		if !r.prefix.IsValid() || r.prefix.Masked() != r.prefix {
			return nil, fmt.Errorf("%w: %v is no prefix of destinations", ErrPrefix, r.prefix)
		}
	}
	slices.SortStableFunc(rules, func(a, b reachRule) int { return b.prefix.Bits() - a.prefix.Bits() })
	return &Reach{
		v4: compileReach(rules, netip.IPv4Unspecified()),
		v6: compileReach(rules, netip.IPv6Unspecified()),
	}, nil
}

// Denies reports whether dst is not to be reached.
func (r *Reach) Denies(dst netip.Addr) bool {
	ranges := r.v6
	if dst.Is4() {
		ranges = r.v4
	}
	lo, hi := 0, len(ranges) // the first range behind dst
	for lo < hi {
		mid := int(uint(lo+hi) >> 1)
		if ranges[mid].from.Compare(dst) <= 0 {
			lo = mid + 1
		} else {
			hi = mid
		}
	}
	return lo > 0 && ranges[lo-1].deny
}

type reachRule struct {
	prefix netip.Prefix
	deny   bool
}

// compileReach turns the rules of one family, the longest prefix first, into
// ranges: what a destination meets can change only where a prefix begins or
// right behind its end.
func compileReach(rules []reachRule, lowest netip.Addr) []reachRange {
	starts := []netip.Addr{lowest}
	for _, r := range rules {
		if r.prefix.Addr().Is4() != lowest.Is4() {
			continue
		}
		starts = append(starts, r.prefix.Addr())
		if behind := lastOf(r.prefix).Next(); behind.IsValid() {
			starts = append(starts, behind)
		}
	}
	slices.SortFunc(starts, netip.Addr.Compare)
	var ranges []reachRange
	for _, start := range slices.Compact(starts) {
		deny := decide(rules, start)
		if len(ranges) == 0 || ranges[len(ranges)-1].deny != deny {
			ranges = append(ranges, reachRange{start, deny})
		}
	}
	return ranges
}

// decide finds the first of rules, sorted by length, that holds addr; among
// those of one length a later one that allows wins.
func decide(rules []reachRule, addr netip.Addr) bool {
	for i, r := range rules {
		if !r.prefix.Contains(addr) {
			continue
		}
		for _, same := range rules[i:] {
			if same.prefix == r.prefix && !same.deny {
				return false
			}
		}
		return r.deny
	}
	return false
}

// lastOf is the highest address of a prefix.
func lastOf(prefix netip.Prefix) netip.Addr {
	b := prefix.Addr().AsSlice()
	for i := prefix.Bits(); i < len(b)*8; i++ {
		b[i/8] |= 0x80 >> (i % 8)
	}
	last, _ := netip.AddrFromSlice(b)
	return last
}
