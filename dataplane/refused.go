package dataplane

import (
	"net/netip"

	"github.com/gaissmai/bart"
)

// Refused is from where nobody dials in, and nobody who is in moves to. Its tables do not
// change.
type Refused struct {
	// Bans have sources, the narrowest network of which decides; true: who is in from
	// there stays, so that its IKE messages go on.
	Bans []*bart.Table[bool]
	// Feeds have more of them, which decide alone.
	Feeds []*bart.Lite
}

// Has reports whether a source is refused, and whether who is in from there stays. A nil
// Refused has none. It does not allocate.
func (r *Refused) Has(source netip.Addr) (refused, stay bool) {
	if r == nil {
		return false, false
	}
	source = source.Unmap()
	for _, t := range r.Feeds {
		if t.Lookup(source) {
			return true, false
		}
	}
	for _, t := range r.Bans {
		if keep, found := t.Lookup(source); found && !keep {
			return true, false
		} else if found {
			refused, stay = true, true
		}
	}
	return refused, stay
}

// Refuse has messages from those sources be dropped by the workers from now on; nil: from
// none. It may be called by any goroutine.
func (p *Plane) Refuse(r *Refused) { p.refused.Store(r) }

// responderSPI is where in an IKE message the SPI of its responder stands, which is zero in
// the first one of an exchange (RFC 7296 section 3.1; RFC 2408 section 3.1 has a cookie there).
const responderSPI = 8

// refuses reports whether an IKE message is dropped for where it comes from.
func (r *Refused) refuses(source netip.Addr, message []byte) bool {
	if r == nil {
		return false
	}
	refused, stay := r.Has(source)
	if !refused || !stay {
		return refused
	}
	return len(message) < responderSPI+8 || [8]byte(message[responderSPI:]) == [8]byte{}
}
