package netstack

import (
	"fmt"

	"gvisor.dev/gvisor/pkg/buffer"
	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/header"
	"gvisor.dev/gvisor/pkg/tcpip/stack"

	"github.com/culvert-vpn/culvert/tenant"
)

// batchSize is how many packets a Read brings at most.
const batchSize = 128

// source lends the packets of the queue, copied into a buffer of its own where
// they lie in one piece with room on both sides.
type source struct {
	queue *queue
	batch []*stack.PacketBuffer
	left  []*stack.PacketBuffer // of the batch
	buf   []byte
}

func newSource(q *queue, mtu int) *source {
	return &source{
		queue: q,
		batch: make([]*stack.PacketBuffer, batchSize),
		buf:   make([]byte, tenant.Headroom+mtu+tenant.Tailroom),
	}
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
	for i, pkt := range s.left {
		pkt.DecRef()
		s.left[i] = nil
	}
	s.left = nil
}

// Next implements tenant.Source.
func (s *source) Next() (buf []byte, off int, ok bool) {
	for len(s.left) > 0 {
		pkt := s.left[0]
		s.left[0], s.left = nil, s.left[1:]
		n, fits := s.gather(pkt)
		pkt.DecRef()
		if fits {
			return s.buf[:tenant.Headroom+n], tenant.Headroom, true
		}
	}
	return nil, 0, false
}

// gather copies a packet's pieces behind the headroom.
func (s *source) gather(pkt *stack.PacketBuffer) (n int, ok bool) {
	room := s.buf[tenant.Headroom : len(s.buf)-tenant.Tailroom]
	if pkt.Size() > len(room) {
		return 0, false
	}
	views, skip := pkt.AsViewList()
	for v := views.Front(); v != nil; v = v.Next() {
		b := v.AsSlice()
		if skip >= len(b) {
			skip -= len(b)
			continue
		}
		n += copy(room[n:], b[skip:])
		skip = 0
	}
	return n, true
}

// writer copies packets of clients into memory of the stack.
type writer struct {
	link    *link
	batch   []*stack.PacketBuffer
	refused int
}

// Commit implements tenant.Writer.
func (w *writer) Commit(pkt []byte) {
	proto, ok := protocolOf(pkt)
	if !ok {
		w.refused++
		return
	}
	pb := stack.NewPacketBuffer(stack.PacketBufferOptions{Payload: buffer.MakeWithData(pkt)})
	pb.NetworkProtocolNumber = proto
	w.batch = append(w.batch, pb)
}

// Flush implements tenant.Writer.
func (w *writer) Flush() error {
	w.link.deliver(w.batch)
	w.batch = w.batch[:0]
	if n := w.refused; n > 0 {
		w.refused = 0
		return fmt.Errorf("netstack: %d packets were neither IPv4 nor IPv6", n)
	}
	return nil
}

func protocolOf(pkt []byte) (tcpip.NetworkProtocolNumber, bool) {
	switch header.IPVersion(pkt) {
	case header.IPv4Version:
		return header.IPv4ProtocolNumber, true
	case header.IPv6Version:
		return header.IPv6ProtocolNumber, true
	}
	return 0, false
}
