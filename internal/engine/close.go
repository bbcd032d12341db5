package engine

import (
	"fmt"
	"time"

	"github.com/culvert-vpn/culvert/ike"
	"github.com/culvert-vpn/culvert/l2tp"
)

// Cut ends a session at once, and tells its client.
func (e *Engine) Cut(now time.Time, s *Session, why string, reason ike.Reason) {
	s.Because(why)
	if s.Link == nil {
		e.End(s)
		e.IKE.Close(now, ike.Peer(s.Peer.ID), reason)
		return
	}
	e.L2TP.CloseCall(now, s.Call, l2tp.Result{Code: l2tp.ClearAdministrative})
	e.End(s)
}

// ClosePeer ends a peer in good order: CDN and StopCCN go first, as no SA can carry them
// after the DELETE.
func (e *Engine) ClosePeer(now time.Time, p *Peer, why l2tp.Result, reason ike.Reason) {
	e.L2TP.ClosePeer(now, l2tp.Peer(p.ID), why)
	e.sayL2TP(now)
	e.IKE.Close(now, ike.Peer(p.ID), reason)
}

// ClosePeers is ClosePeer for many.
func (e *Engine) ClosePeers(now time.Time, list []*Peer, why l2tp.Result, reason ike.Reason) {
	for _, p := range list {
		e.L2TP.ClosePeer(now, l2tp.Peer(p.ID), why)
	}
	e.sayL2TP(now)
	for _, p := range list {
		e.IKE.Close(now, ike.Peer(p.ID), reason)
	}
}

// Goodbye tells every peer that we go.
func (e *Engine) Goodbye(now time.Time) {
	const why = "gateway shut down"
	list := make([]*Peer, 0, len(e.Table.Peers))
	for _, p := range e.Table.Peers {
		for _, s := range p.Sessions() {
			s.Because(why)
		}
		list = append(list, p)
	}
	e.ClosePeers(now, list, l2tp.Result{Code: l2tp.StopShutdown, Message: why}, ike.ReasonShutdown)
}

// sayL2TP has what L2TP wants to be sent leave.
func (e *Engine) sayL2TP(now time.Time) {
	for e.l2tpEvent(now) {
	}
	e.Plane.Flush()
}

// Kick ends a session in good order, because an operator wants it or it met a fault.
func (e *Engine) Kick(now time.Time, s *Session, reason string) {
	p := s.Peer
	s.Because(reason)
	why := l2tp.Result{Code: l2tp.ClearAdministrative, Message: reason}
	if s.Link != nil && len(p.Sessions()) > 1 {
		e.L2TP.CloseCall(now, s.Call, why)
		e.End(s)
		return
	}
	e.ClosePeer(now, p, why, ike.ReasonLocal)
}

// peerClosed ends what is left of a peer: no SA can carry a goodbye any more.
func (e *Engine) peerClosed(now time.Time, c ike.Closed) {
	p := e.Table.Peers[uint64(c.Peer)]
	if p == nil {
		return
	}
	for _, s := range p.Sessions() {
		s.Because(fmt.Sprint(c.Reason))
	}
	e.L2TP.Forget(l2tp.Peer(p.ID))
	for e.l2tpEvent(now) {
	}
	for _, s := range p.Sessions() {
		e.End(s)
	}
	for in := range p.Children {
		e.Children.uninstall(ike.Removed{Peer: c.Peer, In: in})
	}
	delete(e.Table.Peers, p.ID)
	p.Gone = true
	e.happened.add(Closed{p, c})
}
