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
	w.count.drop(DropFault)
	w.up = tally{}
	if sa := w.serving; sa != nil {
		w.plane.faulty(sa.Peer, sa.Tunnel)
	} else if w.waiting.opened {
		w.waiting.forget() // while all of it was opened: nobody knows whose it was
	}
	w.serving = nil
}

// faulty tells the control loop that a packet of a peer, or of one of its
// sessions, met a fault.
func (p *Plane) faulty(peer *Peer, s *Session) {
	p.inbox.fromPeer(Message{Kind: Faulty, Peer: peer, Session: s}, nil)
}

// flushDevice writes what was committed to a device. After a panic the writer may
// be half done, and another takes its place.
func (w *worker) flushDevice(p *Port) {
	defer func() {
		if v := recover(); v != nil {
			w.plane.faults.Caught("data plane: a tenant's device", v)
			w.count.drop(DropFault)
			p.writers[w.id] = p.device.Writer()
		}
	}()
	if err := p.writers[w.id].Flush(); err != nil {
		w.refused(p, err)
	}
}

// refused counts what a device did not take. Whose packets met a fault there is
// the control loop's to know.
func (w *worker) refused(p *Port, err error) {
	fault, ok := errors.AsType[*tenant.Fault](err)
	if !ok {
		w.count.drop(DropDevice)
		return
	}
	w.count.dropMany(DropFault, len(fault.Sources))
	for _, source := range fault.Sources {
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
	d.send.count.drop(DropFault)
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
