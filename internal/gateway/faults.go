package gateway

import (
	"fmt"
	"time"

	"go.uber.org/zap"

	"github.com/culvert-vpn/culvert/dataplane"
	"github.com/culvert-vpn/culvert/ike"
	"github.com/culvert-vpn/culvert/internal/event"
	"github.com/culvert-vpn/culvert/internal/x/fault"
	"github.com/culvert-vpn/culvert/l2tp"
)

// served is who something is done for: a session, or a peer that has none yet. The
// zero served is nobody that we know.
type served struct {
	peer    *peer
	session *session
}

// faultReason is what a session ends with that a panic has cost.
const faultReason = "a fault of the server"

// alarm logs a panic that was survived.
func (g *Gateway) alarm(r fault.Report) {
	g.emit(event.Fault{
		Where: r.Where, What: r.What, Faults: r.Count, Stack: r.Stack,
		Hint: "culvert goes on and has ended the session that this came from; please report it, with this line",
	})
}

// sinkFailed says that a sink of events panicked, which is not told of events any more.
func (g *Gateway) sinkFailed(v any) {
	defer func() { _ = recover() }() // the log is one of them
	g.log.Error("event-sink", zap.String("what", fmt.Sprint(v)), zap.String("hint", "it is told nothing any more until culvert is started anew; please report it"))
}

// serve notes whose message is under way.
func (g *Gateway) serve(m *dataplane.Message) {
	g.serving = served{}
	if m.Peer == nil {
		return
	}
	g.serving.peer = g.peers[m.Peer.ID]
	if m.Session != nil {
		g.serving.session = g.sessions[m.Session]
	}
}

// survive is to be deferred: a panic of the control loop costs whoever it served. What
// the machines kept for it may be half done, and goes with it.
func (g *Gateway) survive() {
	v := recover()
	if v == nil {
		return
	}
	g.faults.Caught("control loop", v)
	on := g.serving
	g.serving = served{}
	g.drop(time.Now(), on)
}

// ikeMessage gives a message to IKE. A panic costs whoever the message names: the
// exchange, where nobody has shown yet who is behind it, and otherwise the peer.
func (g *Gateway) ikeMessage(now time.Time, path ike.Path, msg []byte) {
	defer func() {
		if v := recover(); v != nil {
			g.faults.Caught("control loop: an IKE message", v)
			g.abandonExchange(now, path, msg)
		}
	}()
	g.count(g.ike.Input(now, path, msg), "ike")
}

func (g *Gateway) abandonExchange(now time.Time, path ike.Path, msg []byte) {
	defer g.faults.Recover("control loop: ending an exchange that met a fault")
	id := g.ike.Abandon(path, msg)
	if p := g.peers[uint64(id)]; p != nil {
		g.drop(now, served{peer: p})
	} else if id != 0 {
		g.ike.Close(now, id, ike.ReasonLocal)
	}
}

// drop ends a session, or a peer, that met a fault: in good order if that can be had,
// and otherwise with all that the gateway itself has of it.
func (g *Gateway) drop(now time.Time, on served) {
	if on.peer == nil || g.peers[on.peer.id] != on.peer {
		return
	}
	for _, s := range on.peer.sessions() {
		s.because(faultReason)
	}
	defer func() {
		if v := recover(); v != nil {
			g.faults.Caught("control loop: ending a session that met a fault", v)
			g.abandon(now, on.peer)
		}
	}()
	if s := on.session; s != nil && !s.ended {
		g.kick(now, s, faultReason)
		return
	}
	g.l2tp.ClosePeer(now, l2tp.Peer(on.peer.id), l2tp.Result{Code: l2tp.ClearAdministrative, Message: faultReason})
	g.ike.Close(now, ike.Peer(on.peer.id), ike.ReasonLocal)
}

// abandon takes everything of a peer out of the data plane.
func (g *Gateway) abandon(now time.Time, p *peer) {
	defer g.faults.Recover("control loop: abandoning a peer")
	for _, s := range p.sessions() {
		g.end(now, s)
	}
	g.ike.Close(now, ike.Peer(p.id), ike.ReasonLocal)
}
