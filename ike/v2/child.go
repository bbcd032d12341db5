package v2

import (
	"fmt"
	"slices"
	"time"

	"github.com/culvert-vpn/culvert/ike/family"
	"github.com/culvert-vpn/culvert/ike/suite"
	"github.com/culvert-vpn/culvert/ike/wire"
	"github.com/culvert-vpn/culvert/internal/x/deadline"
)

// child is a pair of ESP SAs in use. Its keys are the Owner's.
type child struct {
	s             *Session
	in, out       uint32
	initiator     bool // we started the exchange that made it
	active        bool
	state         childState
	suite         suite.ESP2
	local, remote []Range
	transport     bool
	rival         *rivalChild // made by the peer to renew this one as well
	successor     *child      // made by the peer to renew this one

	activateAt, rekeyAt, expireAt, goneAt time.Time
}

// childState is where a child SA is in its life.
type childState uint8

const (
	// childStanding: in use.
	childStanding childState = iota
	// childRekeying: we have asked to renew it.
	childRekeying
	// childDeleting: we have told the peer, or it has told us, that it goes.
	childDeleting
)

// rivalChild is what the peer made of a child SA that we were renewing too.
type rivalChild struct {
	c      *child
	lowest []byte // of its two nonces
}

func (c *child) setState(st childState) { c.state = st }

// deadline is when the child wants to be advanced.
func (c *child) deadline() time.Time {
	return deadline.Earliest(c.activateAt, c.rekeyAt, c.expireAt, c.goneAt)
}

func (c *child) advance(now time.Time) {
	if deadline.Due(now, c.activateAt) {
		c.activate()
	}
	switch {
	case deadline.Due(now, c.goneAt):
		c.remove()
		c.s.checkChildren(now)
	case deadline.Due(now, c.expireAt):
		c.expireAt = time.Time{}
		c.delete(now)
		c.s.replaceExpired(now)
	case deadline.Due(now, c.rekeyAt):
		c.rekeyAt = now.Add(retryTime)
		c.s.renewChild(now, c)
	}
}

// replaceExpired asks for another child SA if the last one of a connection that we
// dialled could not be renewed in time.
func (s *Session) replaceExpired(now time.Time) {
	standing := func(c *child) bool { return c.state != childDeleting }
	if s.dial != nil && s.up && !s.closing && s.current != nil && !slices.ContainsFunc(s.children, standing) {
		s.current.ask(now, &createChild{s: s, with: s.perfect()})
	}
}

// activate lets us send on the child SA, unless it is replaced already.
func (c *child) activate() {
	c.activateAt = time.Time{}
	if !c.active && c.state != childDeleting {
		c.active = true
		c.s.owner.Activated(c.s, c.in)
	}
}

// renewedByPeer reports whether the peer has renewed the child SA: it will delete
// it.
func (c *child) renewedByPeer() bool {
	return c.successor != nil && slices.Contains(c.s.children, c.successor)
}

// remove forgets the child SA.
func (c *child) remove() {
	n := slices.Index(c.s.children, c)
	if n < 0 {
		return
	}
	c.s.children = slices.Delete(c.s.children, n, n+1)
	c.s.owner.Removed(c.s, c.in, c.out)
}

// delete tells the peer that the child SA goes. It receives until the answer and
// a little longer.
func (c *child) delete(now time.Time) {
	if c.state == childDeleting {
		return
	}
	c.setState(childDeleting)
	c.rekeyAt, c.expireAt = time.Time{}, time.Time{}
	if c.s.current == nil || !c.s.up {
		c.remove()
		return
	}
	c.s.current.ask(now, &deleteTask{child: c})
}

// fade lets the child SA receive what is under way, and then go.
func (c *child) fade(now time.Time) {
	c.setState(childDeleting)
	c.rekeyAt, c.expireAt, c.activateAt = time.Time{}, time.Time{}, time.Time{}
	c.goneAt = now.Add(childLinger)
}

// schedule sets when the child SA is renewed and when it ends.
func (c *child) schedule(now time.Time) {
	life := c.s.lifetime(c.s.candidate.Policy.ChildLifetime, defaultChild)
	switch {
	case c.s.initiator:
		c.rekeyAt = now.Add(c.s.jitter(life, 80, 90))
	case c.s.candidate.Policy.Rekey && !c.s.has(family.NoChildRenewal):
		c.rekeyAt = now.Add(c.s.jitter(life, 90, 96))
	default:
		return // the client renews; RFC 7296 negotiates no lifetimes
	}
	c.expireAt = now.Add(life + min(life/2, 5*time.Minute))
}

// lifetime is d, or what is usual.
func (s *Session) lifetime(d, usual time.Duration) time.Duration {
	if d <= 0 {
		return usual
	}
	return d
}

// childBy finds the child SA on which the peer receives with spi.
func (s *Session) childBy(out uint32) *child {
	for _, c := range s.children {
		if c.out == out {
			return c
		}
	}
	return nil
}

// redundancy marks a child SA that is deleted as soon as it is made, for the peer
// has made another one at the same time.
type redundancy struct{}

var redundant redundancy

// agreement is a child SA that both sides have agreed on, without its keys.
type agreement struct {
	suite         suite.ESP2
	spi, peerSPI  uint32
	local, remote []Range
	transport     bool
}

// install makes the child SA of an agreement receive. initiator says that we
// started the exchange; replaces is what it renews.
func (s *Session) install(now time.Time, a *sa, g agreement, initiator bool, secrets [][]byte, ni, nr []byte, replaces *child, why ...redundancy) *child {
	c := &child{s: s, in: g.spi, out: g.peerSPI, initiator: initiator, suite: g.suite,
		local: g.local, remote: g.remote, transport: g.transport}
	keyOut, keyIn := g.suite.ChildKeys(a.suite.PRF, a.keys.D, secrets, ni, nr)
	if !initiator {
		keyIn, keyOut = keyOut, keyIn
	}
	c.active = (initiator || replaces == nil) && len(why) == 0
	out := Child{In: c.in, Out: c.out, Initiator: initiator, Active: c.active, Transport: c.transport,
		Encryption: uint8(g.suite.Encryption), KeyBits: int(g.suite.KeyBits), Integrity: uint16(g.suite.Integrity), ESN: g.suite.ESN,
		KeyIn: Keys(keyIn), KeyOut: Keys(keyOut), Local: c.local, Remote: c.remote, Inner: s.grant.inner()}
	if s.candidate.Policy.Rekey || s.initiator {
		out.Lifetime = s.lifetime(s.candidate.Policy.ChildLifetime, defaultChild)
	}
	if replaces != nil {
		out.Replaces = replaces.in
	}
	s.children = append(s.children, c)
	s.owner.Installed(s, out)
	c.schedule(now)
	if !c.active && len(why) == 0 {
		c.activateAt = now.Add(activateTime)
	}
	return c
}

// refusal is why a child SA is not made.
type refusal struct {
	notify wire.Notify2
	cause  Cause
	detail string
}

// refuse makes a refusal with a notify that has no data.
func refuse(t wire.Notify2Type, c Cause, detail string) *refusal {
	return &refusal{notify: notify(t), cause: c, detail: detail}
}

// childOffer is what the initiator of an exchange offers for a child SA.
type childOffer struct {
	sa        wire.SA2
	tsi, tsr  []Range
	transport bool
	ke        wire.KeyExchange2 // no Data: none
}

// readChildOffer reads the payloads of a child SA; both sides' have the same
// form.
func readChildOffer(chain []wire.Payload) (o childOffer, err error) {
	for _, p := range chain {
		switch p.Type {
		case wire.PayloadSA2:
			o.sa, err = wire.ConsumeSA2(p.Body)
		case wire.PayloadKE2:
			o.ke, err = wire.ConsumeKeyExchange2(p.Body)
		case wire.PayloadTSi, wire.PayloadTSr:
			var ts wire.TS
			ts, err = wire.ConsumeTS(p.Type, p.Body)
			if ts.Responder {
				o.tsr = rangesOf(ts)
			} else {
				o.tsi = rangesOf(ts)
			}
		}
		if err != nil {
			return o, malformed(err)
		}
	}
	_, o.transport = findNotify(chain, wire.Notify2UseTransportMode)
	if len(o.sa.Proposals) == 0 || len(o.tsi) == 0 || len(o.tsr) == 0 {
		return o, ErrMalformed
	}
	return o, nil
}

// payloads are those of an agreement, as the responder answers it.
func (g agreement) payloads(answer wire.SA2, before ...wire.Body) []wire.Body {
	list := []wire.Body{}
	if g.transport {
		list = append(list, notify(wire.Notify2UseTransportMode))
	}
	list = append(list, answer)
	list = append(list, before...)
	return append(list, selectorsOf(false, g.remote), selectorsOf(true, g.local))
}

// agree decides on an offer of the peer. old is what it renews;
// first says that it came in IKE_AUTH.
func (s *Session) agree(o childOffer, old *child, first bool) (agreement, wire.SA2, *refusal) {
	var g agreement
	if len(s.children) >= s.config.MaxChildren {
		return g, wire.SA2{}, refuse(wire.Notify2NoAdditionalSAs, CauseRefused, "too many child SAs")
	}
	g.transport = o.transport && s.allowsTransport(o)
	if g.transport {
		g.remote, g.local = o.tsi, o.tsr
	} else {
		remote, local := s.allowed(old)
		asked := o.tsi
		if s.wants.Request {
			asked = unspecifiedIsAll(asked)
		}
		g.remote, g.local = narrow(asked, remote), narrow(o.tsr, local)
	}
	if len(g.remote) == 0 || len(g.local) == 0 {
		return g, wire.SA2{}, refuse(wire.Notify2TSUnacceptable, CauseSelectors, describeRanges(o))
	}
	choice, no := s.chooseESP(o, first)
	if no != nil {
		return g, wire.SA2{}, no
	}
	g.suite, g.peerSPI = choice.ESP2, spiOf(choice.SPI[:])
	g.spi = s.owner.AllocateSPI()
	return g, choice.AnswerSPI([4]byte(spiBytes(g.spi))), nil
}

// allowed is the traffic that a child SA may be for: of the peer and of us.
func (s *Session) allowed(old *child) (remote, local []Range) {
	switch {
	case s.granted && !s.initiator:
		return s.grant.remote(), s.grant.local()
	case old != nil:
		return old.remote, old.local
	}
	return nil, nil
}

// allowsTransport reports whether the selectors are L2TP between the ends of the
// path. Addresses are not compared: those of the client are behind a NAT that we
// cannot see through (RFC 7296, section 2.23.1).
func (s *Session) allowsTransport(o childOffer) bool {
	if !s.grant.Transport && !s.initiator {
		return false
	}
	_, oneI := single(o.tsi)
	_, oneR := single(o.tsr)
	server, client := o.tsr, o.tsi
	if s.initiator {
		server, client = client, server
	}
	udp := func(r Range) bool { return r.Protocol != 0 && r.Protocol != 17 }
	return oneI && oneR && slices.ContainsFunc(server, isL2TP) && !slices.ContainsFunc(client, udp)
}

// chooseESP chooses the suite of a child SA out of the peer's offer. A key
// exchange is taken as the peer wants it: Windows and others drop the connection
// hours later if a renewal without one is refused, or one with it.
func (s *Session) chooseESP(o childOffer, first bool) (suite.ESP2Choice, *refusal) {
	p := s.espPolicy()
	p.First, p.Sent = first, suite.Group(o.ke.Group)
	c, err := suite.SelectESP2(o.sa, p)
	if err != nil {
		return c, refuse(wire.Notify2NoProposalChosen, CauseNoESPProposal, err.Error())
	}
	if !first && c.Group == suite.GroupNone && s.dial != nil && s.dial.PFS {
		return c, refuse(wire.Notify2NoProposalChosen, CauseNoESPProposal, "a renewal without a key exchange, where PFS is wanted")
	}
	if c.Group != p.Sent && !first && c.Group != suite.GroupNone {
		no := refuse(wire.Notify2InvalidKEPayload, CauseNone, "")
		no.notify = wire.Uint16Notify(wire.Notify2InvalidKEPayload, uint16(c.Group))
		return c, no
	}
	return c, nil
}

// espPolicy is what is allowed for child SAs.
func (s *Session) espPolicy() suite.ESP2Policy {
	p := s.candidate.Policy.ESP
	if len(p.Suites) == 0 {
		d := suite.DefaultESP2(false)
		p.Suites, p.Groups, p.Additional = d.Suites, d.Groups, d.Additional
	}
	return p
}

// describeRanges puts what was asked for into words.
func describeRanges(o childOffer) string {
	return fmt.Sprintf("asked for %v to %v", selectorsOf(false, o.tsi).List, selectorsOf(true, o.tsr).List)
}
