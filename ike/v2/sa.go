package v2

import (
	"net/netip"
	"time"

	"github.com/culvert-vpn/culvert/ike/suite"
	"github.com/culvert-vpn/culvert/ike/timing"
	"github.com/culvert-vpn/culvert/ike/wire"
	"github.com/culvert-vpn/culvert/internal/x/deadline"
)

// sa is one IKE SA. Each side has one request under way at most, which is the
// window that needs no negotiation (RFC 7296, section 2.3).
type sa struct {
	s         *Session
	initiator bool // we are its original initiator
	spiI      wire.Cookie
	spiR      wire.Cookie
	suite     suite.IKE2Suite
	keys      *suite.Keys2
	keyed     bool
	seal      *suite.SK // what we send
	open      *suite.SK // what the peer sends
	state     saState

	// Requests of ours.
	nextOut wire.MessageID
	flying  task // under way; nil: none
	exch    wire.ExchangeType
	repeat  timing.Repeater[[][]byte]
	started time.Time
	queue   []task

	// Requests of the peer. "The responder MUST remember each response until it
	// receives a request whose sequence number is larger" (section 2.1).
	nextIn wire.MessageID
	busy   bool // nextIn is being answered
	reply  [][]byte
	asker  netip.Addr // to whom the answer went
	told   int        // how often the answer was repeated
	pieces fragments  // of a request
	parts  fragments  // of a response
	early  []early    // what came before the keys were there

	made, rekeyAt, expireAt time.Time
}

// saState is where an IKE SA is in its life.
type saState uint8

const (
	// saOpening: IKE_SA_INIT to IKE_AUTH; nobody has proved anything.
	saOpening saState = iota
	// saStanding: both sides are authentic.
	saStanding
	// saReplaced: another IKE SA has succeeded it, and it waits for a DELETE.
	saReplaced
	// saDeleting: our DELETE is under way.
	saDeleting
	// saGone: nothing refers to it any more.
	saGone
)

func (a *sa) setState(st saState) { a.state = st }

// task is a request of ours.
type task interface {
	// start returns the request, or no payloads and false if it is not wanted
	// any more.
	start(now time.Time, a *sa) (wire.ExchangeType, []wire.Body, bool)
	// answer takes the authentic response.
	answer(now time.Time, a *sa, m *message) error
	// abandon says that there will be no response, for the SA is gone.
	abandon(now time.Time, a *sa)
}

// message is an authentic message, or one of IKE_SA_INIT, which nothing protects.
type message struct {
	path   Path
	header wire.Header
	chain  []wire.Payload
	first  wire.PayloadType
	inner  []byte // the decrypted payloads
}

// own is the SPI of ours.
func (a *sa) own() wire.Cookie {
	if a.initiator {
		return a.spiI
	}
	return a.spiR
}

// header is that of a message of ours.
func (a *sa) header(x wire.ExchangeType, id wire.MessageID, response bool) wire.Header {
	h := wire.Header{Initiator: a.spiI, Responder: a.spiR, Version: wire.V2, Exchange: x, MessageID: id}
	if a.initiator {
		h.Flags |= wire.FlagInitiator
	}
	if response {
		h.Flags |= wire.FlagResponse
	}
	return h
}

// input takes a message of this SA.
func (a *sa) input(now time.Time, p Path, h wire.Header, msg []byte) error {
	if fromInitiator := h.Flags&wire.FlagInitiator != 0; fromInitiator == a.initiator {
		return ErrMalformed
	}
	if !a.keyed {
		return a.inputUnkeyed(now, p, h, msg)
	}
	response := h.Flags&wire.FlagResponse != 0
	if err := a.window(h, response); err != nil {
		return err
	}
	box := &a.pieces
	if response {
		box = &a.parts
	}
	m, err := a.decrypt(p, h, msg, box)
	switch {
	case err != nil && m != nil && !response && h.MessageID == a.nextIn:
		a.reject(now, m, "an authentic message that cannot be read")
		return err
	case err != nil || m == nil:
		return err
	}
	if response {
		return a.handleResponse(now, m)
	}
	return a.handleRequest(now, m)
}

// window checks the message ID (RFC 7296, sections 2.2 and 2.3).
func (a *sa) window(h wire.Header, response bool) error {
	switch {
	case response && (a.flying == nil || h.MessageID != a.nextOut-1 || h.Exchange != a.exch):
		return ErrWindow
	case response:
		return nil
	case h.MessageID == a.nextIn && a.busy:
		return ErrDuplicate
	case h.MessageID != a.nextIn && (h.MessageID != a.nextIn-1 || a.nextIn == 0):
		return ErrWindow
	}
	return nil
}

// handleRequest takes an authentic request, or repeats the answer to the last.
func (a *sa) handleRequest(now time.Time, m *message) error {
	if m.header.MessageID != a.nextIn {
		a.repeatReply(m.path)
		return ErrDuplicate
	}
	a.busy = true
	if a.state == saOpening && !a.initiator {
		a.s.owner.Claim(a.s)
	}
	a.s.heard(now, m.path)
	if t, found := wire.UnknownCritical(m.chain); found {
		a.respond(now, m, wire.Notify2{Type: wire.Notify2UnsupportedCriticalPayload, Data: []byte{byte(t)}})
		return ErrMalformed
	}
	return a.s.handleRequest(now, a, m)
}

// respond answers the request m and keeps the answer.
func (a *sa) respond(now time.Time, m *message, payloads ...wire.Body) {
	a.busy = false
	a.nextIn++
	a.reply = a.protect(a.header(m.header.Exchange, m.header.MessageID, true), payloads)
	a.asker, a.told = m.path.Remote.Addr(), 0
	a.s.answer(m.path, a.reply)
	a.pump(now)
}

// maxRepeats is how often an answer is repeated: whoever has not got it by then has
// given up.
const maxRepeats = 8

// repeatReply repeats the answer to a request that was repeated, which somebody else may
// have recorded: to where it went before, or where the peer is known to be. A peer that
// is elsewhere says something new first.
func (a *sa) repeatReply(p Path) {
	from := p.Remote.Addr()
	if from != a.asker && !(a.s.up && from == a.s.path.Remote.Addr()) || a.told >= maxRepeats {
		return
	}
	if a.s.answer(p, a.reply) {
		a.told++
	}
}

// answer sends what answers a request, and reports whether it did. As long as nobody has proved who it is, and its
// address may be forged, that is not much more than the request; what is held back is
// sent when the request is repeated often enough.
func (s *Session) answer(p Path, data [][]byte) bool {
	size := 0
	for _, d := range data {
		size += len(d)
	}
	if !s.initiator && !s.up && !s.allowance.Allows(p.Remote.Addr(), size) {
		return false
	}
	for _, d := range data {
		s.owner.Send(p, d)
	}
	return true
}

// reject answers INVALID_SYNTAX to what is authentic and badly formatted: "this
// error notification is considered fatal in both peers, meaning that the IKE SA is
// deleted without needing an explicit Delete payload" (RFC 7296, section 2.21.3).
func (a *sa) reject(now time.Time, m *message, detail string) {
	a.respond(now, m, notify(wire.Notify2InvalidSyntax))
	a.s.fail(now, CauseMalformed, detail)
}

// ask puts a request of ours into the queue.
func (a *sa) ask(now time.Time, t task) {
	a.queue = append(a.queue, t)
	a.pump(now)
}

// pump sends the next request, if none is under way.
func (a *sa) pump(now time.Time) {
	for a.flying == nil && len(a.queue) > 0 && a.state != saGone && a.keyed {
		t := a.queue[0]
		a.queue = a.queue[1:]
		x, payloads, wanted := t.start(now, a)
		if !wanted {
			continue
		}
		a.transmit(now, t, x, payloads)
	}
}

// transmit sends a request, which is repeated until it is answered.
func (a *sa) transmit(now time.Time, t task, x wire.ExchangeType, payloads []wire.Body) {
	a.flying, a.exch, a.started = t, x, now
	data := a.protect(a.header(x, a.nextOut, false), payloads)
	a.nextOut++
	a.launch(now, data)
}

// launch sends the datagrams of a request.
func (a *sa) launch(now time.Time, data [][]byte) {
	a.repeat.Start(now, a.s.config.Retransmit, data)
	for _, d := range data {
		a.s.owner.Send(a.s.path, d)
	}
}

// handleResponse takes the authentic answer to our request.
func (a *sa) handleResponse(now time.Time, m *message) error {
	if _, found := wire.UnknownCritical(m.chain); found {
		return ErrMalformed
	}
	if n, bad := findError(m.chain); bad && n.Type == wire.Notify2InvalidSyntax && a.s.up {
		a.s.fail(now, CauseMalformed, "the other side finds what we say badly formatted") // fatal, as in reject
		return ErrRefused
	}
	t := a.flying
	a.flying = nil
	a.repeat.Stop()
	a.parts = fragments{}
	a.s.heardAt, a.s.quiet = now, 0
	a.s.answered()
	err := t.answer(now, a, m)
	a.pump(now)
	return err
}

// repeatRequest sends a request again, or gives the peer up: "it MUST conclude
// ... that the IKE SA has failed" (RFC 7296, section 2.4).
func (a *sa) repeatRequest(now time.Time) {
	data, ok := a.repeat.Fire(now, a.s.config.Retransmit)
	if !ok {
		a.s.unanswered(now, a)
		return
	}
	for _, d := range data {
		a.s.owner.Send(a.s.path, d)
	}
}

// forget overwrites the keys and removes every trace of the SA.
func (a *sa) forget(now time.Time) {
	if a.state == saGone {
		return
	}
	a.setState(saGone)
	a.repeat.Stop()
	a.s.owner.Forget(a.own())
	a.zeroKeys()
	flying, queue := a.flying, a.queue
	a.flying, a.queue, a.early = nil, nil, nil
	if flying != nil {
		flying.abandon(now, a)
	}
	for _, t := range queue {
		t.abandon(now, a)
	}
	a.s.forgetSA(a)
}

// deadline is when the SA wants to be advanced.
func (a *sa) deadline() time.Time {
	return deadline.Earliest(a.repeat.At(), a.rekeyAt, a.expireAt)
}
