package v2

import (
	"bytes"
	"time"

	"github.com/culvert-vpn/culvert/ike/wire"
)

// Return routability (RFC 4555, section 3.7): a peer that says, or whose packets say,
// that it has moved is asked there. Until it has answered it may be somebody else who
// gets what the peer has us send.

// routeTask is that question. There is one at most of a Session, waiting or under way:
// it is about where the peer is when it is sent.
type routeTask struct {
	s      *Session
	path   Path   // that it was sent to
	cookie []byte // COOKIE2; nil: an empty question, to a peer without MOBIKE
}

// maxEvasive is how often a peer that does not return the cookie is asked again. It stays
// unproven then: asking on and on would show nothing else.
const maxEvasive = 10

// askRoute has the peer asked on its path, unless it is about to be.
func (s *Session) askRoute(now time.Time) {
	if s.route != nil || s.current == nil {
		return
	}
	s.route = &routeTask{s: s}
	s.current.ask(now, s.route)
}

func (t *routeTask) start(now time.Time, a *sa) (wire.ExchangeType, []wire.Body, bool) {
	s := t.s
	t.path, t.cookie = s.path, nil
	if !s.unproven || s.closing {
		s.route = nil
		return 0, nil, false
	}
	if !s.features.mobike {
		return wire.ExchangeInformational2, nil, true
	}
	var err error
	if t.cookie, err = s.random(16); err != nil {
		s.route = nil
		return 0, nil, false
	}
	// libreswan returns the cookie only beside these.
	question := wire.Notify2{Type: wire.Notify2Cookie2, Data: t.cookie}
	return wire.ExchangeInformational2, append([]wire.Body{question}, s.natDetection(a)...), true
}

// answer takes the response. One without the cookie is authentic, and says nothing
// about where the peer is, for it can be made without having seen the question. So can
// one of a peer without MOBIKE, which has no better.
func (t *routeTask) answer(now time.Time, a *sa, m *message) error {
	s := t.s
	s.route = nil
	n, found := findNotify(m.chain, wire.Notify2Cookie2)
	switch {
	case found && !bytes.Equal(n.Data, t.cookie):
		s.end(now, ReasonFailed, CauseRefused, "the client does not answer from where it says it is", true)
		return ErrAuth
	case s.closing || !s.unproven:
		return nil
	case t.path != s.path:
		s.askRoute(now)
	case found || t.cookie == nil && m.path == t.path:
		s.unproven = false
		s.owner.Moved(s, s.path, true)
	case s.evasive < maxEvasive:
		s.evasive++
		s.retry(now, s.askRoute)
	}
	return nil
}

func (t *routeTask) abandon(now time.Time, a *sa) {
	if s := t.s; s.route == t {
		s.route = nil
		if s.unproven && !s.closing && s.current != a {
			s.askRoute(now)
		}
	}
}
