package l2tp

import (
	"encoding/binary"
	"time"

	"github.com/culvert-vpn/culvert/internal/x/deadline"
)

// receive takes a message for the tunnel through the channel: its acknowledgement, and
// then itself, if it is its turn, with those that waited for it.
func (e *Endpoint) receive(now time.Time, t *tunnel, m Message, raw []byte) error {
	t.heard = now
	if t.ch.acknowledge(now, m.Nr, t.timing(e)) {
		e.confirm(now, t)
	}
	if m.ZLB() {
		return nil
	}
	t.ch.ackDue = true
	switch t.ch.classify(m.Ns) {
	case arrivalDuplicate:
		e.stats.Duplicates++
		return nil
	case arrivalEarly:
		e.stats.Early++
		t.ch.hold(m.Ns, raw[:binary.BigEndian.Uint16(raw[2:])])
		return nil
	case arrivalBeyond:
		return ErrSequence
	}
	e.handle(now, t, m)
	for {
		next, ok := t.ch.release()
		if !ok {
			return nil
		}
		// It was parsed when it came, so it parses now.
		if m, err := ParseMessage(next, e.avps); err == nil {
			e.handle(now, t, m)
		}
	}
}

// handle takes a message whose turn it is.
func (e *Endpoint) handle(now time.Time, t *tunnel, m Message) {
	t.ch.nr++
	t.ch.ackDue = true
	kind := m.Type()
	if t.state > tunnelEstablished && kind != MessageStopCCN {
		e.stats.Ignored++
		return
	}
	if !kind.known() {
		e.handleUnknown(now, t, m)
		return
	}
	f, v := readFields(m, t.secret(e))
	if kind.aboutCall() {
		e.handleCall(now, t, m, &f, v)
		return
	}
	e.handleTunnel(now, t, kind, &f, v)
}

// handleUnknown: a message type that we do not know ends the tunnel if its M bit is set,
// otherwise it is ignored (section 4.4.1).
func (e *Endpoint) handleUnknown(now time.Time, t *tunnel, m Message) {
	if !m.AVPs[0].Mandatory {
		e.stats.Ignored++
		return
	}
	e.stop(now, t, Reason{CauseProtocol, MessageStopCCN, Result{StopError, ErrorUnknownAVP, m.Type().String()}})
}

// send queues a message; transmit sends it when the window lets it go.
func (e *Endpoint) send(t *tunnel, c *call, kind MessageType, items []Item, r Result) {
	x := composition{endpoint: e, tunnel: t, call: c, result: r}
	t.ch.push(kind, x.compose(kind, items))
}

// sendZLB acknowledges at once.
func (e *Endpoint) sendZLB(t *tunnel) {
	msg := appendHeader(make([]byte, 0, controlHeaderSize), Header{Tunnel: t.remote})
	sealLength(msg)
	t.ch.stamp(msg, t.ch.ns)
	e.emit(t, msg)
}

func (e *Endpoint) emit(t *tunnel, msg []byte) {
	e.stats.Sent++
	e.events.push(Send{t.peer.id, msg})
}

// flush sends what the window lets go.
func (e *Endpoint) flush(now time.Time, t *tunnel) {
	r := t.timing(e)
	for {
		again := t.ch.sent < t.ch.high
		msg, ok := t.ch.next(now, r)
		if !ok {
			return
		}
		if again {
			e.stats.Repeated++
		}
		e.emit(t, msg)
	}
}

// transmit ends every turn of a tunnel: it sends what may be sent, acknowledges what
// nothing has acknowledged yet, removes what is over, and sets the next deadline.
func (e *Endpoint) transmit(now time.Time, t *tunnel) {
	if t.state == tunnelGone {
		return
	}
	e.flush(now, t)
	if t.ch.full { // no more is done for it once it is stopped
		e.stop(now, t, Reason{CauseProtocol, MessageStopCCN, Result{StopError, ErrorResources, "too many messages are not acknowledged"}})
	}
	if t.ch.ackDue {
		e.sendZLB(t)
	}
	if t.state == tunnelStopping && t.ch.idle() {
		e.remove(t)
		return
	}
	e.timers.Set(t, t.next(e))
}

// next returns when the tunnel wants to be advanced.
func (t *tunnel) next(e *Endpoint) time.Time {
	at := deadline.Earliest(t.ch.timeout, t.expires)
	for _, c := range t.calls {
		at = deadline.Earliest(at, c.expires)
	}
	if d := t.hello(e); d > 0 && t.state == tunnelEstablished && t.ch.idle() {
		at = deadline.Earliest(at, t.heard.Add(d))
	}
	return at
}

// advance does what is due.
func (e *Endpoint) advance(now time.Time, t *tunnel) {
	if deadline.Due(now, t.expires) {
		e.expire(now, t)
		return
	}
	for i := len(t.calls) - 1; i >= 0 && i < len(t.calls); i-- {
		if c := t.calls[i]; deadline.Due(now, c.expires) {
			e.clear(now, t, c, Reason{CauseSetup, MessageCDN, Result{Code: ClearTimeout}})
		}
	}
	if deadline.Due(now, t.ch.timeout) {
		e.retransmit(now, t)
		return
	}
	if d := t.hello(e); d > 0 && t.state == tunnelEstablished && t.ch.idle() && deadline.Due(now, t.heard.Add(d)) {
		e.send(t, nil, MessageHELLO, nil, Result{})
	}
}

// expire ends what a state waited for.
func (e *Endpoint) expire(now time.Time, t *tunnel) {
	switch t.state {
	case tunnelEstablished:
		e.stop(now, t, Reason{CauseIdle, MessageStopCCN, Result{}})
	case tunnelStopping, tunnelStopped:
		e.remove(t)
	default:
		e.stop(now, t, Reason{CauseSetup, MessageStopCCN, Result{}})
	}
}

// retransmit repeats the oldest message, or gives up (section 5.8). A peer that does not
// answer HELLO but sends data lives: some Androids are like that.
func (e *Endpoint) retransmit(now time.Time, t *tunnel) {
	r := t.timing(e)
	if t.ch.expire(r) {
		return
	}
	if t.ch.queue[0].kind == MessageHELLO && now.Sub(t.heard) < defaultDelay {
		return
	}
	e.drop(t, Reason{Cause: CauseTimeout})
}
