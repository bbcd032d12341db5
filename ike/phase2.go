package ike

import (
	"errors"
	"net/netip"
	"slices"
	"time"

	"github.com/culvert-vpn/culvert/ike/suite"
	"github.com/culvert-vpn/culvert/ike/timing"
	"github.com/culvert-vpn/culvert/ike/v1"
	"github.com/culvert-vpn/culvert/ike/wire"
	"github.com/culvert-vpn/culvert/internal/x/deadline"
)

// quick is one quick mode, and afterwards what is left of it: the answers to
// messages that may still be repeated.
type quick struct {
	i         *isakmp
	p         *peer // that counts it
	alarm     alarm
	path      Path // responder: of the latest message, which need not be where the peer is
	id        wire.MessageID
	counted   bool // among those under way
	initiator bool
	done      bool
	machine   *v1.Quick // nil: nothing is to be negotiated any more
	last      answered
	repeat    timing.Repeater[[]byte]
	deadline  time.Time
	started   time.Time
	place     place  // of the child SA, if we started it
	child     *child // installed by this exchange
	replaces  *child // what it renews, if we started it
}

const (
	// lingerTime is how long a finished exchange answers repeated messages.
	lingerTime = 60 * time.Second
	// refusedTime is how long one that was refused does: whoever offers something
	// else begins another.
	refusedTime = 5 * time.Second
	// maxQuicks bounds the quick modes of one peer, those that are over included. The
	// oldest of these give way, and are not answered again.
	maxQuicks = 64
)

func (i *isakmp) newQuick(now time.Time, id wire.MessageID, m *v1.Quick, initiator bool) *quick {
	q := &quick{i: i, p: i.peer, path: i.peer.path, id: id, machine: m, initiator: initiator, counted: true,
		started: now, deadline: now.Add(lingerTime)}
	q.alarm.due = q.due
	i.quicks[id] = q
	q.p.quicks.begin(initiator)
	return q
}

// quickModes counts the quick modes of a peer, so that nothing that a message costs
// grows with how many there were.
type quickModes struct {
	open, ours int32    // under way, and those of them that we began
	past       []*quick // over but still answering, the oldest in front
}

func (m *quickModes) begin(ours bool) {
	m.open++
	if ours {
		m.ours++
	}
}

func (m *quickModes) end(ours bool) {
	m.open--
	if ours {
		m.ours--
	}
}

// finish notes that nothing is to be negotiated any more, until when repeated messages
// are still answered: all that takes is the last answer.
func (q *quick) finish(until time.Time) {
	q.discard()
	q.done, q.deadline = true, until
	if !q.counted {
		return
	}
	q.counted = false
	m := &q.p.quicks
	m.end(q.initiator)
	m.past = append(m.past, q)
	for len(m.past) > max(maxQuicks-int(m.open), 1) {
		m.past[0].forget()
	}
}

// way is where messages of the exchange go: its answers where the questions come
// from, its questions where the peer is.
func (q *quick) way() Path {
	if q.initiator {
		return q.p.path
	}
	return q.path
}

// uncount takes the exchange out of what is counted.
func (q *quick) uncount() {
	if q.counted {
		q.counted = false
		q.p.quicks.end(q.initiator)
	}
	m := &q.p.quicks
	if at := slices.Index(m.past, q); at >= 0 {
		m.past = slices.Delete(m.past, at, at+1)
	}
	if len(m.past) == 0 {
		m.past = nil
	}
}

func (q *quick) arm() {
	if q.i.quicks[q.id] != q {
		q.i.s.alarms.Stop(&q.alarm)
		return
	}
	q.i.s.alarms.Set(&q.alarm, deadline.Earliest(q.repeat.At(), q.deadline))
}

func (q *quick) due(now time.Time) {
	if deadline.Due(now, q.repeat.At()) {
		if msg, ok := q.repeat.Fire(now, q.i.s.config.Retransmit); ok {
			q.i.s.send(q.way(), msg)
			q.arm()
			return
		}
		q.giveUp(now)
		return
	}
	if !q.done {
		q.giveUp(now)
		return
	}
	q.forget()
}

// giveUp ends an exchange whose other side has stopped answering. A child SA for
// which message 3 never came is not used.
func (q *quick) giveUp(now time.Time) {
	p := q.i.peer
	c := q.child
	q.forget()
	if q.initiator && !q.done {
		p.quickFailed(now, q, CauseTimeout, "no answer to quick mode")
		return
	}
	if c != nil && !c.active {
		c.remove()
		p.reap(now, ReasonExpired)
	}
}

// forget removes the exchange; its message ID stays known as used.
func (q *quick) forget() {
	if q.i.quicks[q.id] == q {
		delete(q.i.quicks, q.id)
	}
	q.abandon()
}

// abandon stops the exchange without touching the list it is in.
func (q *quick) abandon() {
	q.uncount()
	q.discard()
}

// discard stops the exchange, without forgetting what answers repeated messages.
func (q *quick) discard() {
	q.i.s.alarms.Stop(&q.alarm)
	q.repeat.Stop()
	if q.machine == nil {
		return
	}
	q.machine.Close()
	if q.child == nil {
		c := q.machine.Child()
		c.Zero()
	}
	q.machine = nil
}

// quickUnderWay reports whether we are in the middle of a quick mode of ours.
func (p *peer) quickUnderWay() bool { return p.quicks.ours > 0 || p.wantQuick != nil }

// handleQuick takes a message of a quick mode.
func (s *Server) handleQuick(now time.Time, m message) error {
	i := s.sas[cookies{m.header.Initiator, m.header.Responder}]
	if i == nil {
		return ErrUnknownSA
	}
	if i.state != standing {
		i.remind(m)
		return ErrState
	}
	if q := i.quicks[m.header.MessageID]; q != nil {
		return q.handle(now, m)
	}
	if i.used(uint32(m.header.MessageID)) {
		return ErrDuplicate
	}
	if int(i.peer.quicks.open) >= s.config.Limits.Exchanges {
		return ErrLimit
	}
	return i.handleQM1(now, m)
}

// handle takes a message of an exchange under way, or repeats the answer to one
// that was repeated. Messages after the last one are ignored: Microsoft's
// responders send a fourth.
func (q *quick) handle(now time.Time, m message) error {
	if q.last.is(m.digest) {
		if q.last.again(m.path) {
			q.i.s.send(m.path, q.last.reply)
		}
		return ErrDuplicate
	}
	if q.done || q.machine == nil {
		return ErrState
	}
	out, err := q.machine.Input(m.header, m.body)
	if err != nil && q.initiator && answerRefused(err) {
		p := q.i.peer
		q.forget()
		p.quickFailed(now, q, CauseNoESPProposal, err.Error())
		return dropped(err)
	}
	if err != nil {
		return dropped(err)
	}
	q.path = m.path
	q.i.peer.heard(now, m.path)
	q.last.begin(m.digest, m.path)
	q.follow(now, out)
	return nil
}

// answerRefused reports whether an authentic answer was not one to our offer.
func answerRefused(err error) bool {
	return errors.Is(err, v1.ErrAnswer) || errors.Is(err, suite.ErrAnswer) || errors.Is(err, v1.ErrTunnel)
}

// handleQM1 takes the first message of a quick mode that the peer starts.
func (i *isakmp) handleQM1(now time.Time, m message) error {
	machine, err := v1.AnswerQuick(i.sa, i.s.config.Rand, m.header, m.body)
	if err != nil {
		return dropped(err)
	}
	i.remember(now, uint32(m.header.MessageID))
	i.peer.alive(now) // it may be an old message: the third one shows where the peer is
	q := i.newQuick(now, m.header.MessageID, machine, false)
	q.path = m.path
	q.last.begin(m.digest, m.path)
	out, why, err := q.choose()
	if err != nil {
		return q.refuse(now, why, err)
	}
	q.follow(now, out)
	return nil
}

// choose decides on the request and begins the answer.
func (q *quick) choose() (v1.Outcome, Cause, error) {
	p := q.i.peer
	policy := q.i.s.policies.forESP(&p.policy)
	if q.wantsTunnel(policy) {
		return q.chooseTunnel(policy)
	}
	if !acceptable(q.machine.Request()) {
		return v1.Outcome{}, CauseSelectors, errSelectors
	}
	policy.Encapsulations = q.i.encapsulations()
	if err := q.machine.Choose(policy); err != nil {
		return v1.Outcome{}, CauseNoESPProposal, err
	}
	out, err := q.machine.Reply(q.i.s.allocateSPI().bytes(), p.originals(q.machine.Request().NATOA))
	return out, CauseInternal, err
}

var errSelectors = errors.New("the traffic asked for is not L2TP to this server")

// encapsulations are the modes that fit the path.
func (i *isakmp) encapsulations() []suite.Encapsulation {
	list := []suite.Encapsulation{suite.UDPTransport, suite.UDPTransportDraft}
	if i.s.config.RawESP && !i.peer.path.NATT {
		list = []suite.Encapsulation{suite.Transport}
	}
	return list
}

// acceptable reports whether the identities stand for L2TP to us: UDP or
// anything, to port 1701 or any. The client's side may be of any form and port,
// its address is behind a NAT that we cannot see through.
func acceptable(r v1.Request) bool {
	if !r.HasIDs {
		return true
	}
	any := func(p uint8) bool { return p == 0 || p == 17 }
	return any(r.IDci.Protocol) && any(r.IDcr.Protocol) && (r.IDcr.Port == 0 || r.IDcr.Port == portL2TP)
}

const portL2TP = 1701

// originals are the NAT-OA payloads of message 2, sent if message 1 had some:
// the initiator's address as we see it, and ours.
func (p *peer) originals(theirs []netip.Addr) []netip.Addr {
	if len(theirs) == 0 {
		return nil
	}
	return []netip.Addr{p.path.Remote.Addr().Unmap(), p.path.Local.Addr().Unmap()}
}

// refuse answers an authentic request that we do not grant. The answer is kept,
// so that a repeated request gets it again.
func (q *quick) refuse(now time.Time, why Cause, err error) error {
	notify := wire.NotifyNoProposalChosen
	if why == CauseSelectors || why == CauseTraffic {
		notify = wire.NotifyInvalidIDInformation
	}
	p := q.i.peer
	q.finish(now.Add(refusedTime))
	q.last.reply = q.i.sa.Inform(q.i.randomID(), wire.Notify{DOI: wire.DOIIPsec, Protocol: wire.ProtocolESP, Type: notify})
	q.i.s.send(q.way(), q.last.reply)
	q.i.s.fail(now, Failed{Peer: p.id, Path: p.path, Tenant: p.tenant, Cause: why, Detail: err.Error()})
	q.arm()
	return dropped(err)
}

// follow does what the machine wants. The order matters: the SA receives before
// the message that lets the peer send on it is out.
func (q *quick) follow(now time.Time, out v1.Outcome) {
	if out.Compute != nil {
		q.i.s.compute(out.Compute, netip.Addr{}, q.computed)
		q.arm()
		return
	}
	if q.initiator {
		q.repeat.Stop()
	}
	switch {
	case q.initiator && out.Done:
		q.install(now, true)
		q.finish(now.Add(lingerTime))
		defer q.i.peer.continueQuick(now)
	case out.Done:
		q.repeat.Stop()
		q.finish(now.Add(lingerTime))
		q.child.activate(now)
	case !q.initiator:
		q.install(now, false)
	}
	q.transmit(now, out)
	q.arm()
}

// transmit sends the next message. All are repeated until answered, message 2
// too, but for message 3: it answers a repeated message 2.
func (q *quick) transmit(now time.Time, out v1.Outcome) {
	if out.Send == nil {
		return
	}
	q.last.reply = out.Send
	if !out.Done {
		q.repeat.Start(now, q.i.s.config.Retransmit, out.Send)
	}
	q.i.s.send(q.way(), out.Send)
}

// computed goes on after a computation.
func (q *quick) computed(now time.Time, result any) {
	if q.i.quicks[q.id] != q || q.machine == nil || q.done {
		v1.Discard(result)
		return
	}
	out, err := q.machine.Computed(result)
	if err == nil {
		q.follow(now, out)
		return
	}
	v1.Discard(result)
	p := q.i.peer
	q.forget()
	if q.initiator {
		p.quickFailed(now, q, CauseInternal, err.Error())
		return
	}
	q.i.s.fail(now, Failed{Peer: p.id, Path: p.path, Tenant: p.tenant, Cause: CauseMalformed, Detail: err.Error()})
}
