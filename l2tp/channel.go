package l2tp

import (
	"encoding/binary"
	"slices"
	"time"
)

// Retransmit is how unacknowledged control messages are repeated: after Initial, then
// after twice as long each time, at most Limit, at most Tries times.
type Retransmit struct {
	Initial time.Duration
	Limit   time.Duration
	Tries   int
}

// interval returns how long to wait after a message was sent 1+tries times.
func (r Retransmit) interval(tries int) time.Duration {
	d := r.Initial
	for range tries {
		if d >= r.Limit {
			break
		}
		d *= 2
	}
	return min(d, r.Limit)
}

// channel is one end of the reliable delivery of control messages (RFC 2661 section 5.8
// and appendix A). Each message has a number; numbers are compared modulo 65,536.
//
//	        ns-high        ns = next number
//	acknowledged | queue[:high] in flight | queue[high:] waiting for the window
//
// After a timeout the window shrinks to one message and sent goes back to the oldest.
// Nothing is allocated while no message is in flight.
type channel struct {
	ns       uint16 // of the next message that was never sent
	nr       uint16 // expected next from the peer
	window   uint16 // of the peer
	ours     uint16 // our receive window
	cwnd     uint16
	ssthresh uint16
	credit   uint16 // acknowledged in congestion avoidance since cwnd grew
	tries    uint8  // retransmissions of the oldest message
	urgent   bool   // the last message is a StopCCN: it does not wait for cwnd
	ackDue   bool   // the peer waits for an acknowledgement
	full     bool   // a message had no place in queue: the channel is of no use any more
	sent     int    // messages of queue that were sent since the last timeout
	high     int    // messages of queue that were ever sent
	queue    []outgoing
	held     []held
	timeout  time.Time // of queue[0]; zero: nothing is in flight
}

// outgoing is a control message whose Ns and Nr are filled in when it is sent.
type outgoing struct {
	kind MessageType
	data []byte
}

// held is a message that came before its turn.
type held struct {
	ns   uint16
	data []byte
}

func newChannel(window, ours uint16) channel {
	return channel{window: window, ours: ours, cwnd: 1, ssthresh: window}
}

// setWindow learns the receive window of the peer.
func (c *channel) setWindow(w uint16) { c.window, c.ssthresh = w, w }

// maxQueue bounds the messages that wait for the peer's acknowledgement, or to be sent:
// whoever acknowledges nothing and asks on must not have us keep all the answers.
const maxQueue = 64

// push queues a message. The last of all, StopCCN, always has a place.
func (c *channel) push(kind MessageType, data []byte) {
	if len(c.queue) >= maxQueue && kind != MessageStopCCN {
		c.full = true
		return
	}
	c.queue = append(c.queue, outgoing{kind, data})
}

// dropUnsent forgets what was never sent.
func (c *channel) dropUnsent() {
	clear(c.queue[c.high:])
	c.queue = c.queue[:c.high]
}

// abandon forgets all messages; nothing is in flight any more.
func (c *channel) abandon() {
	c.queue, c.high, c.sent, c.timeout = nil, 0, 0, time.Time{}
}

// idle says that the peer has acknowledged all there was.
func (c *channel) idle() bool { return len(c.queue) == 0 }

// room returns how many messages may be in flight. Appendix A: never more than the
// peer's receive window.
func (c *channel) room() int {
	if c.urgent {
		return int(c.window)
	}
	return int(min(c.cwnd, c.window))
}

// next returns a copy of the next message that the window lets go, numbered.
func (c *channel) next(now time.Time, r Retransmit) ([]byte, bool) {
	if c.sent >= len(c.queue) || c.sent >= c.room() {
		return nil, false
	}
	msg := slices.Clone(c.queue[c.sent].data)
	base := c.ns - uint16(c.high)
	c.stamp(msg, base+uint16(c.sent))
	if c.sent++; c.sent > c.high {
		c.high++
		c.ns++
	}
	if c.timeout.IsZero() {
		c.timeout = now.Add(r.interval(int(c.tries)))
	}
	return msg, true
}

// stamp writes the numbers into a message that is about to be sent; it acknowledges
// everything up to now.
func (c *channel) stamp(msg []byte, ns uint16) {
	binary.BigEndian.PutUint16(msg[8:], ns)
	binary.BigEndian.PutUint16(msg[10:], c.nr)
	c.ackDue = false
}

// acknowledge takes the peer's Nr and says whether it is news. One that acknowledges
// what was never sent is not believed.
func (c *channel) acknowledge(now time.Time, nr uint16, r Retransmit) bool {
	n := int(nr - (c.ns - uint16(c.high)))
	if n == 0 || n > c.high {
		return false
	}
	clear(c.queue[:n])
	c.queue = c.queue[n:]
	c.high -= n
	c.sent = max(c.sent-n, 0)
	c.tries = 0
	c.grow(n)
	c.timeout = time.Time{}
	if c.sent > 0 {
		c.timeout = now.Add(r.interval(0))
	}
	if len(c.queue) == 0 {
		c.queue = nil
	}
	return true
}

// grow opens the congestion window: by one for each message acknowledged in slow start,
// by one for each whole window after that (appendix A).
func (c *channel) grow(n int) {
	for range n {
		if c.cwnd >= c.window {
			return
		}
		if c.cwnd < c.ssthresh {
			c.cwnd++
			continue
		}
		if c.credit++; c.credit >= c.cwnd {
			c.cwnd++
			c.credit = 0
		}
	}
}

// expire is called when the timeout is due: it goes back to the oldest message with the
// window closed to one. False: it was repeated often enough.
func (c *channel) expire(r Retransmit) bool {
	c.timeout = time.Time{}
	c.ssthresh = max(c.cwnd/2, 1)
	c.cwnd, c.credit, c.sent = 1, 0, 0
	c.urgent = false
	if int(c.tries) >= r.Tries {
		return false
	}
	c.tries++
	return true
}

// arrival is where a received number stands.
type arrival uint8

const (
	arrivalNext arrival = iota
	arrivalDuplicate
	arrivalEarly  // within our window: hold it
	arrivalBeyond // outside of it
)

// classify places the number of a received message. Section 5.8: the 32,768 numbers
// before nr are duplicates.
func (c *channel) classify(ns uint16) arrival {
	switch ahead := int16(ns - c.nr); {
	case ahead == 0:
		return arrivalNext
	case ahead < 0:
		return arrivalDuplicate
	case ahead < int16(c.ours):
		return arrivalEarly
	}
	return arrivalBeyond
}

// maxHeld bounds the messages that are held. A longer one has to come again.
const maxHeld = 2048

// hold keeps a copy of a message that came too early.
func (c *channel) hold(ns uint16, msg []byte) {
	if len(msg) > maxHeld {
		return
	}
	for _, h := range c.held {
		if h.ns == ns {
			return
		}
	}
	c.held = append(c.held, held{ns, slices.Clone(msg)})
}

// release returns the held message whose turn it is.
func (c *channel) release() ([]byte, bool) {
	for i, h := range c.held {
		if h.ns == c.nr {
			c.held = slices.Delete(c.held, i, i+1)
			if len(c.held) == 0 {
				c.held = nil
			}
			return h.data, true
		}
	}
	return nil, false
}
