package engine

import (
	"context"
	"time"

	"github.com/culvert-vpn/culvert/dataplane"
	"github.com/culvert-vpn/culvert/ike"
	"github.com/culvert-vpn/culvert/internal/x/deadline"
	"github.com/culvert-vpn/culvert/l2tp"
)

const (
	// sweepInterval is how often activity is collected from the data plane:
	// how stale the machines' idea of a peer's liveness may be.
	sweepInterval = 5 * time.Second
	// burst is how many messages are taken before deadlines are looked at again.
	burst = 128
	// maxFaults is how many events may panic before others than events are served again.
	maxFaults = 64
)

// loop is the control loop. It returns when ctx is done and every peer was told.
func (e *Engine) loop(ctx context.Context) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for ctx.Err() == nil {
		now := time.Now()
		e.advance(now)
		e.DrainAll(now)
		e.arm(timer, now)
		e.wait(ctx, timer)
	}
	e.owner.Goodbye(time.Now())
	e.DrainAll(time.Now())
}

// wait blocks until something happened and takes what there is, up to a burst.
// Messages of peers come before those of strangers.
func (e *Engine) wait(ctx context.Context, timer *time.Timer) {
	defer e.survive()
	peers, strangers := e.messages()
	select {
	case <-ctx.Done():
		return
	case <-timer.C:
	case m := <-peers:
		e.message(time.Now(), m)
	case m := <-strangers:
		e.message(time.Now(), m)
	case r := <-e.computed:
		e.IKE.Computed(time.Now(), r.id, r.value)
	case f := <-e.Requests:
		f(time.Now())
	}
	for range burst {
		if !e.more(time.Now()) {
			return
		}
	}
}

// messages are where those of peers come from: nowhere while more computations stand
// in line than can be done soon. The inbox drops what it has no room for meanwhile, and
// clients say it again.
func (e *Engine) messages() (peers, strangers <-chan *dataplane.Message) {
	if e.crowded() {
		return nil, nil
	}
	inbox := e.Plane.Inbox()
	return inbox.Peers(), inbox.Strangers()
}

// more takes one more thing without waiting and reports whether there was one.
// What is to be sent leaves together when the burst is over.
func (e *Engine) more(now time.Time) bool {
	e.drain(now)
	peers, strangers := e.messages()
	select {
	case m := <-peers:
		e.message(now, m)
		return true
	default:
	}
	select {
	case r := <-e.computed:
		e.IKE.Computed(now, r.id, r.value)
	case f := <-e.Requests:
		f(now)
	case m := <-strangers:
		e.message(now, m)
	default:
		return false
	}
	return true
}

// message gives a message to the machine it is for. Errors are counted: what
// they mean is known to the machine, and a stranger must not fill the log.
func (e *Engine) message(now time.Time, m *dataplane.Message) {
	defer m.Release()
	e.serving = e.of(m)
	switch m.Kind {
	case dataplane.IKE:
		e.ikeMessage(now, ikePath(m.Path, m.NATT), m.Data)
	case dataplane.L2TP:
		e.l2tpMessage(now, m)
	case dataplane.PPP:
		if s := e.sessionOf(m); s != nil && !e.Plane.Late(s.Plane, m.Data) {
			e.Count(s.Link.Input(now, m.Data), "ppp")
			e.Touch(s)
		}
	case dataplane.Early:
		e.early(now, m)
	case dataplane.Link:
		if s := e.Sessions[m.Session]; s != nil {
			e.happened.add(Asked{s, m.Data})
			e.owner.Drain(now) // while we have the packet
		}
	case dataplane.Moved:
		e.moved(now, m)
	case dataplane.Faulty:
		e.drop(now, e.serving)
	}
	e.serving = served{}
}

// early takes a packet of a client that uses its first SA of tunnel mode before
// we know that it has it.
func (e *Engine) early(now time.Time, m *dataplane.Message) {
	s := e.Sessions[m.Session]
	if s == nil || s.Peer.Called {
		return
	}
	e.activateUsed(s.Peer)
	e.happened.add(Used{s})
	e.owner.Drain(now) // which opens the session
	e.Plane.Early(s.Plane, m.Data)
}

func (e *Engine) l2tpMessage(now time.Time, m *dataplane.Message) {
	p := e.Peers[m.Peer.ID]
	if p == nil {
		return
	}
	e.setPort(p, m.Port)
	e.activateUsed(p)
	e.Count(e.L2TP.Input(now, l2tp.Peer(p.ID), m.Data), "l2tp")
}

// moved follows a peer whose authenticated packets come from another address.
func (e *Engine) moved(now time.Time, m *dataplane.Message) {
	m.Peer.Arrived()
	if e.Peers[m.Peer.ID] != nil {
		e.IKE.Moved(now, ike.Peer(m.Peer.ID), ikePath(m.Path, true))
	}
}

// drain has the owner carry out what there is, and reports whether that was all: not if
// one event panicked.
func (e *Engine) drain(now time.Time) (all bool) {
	defer e.survive()
	e.owner.Drain(now)
	return true
}

// DrainAll has the owner carry out events until there is none left, and sends.
func (e *Engine) DrainAll(now time.Time) {
	for tries := 0; tries < maxFaults && !e.drain(now); tries++ {
	}
	e.Plane.Flush()
}

// advance does everything that is due. A machine that panics keeps nothing else from
// being done.
func (e *Engine) advance(now time.Time) {
	if deadline.Due(now, e.IKE.Deadline()) {
		e.survived(now, e.IKE.Advance)
	}
	if deadline.Due(now, e.L2TP.Deadline()) {
		e.survived(now, e.L2TP.Advance)
	}
	e.survived(now, e.advanceSessions)
	e.survived(now, e.owner.Advance)
}

func (e *Engine) advanceSessions(now time.Time) {
	for {
		s, ok := e.Deadlines.Due(now)
		if !ok {
			break
		}
		e.serving = served{peer: s.Peer, session: s}
		e.advanceSession(now, s)
		e.schedule(s)
	}
	e.serving = served{}
	if len(e.Peers) > 0 && !now.Before(e.nextSweep) {
		e.nextSweep = now.Add(sweepInterval)
		e.Sweep(now)
	}
}

// arm sets the timer to the earliest deadline there is.
func (e *Engine) arm(timer *time.Timer, now time.Time) {
	next := deadline.Earliest(e.IKE.Deadline(), e.L2TP.Deadline(), e.Deadlines.Next(), e.owner.Deadline(), now.Add(time.Hour))
	if len(e.Peers) > 0 {
		next = deadline.Earliest(next, e.nextSweep)
	}
	timer.Reset(max(0, next.Sub(now)))
}

// Sweep tells the machines which peers showed life since the last sweep, and looks for what
// is to be renewed.
func (e *Engine) Sweep(now time.Time) {
	for _, p := range e.Peers {
		if !e.lookAtWear(now, p) {
			continue
		}
		e.tellMoves(now, p, p.Path)
		a := p.Plane.TakeActivity()
		if a&dataplane.ActiveSA != 0 {
			e.IKE.Alive(now, ike.Peer(p.ID))
			e.L2TP.Alive(now, l2tp.Peer(p.ID))
		}
		if a&dataplane.ActiveData != 0 {
			e.used(now, p)
		}
	}
}
