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

// loop is the control loop of an engine.
type loop struct {
	engine    *Engine
	nextSweep time.Time
}

// run is the loop. It returns when ctx is done and every peer was told.
func (l *loop) run(ctx context.Context) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for ctx.Err() == nil {
		now := time.Now()
		l.advance(now)
		l.engine.DrainAll(now)
		l.arm(timer, now)
		l.wait(ctx, timer)
	}
	l.engine.owner.Goodbye(time.Now())
	l.engine.DrainAll(time.Now())
}

// wait blocks until something happened and takes what there is, up to a burst.
// Messages of peers come before those of strangers.
func (l *loop) wait(ctx context.Context, timer *time.Timer) {
	defer l.engine.survive()
	peers, strangers := l.messages()
	select {
	case <-ctx.Done():
		return
	case <-timer.C:
	case m := <-peers:
		l.message(time.Now(), m)
	case m := <-strangers:
		l.message(time.Now(), m)
	case r := <-l.engine.Work.computed:
		l.engine.IKE.Computed(time.Now(), r.id, r.value)
	case f := <-l.engine.Work.Requests:
		f(time.Now())
	}
	for range burst {
		if !l.more(time.Now()) {
			return
		}
	}
}

// messages are where those of peers come from: nowhere while more computations stand
// in line than can be done soon. The inbox drops what it has no room for meanwhile, and
// clients say it again.
func (l *loop) messages() (peers, strangers <-chan *dataplane.Message) {
	if l.engine.Work.crowded() {
		return nil, nil
	}
	inbox := l.engine.Plane.Inbox()
	return inbox.Peers(), inbox.Strangers()
}

// more takes one more thing without waiting and reports whether there was one.
// What is to be sent leaves together when the burst is over.
func (l *loop) more(now time.Time) bool {
	l.engine.drain(now)
	peers, strangers := l.messages()
	select {
	case m := <-peers:
		l.message(now, m)
		return true
	default:
	}
	select {
	case r := <-l.engine.Work.computed:
		l.engine.IKE.Computed(now, r.id, r.value)
	case f := <-l.engine.Work.Requests:
		f(now)
	case m := <-strangers:
		l.message(now, m)
	default:
		return false
	}
	return true
}

// message gives a message to the machine it is for. Errors are counted: what
// they mean is known to the machine, and a stranger must not fill the log.
func (l *loop) message(now time.Time, m *dataplane.Message) {
	defer m.Release()
	l.engine.serving = l.engine.Table.of(m)
	switch m.Kind {
	case dataplane.IKE:
		l.engine.ikeMessage(now, ikePath(m.Path, m.NATT), m.Data)
	case dataplane.L2TP:
		l.l2tpMessage(now, m)
	case dataplane.PPP:
		if s := l.engine.Table.sessionOf(m); s != nil && !l.engine.Plane.Late(s.Plane, m.Data) {
			l.engine.Count(s.Link.Input(now, m.Data), "ppp")
			l.engine.Touch(s)
		}
	case dataplane.Early:
		l.early(now, m)
	case dataplane.Link:
		if s := l.engine.Table.Sessions[m.Session]; s != nil {
			l.engine.happened.add(Asked{s, m.Data})
			l.engine.owner.Drain(now) // while we have the packet
		}
	case dataplane.Moved:
		l.moved(now, m)
	case dataplane.Faulty:
		l.engine.drop(now, l.engine.serving)
	}
	l.engine.serving = served{}
}

// early takes a packet of a client that uses its first SA of tunnel mode before
// we know that it has it.
func (l *loop) early(now time.Time, m *dataplane.Message) {
	s := l.engine.Table.Sessions[m.Session]
	if s == nil || s.Peer.Called {
		return
	}
	l.engine.Children.activateUsed(s.Peer)
	l.engine.happened.add(Used{s})
	l.engine.owner.Drain(now) // which opens the session
	l.engine.Plane.Early(s.Plane, m.Data)
}

func (l *loop) l2tpMessage(now time.Time, m *dataplane.Message) {
	p := l.engine.Table.Peers[m.Peer.ID]
	if p == nil {
		return
	}
	l.engine.Children.setPort(p, m.Port)
	l.engine.Children.activateUsed(p)
	l.engine.Count(l.engine.L2TP.Input(now, l2tp.Peer(p.ID), m.Data), "l2tp")
}

// moved follows a peer whose authenticated packets come from another address.
func (l *loop) moved(now time.Time, m *dataplane.Message) {
	m.Peer.Arrived()
	if l.engine.Table.Peers[m.Peer.ID] != nil {
		l.engine.IKE.Moved(now, ike.Peer(m.Peer.ID), ikePath(m.Path, true))
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
func (l *loop) advance(now time.Time) {
	if deadline.Due(now, l.engine.IKE.Deadline()) {
		l.engine.survived(now, l.engine.IKE.Advance)
	}
	if deadline.Due(now, l.engine.L2TP.Deadline()) {
		l.engine.survived(now, l.engine.L2TP.Advance)
	}
	l.engine.survived(now, l.advanceSessions)
	l.engine.survived(now, l.engine.owner.Advance)
}

func (l *loop) advanceSessions(now time.Time) {
	for {
		s, ok := l.engine.Deadlines.Due(now)
		if !ok {
			break
		}
		l.engine.serving = served{peer: s.Peer, session: s}
		l.engine.advanceSession(now, s)
		l.engine.schedule(s)
	}
	l.engine.serving = served{}
	if len(l.engine.Table.Peers) > 0 && !now.Before(l.nextSweep) {
		l.nextSweep = now.Add(sweepInterval)
		l.engine.Sweep(now)
	}
}

// arm sets the timer to the earliest deadline there is.
func (l *loop) arm(timer *time.Timer, now time.Time) {
	next := deadline.Earliest(l.engine.IKE.Deadline(), l.engine.L2TP.Deadline(), l.engine.Deadlines.Next(), l.engine.owner.Deadline(), now.Add(time.Hour))
	if len(l.engine.Table.Peers) > 0 {
		next = deadline.Earliest(next, l.nextSweep)
	}
	timer.Reset(max(0, next.Sub(now)))
}

// Sweep tells the machines which peers showed life since the last sweep, and looks for what
// is to be renewed.
func (e *Engine) Sweep(now time.Time) {
	for _, p := range e.Table.Peers {
		if !e.Children.lookAtWear(now, p) {
			continue
		}
		e.Children.tellMoves(now, p, p.Path)
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
