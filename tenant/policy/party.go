package policy

import (
	"net/netip"
	"sync/atomic"
)

// Party is a session as flows see it: who it is, and which flows are its own. The zero
// Party is of nobody that rules name, and has no address.
type Party struct {
	addresses atomic.Pointer[Subject]
	identity  atomic.Pointer[Identity]
	view      atomic.Pointer[view]      // what it is to the rules in force
	seat      atomic.Uint64             // of its flows; see lock
	flows     atomic.Pointer[Flows]     // in which it has the seat
	fragments atomic.Pointer[fragments] // nil: it has sent and been sent none
}

// SetAddresses says which addresses are the session's own. The Subject is borrowed as long
// as the Party has it.
func (p *Party) SetAddresses(s *Subject) { p.addresses.Store(s) }

// SetIdentity says who the session is to rules. It is borrowed as long as the Party has
// it. Flows that are there already are judged again with the next rules.
func (p *Party) SetIdentity(i *Identity) {
	p.identity.Store(i)
	p.view.Store(nil)
}

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
