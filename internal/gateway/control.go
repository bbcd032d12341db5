package gateway

import (
	"context"
	"time"

	"go.uber.org/zap"

	"github.com/culvert-vpn/culvert/dataplane"
	"github.com/culvert-vpn/culvert/ike"
	"github.com/culvert-vpn/culvert/internal/x/deadline"
	"github.com/culvert-vpn/culvert/l2tp"
)

const (
	// sweepInterval is how often activity is collected from the data plane:
	// how stale the machines' idea of a peer's liveness may be.
	sweepInterval = 5 * time.Second
	// saveInterval is how often leases are written down at most: what a killed
	// server has forgotten when it starts again.
	saveInterval = 10 * time.Second
	// burst is how many messages are taken before deadlines are looked at again.
	burst = 128
)

// loop is the control loop. It returns when ctx is done and every client was
// told.
func (g *Gateway) loop(ctx context.Context) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for ctx.Err() == nil {
		now := time.Now()
		g.advance(now)
		g.settle(now)
		g.arm(timer, now)
		g.wait(ctx, timer)
	}
	g.goodbye()
}

// wait blocks until something happened and takes what there is, up to a burst.
// Messages of peers come before those of strangers.
func (g *Gateway) wait(ctx context.Context, timer *time.Timer) {
	defer g.survive()
	peers, strangers := g.messages()
	select {
	case <-ctx.Done():
		return
	case <-timer.C:
	case m := <-peers:
		g.message(time.Now(), m)
	case m := <-strangers:
		g.message(time.Now(), m)
	case r := <-g.computed:
		g.ike.Computed(time.Now(), r.id, r.value)
	case f := <-g.requests:
		f(time.Now())
	}
	for range burst {
		if !g.more(time.Now()) {
			return
		}
	}
}

// messages are where those of clients come from: nowhere while more computations stand
// in line than can be done soon. The inbox drops what it has no room for meanwhile, and
// clients say it again.
func (g *Gateway) messages() (peers, strangers <-chan *dataplane.Message) {
	if g.computing.inLine() >= maxComputing {
		return nil, nil
	}
	inbox := g.plane.Inbox()
	return inbox.Peers(), inbox.Strangers()
}

// more takes one more thing without waiting and reports whether there was one.
// What is to be sent leaves together when the burst is over.
func (g *Gateway) more(now time.Time) bool {
	g.events(now)
	peers, strangers := g.messages()
	select {
	case m := <-peers:
		g.message(now, m)
		return true
	default:
	}
	select {
	case r := <-g.computed:
		g.ike.Computed(now, r.id, r.value)
	case f := <-g.requests:
		f(now)
	case m := <-strangers:
		g.message(now, m)
	default:
		return false
	}
	return true
}

// message gives a message to the machine it is for. Errors are counted: what
// they mean is known to the machine, and a stranger must not fill the log.
func (g *Gateway) message(now time.Time, m *dataplane.Message) {
	defer m.Release()
	g.serve(m)
	switch m.Kind {
	case dataplane.IKE:
		g.ikeMessage(now, ikePath(m.Path, m.NATT), m.Data)
	case dataplane.L2TP:
		g.l2tpMessage(now, m)
	case dataplane.PPP:
		if s := g.sessionOf(m); s != nil && !g.plane.Late(s.plane, m.Data) {
			g.count(s.link.Input(now, m.Data), "ppp")
			g.touch(s)
		}
	case dataplane.Early:
		g.early(now, m)
	case dataplane.Link:
		g.question(m)
	case dataplane.Moved:
		g.moved(now, m)
	case dataplane.Faulty:
		g.drop(now, g.serving)
	}
	g.serving = served{}
}

// sessionOf returns the session that a PPP frame is for. The workers may not
// have known it yet when the frame came.
func (g *Gateway) sessionOf(m *dataplane.Message) *session {
	if m.Session != nil {
		if s := g.sessions[m.Session]; s != nil && s.link != nil { // no PPP in tunnel mode
			return s
		}
		return nil
	}
	p := g.peers[m.Peer.ID]
	if p == nil {
		return nil
	}
	if s := p.calls[m.Call]; s != nil && s.call.Tunnel == m.Tunnel {
		return s
	}
	return nil
}

// early takes a packet of a client that uses its first SA of tunnel mode before
// we know that it has it.
func (g *Gateway) early(now time.Time, m *dataplane.Message) {
	s := g.sessions[m.Session]
	if s == nil || s.peer.dial != nil {
		return
	}
	g.activateUsed(now, s.peer)
	g.succeed(now, s)
	g.plane.Early(s.plane, m.Data)
}

func (g *Gateway) l2tpMessage(now time.Time, m *dataplane.Message) {
	p := g.peers[m.Peer.ID]
	if p == nil {
		return
	}
	p.setPort(g, m.Port)
	g.activateUsed(now, p)
	g.count(g.l2tp.Input(now, l2tp.Peer(p.id), m.Data), "l2tp")
}

// moved follows a peer whose authenticated packets come from another address.
func (g *Gateway) moved(now time.Time, m *dataplane.Message) {
	m.Peer.Arrived()
	if g.peers[m.Peer.ID] != nil {
		g.ike.Moved(now, ike.Peer(m.Peer.ID), ikePath(m.Path, true))
	}
}

// count notes a message that a machine refused.
func (g *Gateway) count(err error, machine string) {
	if err != nil {
		g.refused[machine]++
		g.log.Debug("message-refused", zap.String("machine", machine), zap.Error(err))
	}
}

// settle carries out events until no machine has any left, and sends.
func (g *Gateway) settle(now time.Time) {
	for tries := 0; tries < maxFaults && !g.events(now); tries++ {
	}
	g.plane.Flush()
}

// maxFaults is how many events may panic before others than events are served again.
const maxFaults = 64

// events carries out what there is, and reports whether that was all: not if one
// panicked.
func (g *Gateway) events(now time.Time) (all bool) {
	defer g.survive()
	for g.ikeEvents(now) || g.l2tpEvents(now) || g.linkEvents(now) || g.answers(now) {
	}
	return true
}

// advance does everything that is due. A machine that panics keeps nothing else from
// being done.
func (g *Gateway) advance(now time.Time) {
	if deadline.Due(now, g.ike.Deadline()) {
		g.survived(now, g.ike.Advance)
	}
	if deadline.Due(now, g.l2tp.Deadline()) {
		g.survived(now, g.l2tp.Advance)
	}
	if deadline.Due(now, g.loginsDue(now)) {
		g.survived(now, g.advanceLogins)
	}
	g.survived(now, g.advanceLinks)
}

// survived calls f; a panic of it ends there.
func (g *Gateway) survived(now time.Time, f func(time.Time)) {
	defer g.survive()
	f(now)
}

func (g *Gateway) advanceLinks(now time.Time) {
	for {
		s, ok := g.links.Due(now)
		if !ok {
			break
		}
		g.serving = served{peer: s.peer, session: s}
		g.advanceSession(now, s)
		g.schedule(s)
	}
	g.serving = served{}
	if len(g.peers) > 0 && !now.Before(g.nextSweep) {
		g.nextSweep = now.Add(sweepInterval)
		g.sweep(now)
	}
	if !now.Before(g.nextReport) {
		g.nextReport = now.Add(reportInterval)
		g.report()
	}
	if g.leasesChanged && !now.Before(g.nextSave) {
		g.nextSave = now.Add(saveInterval)
		g.saveLeases()
	}
}

// arm sets the timer to the earliest deadline there is.
func (g *Gateway) arm(timer *time.Timer, now time.Time) {
	deadlines := [...]time.Time{g.ike.Deadline(), g.l2tp.Deadline(), g.links.Next(), g.nextReport, {}, {}, g.loginsDue(now), now.Add(time.Hour)}
	if len(g.peers) > 0 {
		deadlines[4] = g.nextSweep
	}
	if g.leasesChanged {
		deadlines[5] = g.nextSave
	}
	timer.Reset(max(0, deadline.Earliest(deadlines[:]...).Sub(now)))
}

// sweep tells the machines which peers showed life since the last sweep.
func (g *Gateway) sweep(now time.Time) {
	var idle []*peer
	for _, p := range g.peers {
		if !g.lookAtWear(now, p) {
			continue
		}
		if p.idle(now, g.lookAtCalls(now, p)) {
			idle = append(idle, p)
		}
		g.tellMoves(now, p, p.path)
		a := p.plane.TakeActivity()
		if a&dataplane.ActiveSA != 0 {
			g.ike.Alive(now, ike.Peer(p.id))
			g.l2tp.Alive(now, l2tp.Peer(p.id))
		}
		if p.tunnel != nil {
			g.lookAtHeir(now, p.tunnel)
		}
		if a&dataplane.ActiveData != 0 {
			g.used(now, p)
		}
	}
	g.endIdle(now, idle)
}

// lookAtCalls does what is due in the calls of a peer, and reports whether one of them is
// a user's.
func (g *Gateway) lookAtCalls(now time.Time, p *peer) (in bool) {
	for _, s := range p.calls {
		in = in || s.leased
		switch {
		case !deadline.Due(now, s.advertiseAt):
		case p.dial != nil:
			g.solicit(now, s)
		default:
			g.advertise(now, s)
		}
	}
	return in
}

// touch notes that the session's link may have events.
func (g *Gateway) touch(s *session) {
	if !s.touched {
		s.touched = true
		g.touched = append(g.touched, s)
	}
}
