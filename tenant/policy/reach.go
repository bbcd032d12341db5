package policy

import (
	"fmt"
	"net/netip"

	"github.com/gaissmai/bart"
)

// Reach says which destinations are denied, in whatever spelling a client names
// them: an IPv6 address that stands for an IPv4 one is denied with it. It is
// never changed after NewReach, does not allocate and may be used concurrently.
// The zero Reach denies nothing.
type Reach struct {
	rules bart.Table[reachRule]
	also  []Closer
}

// Closer is a set of destinations that are closed besides what a Reach was made
// of, and that may change. It may be used concurrently.
type Closer interface {
	// Closes reports whether addr is closed, and how many bits long the prefix
	// is that closes it.
	Closes(addr netip.Addr) (bits int, closed bool)
}

// reachRule is what a prefix of so many bits says of the destinations in it.
type reachRule struct {
	bits int
	deny bool
}

// NewReach compiles lists of prefixes. The longest prefix that holds a
// destination decides, and allow decides between two of one length; what also
// closes is as if it stood in deny.
func NewReach(deny, allow []netip.Prefix, also ...Closer) (*Reach, error) {
	r := &Reach{also: also}
	for _, prefixes := range [][]netip.Prefix{deny, allow} {
		for _, p := range prefixes {
			if !p.IsValid() || p.Masked() != p {
				return nil, fmt.Errorf("%w: %v is no prefix of destinations", ErrPrefix, p)
			}
		}
	}
	for _, p := range deny {
		r.rules.Insert(p, reachRule{p.Bits(), true})
	}
	for _, p := range allow {
		r.rules.Insert(p, reachRule{p.Bits(), false})
	}
	return r, nil
}

// Denies reports whether dst is not to be reached. An address that stands for
// another is denied with that, unless it is allowed itself by a prefix that is
// at least as long as the same part of the other's.
func (r *Reach) Denies(dst netip.Addr) bool {
	dst = dst.WithZone("")
	bits, denied := r.judge(dst)
	if denied || dst.Is4() {
		return denied
	}
	var forms [maxForms]form
	for _, f := range formsOf(&forms, dst) {
		if inner, denied := r.judge(f.addr); denied && f.end(inner) > bits {
			return true
		}
	}
	return false
}

// Names reports whether dst is allowed by a prefix of its own, and not just with
// others.
func (r *Reach) Names(dst netip.Addr) bool {
	rule, found := r.rules.Lookup(dst)
	return found && !rule.deny && rule.bits == dst.BitLen()
}

// Closes implements Closer.
func (r *Reach) Closes(addr netip.Addr) (bits int, closed bool) { return r.judge(addr) }

// judge is Denies for an address as it is written; bits is the length of the
// prefix that decided, -1: there was none.
func (r *Reach) judge(addr netip.Addr) (bits int, denied bool) {
	rule, found := r.rules.Lookup(addr)
	if !found {
		rule.bits = -1
	}
	for _, c := range r.also {
		if n, closed := c.Closes(addr); closed && n > rule.bits {
			rule = reachRule{n, true}
		}
	}
	return rule.bits, rule.deny
}
