package v2

import (
	"slices"
	"time"

	"github.com/culvert-vpn/culvert/ike/suite"
	"github.com/culvert-vpn/culvert/ike/wire"
)

// renewal is the renewal of the current IKE SA, while it runs (RFC 7296, sections
// 1.3.2, 2.8 and 2.25.2). Both sides may have begun one.
type renewal struct {
	ours  *renewIKE // our request, nil if we have not asked
	rival *sa       // what the peer has made of its request while ours was under way
	fresh *sa       // half made, in computation
}

// close forgets what is under way. If the peer is told of the end, what it has
// made of our request must be deleted too: that waits for the answer.
func (r *renewal) close(s *Session, tell bool) {
	if r.ours != nil && !(tell && r.ours.sent) {
		zeroKey(r.ours.key)
		s.owner.Forget(r.ours.spi)
		r.ours.spi = wire.Cookie{}
	}
	if r.fresh != nil {
		s.owner.Forget(r.fresh.spiR)
	}
}

// forgetRival takes note that the peer has deleted what it had made.
func (r *renewal) forgetRival() {
	r.rival = nil
	if r.ours != nil {
		r.ours.rival = nil
	}
}

// renewIKE is our request for a new IKE SA in place of the current one.
type renewIKE struct {
	s     *Session
	spi   wire.Cookie
	ni    []byte
	group suite.Group
	key   *suite.PrivateKey
	offer wire.SA2
	tries int
	sent  bool   // and neither answered nor given up
	rival *sa    // what the peer has made of its request meanwhile
	low   []byte // the lowest of the rival's nonces
}

// startRenewal asks for a new IKE SA, unless that is under way.
func (s *Session) startRenewal(now time.Time) {
	if s.renewal != nil || s.current == nil || s.current.state != saStanding || s.closing {
		return
	}
	t := &renewIKE{s: s, group: s.renewalGroup()}
	s.renewal = &renewal{ours: t}
	s.current.ask(now, t)
}

// start builds the request.
func (t *renewIKE) start(now time.Time, a *sa) (wire.ExchangeType, []wire.Body, bool) {
	if t.s.renewal == nil || t.s.renewal.ours != t || a != t.s.current {
		return 0, nil, false
	}
	var err error
	if t.ni, err = t.s.random(32); err == nil {
		t.key, err = t.group.GenerateKey(t.s.owner.Rand())
	}
	if err != nil {
		t.s.renewal = nil
		return 0, nil, false
	}
	if t.spi.IsZero() {
		t.spi = t.s.owner.AllocateIKE(t.s)
	}
	t.sent = true
	u := a.suite
	u.Group = t.group
	t.offer = t.s.renewalOffer(t.spi, u)
	return wire.ExchangeCreateChild, []wire.Body{t.offer, wire.Nonce2(t.ni),
		wire.KeyExchange2{Group: uint16(t.group), Data: t.key.Public()}}, true
}

// abandon forgets the request: its SA is gone.
func (t *renewIKE) abandon(now time.Time, a *sa) { t.drop() }

// drop ends the request without an SA. If the peer has renewed meanwhile, its SA
// is the successor.
func (t *renewIKE) drop() {
	zeroKey(t.key)
	if !t.spi.IsZero() {
		t.s.owner.Forget(t.spi)
		t.spi = wire.Cookie{}
	}
	if t.s.renewal != nil && t.s.renewal.ours == t {
		t.s.renewal.ours = nil
		if t.s.renewal.fresh == nil && t.s.renewal.rival == nil {
			t.s.renewal = nil
		}
	}
}

// answer takes the response.
func (t *renewIKE) answer(now time.Time, a *sa, m *message) error {
	if n, bad := findError(m.chain); bad {
		return t.refused(now, a, n)
	}
	choice, ke, nr, err := t.read(m)
	if err != nil {
		t.giveUp(now, CauseMalformed, "the answer to the renewal of the IKE SA does not fit")
		return err
	}
	compute := func(_ time.Time, a *sa, keys []offeredKey) { t.compute(a, choice, keys, nr) }
	first := []offeredKey{{t.key, ke}}
	link, linked := linkOf(m.chain)
	more := choice.Additional.List()
	switch {
	case linked != (len(more) > 0):
		t.giveUp(now, CauseMalformed, "the answer to the renewal of the IKE SA does not fit its key exchanges")
		return ErrMalformed
	case !linked:
		compute(now, a, first)
	case t.s.closing:
		t.drop()
	default:
		a.next(&followup{link: link, left: more, done: first, then: compute, refused: t.refused, drop: t.abandon,
			failed: func(now time.Time, detail string) { t.giveUp(now, CauseMalformed, detail) }})
	}
	return nil
}

// compute has the secrets computed, and goes on to the end.
func (t *renewIKE) compute(a *sa, c suite.IKE2Choice, keys []offeredKey, nr []byte) {
	keys = taken(keys)
	t.s.owner.Compute(func() any { return secrets(keys) }, false, func(now time.Time, r any) {
		shared := r.(sharedSecrets)
		defer shared.zero()
		switch {
		case a.state == saGone || t.spi.IsZero():
			t.drop()
		case shared.err != nil:
			t.giveUp(now, CauseMalformed, shared.err.Error())
		default:
			t.done(now, a, c, shared.keys, nr)
		}
	})
}

func (t *renewIKE) read(m *message) (c suite.IKE2Choice, ke, nr []byte, err error) {
	sa, ok1 := wire.Find(m.chain, wire.PayloadSA2)
	kp, ok2 := wire.Find(m.chain, wire.PayloadKE2)
	if !ok1 || !ok2 {
		return c, nil, nil, ErrMalformed
	}
	answer, err := wire.ConsumeSA2(sa.Body)
	if err != nil {
		return c, nil, nil, malformed(err)
	}
	k, err := wire.ConsumeKeyExchange2(kp.Body)
	if err != nil {
		return c, nil, nil, malformed(err)
	}
	if nr, err = nonceOf(m.chain); err != nil {
		return c, nil, nil, err
	}
	c, err = suite.AcceptIKE2(t.offer, answer)
	if err != nil || len(c.SPI) != 8 || k.Group != uint16(c.Group) {
		return c, nil, nil, ErrRefused
	}
	return c, slices.Clone(k.Data), nr, nil
}

// done takes the new IKE SA into use, or the peer's, if both sides have made one:
// the one with the lowest nonce goes.
func (t *renewIKE) done(now time.Time, old *sa, c suite.IKE2Choice, secrets [][]byte, nr []byte) {
	s := t.s
	fresh := &sa{s: s, initiator: true, spiI: t.spi, spiR: wire.Cookie(c.SPI), suite: c.IKE2Suite, made: now}
	if fresh.renewKeys(old, secrets, t.ni, nr) != nil {
		t.giveUp(now, CauseInternal, "no keys for the new IKE SA")
		return
	}
	t.spi = wire.Cookie{} // the SA's from now on
	s.sas = append(s.sas, fresh)
	if s.closing {
		fresh.retire(now)
		fresh.ask(now, &deleteTask{})
		return
	}
	s.renewal = nil
	if rival := t.rival; rival != nil && slices.Contains(s.sas, rival) {
		if slices.Compare(lowest(t.ni, nr), t.low) < 0 {
			if s.current != rival {
				s.adopt(now, rival)
			}
			fresh.retire(now)
			fresh.ask(now, &deleteTask{})
			return
		}
		rival.retire(now)
	}
	s.adopt(now, fresh)
	old.ask(now, &deleteTask{})
}

// refused takes an error of the peer.
func (t *renewIKE) refused(now time.Time, a *sa, n wire.Notify2) error {
	if n.Type == wire.Notify2InvalidKEPayload {
		for g := range n.Uint16s() {
			if t.tries++; t.tries < 3 && slices.Contains(ikePolicy(t.s.candidate.Policy).Groups, suite.Group(g)) {
				zeroKey(t.key)
				t.group = suite.Group(g)
				a.ask(now, t)
				return nil
			}
		}
	}
	if n.Type == wire.Notify2TemporaryFailure || n.Type == wire.Notify2StateNotFound {
		t.giveUp(now, CauseNone, "")
		return nil
	}
	t.giveUp(now, causeOf(n.Type), "the other side answered "+describeError(n)+" to the renewal of the IKE SA")
	return nil
}

// giveUp ends our request. The peer's SA, if there is one, succeeds; otherwise we
// try again.
func (t *renewIKE) giveUp(now time.Time, c Cause, detail string) {
	s, r := t.s, t.s.renewal
	t.drop()
	if s.closing {
		return
	}
	if r != nil && r.rival != nil {
		s.renewal = nil
		s.adopt(now, r.rival)
		return
	}
	if c != CauseNone {
		s.owner.Failed(now, s, c, detail)
	}
	if s.current != nil {
		s.current.rekeyAt = now.Add(s.jitter(retryTime, 60, 180))
	}
}

// renewKeys derives the keys of an SA that renews old.
func (a *sa) renewKeys(old *sa, secrets [][]byte, ni, nr []byte) error {
	n := suite.Nonces{Ni: ni, Nr: nr, SPIi: a.spiI, SPIr: a.spiR}
	if err := a.useKeys(a.suite.RekeyKeys(old.suite.PRF, old.keys.D, secrets, n)); err != nil {
		return err
	}
	a.setState(saStanding)
	return nil
}

// retire leaves an SA to the DELETE that is to come.
func (a *sa) retire(now time.Time) {
	a.setState(saReplaced)
	a.rekeyAt, a.expireAt = time.Time{}, now.Add(replacedTime)
}

// adopt makes an IKE SA the current one: child SAs and what is still to be asked
// move to it (RFC 7296, section 2.18).
func (s *Session) adopt(now time.Time, fresh *sa) {
	old := s.current
	s.current, s.renewal = fresh, nil
	fresh.setState(saStanding)
	fresh.scheduleIKE(now)
	if old != nil && old != fresh && old.state != saGone {
		old.retire(now)
		fresh.queue = append(fresh.queue, old.queue...)
		old.queue = nil
	}
	fresh.pump(now)
}

// scheduleIKE sets when the SA is renewed and when it ends.
func (a *sa) scheduleIKE(now time.Time) {
	s := a.s
	life := s.lifetime(s.candidate.Policy.IKELifetime, defaultIKE)
	a.made, a.rekeyAt, a.expireAt = now, time.Time{}, time.Time{}
	switch {
	case s.initiator:
		a.rekeyAt = now.Add(s.jitter(life, 80, 90))
	case s.candidate.Policy.Rekey:
		a.rekeyAt = now.Add(s.jitter(life, 90, 96))
	default:
		return
	}
	a.expireAt = now.Add(life + min(life/2, 5*time.Minute))
}

// handleRenewal takes the peer's request for a new IKE SA.
func (s *Session) handleRenewal(now time.Time, a *sa, m *message, offer wire.SA2) error {
	if s.childrenInMotion() {
		a.respond(now, m, notify(wire.Notify2TemporaryFailure))
		return ErrState
	}
	if len(s.sas) >= s.config.MaxIKEs { // what it replaced has to go first
		a.respond(now, m, notify(wire.Notify2TemporaryFailure))
		return ErrLimit
	}
	choice, public, ni, no, err := s.readRenewal(m, offer)
	if err != nil {
		a.reject(now, m, "a renewal of the IKE SA without what it needs")
		return err
	}
	if no != nil {
		a.refuse(now, m, no)
		return ErrRefused
	}
	nr, err := s.random(32)
	if err != nil {
		a.respond(now, m, notify(wire.Notify2TemporaryFailure))
		return err
	}
	fresh := &sa{s: s, spiI: wire.Cookie(choice.SPI), spiR: s.owner.AllocateIKE(s), suite: choice.IKE2Suite, made: now}
	if s.renewal == nil {
		s.renewal = &renewal{}
	}
	s.renewal.fresh = fresh
	p := pending{a: a, left: choice.Additional.List(), drop: func() {
		s.owner.Forget(fresh.spiR)
		s.dropFresh(fresh)
	}}
	p.finish = func(now time.Time, m *message, secrets [][]byte, body ...wire.Body) {
		s.finishRenewal(now, a, m, fresh, secrets, body, ni, nr)
	}
	done := false
	return s.computeReply(a, m, choice.Group, public, func(now time.Time, secret []byte, ke ...wire.Body) {
		done = true
		s.answerKeys(now, m, p, secret, append([]wire.Body{choice.AnswerSPI(fresh.spiR[:]), wire.Nonce2(nr)}, ke...))
	}, func() {
		if !done {
			p.drop()
		}
	})
}

// dropFresh forgets an SA that was not finished.
func (s *Session) dropFresh(fresh *sa) {
	if s.renewal == nil || s.renewal.fresh != fresh {
		return
	}
	s.renewal.fresh = nil
	if s.renewal.ours == nil && s.renewal.rival == nil {
		s.renewal = nil
	}
}

// finishRenewal answers the peer's request with the new SA.
func (s *Session) finishRenewal(now time.Time, a *sa, m *message, fresh *sa, secrets [][]byte, body []wire.Body, ni, nr []byte) {
	if fresh.renewKeys(a, secrets, ni, nr) != nil {
		s.owner.Forget(fresh.spiR)
		s.dropFresh(fresh)
		a.respond(now, m, notify(wire.Notify2TemporaryFailure))
		return
	}
	if a != s.current || a.state != saStanding {
		// Our own renewal came first.
		s.owner.Forget(fresh.spiR)
		s.dropFresh(fresh)
		fresh.zeroKeys()
		a.respond(now, m, notify(wire.Notify2TemporaryFailure))
		return
	}
	s.sas = append(s.sas, fresh)
	a.respond(now, m, body...)
	r := s.renewal
	if r != nil && r.ours != nil && r.ours.sent {
		r.fresh, r.rival = nil, fresh
		r.ours.rival, r.ours.low = fresh, lowest(ni, nr)
		return
	}
	if r != nil && r.ours != nil {
		r.ours.drop()
	}
	s.adopt(now, fresh)
}

// readRenewal reads the peer's request for a new IKE SA and chooses. Proposal
// numbers are not looked at: macOS 14 repeats that of its first offer.
func (s *Session) readRenewal(m *message, offer wire.SA2) (c suite.IKE2Choice, public, ni []byte, no *refusal, err error) {
	p, ok := wire.Find(m.chain, wire.PayloadKE2)
	if !ok {
		return c, nil, nil, nil, ErrMalformed
	}
	ke, err := wire.ConsumeKeyExchange2(p.Body)
	if err != nil {
		return c, nil, nil, nil, malformed(err)
	}
	if ni, err = nonceOf(m.chain); err != nil {
		return c, nil, nil, nil, err
	}
	policy := ikePolicy(s.candidate.Policy)
	policy.Sent = suite.Group(ke.Group)
	policy.Groups = renewalGroups(policy.Groups)
	c, err = suite.SelectIKE2(offer, policy)
	switch {
	case err != nil:
		return c, nil, nil, refuse(wire.Notify2NoProposalChosen, CauseNoProposal, err.Error()), nil
	case len(c.SPI) != 8 || wire.Cookie(c.SPI).IsZero():
		return c, nil, nil, nil, ErrMalformed
	case uint16(c.Group) != ke.Group:
		no := refuse(wire.Notify2InvalidKEPayload, CauseNone, "")
		no.notify = wire.Uint16Notify(wire.Notify2InvalidKEPayload, uint16(c.Group))
		return c, nil, nil, no, nil
	}
	return c, ke.Data, ni, nil, nil
}

// childrenInMotion reports whether we are in the middle of making, renewing or
// deleting a child SA: then an IKE SA is not to be renewed (section 2.25.2).
func (s *Session) childrenInMotion() bool {
	if t, ok := s.current.flying.(*deleteTask); ok {
		return t.child != nil
	}
	return makesChild(s.current.flying)
}

// ikePolicy is what p allows for IKE SAs.
func ikePolicy(p Policy) suite.IKE2Policy {
	if len(p.IKE.Ciphers) == 0 {
		return suite.DefaultIKE2(false)
	}
	return p.IKE
}
