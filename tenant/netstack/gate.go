package netstack

import (
	"context"
	"net/netip"

	"gvisor.dev/gvisor/pkg/tcpip/stack"
)

const (
	// gateShare is the part of the queue, one in so many, that a sum like the
	// one of admission may reach before writers wait.
	gateShare = 4
	// gateLeast is how many bytes may wait in a lane in any case.
	gateLeast = maxJoined
)

// gate keeps who writes to a client from filling the queue: the stack would
// take what is refused there for a loss by the way, and mend it for seconds at
// such speeds. It is for one goroutine.
type gate struct {
	queue  *queue
	client netip.Addr
	lane   int
	open   chan struct{}
}

// newGate makes the gate of a TCP flow.
func newGate(q *queue, id stack.TransportEndpointID) gate {
	src := addrOf(id.LocalAddress).AsSlice()
	return gate{
		queue: q, client: q.clientOf(addrOf(id.RemoteAddress)),
		lane: laneOf(src[len(src)-1], id.LocalPort, id.RemotePort),
		open: make(chan struct{}, 1),
	}
}

// pass blocks while the flow's lane is full enough, and reports whether ctx is
// not done.
func (g *gate) pass(ctx context.Context) bool {
	for g.queue.crowded(g.client, g.lane, g.open) {
		select {
		case <-g.open:
		case <-ctx.Done():
			return false
		}
	}
	return true
}

// crowded reports whether a lane holds so much that nobody should write to it.
// Then open gets a token when half of that was taken, or the queue is closed.
func (q *queue) crowded(client netip.Addr, at int, open chan<- struct{}) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	b := q.clients[client]
	if q.closed || b == nil {
		return false
	}
	l := &b.lanes[at]
	if l.bytes <= gateLeast || q.bytes+b.bytes+l.bytes <= q.limit/gateShare {
		return false
	}
	l.low = l.bytes / 2
	l.waiting = append(l.waiting, open)
	return true
}

// release lets those write who wait for a lane to become short.
func (l *lane) release() {
	for i, open := range l.waiting {
		select {
		case open <- struct{}{}:
		default:
		}
		l.waiting[i] = nil
	}
	l.waiting = l.waiting[:0]
}
