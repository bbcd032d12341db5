package netstack

import (
	"slices"
	"sync"
	"time"

	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/transport/tcp"
	"gvisor.dev/gvisor/pkg/waiter"
)

// connectionCost is what a connection takes besides what it holds of data.
const connectionCost = 8 << 10

// A write of few bytes takes pieceCost in the stack until it is acknowledged, beside
// its bytes. Those of less are counted, by groups, and are so many groups at most.
const (
	pieceCost = 768
	groupOf   = 32
	groups    = 16
)

// holding is the memory of one TCP connection, in bytes: what the client has not
// acknowledged, what the host has not taken, in the stack's buffers and in ours.
type holding struct {
	purse *purse // of the client
	of    *allowance
	ep    tcpip.Endpoint
	epoch time.Time

	mu      sync.Mutex
	charged int // to the purse
	sending     // to the client
	taking      // from it
}

// sending is what goes to the client. How much the stack holds of it is known
// when its buffer is full, and else measured now and then.
type sending struct {
	written uint64
	queued  int // not acknowledged, at most
	shut    bool
	few     int           // small writes of the group that is not full
	marks   []uint64      // written when each full group was, that is not acknowledged
	acked   uint64        // at the last measuring
	ackedAt time.Duration // since the epoch; when that was less
}

// taking is what comes from the client.
type taking struct {
	taken   uint64 // by the host
	grown   int    // what the receive buffer has grown to; 0: as it began
	waiting int    // in it
	blocked int    // held by us, for a host that is slow
	before  uint64 // taken at the last measuring
	takenAt time.Duration
}

func newHolding(ep tcpip.Endpoint, purse *purse, of *allowance, epoch time.Time) *holding {
	now := time.Since(epoch)
	h := &holding{ep: ep, purse: purse, of: of, epoch: epoch, sending: sending{ackedAt: now}, taking: taking{takenAt: now}}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.recharge()
	return h
}

// recharge charges the purse what is held. The caller holds the lock.
func (h *holding) recharge() {
	h.charge(connectionCost + h.queued + len(h.marks)*groupOf*pieceCost + max(h.grown, h.waiting) + h.blocked)
}

func (h *holding) charge(total int) {
	if total == h.charged {
		return
	}
	h.purse.add(total - h.charged)
	h.charged = total
	h.of.follow()
}

// write has the stack send what is in p; size is that of its buffer.
func (h *holding) write(p tcpip.Payloader, size int) (int64, tcpip.Error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	n, err := h.ep.Write(p, tcpip.WriteOptions{})
	h.written += uint64(n)
	if h.queued += int(n); h.queued > size {
		h.queued = size
	}
	if 0 < n && n < pieceCost {
		h.few++
	}
	if h.few == groupOf {
		h.few, h.marks = 0, append(h.marks, h.written)
	}
	h.recharge()
	return n, err
}

// scattered reports whether the stack holds so many small pieces that no more are to
// come before some are acknowledged: what the host sends meanwhile joins.
func (h *holding) scattered() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(h.marks) < groups {
		return false
	}
	h.measureQueue()
	h.recharge()
	return len(h.marks) >= groups
}

// shutWrite says that nothing more is written: from then on the stack does not say
// what it still holds, and all of it counts until the connection ends.
func (h *holding) shutWrite() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.measureQueue()
	h.shut = true
	h.recharge()
}

// read says that the host was given n bytes, and how large the receive buffer is.
func (h *holding) read(n int, size int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.taken += uint64(n)
	if size > levels[0].receive {
		h.grown = size
	}
	h.recharge()
}

// block says that we hold n bytes that the host does not take; 0: no more.
func (h *holding) block(n int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.blocked = n
	h.recharge()
}

// measure finds out what is held, and for how long nothing of it has gone. A
// receive buffer in which nothing waits becomes as small as it began.
func (h *holding) measure(now time.Duration) (still time.Duration) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.measureQueue()
	if acked := h.written - uint64(h.queued); acked != h.acked || h.queued == 0 {
		h.acked, h.ackedAt = acked, now
	}
	h.waiting, _ = h.ep.GetSockOptInt(tcpip.ReceiveQueueSizeOption)
	if h.taken != h.before || h.waiting+h.blocked == 0 {
		if h.taken == h.before && h.grown > 0 {
			h.grown = 0
			h.ep.SocketOptions().SetReceiveBufferSize(int64(levels[0].receive), false)
		}
		h.before, h.takenAt = h.taken, now
	}
	h.recharge()
	return now - min(h.ackedAt, h.takenAt)
}

// measureQueue finds out how much the stack holds for the client. It does not tell
// but whether its buffer has room, so the size at which there is none is looked
// for, while nothing comes in.
func (h *holding) measureQueue() {
	ep, ok := h.ep.(*tcp.Endpoint)
	if h.queued == 0 || h.shut || !ok {
		return
	}
	ep.LockUser()
	defer ep.UnlockUser()
	options := ep.SocketOptions()
	size := options.GetSendBufferSize()
	defer options.SetSendBufferSize(size, false)
	low, high := 0, h.queued
	for low < high {
		mid := (low + high) / 2
		options.SetSendBufferSize(int64(mid)+1, false)
		if ep.Readiness(waiter.WritableEvents)&waiter.WritableEvents != 0 { // mid or less
			high = mid
		} else {
			low = mid + 1
		}
	}
	h.queued = high
	acked := h.written - uint64(h.queued)
	h.marks = slices.DeleteFunc(h.marks, func(mark uint64) bool { return mark <= acked })
}

// release gives everything back: the connection is gone.
func (h *holding) release() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.charge(0)
}
