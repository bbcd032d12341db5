package ppp

import (
	"bytes"
	"fmt"
	"hash/maphash"
	"time"
)

// input takes a packet of the automaton's protocol.
func (a *automaton) input(now time.Time, b []byte) error {
	p, err := parsePacket(b)
	if err != nil {
		return err
	}
	if a.state < stateClosed {
		return ErrPhase
	}
	switch p.code {
	case configureRequest:
		return a.handleRequest(now, p)
	case configureAck:
		return a.handleAck(now, p)
	case configureNak, configureReject:
		return a.handleNakReject(now, p)
	case terminateRequest:
		a.layer.terminating(p.data)
		a.apply(now, gotTerminate, p.id, nil)
	case terminateAck:
		a.apply(now, gotTerminateAck, p.id, nil)
	case codeReject:
		return a.handleCodeReject(now, p)
	default:
		return a.handleExtra(now, p, b)
	}
	return nil
}

// handleRequest answers a Configure-Request, at any time: ours need not be acked first.
func (a *automaton) handleRequest(now time.Time, p packet) error {
	if a.state == stateClosed || a.state == stateClosing || a.state == stateStopping {
		a.apply(now, gotRequestGood, p.id, nil)
		return nil
	}
	if err := checkOptions(p.data); err != nil {
		return err
	}
	if repeated, err := a.repetition(p); repeated {
		return err
	}
	c, body := a.judge(p.data)
	a.remember(p, c)
	reply := finishFrame(append(startFrame(a.proto, c, p.id), body...))
	if c == configureAck {
		a.apply(now, gotRequestGood, p.id, reply)
	} else {
		a.apply(now, gotRequestBad, p.id, reply)
	}
	a.hasten(now)
	return nil
}

// repetition finds requests in the Opened state that are no new negotiation but came
// twice, or late: the network below may repeat and reorder, and the peer repeats what
// it has no answer to yet. RFC 1661 would take the layer down for them. What was
// acked is acked again, a few times in a row; what was answered earlier is dropped.
func (a *automaton) repetition(p packet) (bool, error) {
	if a.state != stateOpened || a.repeats >= maxRepeats {
		return false, nil
	}
	if a.digest(p.data) == a.acked {
		a.repeats++
		a.link.send(finishFrame(append(startFrame(a.proto, configureAck, p.id), p.data...)))
		return true, nil
	}
	d := a.digest(p.data) + uint64(p.id)
	for _, s := range a.stale {
		if s == d {
			a.repeats++
			return true, ErrRepetition
		}
	}
	return false, nil
}

// remember notes a request that was answered.
func (a *automaton) remember(p packet, c code) {
	d := a.digest(p.data)
	if c == configureAck {
		a.acked = d
	}
	a.stale[a.staleAt%uint8(len(a.stale))] = d + uint64(p.id)
	a.staleAt++
}

func (a *automaton) digest(b []byte) uint64 { return maphash.Bytes(a.link.seed, b) }

// judge decides how a list of options is answered. Rejects go before Naks (RFC 1661
// section 5.4); an Ack repeats the list. Where Naks do not help they become Rejects
// (section 4.6).
func (a *automaton) judge(options []byte) (code, []byte) {
	if nak := a.layer.begin(options); nak != nil {
		return configureNak, nak
	}
	var nak, naked, reject []byte
	for rest := options; len(rest) > 0; {
		o, after, _ := consumeOption(rest)
		var j judgement
		raw := rest[:len(rest)-len(after)]
		switch j, nak = a.layer.consider(o, nak); j {
		case unacceptable:
			naked = append(naked, raw...)
		case unrecognizable:
			reject = append(reject, raw...)
		}
		rest = after
	}
	patient := a.naks < maxFailure
	if !patient {
		reject = append(reject, naked...)
	}
	switch {
	case len(reject) > 0:
		return configureReject, reject
	case patient:
		nak = a.layer.missing(nak)
		if len(nak) > 0 {
			a.naks++
			return configureNak, nak
		}
	}
	a.naks = 0
	return configureAck, options
}

// reply checks that a packet answers our last Configure-Request, for the first time.
// Others are "silently discarded" (RFC 1661 section 5.2).
func (a *automaton) reply(p packet) error {
	if a.state >= stateReqSent && (p.id != a.request || a.answered) {
		return fmt.Errorf("%w: %s identifier %d", ErrMismatch, a.proto, p.id)
	}
	return nil
}

func (a *automaton) handleAck(now time.Time, p packet) error {
	if err := a.reply(p); err != nil {
		return err
	}
	if a.state >= stateReqSent && !bytes.Equal(p.data, a.layer.appendRequest(nil)) {
		return fmt.Errorf("%w: %s ack of other options", ErrMismatch, a.proto)
	}
	a.answered = true
	a.apply(now, gotAck, p.id, nil)
	return nil
}

func (a *automaton) handleNakReject(now time.Time, p packet) error {
	if err := a.reply(p); err != nil {
		return err
	}
	if err := checkOptions(p.data); err != nil {
		return err
	}
	a.answered = true
	if a.state >= stateReqSent {
		a.learn(now, p)
	}
	a.apply(now, gotNakReject, p.id, nil)
	return nil
}

// learn gives the layer what the peer says of our options.
func (a *automaton) learn(now time.Time, p packet) {
	for rest := p.data; len(rest) > 0; {
		var o option
		o, rest, _ = consumeOption(rest)
		if p.code == configureNak {
			a.layer.naked(now, o)
		} else {
			a.layer.rejected(now, o)
		}
	}
}

// handleCodeReject: to do without what RFC 1661 demands is to do without the link.
func (a *automaton) handleCodeReject(now time.Time, p packet) error {
	if len(p.data) == 0 {
		return ErrPacket
	}
	if c := code(p.data[0]); c >= configureRequest && c <= codeReject {
		a.apply(now, gotRejectFatal, p.id, nil)
		return nil
	}
	if code(p.data[0]) == echoRequest {
		a.link.echo.stop()
	}
	a.apply(now, gotRejectHarmless, p.id, nil)
	return nil
}

// handleExtra takes the codes that not every protocol has. Nobody knows them in
// vain: a Code-Reject returns what it can of an unknown packet (RFC 1661 section 5.6).
func (a *automaton) handleExtra(now time.Time, p packet, b []byte) error {
	known, err := a.layer.extra(now, p)
	if known || err != nil {
		return err
	}
	n := min(packetHeaderLen+len(p.data), a.link.room())
	a.apply(now, gotUnknownCode, p.id, finishFrame(append(startFrame(a.proto, codeReject, a.nextID()), b[:n]...)))
	return nil
}
