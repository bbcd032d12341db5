package esp

import (
	"runtime"
	"sync/atomic"
)

// laneCount is how many goroutines can work on one SA at once without waiting
// for each other. One is the rule.
const laneCount = 8

// sealer is the mathematics of one transform for one goroutine at a time, and
// the seam at which a faster one goes in. pkt is a whole packet: header, room
// for the IV, for payload and trailer, and for the ICV; src is the payload with
// its trailer, either in its place in pkt or outside of pkt. seal writes IV,
// ciphertext and ICV. seq is the 64 bit sequence number whose low half is in
// the header.
type sealer interface {
	seal(pkt, src []byte, seq uint64)
}

// opener is its counterpart: open verifies the ICV of pkt and then decrypts in
// place. It reports false if the packet is not authentic.
type opener interface {
	open(pkt []byte, seq uint64) bool
}

// lanes lends out instances of T (a sealer or an opener with its scratch
// memory). They are made when they are first needed, and used again from then
// on, so that an SA allocates nothing once it is running.
type lanes[T any] struct {
	slots [laneCount]lane[T]
	make  func() T
}

type lane[T any] struct {
	busy atomic.Bool
	made bool // guarded by busy
	work T
}

// claim lends a lane until its release.
func (l *lanes[T]) claim() *lane[T] {
	for {
		for i := range l.slots {
			s := &l.slots[i]
			if s.busy.Load() || !s.busy.CompareAndSwap(false, true) {
				continue
			}
			if !s.made {
				s.work, s.made = l.make(), true
			}
			return s
		}
		runtime.Gosched()
	}
}

func (s *lane[T]) release() { s.busy.Store(false) }
