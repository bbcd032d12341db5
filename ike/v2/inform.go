package v2

import (
	"bytes"
	"fmt"
	"slices"
	"time"

	"github.com/culvert-vpn/culvert/ike/wire"
)

// informTask is an INFORMATIONAL exchange of ours with these payloads: without
// any, a question whether the peer lives.
type informTask struct {
	payloads func(a *sa) []wire.Body
	after    func(now time.Time, m *message) error
}

func (t *informTask) start(now time.Time, a *sa) (wire.ExchangeType, []wire.Body, bool) {
	var list []wire.Body
	if t.payloads != nil {
		list = t.payloads(a)
	}
	return wire.ExchangeInformational2, list, a.state != saGone
}

func (t *informTask) answer(now time.Time, a *sa, m *message) error {
	if t.after != nil {
		return t.after(now, m)
	}
	return nil
}

func (t *informTask) abandon(now time.Time, a *sa) {}

// deleteTask deletes a child SA, or, without one, the IKE SA it runs on (RFC
// 7296, section 1.4.1).
type deleteTask struct{ child *child }

func (t *deleteTask) start(now time.Time, a *sa) (wire.ExchangeType, []wire.Body, bool) {
	if t.child == nil {
		return wire.ExchangeInformational2, []wire.Body{wire.Delete2{Protocol: wire.ProtocolIKE}}, true
	}
	if !t.child.goneAt.IsZero() || !slices.Contains(a.s.children, t.child) {
		return 0, nil, false
	}
	d := wire.Delete2{Protocol: wire.ProtocolESP, SPISize: 4, SPIs: spiBytes(t.child.in)}
	return wire.ExchangeInformational2, []wire.Body{d}, true
}

func (t *deleteTask) answer(now time.Time, a *sa, m *message) error {
	if t.child == nil {
		a.forget(now)
		return nil
	}
	if t.child.goneAt.IsZero() {
		t.child.fade(now)
	}
	a.s.checkChildren(now)
	return nil
}

func (t *deleteTask) abandon(now time.Time, a *sa) {
	switch s := a.s; {
	case t.child == nil:
	case s.closing || s.current == nil || s.current == a || s.current.state == saGone:
		t.child.remove()
	default:
		// Another IKE SA has taken over: the peer may not have heard of it.
		s.current.ask(now, t)
	}
}

// handleInformational takes an INFORMATIONAL request.
func (s *Session) handleInformational(now time.Time, a *sa, m *message) error {
	var answer []wire.Body
	endIKE := false
	var gone []byte
	for _, p := range m.chain {
		switch p.Type {
		case wire.PayloadDelete2:
			d, err := wire.ConsumeDelete2(p.Body)
			if err != nil {
				a.reject(now, m, "a malformed DELETE")
				return malformed(err)
			}
			if d.Protocol == wire.ProtocolIKE {
				endIKE = true
			}
			gone = append(gone, s.deletedByPeer(now, d)...)
		case wire.PayloadNotify2:
			if n, err := wire.ConsumeNotify2(p.Body); err == nil {
				answer = append(answer, s.handleNotify(now, a, m, n)...)
			}
		}
	}
	if len(gone) > 0 {
		answer = append(answer, wire.Delete2{Protocol: wire.ProtocolESP, SPISize: 4, SPIs: gone})
	}
	a.respond(now, m, answer...)
	if endIKE {
		s.ikeDeleted(now, a)
		return nil
	}
	s.checkChildren(now)
	return nil
}

// deletedByPeer takes the SPIs on which the peer receives no more, and returns
// ours of the same pairs. Those that we are deleting ourselves are not named
// (RFC 7296, section 1.4.1).
func (s *Session) deletedByPeer(now time.Time, d wire.Delete2) (own []byte) {
	if d.Protocol != wire.ProtocolESP || d.SPISize != 4 {
		return nil
	}
	for spi := range d.All() {
		c := s.childBy(spiOf(spi))
		if c == nil || !c.goneAt.IsZero() {
			continue
		}
		if c.state != childDeleting {
			own = append(own, spiBytes(c.in)...)
		}
		if c.successor != nil && slices.Contains(s.children, c.successor) {
			c.successor.activate()
			c.fade(now)
			continue
		}
		if c.state == childRekeying {
			// Our own renewal may be answered already.
			c.fade(now)
			continue
		}
		c.remove()
	}
	return own
}

// checkChildren ends a connection that we dialled once its last child SA is gone:
// the server wants to be rid of us.
func (s *Session) checkChildren(now time.Time) {
	s.expectChild(now)
	if !s.initiator || s.closing || !s.up || s.dial == nil || s.dial.Childless || s.creating() {
		return
	}
	for _, c := range s.children {
		if c.goneAt.IsZero() {
			return
		}
	}
	s.end(now, ReasonDeleted, CauseNone, "the other side deleted the child SA", true)
}

// expectChild ends the connection of a client that has no child SA for a while: it
// is of no use, and holds what it was given.
func (s *Session) expectChild(now time.Time) {
	if s.initiator || s.closing || !s.up || len(s.children) > 0 || s.expecting {
		return
	}
	s.expecting = true
	s.later = append(s.later, delayed{at: now.Add(childlessTime), do: func(now time.Time) {
		if s.expecting = false; len(s.children) == 0 {
			s.end(now, ReasonExpired, CauseNone, "no child SA was made", true)
		}
	}})
}

// creating reports whether we are asking for a child SA.
func (s *Session) creating() bool {
	for _, a := range s.sas {
		if makesChild(a.flying) || slices.ContainsFunc(a.queue, makesChild) {
			return true
		}
	}
	return len(s.later) > 0
}

// ikeDeleted forgets an IKE SA that the peer has deleted. If it is the current
// one, and the peer has not renewed it, that is the end.
func (s *Session) ikeDeleted(now time.Time, a *sa) {
	if r := s.renewal; r != nil && r.rival == a {
		r.forgetRival()
	}
	if a == s.current && s.renewal != nil && s.renewal.rival != nil {
		s.adopt(now, s.renewal.rival)
	}
	if a != s.current || s.closing {
		// Its answer may have to be repeated.
		a.expireAt, a.rekeyAt = now.Add(replacedTime), time.Time{}
		if a.state != saDeleting {
			a.dropRequests(now)
			a.setState(saReplaced)
			return
		}
		a.forget(now)
		return
	}
	s.end(now, ReasonDeleted, CauseNone, "", false)
}

// dropRequests abandons what we have asked on an SA that is gone.
func (a *sa) dropRequests(now time.Time) {
	flying, queue := a.flying, a.queue
	a.flying, a.queue = nil, nil
	a.repeat.Stop()
	if flying != nil {
		flying.abandon(now, a)
	}
	for _, t := range queue {
		t.abandon(now, a)
	}
}

// handleNotify takes a notify of an INFORMATIONAL request and returns what
// answers it.
func (s *Session) handleNotify(now time.Time, a *sa, m *message, n wire.Notify2) []wire.Body {
	switch {
	case n.Type == wire.Notify2Cookie2 && len(n.Data) >= 8 && len(n.Data) <= 64:
		// "MUST ... return the same COOKIE2" (RFC 4555, section 3.7).
		return []wire.Body{wire.Notify2{Type: n.Type, Data: bytes.Clone(n.Data)}}
	case n.Type == wire.Notify2UpdateSAAddresses && !s.initiator:
		return s.handleUpdate(now, a, m)
	case n.Type == wire.Notify2Redirect && s.initiator:
		if gateway, ok := gatewayOf(n.Data, nil); ok {
			s.owner.Redirected(s, gateway)
		}
	case n.Type.IsError():
		s.owner.Failed(now, s, causeOf(n.Type), "the other side says "+describeError(n))
	}
	return nil
}

// handleUpdate takes the word of a peer that it has moved (RFC 4555, section 3.5).
// The path is that by which the request came; moveTo makes sure that the peer can
// receive there (section 3.7).
func (s *Session) handleUpdate(now time.Time, a *sa, m *message) []wire.Body {
	if _, strict := findNotify(m.chain, wire.Notify2NoNATsAllowed); strict {
		// The peer would refuse the path that we show it.
		return []wire.Body{notify(wire.Notify2UnexpectedNATDetected)}
	}
	s.moveTo(now, m.path)
	return s.natDetection(a)
}

// natDetection are the NAT detection payloads that we send. The peer that dialled
// is made to believe that it is behind a NAT, and so are we where we dial: then
// all ESP travels in UDP.
func (s *Session) natDetection(a *sa) []wire.Body {
	return s.natDetectionFor(a.spiI, a.spiR, s.path)
}

func (s *Session) natDetectionFor(i, r wire.Cookie, p Path) []wire.Body {
	local, remote := natHash(i, r, p.Local), natHash(i, r, p.Remote)
	if fake, err := s.random(len(local)); err == nil && !s.config.RawESP {
		if s.initiator {
			local = fake
		} else {
			remote = fake
		}
	}
	return []wire.Body{
		wire.Notify2{Type: wire.Notify2NATDetectionSource, Data: local},
		wire.Notify2{Type: wire.Notify2NATDetectionDestination, Data: remote},
	}
}

// Readdress moves a connection that we dialled to another path, by MOBIKE (RFC 4555,
// section 3.5), and reports whether it did: not if the server does not speak it, for it
// would go on sending to where we were. What is asked just now is asked again from
// there. On the path that it has already the server is told again, for a NAT before it
// may be another.
func (s *Session) Readdress(now time.Time, p Path) bool {
	if !s.initiator || !s.up || s.closing || s.current == nil || !s.features.mobike {
		return false
	}
	s.moveTo(now, p)
	for _, a := range s.sas {
		if a.flying != nil {
			for _, d := range a.repeat.Data() {
				s.owner.Send(s.path, d)
			}
		}
	}
	s.current.ask(now, &informTask{
		payloads: func(a *sa) []wire.Body {
			return append([]wire.Body{notify(wire.Notify2UpdateSAAddresses)}, s.natDetection(a)...)
		},
		after: s.readdressed,
	})
	return true
}

// readdressed takes the answer to a move. A server that does not send to where we are
// is of no use any more.
func (s *Session) readdressed(now time.Time, m *message) error {
	if n, refused := findError(m.chain); refused {
		s.end(now, ReasonFailed, CauseRefused, "the server does not follow to our new address: "+describeError(n), true)
		return ErrRefused
	}
	return nil
}

// Redirect tells a client that another gateway is to be used (RFC 5685, section
// 4). It reports whether the client understands it.
func (s *Session) Redirect(now time.Time, gateway string) bool {
	if s.initiator || !s.up || s.closing || !s.features.redirect {
		return false
	}
	s.current.ask(now, &informTask{payloads: func(*sa) []wire.Body {
		return []wire.Body{wire.Notify2{Type: wire.Notify2Redirect, Data: gatewayData(gateway)}}
	}})
	return true
}

// Rekey renews the IKE SA, or the newest child SA, now.
func (s *Session) Rekey(now time.Time, child bool) bool {
	if !s.up || s.closing {
		return false
	}
	if !child {
		s.startRenewal(now)
		return true
	}
	for n := len(s.children) - 1; n >= 0; n-- {
		if c := s.children[n]; c.state == childStanding && c.active && !c.renewedByPeer() {
			s.renewChild(now, c)
			return true
		}
	}
	return len(s.children) > 0
}

// describeError puts an error of the peer into words.
func describeError(n wire.Notify2) string {
	if code, ok := n.Status(); ok {
		if words := msStatus(code); words != "" {
			return "MS_STATUS " + words
		}
		return fmt.Sprintf("MS_STATUS %d", code)
	}
	return n.Type.String()
}

// causeOf is the cause that an error of the peer stands for.
func causeOf(t wire.Notify2Type) Cause {
	switch t {
	case wire.Notify2NoProposalChosen, wire.Notify2InvalidKEPayload:
		return CauseNoProposal
	case wire.Notify2TSUnacceptable, wire.Notify2InvalidSelectors:
		return CauseSelectors
	case wire.Notify2InvalidSyntax, wire.Notify2UnsupportedCriticalPayload:
		return CauseMalformed
	}
	return CauseRefused
}

// Ask asks the peer now whether it lives.
func (s *Session) Ask(now time.Time) {
	if s.up && !s.closing {
		s.current.ask(now, &informTask{})
	}
}
