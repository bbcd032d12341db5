package netstack

import (
	"os"
	"sync"
	"sync/atomic"

	"gvisor.dev/gvisor/pkg/tcpip/stack"
)

// firstQueue is how many packets a queue has room for before it grows.
const firstQueue = 32

// queue holds the packets that the stack sends until the source reads them. It
// grows up to its limit; what comes beyond it is dropped and counted.
type queue struct {
	mu      sync.Mutex
	ring    []*stack.PacketBuffer
	head, n int
	limit   int
	closed  bool

	wake    chan struct{} // holds a token after a put into an empty queue
	dropped atomic.Uint64
}

func newQueue(limit int) *queue {
	return &queue{limit: limit, wake: make(chan struct{}, 1)}
}

// put appends packets, of each of which it keeps a reference, and returns how
// many there was room for.
func (q *queue) put(pkts []*stack.PacketBuffer) int {
	q.mu.Lock()
	taken := 0
	if !q.closed {
		for _, pkt := range pkts {
			if q.n == len(q.ring) && !q.grow() {
				break
			}
			q.ring[(q.head+q.n)%len(q.ring)] = pkt.IncRef()
			q.n++
			taken++
		}
	}
	q.mu.Unlock()
	q.dropped.Add(uint64(len(pkts) - taken))
	if taken > 0 {
		q.signal()
	}
	return taken
}

func (q *queue) signal() {
	select {
	case q.wake <- struct{}{}:
	default:
	}
}

// grow doubles the ring, up to the limit.
func (q *queue) grow() bool {
	size := min(max(2*len(q.ring), firstQueue), q.limit)
	if size <= len(q.ring) {
		return false
	}
	ring := make([]*stack.PacketBuffer, size)
	n := copy(ring, q.ring[q.head:])
	copy(ring[n:], q.ring[:q.head])
	q.ring, q.head = ring, 0
	return true
}

// take moves packets into batch, blocking until there is at least one.
func (q *queue) take(batch []*stack.PacketBuffer) (int, error) {
	for {
		q.mu.Lock()
		n := q.pop(batch)
		closed := q.closed
		q.mu.Unlock()
		if closed {
			q.signal() // whoever else waits
			return 0, os.ErrClosed
		}
		if n > 0 {
			return n, nil
		}
		<-q.wake
	}
}

func (q *queue) pop(batch []*stack.PacketBuffer) int {
	n := min(q.n, len(batch))
	for i := range n {
		batch[i] = q.ring[q.head]
		q.ring[q.head] = nil
		q.head = (q.head + 1) % len(q.ring)
	}
	q.n -= n
	return n
}

// close drops what waits and ends take.
func (q *queue) close() {
	q.mu.Lock()
	q.closed = true
	for q.n > 0 {
		var one [1]*stack.PacketBuffer
		q.pop(one[:])
		one[0].DecRef()
	}
	q.mu.Unlock()
	q.signal()
}
