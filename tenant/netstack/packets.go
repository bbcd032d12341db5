package netstack

import (
	"fmt"
	"net/netip"

	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/header"
	"gvisor.dev/gvisor/pkg/tcpip/stack"

	"github.com/culvert-vpn/culvert/internal/x/fault"
	"github.com/culvert-vpn/culvert/tenant"
	"github.com/culvert-vpn/culvert/tenant/ipkt"
)

// batchSize is how many packets of the stack a Read brings at most.
const batchSize = 64

// source lends the packets of the queue, copied into a buffer of its own where
// they lie in one piece with room on both sides.
type source struct {
	queue *queue
	batch []*stack.PacketBuffer
	left  []*stack.PacketBuffer // of the batch
	cut   cutter
}

func newSource(q *queue, mtu int) *source {
	return &source{queue: q, batch: make([]*stack.PacketBuffer, batchSize), cut: newCutter(mtu)}
}

// Read implements tenant.Source.
func (s *source) Read() error {
	s.release()
	n, err := s.queue.take(s.batch)
	s.left = s.batch[:n]
	return err
}

// release drops what of the last batch was not asked for.
func (s *source) release() {
	s.cut.release()
	for i, pkt := range s.left {
		pkt.DecRef()
		s.left[i] = nil
	}
	s.left = nil
}

// Next implements tenant.Source.
func (s *source) Next() (buf []byte, off int, ok bool) {
	for {
		if buf, off, ok = s.cut.next(); ok {
			return buf, off, true
		}
		if len(s.left) == 0 {
			return nil, 0, false
		}
		s.cut.start(s.left[0])
		s.left[0], s.left = nil, s.left[1:]
	}
}

// Peek implements tenant.Peeker. A header is in one piece with the rest of its
// packet or in one of its own, of all of it.
func (s *source) Peek(i int) []byte {
	if i >= len(s.left) {
		return nil
	}
	views, skip := s.left[i].AsViewList()
	if v := views.Front(); v != nil && v.Size() > skip {
		return v.AsSlice()[skip:]
	}
	return []byte{} // of no packet
}

// writer copies packets of clients into memory of the stack, TCP data that
// belongs together in one piece.
type writer struct {
	link      *link
	clients   *clients
	fragments *fragments
	batch     [][]byte
	after     []int // of each packet of the batch: which one follows it in its run; -1: none
	runs      []run
	done      int // of the runs
	refused   int
	faults    *fault.Log
}

// Commit implements tenant.Writer.
func (w *writer) Commit(pkt []byte) {
	if protocolOf(pkt) == 0 {
		w.refused++
		return
	}
	if w.clients.steers(pkt) {
		return
	}
	pkt, joined := w.fragments.whole(pkt)
	if pkt == nil || joined && w.clients.steers(pkt) {
		return
	}
	w.batch = append(w.batch, pkt)
}

// Flush implements tenant.Writer.
func (w *writer) Flush() error {
	for len(w.after) < len(w.batch) {
		w.after = append(w.after, -1)
	}
	for i := range w.batch {
		w.place(i)
	}
	var faulty []netip.Addr
	for w.done = 0; w.done < len(w.runs); {
		if at, ok := w.deliver(); !ok {
			faulty = append(faulty, sourceOf(w.batch[w.runs[at].first]))
		}
	}
	w.link.outbox.flush()
	clear(w.batch)
	clear(w.runs)
	w.batch, w.runs = w.batch[:0], w.runs[:0]
	if len(faulty) > 0 {
		return &tenant.Fault{Sources: faulty}
	}
	if n := w.refused; n > 0 {
		w.refused = 0
		return fmt.Errorf("netstack: %d packets were neither IPv4 nor IPv6", n)
	}
	return nil
}

// deliver hands the runs to the stack, from the first that is not done: all of
// them, or those up to the one that it returns, which met a fault. The stack calls
// our handlers with no lock held that they need.
func (w *writer) deliver() (at int, ok bool) {
	defer func() {
		if v := recover(); v != nil {
			w.faults.Caught("netstack: a packet of a client", v)
			at, ok = w.done-1, false
		}
	}()
	for w.done < len(w.runs) {
		w.done++
		w.link.deliver(w.build(&w.runs[w.done-1]))
	}
	return w.done, true
}

// sourceOf is the source address of a packet; the zero Addr: it has none.
func sourceOf(b []byte) netip.Addr {
	p := ipkt.Packet{Bytes: b}
	switch {
	case protocolOf(b) == header.IPv4ProtocolNumber && len(b) >= header.IPv4MinimumSize,
		protocolOf(b) == header.IPv6ProtocolNumber && len(b) >= header.IPv6MinimumSize:
		return p.Source()
	}
	return netip.Addr{}
}

// protocolOf is the protocol that a packet's version stands for; 0: none.
func protocolOf(pkt []byte) tcpip.NetworkProtocolNumber {
	switch header.IPVersion(pkt) {
	case header.IPv4Version:
		return header.IPv4ProtocolNumber
	case header.IPv6Version:
		return header.IPv6ProtocolNumber
	}
	return 0
}
