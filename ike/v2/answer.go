package v2

import (
	"bytes"
	"fmt"
	"time"

	"github.com/culvert-vpn/culvert/ike/auth"
	"github.com/culvert-vpn/culvert/ike/family"
	"github.com/culvert-vpn/culvert/ike/suite"
	"github.com/culvert-vpn/culvert/ike/wire"
)

// Answer opens a Session for an IKE_SA_INIT request, and sends the answer. Nothing
// slow happens: the shared secret is computed when the initiator has shown that it
// received our answer. Where no Session comes of the request the answer, if any,
// is returned.
// admit is asked, when it is certain that one would come of it, whether there is room.
func Answer(now time.Time, owner Owner, c Config, q *Request, d *Directory, admit func() bool) (*Session, []byte, error) {
	policy := d.ike
	policy.Sent = suite.Group(q.ke.Group)
	if !q.features.intermediate || !q.features.fragmentation {
		policy.Additional = nil
	}
	choice, err := suite.SelectIKE2(q.offer, policy)
	if err != nil {
		return nil, q.Refuse(), wrapped{ErrRefused, err}
	}
	if uint16(choice.Group) != q.ke.Group {
		n := wire.Uint16Notify(wire.Notify2InvalidKEPayload, uint16(choice.Group))
		return nil, q.refusal(n), wrapped{ErrRefused, otherGroup{choice.Group, suite.Group(q.ke.Group)}}
	}
	if len(q.ke.Data) != choice.Group.PublicLen() {
		return nil, nil, fmt.Errorf("%w: length of the public value", ErrMalformed)
	}
	s := &Session{owner: owner, config: c.withDefaults(), path: q.Path, features: q.features, heardAt: now, dialled: q.Path.Remote.Addr()}
	if s.allowance.Received(s.dialled, len(q.raw)); q.Proven {
		s.allowance.Shown(s.dialled)
	}
	if err := s.answerInit(now, q, choice, d, admit); err != nil {
		return nil, nil, err
	}
	return s, nil, nil
}

func (c Config) withDefaults() Config {
	if c.MaxDatagram == 0 {
		c.MaxDatagram = defaultDatagram
	}
	if c.MaxChildren == 0 {
		c.MaxChildren = 16
	}
	if c.MaxIKEs == 0 {
		c.MaxIKEs = 6
	}
	return c
}

// answerInit makes the SA, and has the key of the answer made.
func (s *Session) answerInit(now time.Time, q *Request, choice suite.IKE2Choice, d *Directory, admit func() bool) error {
	seed, err := s.random(64)
	if err != nil {
		return err
	}
	nr, err := s.random(32)
	if err != nil {
		return err
	}
	a := &sa{s: s, spiI: q.header.Initiator, spiR: s.owner.AllocateIKE(s), suite: choice.IKE2Suite, nextIn: 1, made: now}
	group, list := choice.Group, []wire.Body{wire.Nonce2(nr)}
	if q.features.natt || !s.config.RawESP {
		list = append(list, s.natDetection(a)...)
	}
	list = append(list, s.announce(q, d)...)
	if !q.Proven && len(initAnswer(a, choice, make([]byte, group.PublicLen()), list)) > maxFactor*len(q.raw) {
		s.owner.Forget(a.spiR)
		return ErrUnproven
	}
	if !admit() {
		s.owner.Forget(a.spiR)
		return ErrLimit
	}
	s.sas, s.current = []*sa{a}, a
	s.opening = &opening{deadline: now.Add(halfOpenTime), until: now.Add(openingTime), request: bytes.Clone(q.raw), ni: q.nonce, nr: nr,
		public: bytes.Clone(q.ke.Data), additional: choice.Additional.List()}
	if !s.owner.Compute(func() any { return makeKey(seed, group) }, true, func(_ time.Time, r any) {
		s.sendInitAnswer(a, choice, r.(madeKey), list)
	}) {
		a.forget(now)
		return ErrLimit
	}
	return nil
}

// sendInitAnswer answers IKE_SA_INIT, now that we have a key for it.
func (s *Session) sendInitAnswer(a *sa, choice suite.IKE2Choice, made madeKey, rest []wire.Body) {
	if s.closing || a.state == saGone || s.opening == nil || made.err != nil {
		zeroKey(made.key)
		return
	}
	s.opening.key = made.key
	s.opening.response = initAnswer(a, choice, made.key.Public(), rest)
	s.answer(s.path, [][]byte{s.opening.response})
}

func initAnswer(a *sa, choice suite.IKE2Choice, public []byte, rest []wire.Body) []byte {
	list := []wire.Body{choice.AnswerSPI(nil), wire.KeyExchange2{Group: uint16(choice.Group), Data: public}}
	return plain(a.header(wire.ExchangeSAInit, 0, true), append(list, rest...))
}

// announce is what we say about ourselves: only what the client knows too, for
// some abort on what they do not expect.
func (s *Session) announce(q *Request, d *Directory) []wire.Body {
	var list []wire.Body
	if d.asks {
		list = append(list, wire.CertRequest2{Encoding: wire.CertX509Signature, Authorities: d.request})
	}
	add := func(when bool, n wire.Notify2) {
		if when {
			list = append(list, n)
		}
	}
	f := q.features
	add(f.fragmentation, notify(wire.Notify2FragmentationSupported))
	add(!f.family.Has(family.KnownNotifiesOnly), notify(wire.Notify2ChildlessSupported))
	add(f.signatures, wire.Uint16Notify(wire.Notify2SignatureHashAlgorithms, auth.HashAlgorithms()...))
	add(f.intermediate, notify(wire.Notify2IntermediateSupported))
	add(f.ppk && d.ppk, notify(wire.Notify2UsePPK))
	return list
}

// Repeat answers a repeated IKE_SA_INIT request the same way.
func (s *Session) Repeat(p Path, msg []byte) error {
	if s.opening == nil || !bytes.Equal(s.opening.request, msg) {
		return ErrState
	}
	s.allowance.Received(p.Remote.Addr(), len(msg))
	if s.opening.response != nil && s.opening.repeats < maxRepeats {
		s.opening.repeats++
		s.answer(p, [][]byte{s.opening.response})
	}
	return ErrDuplicate
}

// Bounds of what is kept for an SA whose keys are being computed.
const (
	maxEarly        = 40
	maxEarlyMessage = 8 << 10
	maxEarlyBytes   = 24 << 10
)

// early is a datagram that came before there were keys to tell by who wrote it, and the
// path that it came by, which is no other's.
type early struct {
	path Path
	msg  []byte
}

// inputUnkeyed takes a message of an SA whose keys are not there yet: as initiator
// the answer to IKE_SA_INIT, as responder what has to wait for them.
func (a *sa) inputUnkeyed(now time.Time, p Path, h wire.Header, msg []byte) error {
	s := a.s
	if s.opening == nil {
		return ErrState
	}
	if s.initiator {
		return s.handleInitAnswer(now, a, p, h, msg)
	}
	if h.Flags&wire.FlagResponse != 0 || h.MessageID != 1 || h.Next != wire.PayloadSK && h.Next != wire.PayloadSKF {
		return ErrState
	}
	if !s.opening.computing {
		o := s.opening
		key, public := o.key.Take(), o.public
		if !s.owner.Compute(func() any { return finish(key, public) }, true, func(now time.Time, r any) { s.keyed(now, a, r) }) {
			o.key = key
			return ErrLimit
		}
		o.computing = true
	}
	size := len(msg)
	for _, e := range a.early {
		if size += len(e.msg); bytes.Equal(e.msg, msg) {
			return ErrDuplicate
		}
	}
	if len(a.early) >= maxEarly || len(msg) > maxEarlyMessage || size > maxEarlyBytes {
		return ErrLimit
	}
	a.early = append(a.early, early{p, bytes.Clone(msg)})
	return nil
}

// keyed goes on with the keys, and with the messages that waited for them.
func (s *Session) keyed(now time.Time, a *sa, r any) {
	if !s.openingKeys(now, a, r.(sharedSecret), s.firstKeys) {
		return
	}
	zeroKey(s.opening.key)
	waited := a.early
	a.early = nil
	for _, e := range waited {
		h, _, err := wire.ConsumeHeader(e.msg)
		if err == nil && a.state != saGone {
			_ = a.input(now, e.path, h, e.msg)
		}
	}
}

// openingKeys derives keys of the opening from a secret that was computed elsewhere,
// and overwrites that. It reports whether the opening goes on.
func (s *Session) openingKeys(now time.Time, a *sa, secret sharedSecret, derive func(*sa, []byte) error) bool {
	defer clear(secret.key)
	if s.closing || a.state == saGone || s.opening == nil {
		return false
	}
	err := secret.err
	if err == nil {
		err = derive(a, secret.key)
	}
	if err != nil {
		s.fail(now, CauseMalformed, err.Error())
	}
	return err == nil
}

// handleIntermediate takes a request with an additional key exchange (RFC 9370,
// section 2.2.2).
func (s *Session) handleIntermediate(now time.Time, a *sa, m *message) error {
	o := s.opening
	p, ok := wire.Find(m.chain, wire.PayloadKE2)
	if o.stage != stageAuth || len(o.additional) == 0 || !ok {
		a.reject(now, m, "IKE_INTERMEDIATE without a key exchange to come")
		return ErrState
	}
	ke, err := wire.ConsumeKeyExchange2(p.Body)
	if err != nil || ke.Group != uint16(o.additional[0]) {
		a.reject(now, m, "IKE_INTERMEDIATE with another key exchange than was agreed on")
		return ErrMalformed
	}
	a.authenticateIntermediate(m.header, m.first, m.inner, false)
	return s.computeReply(a, m, o.additional[0], ke.Data, func(now time.Time, secret []byte, ke ...wire.Body) {
		if s.opening == nil {
			return
		}
		a.respond(now, m, ke...)
		if err := s.nextKeys(a, secret); err != nil {
			s.fail(now, CauseInternal, err.Error())
		}
	}, nil)
}
