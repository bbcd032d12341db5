package engine

import (
	"time"

	"github.com/culvert-vpn/culvert/ike"
	"github.com/culvert-vpn/culvert/l2tp"
)

// FaultReason is what a session ends with that a panic has cost.
const FaultReason = "a fault of the server"

// survive is to be deferred: a panic of the control loop costs whoever it served. What
// the machines kept for it may be half done, and goes with it.
func (e *Engine) survive() {
	v := recover()
	if v == nil {
		return
	}
	e.Config.Faults.Caught("control loop", v)
	on := e.serving
	e.serving = served{}
	e.drop(time.Now(), on)
}

// survived calls f; a panic of it ends there.
func (e *Engine) survived(now time.Time, f func(time.Time)) {
	defer e.survive()
	f(now)
}

// ikeMessage gives a message to IKE. A panic costs whoever the message names: the
// exchange, where nobody has shown yet who is behind it, and otherwise the peer.
func (e *Engine) ikeMessage(now time.Time, path ike.Path, msg []byte) {
	defer func() {
		if v := recover(); v != nil {
			e.Config.Faults.Caught("control loop: an IKE message", v)
			e.AbandonExchange(now, path, msg)
		}
	}()
	e.Count(e.IKE.Input(now, path, msg), "ike")
}

// AbandonExchange ends the exchange that a message of IKE is of, or its peer.
func (e *Engine) AbandonExchange(now time.Time, path ike.Path, msg []byte) {
	defer e.Config.Faults.Recover("control loop: ending an exchange that met a fault")
	id := e.IKE.Abandon(path, msg)
	if p := e.Table.Peers[uint64(id)]; p != nil {
		e.drop(now, served{peer: p})
	} else if id != 0 {
		e.IKE.Close(now, id, ike.ReasonLocal)
	}
}

// drop ends a session, or a peer, that met a fault: in good order if that can be had,
// and otherwise with all that the engine itself has of it.
func (e *Engine) drop(now time.Time, on served) {
	if on.peer == nil || e.Table.Peers[on.peer.ID] != on.peer {
		return
	}
	for _, s := range on.peer.Sessions() {
		s.Because(FaultReason)
	}
	defer func() {
		if v := recover(); v != nil {
			e.Config.Faults.Caught("control loop: ending a session that met a fault", v)
			e.abandon(now, on.peer)
		}
	}()
	if s := on.session; s != nil && !s.Ended {
		e.Kick(now, s, FaultReason)
		return
	}
	e.L2TP.ClosePeer(now, l2tp.Peer(on.peer.ID), l2tp.Result{Code: l2tp.ClearAdministrative, Message: FaultReason})
	e.IKE.Close(now, ike.Peer(on.peer.ID), ike.ReasonLocal)
}

// abandon takes everything of a peer out of the data plane.
func (e *Engine) abandon(now time.Time, p *Peer) {
	defer e.Config.Faults.Recover("control loop: abandoning a peer")
	for _, s := range p.Sessions() {
		e.End(s)
	}
	e.IKE.Close(now, ike.Peer(p.ID), ike.ReasonLocal)
}
