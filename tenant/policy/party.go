package policy

import (
	"net/netip"
	"sync/atomic"
)

// Party is a session as flows see it: who it is, and which flows are its own. The zero
// Party is of nobody that rules name, and has no address.
type Party struct {
	addresses atomic.Pointer[Subject]
	standing  atomic.Pointer[standing]
	view      atomic.Pointer[view]      // what it is to the rules in force
	seat      atomic.Uint64             // of its flows; see lock
	flows     atomic.Pointer[Flows]     // in which it has the seat
	fragments atomic.Pointer[fragments] // nil: it has sent and been sent none
	pushed    atomic.Uint64             // flows by others of its own, since that was told
	told      atomic.Uint32             // in which turn that is to be told; see reached
}

// SetAddresses says which addresses are the session's own. The Subject is borrowed as long
// as the Party has it.
func (p *Party) SetAddresses(s *Subject) { p.addresses.Store(s) }

// standing is who a session is to rules; to those from before it is who it was.
type standing struct {
	who, was *Identity
	before   *Rules
}

// under returns who a session is to rules; nil: nobody that they name.
func (s *standing) under(r *Rules) *Identity {
	switch {
	case s == nil:
		return nil
	case s.before == r && r != nil:
		return s.was
	}
	return s.who
}

// SetIdentity says who the session is to rules. It is borrowed as long as the Party has
// it. Flows that are there already are judged again with the next rules. Where it belongs to
// rules that are still to be set, before are those in force: to these the session is who it
// was; nil: it holds at once.
func (p *Party) SetIdentity(i *Identity, before *Rules) {
	p.standing.Store(&standing{i, p.standing.Load().under(before), before})
}

// who returns who the session is by now; nil: nobody that rules name.
func (p *Party) who() *Identity { return p.standing.Load().under(nil) }

// Leave ends the flows of a session that is over. It has none afterwards, whatever comes.
func (p *Party) Leave() {
	if p.seat.CompareAndSwap(0, seatGone) {
		return
	}
	if f := p.flows.Load(); f != nil {
		f.leave(p)
	}
}

// owns reports whether an address is the session's own.
func (p *Party) owns(a netip.Addr) bool {
	s := p.addresses.Load()
	return s != nil && s.ownsAddress(a)
}
