package ike

import (
	"crypto/x509"
	"time"

	"github.com/culvert-vpn/culvert/ike/timing"
	"github.com/culvert-vpn/culvert/ike/v1"
	"github.com/culvert-vpn/culvert/ike/v2"
	"github.com/culvert-vpn/culvert/ike/wire"
	"github.com/culvert-vpn/culvert/internal/x/deadline"
)

// isakmp is one ISAKMP SA from its first message on.
type isakmp struct {
	s     *Server
	alarm alarm

	state      isakmpState
	initiator  bool
	contact    bool            // the peer says that it has no other SA with us
	loginAsked bool            // a Login is unanswered
	asked      bool            // by R-U-THERE
	hint       wire.NotifyType // an unprotected notification that came meanwhile
	lastAsked  uint32          // the number of the last R-U-THERE
	lastID     wire.MessageID

	peer   *peer // nil while a stranger's
	place  place // among the SAs of the peer
	path   Path  // of the exchange; that of the peer counts afterwards
	phase1 *v1.Phase1
	sa     *v1.SA // nil until established
	key    cookies
	*begun // nil when established

	last     answered                // responder: the latest message after the first
	repeat   timing.Repeater[[]byte] // initiator
	started  time.Time
	deadline time.Time // of the exchange

	fragments    *fragments
	quicks       map[wire.MessageID]*quick
	transactions map[wire.MessageID]*transaction
	ids          messageIDs

	identity string              // what the peer calls itself
	chain    []*x509.Certificate // that it proved itself with; nil: by key
	user     string              // who has logged in under this SA; empty: nobody
	denied   string              // why the login was refused
	said     int                 // how often we said our name

	established, expireAt, deleteAt time.Time
	renewAt                         time.Time // when we renew it, if it is in use then; zero: never
	rekeyAt                         time.Time // when we renew it
}

// begun is what only a phase 1 under way needs: a server has many SAs that stand, for
// hours.
type begun struct {
	open      openKey
	allowance v2.Allowance // of who dials us, until it has proved who it is
	stranger

	first   answered  // responder: message 1 and its answer
	lookFor message   // responder: message 5 while keys are to be tried for it, without its body
	badKeys int       // messages 5 that no key opened
	group   candidate // responder of aggressive mode: who the initiator says it is
}

// isakmpState is where an ISAKMP SA is in its life.
type isakmpState uint8

const (
	// negotiating: main mode runs.
	negotiating isakmpState = iota
	// extending: the keys stand, and the client has yet to say who it is; no phase 2.
	extending
	// standing: both sides are authentic; phase 2 may run.
	standing
	// gone: nothing refers to it any more; late results are discarded.
	gone
)

func (i *isakmp) setState(st isakmpState) { i.state = st }

// Times of exchanges that strangers began, and of lifetimes.
const (
	halfOpenTime = 30 * time.Second // between two messages of the initiator
	maxGrace     = 5 * time.Minute  // how long an SA outlives its nominal end
	ikeDelay     = 5 * time.Second  // before a replaced ISAKMP SA is deleted
	retryTime    = 10 * time.Second // between two attempts to rekey
	defaultLife  = 8 * time.Hour    // RFC 2407 section 4.5; ours for phase 1
)

// grace is how long we keep using an SA whose lifetime is over: clients rekey
// late, and clocks differ.
func grace(life time.Duration) time.Duration { return min(life/2, maxGrace) }

func (s *Server) newISAKMP(now time.Time, path Path) *isakmp {
	i := &isakmp{s: s, path: path, begun: &begun{}, started: now, quicks: map[wire.MessageID]*quick{}, ids: messageIDs{}}
	i.alarm.due = i.due
	return i
}

// arm sets the alarm to the earliest of the deadlines.
func (i *isakmp) arm() {
	if i.state == gone {
		i.s.alarms.Stop(&i.alarm)
		return
	}
	i.s.alarms.Set(&i.alarm, deadline.Earliest(i.repeat.At(), i.deadline, i.rekeyAt, i.expireAt, i.deleteAt))
}

// due does what one of the deadlines was set for.
func (i *isakmp) due(now time.Time) {
	switch {
	case deadline.Due(now, i.repeat.At()):
		i.repeatMessage(now)
	case deadline.Due(now, i.deadline):
		i.giveUp(now)
	case deadline.Due(now, i.deleteAt) && !i.superseded(): // what came after it is gone
		i.deleteAt = time.Time{}
	case deadline.Due(now, i.deleteAt):
		i.tellDeleted()
		i.drop(now, ReasonExpired)
	case deadline.Due(now, i.expireAt):
		i.tellDeleted()
		i.drop(now, ReasonExpired)
	case deadline.Due(now, i.rekeyAt):
		i.rekeyAt = now.Add(retryTime)
		i.peer.renewIKE(now, i)
	}
	i.arm()
}

func (i *isakmp) repeatMessage(now time.Time) {
	data, ok := i.repeat.Fire(now, i.s.config.Retransmit)
	if !ok && !i.initiator {
		return // its deadline ends it
	}
	if !ok {
		i.giveUp(now)
		return
	}
	i.post(i.path, data)
}

// giveUp ends a main mode whose other side has stopped answering.
func (i *isakmp) giveUp(now time.Time) {
	if i.state == extending {
		i.loginOver(now, CauseTimeout, i.silence())
		return
	}
	p := i.peer
	if !i.initiator || p == nil {
		i.forget()
		return
	}
	cause, detail := i.timeoutCause()
	i.forget()
	p.mainFailed(now, i, cause, detail)
}

// timeoutCause reads the silence: after message 5 it mostly means that our key
// is wrong, for the responder cannot tell us so in a way we could trust.
func (i *isakmp) timeoutCause() (Cause, string) {
	said := ""
	if i.hint != 0 {
		said = "; it sent an unprotected " + i.hint.String()
	}
	if i.phase1 != nil && i.phase1.Keyed() && i.phase1.Choice().Auth.Signed() {
		return CauseAuthentication, "no answer to message 5 (who we are, proved with our certificate)" + said
	}
	if i.phase1 != nil && i.phase1.Keyed() {
		return CauseWrongPSK, "no answer to message 5 (who we are, proved with the pre-shared key)" + said
	}
	if i.hint != 0 {
		return CauseRefused, "the other side sent an unprotected " + i.hint.String()
	}
	return CauseTimeout, "no answer from " + i.path.Remote.String()
}

// tellDeleted sends a DELETE for this SA, if it stands.
func (i *isakmp) tellDeleted() {
	if i.sa == nil || i.peer == nil {
		return
	}
	i.inform(i.sa.DeleteSelf())
}

// inform sends a protected informational message.
func (i *isakmp) inform(payloads ...wire.Body) {
	i.informAt(i.way(), payloads...)
}

// informAt sends one to where the peer may be.
func (i *isakmp) informAt(path Path, payloads ...wire.Body) {
	i.s.send(path, i.sa.Inform(i.randomID(), payloads...))
}

// randomID returns an unused message ID.
func (i *isakmp) randomID() wire.MessageID {
	for {
		id := wire.MessageID(i.s.random())
		if id != 0 && i.quicks[id] == nil && !i.ids.has(uint32(id)) {
			return id
		}
	}
}

// drop ends an SA, and with it the peer if that has nothing else.
func (i *isakmp) drop(now time.Time, why Reason) {
	p := i.peer
	i.forget()
	if p != nil {
		p.tendIKEs(now)
		p.reap(now, why)
	}
}

// forget removes every trace of an SA. Its child SAs live on.
func (i *isakmp) forget() {
	if i.state == gone {
		return
	}
	i.releaseHalfOpen()
	i.setState(gone)
	i.s.alarms.Stop(&i.alarm)
	delete(i.s.sas, i.key)
	if i.s.dialing[i.key.i] == i {
		delete(i.s.dialing, i.key.i)
	}
	for _, q := range i.quicks {
		q.abandon()
	}
	for _, t := range i.transactions {
		t.forget()
	}
	if i.phase1 != nil {
		i.phase1.Close()
	}
	if i.sa != nil {
		i.sa.Zero()
	}
	if i.peer != nil {
		i.peer.forgetIKE(i)
	}
}

// releaseHalfOpen takes the SA out of what is counted against strangers.
func (i *isakmp) releaseHalfOpen() {
	if i.begun == nil {
		return
	}
	if i.s.opening[i.open] == i {
		delete(i.s.opening, i.open)
	}
	i.s.release(&i.stranger)
}
