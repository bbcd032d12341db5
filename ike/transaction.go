package ike

import (
	"time"

	"github.com/culvert-vpn/culvert/ike/timing"
	"github.com/culvert-vpn/culvert/ike/v1"
	"github.com/culvert-vpn/culvert/ike/wire"
	"github.com/culvert-vpn/culvert/internal/x/deadline"
)

// transaction is one transaction exchange, and afterwards what is left of it: the
// answer to a message that may still be repeated.
type transaction struct {
	i         *isakmp
	alarm     alarm
	id        wire.MessageID
	path      Path // responder: where the request came from
	machine   *v1.Transaction
	initiator bool
	done      bool
	last      answered
	repeat    timing.Repeater[[]byte]
	deadline  time.Time
	asked     wire.ModeConfig // responder: the request, without its values

	// What an initiator does with the answer, and when none comes; nil: nothing.
	then   func(now time.Time, answer wire.ModeConfig)
	silent func(now time.Time)
}

// maxTransactions bounds the exchanges that an ISAKMP SA remembers.
const maxTransactions = 16

// ask begins a transaction exchange.
func (i *isakmp) ask(now time.Time, c wire.ModeConfig, then func(time.Time, wire.ModeConfig), silent func(time.Time)) {
	i.roomForTransaction()
	c.Identifier = uint16(i.s.random())
	id := i.randomID()
	machine, msg := v1.StartTransaction(i.sa, id, c)
	i.remember(now, uint32(id))
	t := i.newTransaction(now, id, machine)
	t.initiator, t.then, t.silent = true, then, silent
	t.repeat.Start(now, i.s.config.Retransmit, msg)
	i.s.send(i.way(), msg)
	t.arm()
}

func (i *isakmp) newTransaction(now time.Time, id wire.MessageID, m *v1.Transaction) *transaction {
	t := &transaction{i: i, id: id, machine: m, deadline: now.Add(lingerTime)}
	t.alarm.due = t.due
	if i.transactions == nil {
		i.transactions = map[wire.MessageID]*transaction{}
	}
	i.transactions[id] = t
	return t
}

// roomForTransaction forgets the oldest finished exchange if there are too many.
func (i *isakmp) roomForTransaction() bool {
	if len(i.transactions) < maxTransactions {
		return true
	}
	var oldest *transaction
	for _, t := range i.transactions {
		if t.done && (oldest == nil || t.deadline.Before(oldest.deadline)) {
			oldest = t
		}
	}
	if oldest == nil {
		return false
	}
	oldest.forget()
	return true
}

// way is where messages under the SA go. Before the user is known, the peer that
// it may turn out to belong to is not to be touched.
func (i *isakmp) way() Path {
	if i.state == extending {
		return i.path
	}
	return i.peer.path
}

// met takes an authentic message into account that may have been recorded.
func (i *isakmp) met(now time.Time, path Path) {
	if i.state == extending {
		i.path = path
		return
	}
	i.peer.alive(now)
}

// heard takes one into account that cannot.
func (i *isakmp) heard(now time.Time, path Path) {
	if i.state == extending {
		i.path = path
		return
	}
	i.peer.heard(now, path)
}

func (t *transaction) arm() {
	if t.i.transactions[t.id] != t {
		t.i.s.alarms.Stop(&t.alarm)
		return
	}
	t.i.s.alarms.Set(&t.alarm, deadline.Earliest(t.repeat.At(), t.deadline))
}

func (t *transaction) due(now time.Time) {
	if deadline.Due(now, t.repeat.At()) {
		if msg, ok := t.repeat.Fire(now, t.i.s.config.Retransmit); ok {
			t.i.s.send(t.i.way(), msg)
			t.arm()
			return
		}
	}
	t.forget()
	if t.initiator && !t.done && t.silent != nil {
		t.silent(now)
	}
}

// forget removes the exchange; its message ID stays known as used.
func (t *transaction) forget() {
	if t.i.transactions[t.id] == t {
		delete(t.i.transactions, t.id)
	}
	t.i.s.alarms.Stop(&t.alarm)
}

// answer sends the second message of an exchange that the peer began.
func (t *transaction) answer(c wire.ModeConfig) {
	if t.done || t.i.transactions[t.id] != t {
		return
	}
	c.Identifier = t.asked.Identifier
	t.done = true
	t.last.reply = t.machine.Answer(c)
	t.i.s.send(t.path, t.last.reply)
	t.arm()
}

// handleTransaction takes a message of a transaction exchange, which there is
// under an ISAKMP SA only.
func (s *Server) handleTransaction(now time.Time, m message) error {
	i := s.sas[cookies{m.header.Initiator, m.header.Responder}]
	if i == nil {
		return ErrUnknownSA
	}
	if i.state != standing && i.state != extending {
		return ErrState
	}
	if t := i.transactions[m.header.MessageID]; t != nil {
		return t.handle(now, m)
	}
	if i.used(uint32(m.header.MessageID)) {
		return ErrDuplicate
	}
	if !i.roomForTransaction() {
		return ErrLimit
	}
	return i.handleAsked(now, m)
}

// handle takes the answer in an exchange of ours, or repeats ours in one of the peer.
func (t *transaction) handle(now time.Time, m message) error {
	switch {
	case t.last.is(m.digest):
		if t.last.again(m.path) {
			t.i.s.send(m.path, t.last.reply)
		}
		return ErrDuplicate
	case !t.initiator || t.done:
		return ErrState
	}
	c, err := t.machine.Input(m.header, m.body)
	if err != nil {
		return dropped(err)
	}
	t.done = true
	t.repeat.Stop()
	t.arm()
	t.i.heard(now, m.path)
	if t.then != nil {
		t.then(now, c)
	}
	return nil
}

// handleAsked takes the first message of an exchange that the peer begins: what
// it may be depends on who dialled.
func (i *isakmp) handleAsked(now time.Time, m message) error {
	machine, c, err := v1.AnswerTransaction(i.sa, m.header, m.body)
	if err != nil {
		return dropped(err)
	}
	i.remember(now, uint32(m.header.MessageID))
	i.met(now, m.path)
	t := i.newTransaction(now, m.header.MessageID, machine)
	t.path = m.path
	t.last.begin(m.digest, m.path)
	t.asked = wire.ModeConfig{Type: c.Type, Identifier: c.Identifier}
	for _, a := range c.Attributes {
		t.asked.AddBytes(a.Type, nil)
	}
	t.arm()
	if d := i.peer.dial; d != nil {
		err = i.handleServerAsks(now, t, c)
	} else {
		err = i.handleClientAsks(now, t, c)
	}
	if err != nil {
		t.forget()
	}
	return err
}
