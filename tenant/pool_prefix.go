package tenant

import (
	"fmt"
	"net/netip"
)

// checkPrefixes reports what makes prefixes unusable for a pool.
func checkPrefixes(prefixes []netip.Prefix) error {
	if len(prefixes) == 0 {
		return fmt.Errorf("%w: there is none", ErrPrefix)
	}
	for i, prefix := range prefixes {
		if err := checkPrefix(prefix); err != nil {
			return err
		}
		if prefix.Addr().Is4() != prefixes[0].Addr().Is4() {
			return fmt.Errorf("%w: %v and %v are of two families", ErrPrefix, prefixes[0], prefix)
		}
		for _, earlier := range prefixes[:i] {
			if prefix.Overlaps(earlier) {
				return fmt.Errorf("%w: %v overlaps %v", ErrPrefix, prefix, earlier)
			}
		}
	}
	return nil
}

func checkPrefix(prefix netip.Prefix) error {
	addr := prefix.Addr()
	switch {
	case !prefix.IsValid() || addr.Is4In6() || addr.Zone() != "":
		return fmt.Errorf("%w: %v is no prefix", ErrPrefix, prefix)
	case prefix.Masked() != prefix:
		return fmt.Errorf("%w: %v has host bits set, write %v", ErrPrefix, prefix, prefix.Masked())
	case addr.IsMulticast() || addr.IsLoopback() || addr.IsUnspecified():
		return fmt.Errorf("%w: %v cannot be given to clients", ErrPrefix, prefix)
	}
	return nil
}

// hasEnds reports whether a prefix has a network address, and for IPv4 a
// broadcast address, that are no hosts. Links of two addresses and single
// addresses have none (RFC 3021; RFC 6164).
func hasEnds(prefix netip.Prefix) bool {
	return prefix.Addr().BitLen()-prefix.Bits() >= 2
}

// maxHostBits bounds how much of a prefix is used, so that sizes fit an int
// with room to add them up.
const maxHostBits = 48

// hostCount is how many addresses of a prefix are hosts', as far as they are
// used: the first 2^48 of them.
func hostCount(prefix netip.Prefix) int {
	n := 1 << min(prefix.Addr().BitLen()-prefix.Bits(), maxHostBits)
	switch {
	case !hasEnds(prefix):
		return n
	case prefix.Addr().Is4():
		return n - 2
	default:
		return n - 1 // the subnet-router anycast address, RFC 4291 section 2.6.1
	}
}

// firstHost is the lowest address of a prefix that is a host's.
func firstHost(prefix netip.Prefix) netip.Addr {
	if hasEnds(prefix) {
		return prefix.Addr().Next()
	}
	return prefix.Addr()
}

// isHost reports whether addr is a host address of the prefix it lies in.
func isHost(prefixes []netip.Prefix, addr netip.Addr) bool {
	for _, prefix := range prefixes {
		if prefix.Contains(addr) {
			return !hasEnds(prefix) || addr != prefix.Addr() && (addr.Is6() || prefix.Contains(addr.Next()))
		}
	}
	return false
}

// cursor walks over the host addresses of prefixes once.
type cursor struct {
	prefixes []netip.Prefix
	addr     netip.Addr // the next one
	left     int        // in the first of prefixes
}

func newCursor(prefixes []netip.Prefix) cursor {
	c := cursor{prefixes: prefixes}
	c.enter()
	return c
}

func (c *cursor) enter() {
	c.addr, c.left = firstHost(c.prefixes[0]), hostCount(c.prefixes[0])
}

// peek returns the next host address, again and again; ok is false after the last one.
func (c *cursor) peek() (addr netip.Addr, ok bool) {
	for c.left == 0 {
		if len(c.prefixes) == 1 {
			return netip.Addr{}, false
		}
		c.prefixes = c.prefixes[1:]
		c.enter()
	}
	return c.addr, true
}

// next goes on behind what peek has returned.
func (c *cursor) next() { c.addr, c.left = c.addr.Next(), c.left-1 }
