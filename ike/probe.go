package ike

import (
	"slices"
	"time"

	"github.com/culvert-vpn/culvert/ike/v2"
	"github.com/culvert-vpn/culvert/ike/wire"
)

// Answered says that a peer lives that Probe has asked.
type Answered struct{ Peer Peer }

func (Answered) event() {}

const (
	// contactTime is how long others of the same name are given to answer, after an
	// INITIAL_CONTACT: a phone may have to wake up.
	contactTime = 10 * time.Second
	// maxContacts is how many are asked at a time, those first that are there longest.
	maxContacts = 8
)

// contact takes INITIAL_CONTACT into account.
func (p *session2) contact(now time.Time, others []*session2) {
	asked := 0
	for _, o := range slices.Clone(others) {
		switch {
		case o.ended:
		case o.machine.Path().Remote == p.machine.Path().Remote:
			o.why = ReasonReplaced
			o.machine.Close(now)
			o.arm()
		case asked < maxContacts:
			asked++
			o.machine.Probe(now, contactTime)
			o.arm()
		}
	}
}

// leave takes the session off the list of those of its name.
func (p *session2) leave() {
	left := slices.DeleteFunc(slices.Clone(p.s.members2[p.member]), func(o *session2) bool { return o == p })
	if len(left) == 0 {
		delete(p.s.members2, p.member)
		return
	}
	p.s.members2[p.member] = left
}

// Answered says that the peer lives.
func (p *session2) Answered(*v2.Session) { p.s.emit(Answered{Peer: p.id}) }

// Probe asks a client of ours whether it lives, where another connection may be the same
// client's. Answered follows, or, if it says nothing while patience lasts, Closed with
// ReasonReplaced. It reports false, and asks nothing, if it was heard no longer ago than
// idle, or cannot be asked.
func (s *Server) Probe(now time.Time, id Peer, idle, patience time.Duration) bool {
	if p := s.peers[id]; p != nil {
		return p.probe(now, idle, patience)
	}
	p := s.sessions[id]
	if p == nil || !p.machine.Up() || now.Sub(p.machine.Heard()) < idle {
		return false
	}
	p.machine.Probe(now, patience)
	p.arm()
	return true
}

// probe is Probe of a client of IKEv1, which is asked by dead peer detection.
func (p *peer) probe(now time.Time, idle, patience time.Duration) bool {
	cur := p.current()
	if cur == nil || !p.features.DPD || p.dial != nil || now.Sub(p.heardAt) < idle {
		return false
	}
	if at := now.Add(patience); p.probeAt.IsZero() || at.Before(p.probeAt) {
		p.probeAt = at
	}
	p.beginDPD()
	p.dpd.sequence++
	cur.inform(cur.sa.AreYouThere(wire.NotifyRUThere, p.dpd.sequence))
	p.arm()
	return true
}
