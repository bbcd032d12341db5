package ppp

import (
	"bytes"
	"fmt"
	"time"

	"github.com/culvert-vpn/culvert/internal/x/deadline"
	"github.com/culvert-vpn/culvert/ppp/auth"
)

// Codes of CHAP (RFC 1994 section 4) and of PAP (RFC 1334 section 2.2).
const (
	chapChallenge code = 1
	chapResponse  code = 2
	chapSuccess   code = 3
	chapFailure   code = 4

	papRequest code = 1
	papAck     code = 2
	papNak     code = 3
)

// judging is where an authenticator is:
//
//	asking -> pondering -> done
//	   ^         |  \-> failed -> the link closes
//	   \---------/ a retry is granted
type judging uint8

const (
	judgeIdle      judging = iota // nothing to judge
	judgeAsking                   // the client is to respond
	judgePondering                // the owner is to answer an Authenticate event
	judgeRetrying                 // the client was refused and may try again
	judgeDone                     // the client is in
	judgeFailed                   // the client was refused, and has a moment to go by itself
)

// maxRetries is how many more passwords a client may try within one link.
const maxRetries = 3

// authenticator is the server's side of authentication.
type authenticator struct {
	state     judging
	method    Method
	id        uint8 // of the current Challenge
	tries     uint8
	retries   uint8
	rounds    uint8  // of EAP
	query     uint32 // of the last Authenticate event
	challenge [auth.ChallengeLen]byte
	digest    uint64 // of the response that result answers
	reply     uint8  // its identifier
	result    []byte // the frame that answered; a repeated response gets it again
	deadline  time.Time
}

// start asks the client to authenticate itself.
func (a *authenticator) start(l *Link, now time.Time, m Method) {
	a.stop()
	a.state, a.method, a.tries = judgeAsking, m, 0
	switch m {
	case PAP: // the client begins (RFC 1334 section 2)
		return
	case EAP:
		a.startEAP(l)
		return
	}
	a.id++
	if l.random(now, a.challenge[:]) {
		a.sendChallenge(l, now)
	}
}

func (a *authenticator) stop() {
	a.state = judgeIdle
	a.result = nil
	a.deadline = time.Time{}
	clear(a.challenge[:])
}

func (a *authenticator) sendChallenge(l *Link, now time.Time) {
	a.tries++
	a.deadline = now.Add(l.restart)
	b := startFrame(ProtocolCHAP, chapChallenge, a.id)
	b = append(append(b, auth.ChallengeLen), a.challenge[:]...)
	l.send(finishFrame(append(b, l.name...)))
}

func (a *authenticator) advance(l *Link, now time.Time) {
	switch {
	case !deadline.Due(now, a.deadline):
	case a.state == judgeAsking && a.tries < l.tries && a.method == EAP:
		a.repeatEAP(l, now)
	case a.state == judgeAsking && a.tries < l.tries:
		a.sendChallenge(l, now)
	case a.state == judgeAsking:
		a.deadline = time.Time{}
		l.fail(now, because(CauseAuthTimeout, ""))
	default: // refused, and still here
		a.deadline = time.Time{}
		l.fail(now, l.reason)
	}
}

// input takes a client's response, under the identifier and of the form that were asked for.
func (a *authenticator) input(l *Link, now time.Time, proto Protocol, p packet) error {
	user, response, err := a.parse(proto, p)
	if err != nil {
		return err
	}
	// "The authenticator MUST allow repeated Response packets [...] and return the same
	// reply Code" (RFC 1994 section 4.1).
	digest := l.lcp.digest(p.data)
	again := a.reply == p.id && a.digest == digest
	switch {
	case again && a.result != nil && a.state != judgeIdle:
		l.sendAgain(a.result)
		return nil
	case again && a.state == judgePondering:
		return ErrRepetition
	case a.state != judgeAsking && a.state != judgeRetrying:
		return ErrPhase
	case proto == ProtocolCHAP && !a.expects(p.id):
		return fmt.Errorf("%w: CHAP identifier %d", ErrMismatch, p.id)
	}
	a.reply, a.digest, a.result = p.id, digest, nil
	a.ask(l, p.id, user, response)
	return nil
}

// expects tells whether a response may have that identifier. After a refusal the client
// counts one up (RFC 2433 section 5), though some do not.
func (a *authenticator) expects(id uint8) bool {
	return id == a.id || a.state == judgeRetrying && id == a.id-1
}

// ask lets the owner judge.
func (a *authenticator) ask(l *Link, id uint8, user, response []byte) {
	a.state = judgePondering
	a.deadline = time.Time{}
	a.query++
	e := Authenticate{
		ID: a.query, Method: a.method, User: string(user), Identifier: id, Response: bytes.Clone(response),
	}
	if a.method != PAP {
		e.Challenge = bytes.Clone(a.challenge[:])
	}
	l.tell(e)
}

// parse takes a response apart.
func (a *authenticator) parse(proto Protocol, p packet) (user, response []byte, err error) {
	if proto == ProtocolPAP {
		if p.code != papRequest || a.method != PAP {
			return nil, nil, ErrCode
		}
		user, response, err = auth.ParsePAP(p.data)
		if err != nil {
			err = ErrPacket
		}
		return user, response, err
	}
	if p.code != chapResponse || a.method == PAP {
		return nil, nil, ErrCode
	}
	return a.parseCHAP(p.data)
}

// parseCHAP splits value and name, of which the value has the size of the method's.
func (a *authenticator) parseCHAP(b []byte) (user, response []byte, err error) {
	size := auth.ResponseLen
	if a.method == CHAPMD5 {
		size = 16
	}
	if len(b) < 1+size || int(b[0]) != size || len(b)-1-size > maxNameLen {
		return nil, nil, ErrPacket
	}
	return b[1+size:], b[1 : 1+size], nil
}

// Authenticated answers an Authenticate event. An answer that nobody waits for, because
// the client negotiated anew or is gone, is ErrAnswer; a verdict without what
// the client must be told is ErrIncomplete, and changes nothing.
func (l *Link) Authenticated(now time.Time, id uint32, v Verdict) error {
	a := &l.judge
	switch {
	case l.phase == phaseDead:
		return ErrClosed
	case a.state != judgePondering || a.query != id:
		return ErrAnswer
	case !v.OK:
		a.refuse(l, now, v)
		return nil
	case !v.Local.Unmap().Is4() || !v.Peer.Unmap().Is4():
		return fmt.Errorf("%w: addresses", ErrIncomplete)
	case a.method == MSCHAPv2 && v.Success == "":
		return fmt.Errorf("%w: authenticator response", ErrIncomplete)
	}
	a.admit(l, now, v)
	return nil
}

// admit lets the client in.
func (a *authenticator) admit(l *Link, now time.Time, v Verdict) {
	a.state = judgeDone
	clear(a.challenge[:])
	message := orElse(v.Message, "Access granted")
	if a.method == MSCHAPv2 {
		message = v.Success + " M=" + message // RFC 2759 section 5
	}
	if a.method == EAP {
		a.answerEAP(l, eapSuccess, v.EAP)
	} else {
		a.answer(l, true, message)
	}
	l.ipcp.assign(v)
	l.enableIPv6(v.IPv6)
	l.enterNetwork(now)
}

// refuse tells the client so. It may have another try; otherwise it is left a moment to
// hang up by itself, since it shows its user what it heard last.
func (a *authenticator) refuse(l *Link, now time.Time, v Verdict) {
	if a.method == EAP {
		a.answerEAP(l, eapFailure, v.EAP)
		a.refused(l, now, orElse(v.Code, auth.Refused), orElse(v.Message, "Access denied"))
		return
	}
	f := auth.Failure{Code: orElse(v.Code, auth.Refused), Message: orElse(v.Message, "Access denied")}
	f.Retry = v.Retry && a.retries < maxRetries && a.method == MSCHAPv2
	if len(v.NewChallenge) == len(a.challenge) {
		copy(a.challenge[:], v.NewChallenge)
	} else if !l.random(now, a.challenge[:]) {
		return
	}
	f.Challenge = a.challenge
	message := f.Message
	if a.method == MSCHAPv2 {
		message = f.String()
	}
	a.answer(l, false, message)
	if f.Retry {
		a.state = judgeRetrying
		a.retries++
		a.id = a.reply + 1
		l.loginAt = now.Add(l.login)
		return
	}
	a.refused(l, now, f.Code, f.Message)
}

// refused leaves a client that was told so a moment.
func (a *authenticator) refused(l *Link, now time.Time, code int, message string) {
	a.state, l.denied = judgeFailed, true
	a.deadline = now.Add(l.restart)
	l.note(Reason{Cause: CauseAuthFailed, Code: code, Detail: printableText(message)})
}

// answer sends the result and keeps it for repeated responses.
func (a *authenticator) answer(l *Link, ok bool, message string) {
	message = message[:min(len(message), maxNameLen)]
	proto, c := ProtocolCHAP, chapFailure
	if ok {
		c = chapSuccess
	}
	if a.method == PAP {
		proto, c = ProtocolPAP, papNak
		if ok {
			c = papAck
		}
	}
	b := startFrame(proto, c, a.reply)
	if a.method == PAP {
		b = append(b, byte(len(message)))
	}
	a.result = finishFrame(append(b, message...))
	l.sendAgain(a.result)
}

func printableText(s string) string {
	s, _ = printable([]byte(s))
	return s
}
