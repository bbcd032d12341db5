package dataplane

import (
	"errors"

	"github.com/culvert-vpn/culvert/esp"
	"github.com/culvert-vpn/culvert/tenant"
)

// A panic while a packet is carried costs the session that it is of, and nobody
// else anything. It is caught around a batch, so that a packet pays nothing for
// it; whose packet was under way is known, and the rest of the batch goes on.
// Locks are let go of by deferred calls.

// survive is to be deferred around the packets of a batch.
func (w *worker) survive() {
	v := recover()
	if v == nil {
		return
	}
	w.plane.faults.Caught("data plane: a packet of a client", v)
	w.up = tally{}
	if sa := w.serving; sa != nil {
		w.count.dropOf(sa.Peer.place(), DropFault)
		w.plane.faulty(sa.Peer, sa.TunnelMode)
	} else {
		w.count.drop(DropFault)
		if w.waiting.opened && !w.waiting.whole {
			w.waiting.suspect() // while all of it was opened: nobody knows whose it was
		}
	}
	w.serving = nil
}

// faulty tells the control loop that a packet of a peer, or of one of its
// sessions, met a fault.
func (p *Plane) faulty(peer *Peer, s *Session) {
	p.inbox.fromPeer(Message{Kind: Faulty, Peer: peer, Session: s}, nil)
}

// given is a packet that a device was given, and whose it is.
type given struct {
	from *Session
	port *Port
	pkt  []byte
}

// flushDevice writes what was committed to a device. After a panic the writer may
// be half done: another takes its place and writes the packets one by one, so that
// only whose packet it was pays for it. Some may so arrive twice.
func (w *worker) flushDevice(p *Port) {
	if !w.failed(p) {
		return
	}
	for _, g := range w.given {
		if g.port == p && w.failedAt(g) {
			w.count.dropOf(p, DropFault)
			w.plane.faulty(g.from.peer, g.from)
		}
	}
}

// failed writes all of it, and reports whether that panicked.
func (w *worker) failed(p *Port) (panicked bool) {
	defer w.replace(p, &panicked)
	if err := p.writers[w.id].Flush(); err != nil {
		w.refused(p, err)
	}
	return false
}

// failedAt writes one packet again, and reports whether that panicked.
func (w *worker) failedAt(g given) (panicked bool) {
	defer w.replace(g.port, &panicked)
	p := g.port
	p.writers[w.id].Commit(g.pkt)
	if err := p.writers[w.id].Flush(); err != nil {
		w.refused(p, err)
	}
	return false
}

// replace is to be deferred: it ends a panic of a device's writer, which goes.
func (w *worker) replace(p *Port, panicked *bool) {
	if v := recover(); v != nil {
		w.plane.faults.Caught("data plane: a tenant's device", v)
		p.writers[w.id] = p.device.Writer()
		*panicked = true
	}
}

// refused counts what a device did not take. Whose packets met a fault there is
// the control loop's to know.
func (w *worker) refused(p *Port, err error) {
	fault, ok := errors.AsType[*tenant.Fault](err)
	if !ok {
		w.count.dropOf(p, DropDevice)
		return
	}
	for _, source := range fault.Sources {
		w.count.dropOf(p, DropFault)
		p.routes.mu.RLock()
		s := p.routes.exact(source)
		p.routes.mu.RUnlock()
		if s != nil {
			w.plane.faulty(s.peer, s)
		}
	}
}

// survive is to be deferred around the packets of a batch. What waits to be sealed
// may be half done. There is no more of the batch if it was the source that
// panicked.
func (d *downlink) survive(more *bool) {
	v := recover()
	if v == nil {
		return
	}
	d.send.plane.faults.Caught("data plane: a packet for a client", v)
	d.send.count.dropOf(d.port, DropFault)
	d.send.abandon()
	if s := d.serving; s != nil && !d.lending {
		d.send.plane.faulty(s.peer, s)
	}
	*more, d.lending, d.serving = !d.lending, false, nil
}

// abandon forgets everything that was to be sent.
func (s *sender) abandon() {
	clear(s.jobs)
	clear(s.ways)
	clear(s.writers)
	clear(s.touched)
	s.jobs, s.ways, s.touched = s.jobs[:0], s.ways[:0], s.touched[:0]
	s.last, s.lastTo, s.used, s.down = nil, nil, 0, tally{}
	if s.batch != nil {
		s.batch = new(esp.Batch)
	}
}

// flush sends everything, and forgets it if that panics.
func (s *sender) flush() {
	defer func() {
		if v := recover(); v != nil {
			s.plane.faults.Caught("data plane: sealing and sending", v)
			s.count.drop(DropFault)
			s.abandon()
		}
	}()
	s.flushAll()
}
