package ppp

import (
	"time"

	"github.com/culvert-vpn/culvert/internal/x/deadline"
)

// state is one of the states of RFC 1661 section 4.2.
type state uint8

const (
	stateInitial  state = iota // the lower layer is down, nobody asked for it
	stateStarting              // the lower layer is down, and we want to open
	stateClosed                // the lower layer is up, nobody asked for it
	stateStopped               // ended or given up; waits for the peer or for Down
	stateClosing               // our Terminate-Request is out, after Close
	stateStopping              // ending on the peer's wish, or after a fatal reject
	stateReqSent               // our Configure-Request is out, nothing is acked
	stateAckRcvd               // ours is acked, the peer's is not
	stateAckSent               // the peer's is acked, ours is not
	stateOpened                // both are acked

	stateCount
)

// happening is one of the events of RFC 1661 section 4.3.
type happening uint8

const (
	lowerUp           happening = iota // Up
	lowerDown                          // Down
	wantOpen                           // Open
	wantClose                          // Close
	timeoutAgain                       // TO+: the restart counter is not zero
	timeoutLast                        // TO-: it is
	gotRequestGood                     // RCR+
	gotRequestBad                      // RCR-
	gotAck                             // RCA
	gotNakReject                       // RCN
	gotTerminate                       // RTR
	gotTerminateAck                    // RTA
	gotUnknownCode                     // RUC
	gotRejectHarmless                  // RXJ+
	gotRejectFatal                     // RXJ-
	gotExtra                           // RXR

	happeningCount
)

// actions are those of RFC 1661 section 4.4, a set. They are carried out in the order
// of the constants, which every cell of the table agrees with.
type actions uint16

const (
	tld actions = 1 << iota // This-Layer-Down
	irc                     // Initialize-Restart-Count
	zrc                     // Zero-Restart-Count
	scr                     // Send-Configure-Request
	sca                     // Send-Configure-Ack
	scn                     // Send-Configure-Nak or -Reject
	str                     // Send-Terminate-Request
	sta                     // Send-Terminate-Ack
	scj                     // Send-Code-Reject
	ser                     // Send-Echo-Reply, and what else answers an extra code
	tls                     // This-Layer-Started
	tlu                     // This-Layer-Up
	tlf                     // This-Layer-Finished
)

// step is a cell of the table. The zero step is an event that cannot happen there.
type step struct {
	do   actions
	to   state
	real bool
}

func to(s state, do actions) step { return step{do, s, true} }

func same(from, until state, do actions, row [stateCount]step) [stateCount]step {
	for s := from; s <= until; s++ {
		row[s] = to(s, do)
	}
	return row
}

// transitions is the table of RFC 1661 section 4.1, a row an event; nothing writes to it.
//
// Of its footnotes, we take none of the options: we are never passive [p], and an
// Open in Stopped, Closing, Stopping or Opened restarts nothing [r].
var transitions = [happeningCount][stateCount]step{
	lowerUp: {
		stateInitial:  to(stateClosed, 0),
		stateStarting: to(stateReqSent, irc|scr),
	},
	lowerDown: {
		stateClosed:   to(stateInitial, 0),
		stateStopped:  to(stateStarting, tls),
		stateClosing:  to(stateInitial, 0),
		stateStopping: to(stateStarting, 0),
		stateReqSent:  to(stateStarting, 0),
		stateAckRcvd:  to(stateStarting, 0),
		stateAckSent:  to(stateStarting, 0),
		stateOpened:   to(stateStarting, tld),
	},
	wantOpen: same(stateReqSent, stateOpened, 0, [stateCount]step{
		stateInitial:  to(stateStarting, tls),
		stateStarting: to(stateStarting, 0),
		stateClosed:   to(stateReqSent, irc|scr),
		stateStopped:  to(stateStopped, 0),
		stateClosing:  to(stateStopping, 0),
		stateStopping: to(stateStopping, 0),
	}),
	wantClose: {
		stateInitial:  to(stateInitial, 0),
		stateStarting: to(stateInitial, tlf),
		stateClosed:   to(stateClosed, 0),
		stateStopped:  to(stateClosed, 0),
		stateClosing:  to(stateClosing, 0),
		stateStopping: to(stateClosing, 0),
		stateReqSent:  to(stateClosing, irc|str),
		stateAckRcvd:  to(stateClosing, irc|str),
		stateAckSent:  to(stateClosing, irc|str),
		stateOpened:   to(stateClosing, tld|irc|str),
	},
	timeoutAgain: {
		stateClosing:  to(stateClosing, str),
		stateStopping: to(stateStopping, str),
		stateReqSent:  to(stateReqSent, scr),
		stateAckRcvd:  to(stateReqSent, scr),
		stateAckSent:  to(stateAckSent, scr),
	},
	timeoutLast: {
		stateClosing:  to(stateClosed, tlf),
		stateStopping: to(stateStopped, tlf),
		stateReqSent:  to(stateStopped, tlf),
		stateAckRcvd:  to(stateStopped, tlf),
		stateAckSent:  to(stateStopped, tlf),
	},
	gotRequestGood: {
		stateClosed:   to(stateClosed, sta),
		stateStopped:  to(stateAckSent, irc|scr|sca),
		stateClosing:  to(stateClosing, 0),
		stateStopping: to(stateStopping, 0),
		stateReqSent:  to(stateAckSent, sca),
		stateAckRcvd:  to(stateOpened, sca|tlu),
		stateAckSent:  to(stateAckSent, sca),
		stateOpened:   to(stateAckSent, tld|scr|sca),
	},
	gotRequestBad: {
		stateClosed:   to(stateClosed, sta),
		stateStopped:  to(stateReqSent, irc|scr|scn),
		stateClosing:  to(stateClosing, 0),
		stateStopping: to(stateStopping, 0),
		stateReqSent:  to(stateReqSent, scn),
		stateAckRcvd:  to(stateAckRcvd, scn),
		stateAckSent:  to(stateReqSent, scn),
		stateOpened:   to(stateReqSent, tld|scr|scn),
	},
	gotAck: {
		stateClosed:   to(stateClosed, sta),
		stateStopped:  to(stateStopped, sta),
		stateClosing:  to(stateClosing, 0),
		stateStopping: to(stateStopping, 0),
		stateReqSent:  to(stateAckRcvd, irc),
		stateAckRcvd:  to(stateReqSent, scr),
		stateAckSent:  to(stateOpened, irc|tlu),
		stateOpened:   to(stateReqSent, tld|scr),
	},
	gotNakReject: {
		stateClosed:   to(stateClosed, sta),
		stateStopped:  to(stateStopped, sta),
		stateClosing:  to(stateClosing, 0),
		stateStopping: to(stateStopping, 0),
		stateReqSent:  to(stateReqSent, irc|scr),
		stateAckRcvd:  to(stateReqSent, scr),
		stateAckSent:  to(stateAckSent, irc|scr),
		stateOpened:   to(stateReqSent, tld|scr),
	},
	gotTerminate: same(stateClosed, stateStopping, sta, [stateCount]step{
		stateReqSent: to(stateReqSent, sta),
		stateAckRcvd: to(stateReqSent, sta),
		stateAckSent: to(stateReqSent, sta),
		stateOpened:  to(stateStopping, tld|zrc|sta),
	}),
	gotTerminateAck: {
		stateClosed:   to(stateClosed, 0),
		stateStopped:  to(stateStopped, 0),
		stateClosing:  to(stateClosed, tlf),
		stateStopping: to(stateStopped, tlf),
		stateReqSent:  to(stateReqSent, 0),
		stateAckRcvd:  to(stateReqSent, 0),
		stateAckSent:  to(stateAckSent, 0),
		stateOpened:   to(stateReqSent, tld|scr),
	},
	gotUnknownCode: same(stateClosed, stateOpened, scj, [stateCount]step{}),
	gotRejectHarmless: same(stateClosed, stateReqSent, 0, [stateCount]step{
		stateAckRcvd: to(stateReqSent, 0),
		stateAckSent: to(stateAckSent, 0),
		stateOpened:  to(stateOpened, 0),
	}),
	gotRejectFatal: {
		stateClosed:   to(stateClosed, tlf),
		stateStopped:  to(stateStopped, tlf),
		stateClosing:  to(stateClosed, tlf),
		stateStopping: to(stateStopped, tlf),
		stateReqSent:  to(stateStopped, tlf),
		stateAckRcvd:  to(stateStopped, tlf),
		stateAckSent:  to(stateStopped, tlf),
		stateOpened:   to(stateStopping, tld|irc|str),
	},
	gotExtra: same(stateClosed, stateAckSent, 0, [stateCount]step{
		stateOpened: to(stateOpened, ser),
	}),
}

// The RFC's counters (section 4.6). Max-Configure is Config.Tries.
const (
	maxTerminate = 2
	maxFailure   = 10
	maxRounds    = 40 // Configure-Requests until it opens, whatever the answers are
	maxUps       = 32 // how often one layer of one link may open
	maxRepeats   = 3  // repeated requests in a row that an open layer acks again
)

// judgement is what we think of an option that the peer asks for.
type judgement uint8

const (
	acceptable judgement = iota
	unacceptable
	unrecognizable
)

// layer is what one protocol adds to the automaton.
type layer interface {
	// appendRequest appends the options that we ask for. It returns the same
	// until naked or rejected change them.
	appendRequest(b []byte) []byte
	// begin prepares for the options of a request of the peer. If it returns
	// something, that is Nak'ed and nothing else is looked at.
	begin(options []byte) []byte
	// consider judges an option. If it is unacceptable, what would be
	// acceptable is appended to nak.
	consider(o option, nak []byte) (judgement, []byte)
	// missing appends to nak what the peer should have asked for.
	missing(nak []byte) []byte
	// naked and rejected take the peer's view of an option of ours.
	naked(now time.Time, o option)
	rejected(now time.Time, o option)
	// terminating takes the data of the peer's Terminate-Request.
	terminating(data []byte)
	// appendTermination appends the data of our own.
	appendTermination(b []byte) []byte
	// extra takes packets with codes that RFC 1661 gives to LCP alone. It
	// reports whether it knows the code.
	extra(now time.Time, p packet) (bool, error)

	up(now time.Time)
	down(now time.Time)
	finished(now time.Time)
}

// automaton is the option negotiation automaton of RFC 1661 section 4.
type automaton struct {
	link  *Link
	layer layer
	proto Protocol

	state    state
	counter  uint8 // the restart counter
	ids      uint8 // the identifier used last, unless the link has one count for all
	request  uint8 // identifier of our last Configure-Request
	answered bool  // it got its answer
	heard    bool  // the peer has sent a Configure-Request
	naks     uint8 // Configure-Naks sent since the last Configure-Ack
	rounds   uint8 // Configure-Requests sent since it last was open
	ups      uint8
	repeats  uint8
	stale    [4]uint64 // digests of the last requests that we answered
	staleAt  uint8
	acked    uint64 // digest of the options that we acked
	deadline time.Time
}

// apply is one step of the automaton. reply is the frame that sca, scn and scj send.
func (a *automaton) apply(now time.Time, h happening, id uint8, reply []byte) {
	s := transitions[h][a.state]
	if !s.real {
		return
	}
	a.setState(s.to)
	if s.do&tld != 0 {
		a.layer.down(now)
	}
	if s.do&irc != 0 {
		a.counter = a.link.tries
		if s.do&str != 0 {
			a.counter = maxTerminate
		}
	}
	if s.do&zrc != 0 { // the peer gets one restart period to hear our Terminate-Ack
		a.counter = 0
		a.deadline = now.Add(a.link.restart)
	}
	if s.do&scr != 0 {
		a.sendRequest(now, h == timeoutAgain)
	}
	if s.do&(sca|scn|scj) != 0 {
		a.link.send(reply)
	}
	if s.do&str != 0 {
		a.sendTerminate(now)
	}
	if s.do&sta != 0 {
		a.link.send(finishFrame(startFrame(a.proto, terminateAck, id)))
	}
	a.tell(now, s.do)
}

// tell tells the layer what its automaton came to. It is last: the layer may step on.
func (a *automaton) tell(now time.Time, do actions) {
	switch {
	case do&tlu != 0:
		a.rounds, a.repeats = 0, 0
		if a.ups++; a.ups > maxUps {
			a.link.fail(now, because(CauseNotConverging, "the peer negotiates anew without end"))
			return
		}
		a.layer.up(now)
	case do&tlf != 0:
		a.layer.finished(now)
	}
}

// setState enters a state. The restart timer runs where something is awaited of the
// peer (RFC 1661 section 4.2), and there only.
func (a *automaton) setState(s state) {
	a.state = s
	if s < stateClosing || s == stateOpened {
		a.deadline = time.Time{}
	}
}

// advance does what is due.
func (a *automaton) advance(now time.Time) {
	switch {
	case !deadline.Due(now, a.deadline):
	case a.counter > 0:
		a.apply(now, timeoutAgain, 0, nil)
	default:
		a.apply(now, timeoutLast, 0, nil)
	}
}

// nextID returns a new identifier.
func (a *automaton) nextID() uint8 {
	if a.link.persona().SharedIDs {
		a.link.ids++
		return a.link.ids
	}
	a.ids++
	return a.ids
}

// count starts the restart timer for one more transmission.
func (a *automaton) count(now time.Time) {
	if a.counter > 0 {
		a.counter--
	}
	a.deadline = now.Add(a.link.restart)
}

// sendRequest sends a Configure-Request. "For retransmissions, the Identifier MAY
// remain unchanged" (RFC 1661 section 5.1).
func (a *automaton) sendRequest(now time.Time, again bool) {
	if a.rounds++; a.rounds > maxRounds {
		a.link.fail(now, because(CauseNotConverging, a.proto.String()))
		return
	}
	if !again || a.link.persona().FreshIDs {
		a.request = a.nextID()
	}
	a.answered = false
	a.link.send(finishFrame(a.layer.appendRequest(startFrame(a.proto, configureRequest, a.request))))
	a.count(now)
}

// hasten brings the repetition of our request forward when the peer speaks for the
// first time: what was sent before it was ready to listen is lost. The restart timer,
// "which should be configurable" (RFC 1661 section 4.6), is for lines of 2400 bit/s.
func (a *automaton) hasten(now time.Time) {
	if a.heard {
		return
	}
	a.heard = true
	if soon := now.Add(firstRestart); !a.answered && (a.state == stateReqSent || a.state == stateAckSent) && soon.Before(a.deadline) {
		a.deadline = soon
	}
}

func (a *automaton) sendTerminate(now time.Time) {
	a.link.send(finishFrame(a.layer.appendTermination(startFrame(a.proto, terminateRequest, a.nextID()))))
	a.count(now)
}
