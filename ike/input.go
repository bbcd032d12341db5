package ike

import (
	"errors"
	"net/netip"
	"time"

	"github.com/culvert-vpn/culvert/ike/suite"
	"github.com/culvert-vpn/culvert/ike/v1"
	"github.com/culvert-vpn/culvert/ike/v2"
	"github.com/culvert-vpn/culvert/ike/wire"
)

// Input takes one IKE message that arrived along path, without non-ESP marker.
// msg is borrowed for the call and may be overwritten. An error means that it
// was dropped; the state is intact.
func (s *Server) Input(now time.Time, path Path, msg []byte) error {
	s.stats.Received++
	err := s.input(now, path, msg, false)
	if err != nil {
		s.stats.Dropped[rootCause(err).Error()]++
	}
	return err
}

// message is one message on its way in.
type message struct {
	path   Path
	header wire.Header
	body   []byte
	digest digest
}

// input finds out what a message is. whole says that it was put together from
// fragments.
func (s *Server) input(now time.Time, path Path, msg []byte, whole bool) error {
	h, body, err := wire.ConsumeHeader(msg)
	if err != nil {
		return malformed(err)
	}
	if s.config.Refused != nil && s.config.Refused(path.Remote.Addr()) && s.whereabouts(h) != path.Remote.Addr() {
		return ErrBanned
	}
	if h.Version.Major() == 2 {
		return s.input2(now, path, h, msg)
	}
	if h.Version.Major() != 1 {
		// "it MUST drop the message and SHOULD send an unauthenticated Notify message
		// of type INVALID_MAJOR_VERSION" (RFC 7296, section 2.5).
		if h.Version.Major() > 2 {
			s.answerStranger(now, path, h, v2.Unprotected(h, wire.Notify2InvalidMajorVersion))
		}
		return ErrVersion
	}
	if h.Responder.IsZero() && len(msg) > maxFirst {
		return ErrMalformed
	}
	if h.Next == wire.PayloadFragmentation && !whole {
		return s.handleFragment(now, path, h, body)
	}
	m := message{path: path, header: h, body: body}
	switch h.Exchange {
	case wire.ExchangeMain:
		m.digest = digestOf(msg[:h.Length])
		return s.handleMain(now, m)
	case wire.ExchangeQuick:
		m.digest = digestOf(msg[:h.Length])
		return s.handleQuick(now, m)
	case wire.ExchangeTransaction:
		m.digest = digestOf(msg[:h.Length])
		return s.handleTransaction(now, m)
	case wire.ExchangeInformational:
		return s.handleInformational(now, m)
	case wire.ExchangeAggressive:
		m.digest = digestOf(msg[:h.Length])
		return s.handleAggressive(now, m)
	}
	return ErrExchange
}

// find returns the ISAKMP SA that a message names, standing or being made.
func (s *Server) find(h wire.Header) *isakmp {
	if i := s.sas[cookies{h.Initiator, h.Responder}]; i != nil {
		return i
	}
	return s.dialing[h.Initiator]
}

// whereabouts is the address of the peer that a message names, or of the exchange; invalid:
// we know none.
func (s *Server) whereabouts(h wire.Header) netip.Addr {
	if h.Version.Major() == 2 {
		if p := s.named2(h); p != nil {
			return p.machine.Path().Remote.Addr()
		}
		return netip.Addr{}
	}
	switch i := s.find(h); {
	case i == nil:
		return netip.Addr{}
	case i.peer != nil:
		return i.peer.path.Remote.Addr()
	default:
		return i.path.Remote.Addr()
	}
}

// handleMain takes a message of a main mode.
func (s *Server) handleMain(now time.Time, m message) error {
	if m.header.Responder.IsZero() {
		return s.handleMM1(now, m)
	}
	i := s.find(m.header)
	if i == nil {
		return ErrUnknownSA
	}
	return i.handlePhase1(now, m)
}

// refuse answers a first message with an unprotected notification, which is
// shorter than what it answers.
func (s *Server) refuse(m message, why wire.NotifyType) {
	s.send(m.path, v1.Refusal(m.header.Initiator, m.header.Responder, wire.MessageID(s.random()|1), why))
}

func malformed(err error) error { return wrapped{ErrMalformed, err} }

// dropped says in the words of this package why a machine dropped a message.
func dropped(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, v1.ErrState):
		return wrapped{ErrState, err}
	case errors.Is(err, v1.ErrAuth):
		return wrapped{ErrAuth, err}
	case errors.Is(err, suite.ErrNoProposal), errors.Is(err, v1.ErrTunnel), errors.Is(err, errNotGiven), errors.Is(err, errSelectors):
		return wrapped{ErrRefused, err}
	}
	return malformed(err)
}

// rootCause is the sentinel of this package in err, for counting.
func rootCause(err error) error {
	for _, e := range []error{ErrMalformed, ErrVersion, ErrExchange, ErrUnknownSA, ErrDuplicate, ErrWindow, ErrState, ErrAuth,
		ErrLimit, ErrRefused, ErrBanned, ErrUnprotected, ErrCookie} {
		if errors.Is(err, e) {
			return e
		}
	}
	return ErrMalformed
}
