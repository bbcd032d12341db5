package v2

import (
	"slices"
	"time"

	"github.com/culvert-vpn/culvert/ike/family"
	"github.com/culvert-vpn/culvert/ike/suite"
	"github.com/culvert-vpn/culvert/ike/wire"
)

// createChild is a CREATE_CHILD_SA exchange of ours that makes a child SA, anew
// or in place of old (RFC 7296, sections 1.3.1 and 1.3.3).
type createChild struct {
	s     *Session
	old   *child
	spi   uint32
	ni    []byte
	with  Exchange
	other []suite.Group // offered beside its group
	key   *suite.PrivateKey
	offer wire.SA2
	tries int
	turn  bool // the peer wants it with a key exchange where the old one had none, or without
}

// Exchange is the key exchanges that renew a child SA; no Group: none.
type Exchange struct {
	Group      suite.Group
	Additional suite.Additional
}

// makesChild reports whether a request of ours makes a child SA.
func makesChild(t task) bool {
	switch t := t.(type) {
	case *createChild:
		return true
	case *followup:
		return t.creates
	}
	return false
}

// renewChild asks the peer to renew c, unless that is under way.
func (s *Session) renewChild(now time.Time, c *child) {
	// The peer may not know of one that it has not used yet.
	if c.state != childStanding || !c.active || c.renewedByPeer() || s.current == nil || s.closing || s.has(family.NoChildRenewal) {
		return
	}
	c.setState(childRekeying)
	with := Exchange{c.suite.Group, c.suite.Additional}
	if with.Group == suite.GroupNone {
		with = s.perfect()
	}
	s.current.ask(now, &createChild{s: s, old: c, with: with})
}

// perfect is what the initiator of a connection renews its first child SA with:
// what it is told, or what the IKE SA has.
func (s *Session) perfect() Exchange {
	switch {
	case s.dial == nil || !s.dial.PFS && !s.habits().OptionalPFS:
		return Exchange{}
	case s.dial.Renewal.Group != suite.GroupNone:
		return s.dial.Renewal
	}
	return Exchange{s.current.suite.Group, s.current.suite.Additional}
}

// start builds the request.
func (t *createChild) start(now time.Time, a *sa) (wire.ExchangeType, []wire.Body, bool) {
	s := t.s
	if t.old != nil && t.old.renewedByPeer() {
		t.abandon(now, a)
	}
	if t.old != nil && t.old.state != childRekeying || s.closing {
		return 0, nil, false
	}
	var err error
	if t.ni, err = s.random(32); err != nil {
		return 0, nil, false
	}
	if t.spi == 0 {
		t.spi = s.owner.AllocateSPI()
	}
	local, remote, transport := s.dialSelectors()
	if t.old != nil {
		local, remote, transport = t.old.local, t.old.remote, t.old.transport
	}
	if s.habits().WideSelectors && !transport {
		local, remote = everything(), everything()
	}
	t.offer = s.offerESP(t.old, t.spi, t.with, t.other...)
	var list []wire.Body
	if t.old != nil {
		list = append(list, wire.Notify2{Protocol: wire.ProtocolESP, SPI: spiBytes(t.old.in), Type: wire.Notify2RekeySA})
	}
	if transport {
		list = append(list, notify(wire.Notify2UseTransportMode))
	}
	list = append(list, t.offer, wire.Nonce2(t.ni))
	if t.with.Group != 0 {
		if t.key, err = t.with.Group.GenerateKey(s.owner.Rand()); err != nil {
			return 0, nil, false
		}
		list = append(list, wire.KeyExchange2{Group: uint16(t.with.Group), Data: t.key.Public()})
	}
	return wire.ExchangeCreateChild, append(list, selectorsOf(false, local), selectorsOf(true, remote)), true
}

// abandon lets the old child SA be renewed again.
func (t *createChild) abandon(now time.Time, a *sa) {
	zeroKey(t.key)
	if t.old != nil && t.old.state == childRekeying {
		t.old.setState(childStanding)
		t.old.rival = nil
	}
}

// answer takes the response.
func (t *createChild) answer(now time.Time, a *sa, m *message) error {
	if t.s.closing {
		return nil
	}
	if n, bad := findError(m.chain); bad {
		return t.refused(now, a, n)
	}
	o, err := readChildOffer(m.chain)
	if err != nil {
		t.failed(now, CauseMalformed, "the answer to CREATE_CHILD_SA is malformed")
		return err
	}
	nr, err := nonceOf(m.chain)
	if err != nil {
		return err
	}
	g, err := t.s.accept(t.offer, o, t.spi, false)
	with := g.suite.Group // without, if that was offered too
	link, linked := linkOf(m.chain)
	more := g.suite.Additional.List()
	if err != nil || with != 0 && with != t.with.Group || (with != 0) != (o.ke.Group == uint16(with) && len(o.ke.Data) > 0) || linked != (len(more) > 0) {
		t.failed(now, CauseNoESPProposal, "the answer to CREATE_CHILD_SA is not one to our offer")
		return ErrRefused
	}
	if with == 0 {
		zeroKey(t.key)
		t.done(now, a, g, nil, nr)
		return nil
	}
	compute := func(_ time.Time, a *sa, keys []offeredKey) { t.compute(a, g, keys, nr) }
	first := []offeredKey{{t.key, slices.Clone(o.ke.Data)}}
	if !linked {
		compute(now, a, first)
		return nil
	}
	a.next(&followup{creates: true, link: link, left: more, done: first, then: compute, refused: t.refused, drop: t.abandon,
		failed: func(now time.Time, detail string) { t.failed(now, CauseMalformed, detail) }})
	return nil
}

// compute has the secrets computed, and goes on to the end.
func (t *createChild) compute(a *sa, g agreement, keys []offeredKey, nr []byte) {
	keys = taken(keys)
	t.s.owner.Compute(func() any { return secrets(keys) }, false, func(now time.Time, r any) {
		shared := r.(sharedSecrets)
		defer shared.zero()
		switch {
		case t.s.closing || a.state == saGone:
		case shared.err != nil:
			t.failed(now, CauseMalformed, shared.err.Error())
		default:
			t.done(now, a, g, shared.keys, nr)
		}
	})
}

// done takes the new child SA into use. If the peer has renewed the old one at
// the same time, the pair with the lowest of the four nonces goes: "the SA
// created with the lowest of the four nonces ... SHOULD be closed by the endpoint
// that created it" (RFC 7296, section 2.8.1).
func (t *createChild) done(now time.Time, a *sa, g agreement, secrets [][]byte, nr []byte) {
	old := t.old
	if old == nil {
		t.s.install(now, a, g, true, secrets, t.ni, nr, nil)
		return
	}
	rival := old.rival
	old.rival = nil
	lost := rival != nil && slices.Compare(lowest(t.ni, nr), rival.lowest) < 0 && slices.Contains(t.s.children, rival.c)
	if lost {
		// The peer's own request may not be answered yet: we send on the old one
		// until it deletes that.
		t.s.install(now, a, g, true, secrets, t.ni, nr, old, redundant).delete(now)
	} else {
		t.s.install(now, a, g, true, secrets, t.ni, nr, old)
	}
	if old.state != childRekeying {
		return // the peer has deleted it meanwhile
	}
	old.setState(childStanding)
	old.rekeyAt = time.Time{}
	if !lost {
		if rival != nil {
			rival.c.activateAt = time.Time{}
		}
		old.delete(now)
	}
}

// refused takes an error of the peer.
func (t *createChild) refused(now time.Time, a *sa, n wire.Notify2) error {
	zeroKey(t.key)
	switch n.Type {
	case wire.Notify2InvalidKEPayload:
		for g := range n.Uint16s() {
			if t.tries++; t.tries < 3 && t.s.offersGroup(suite.Group(g)) {
				t.with.Group, t.other = suite.Group(g), nil
				a.ask(now, t)
				return nil
			}
		}
	case wire.Notify2NoProposalChosen:
		if t.otherwise() {
			a.ask(now, t)
			return nil
		}
		t.failed(now, CauseNoESPProposal, "the other side answered "+describeError(n)+" to the child SA, with and without a key exchange")
		return nil
	case wire.Notify2TemporaryFailure, wire.Notify2StateNotFound:
		t.again(now)
		return nil
	case wire.Notify2ChildSANotFound:
		// "the requestor ... SHOULD silently delete the Child SA" (section 2.25).
		if t.old != nil && t.old.state == childRekeying {
			t.old.remove()
			if t.s.initiator && len(t.s.children) == 0 {
				t.s.current.ask(now, &createChild{s: t.s, with: t.with})
			}
		}
		return nil
	}
	t.failed(now, causeOf(n.Type), "the other side answered "+describeError(n))
	return nil
}

// otherwise turns to a renewal with a key exchange where one without was refused,
// and the other way round. What the peer wants cannot be told from the first child
// SA: "the SA payloads in the IKE_AUTH exchange cannot contain Transform Type 4
// (Diffie-Hellman group) with any value other than NONE" (RFC 7296, section 1.2).
func (t *createChild) otherwise() bool {
	if t.turn || t.old == nil {
		return false
	}
	t.turn, t.other = true, nil
	if t.with.Group != suite.GroupNone {
		t.with = Exchange{}
		return t.s.dial == nil || !t.s.dial.PFS
	}
	t.with = Exchange{t.s.current.suite.Group, t.s.current.suite.Additional}
	t.other = slices.DeleteFunc(slices.Clone(t.s.espPolicy().Groups), func(g suite.Group) bool { return g == t.with.Group })
	return true
}

// again tries later.
func (t *createChild) again(now time.Time) {
	old := t.old
	if old != nil && old.state == childRekeying {
		old.setState(childStanding)
		old.rival = nil
	}
	t.s.retry(now, func(now time.Time) {
		switch {
		case old == nil && t.s.current != nil:
			t.s.current.ask(now, &createChild{s: t.s, with: t.with})
		case old != nil && slices.Contains(t.s.children, old):
			t.s.renewChild(now, old)
		default:
			t.s.checkChildren(now)
		}
	})
}

// failed takes note that there is no new child SA.
func (t *createChild) failed(now time.Time, c Cause, detail string) {
	zeroKey(t.key)
	t.s.owner.Failed(now, t.s, c, detail)
	if t.old != nil && t.old.state == childRekeying {
		t.old.setState(childStanding)
		t.old.rival = nil
		t.old.rekeyAt = now.Add(t.s.jitter(retryTime, 100, 200))
	}
}

// handleCreateChild takes a CREATE_CHILD_SA request.
func (s *Session) handleCreateChild(now time.Time, a *sa, m *message) error {
	sa, ok := wire.Find(m.chain, wire.PayloadSA2)
	if !ok {
		a.reject(now, m, "CREATE_CHILD_SA without SA")
		return ErrMalformed
	}
	offer, err := wire.ConsumeSA2(sa.Body)
	if err != nil {
		a.reject(now, m, "CREATE_CHILD_SA with a malformed SA")
		return malformed(err)
	}
	s.dropPending() // the peer has given that up
	// RFC 7296, section 2.25.2, and requests on an SA that has a successor.
	if a != s.current || a.state != saStanding {
		a.respond(now, m, notify(wire.Notify2TemporaryFailure))
		return ErrState
	}
	if len(offer.Proposals) > 0 && offer.Proposals[0].Protocol == wire.ProtocolIKE {
		return s.handleRenewal(now, a, m, offer)
	}
	if s.renewal != nil {
		a.respond(now, m, notify(wire.Notify2TemporaryFailure))
		return ErrState
	}
	return s.handleCreate(now, a, m)
}

// handleCreate answers a request for a child SA.
func (s *Session) handleCreate(now time.Time, a *sa, m *message) error {
	o, err := readChildOffer(m.chain)
	ni, err2 := nonceOf(m.chain)
	if err != nil || err2 != nil {
		a.reject(now, m, "CREATE_CHILD_SA without what a child SA needs")
		return ErrMalformed
	}
	old, no := s.renewed(m.chain)
	var g agreement
	var answer wire.SA2
	if no == nil {
		g, answer, no = s.agree(o, old, false)
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
	finish := func(now time.Time, m *message, secrets [][]byte, body ...wire.Body) {
		if a != s.current || old != nil && (!slices.Contains(s.children, old) || old.state == childDeleting) {
			a.respond(now, m, notify(wire.Notify2TemporaryFailure))
			return
		}
		c := s.install(now, a, g, false, secrets, ni, nr, old)
		s.succeed(old, c, lowest(ni, nr))
		a.respond(now, m, body...)
	}
	if g.suite.Group == 0 {
		finish(now, m, nil, g.payloads(answer, wire.Nonce2(nr))...)
		return nil
	}
	return s.computeReply(a, m, g.suite.Group, o.ke.Data, func(now time.Time, secret []byte, ke ...wire.Body) {
		p := pending{a: a, left: g.suite.Additional.List(), finish: finish, drop: func() {}}
		s.answerKeys(now, m, p, secret, g.payloads(answer, append([]wire.Body{wire.Nonce2(nr)}, ke...)...))
	}, nil)
}

// refuse answers a request with why it is refused, which is counted if it has a cause.
func (a *sa) refuse(now time.Time, m *message, no *refusal) {
	if no.cause != CauseNone {
		a.s.owner.Failed(now, a.s, no.cause, no.detail)
	}
	a.respond(now, m, no.notify)
}

// renewed finds the child SA that a request renews, if any.
func (s *Session) renewed(chain []wire.Payload) (*child, *refusal) {
	n, ok := findNotify(chain, wire.Notify2RekeySA)
	if !ok {
		return nil, nil
	}
	var c *child
	if len(n.SPI) == 4 && n.Protocol == wire.ProtocolESP {
		c = s.childBy(spiOf(n.SPI))
	}
	switch {
	case c == nil || !c.goneAt.IsZero():
		no := refuse(wire.Notify2ChildSANotFound, CauseNone, "")
		no.notify.Protocol, no.notify.SPI = n.Protocol, slices.Clone(n.SPI)
		return nil, no
	case c.state == childDeleting:
		return nil, refuse(wire.Notify2TemporaryFailure, CauseNone, "")
	default:
		return c, nil
	}
}

// succeed notes that the peer has renewed old by c.
func (s *Session) succeed(old, c *child, lowest []byte) {
	if old == nil || !slices.Contains(s.children, old) {
		return
	}
	old.successor = c
	if old.state == childRekeying {
		old.rival = &rivalChild{c: c, lowest: lowest}
		return
	}
	old.rekeyAt = time.Time{}
}

// computeReply makes a key of ours for the peer's public value and goes on with
// the shared secret.
func (s *Session) computeReply(a *sa, m *message, g suite.Group, public []byte,
	then func(now time.Time, secret []byte, ke ...wire.Body), after func()) (err error) {
	defer func() {
		if err != nil && after != nil {
			after()
		}
	}()
	seed, err := s.random(64)
	if err != nil {
		a.respond(s.heardAt, m, notify(wire.Notify2TemporaryFailure))
		return err
	}
	peer := slices.Clone(public)
	s.owner.Compute(func() any { return answerExchange(seed, g, peer) }, false, func(now time.Time, r any) {
		secret := r.(sharedSecret)
		defer clear(secret.key)
		if after != nil {
			defer after()
		}
		switch {
		case a.state == saGone || s.closing && a.state != saDeleting:
		case s.closing:
			a.respond(now, m, notify(wire.Notify2TemporaryFailure))
		case secret.err != nil:
			a.reject(now, m, secret.err.Error())
		default:
			then(now, secret.key, wire.KeyExchange2{Group: uint16(g), Data: secret.public})
		}
	})
	return nil
}

// lowest is the lower of two nonces.
func lowest(a, b []byte) []byte {
	if slices.Compare(a, b) < 0 {
		return a
	}
	return b
}

// nonceOf returns a copy of the nonce of a message.
func nonceOf(chain []wire.Payload) ([]byte, error) {
	p, ok := wire.Find(chain, wire.PayloadNonce2)
	if !ok {
		return nil, ErrMalformed
	}
	n, err := consumeNonce(p.Body)
	if err != nil {
		return nil, malformed(err)
	}
	return n, nil
}
