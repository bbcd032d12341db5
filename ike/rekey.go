package ike

import (
	"bytes"
	"time"

	"github.com/culvert-vpn/culvert/ike/suite"
	"github.com/culvert-vpn/culvert/ike/v1"
	"github.com/culvert-vpn/culvert/ike/wire"
)

// renews reports whether we renew SAs of this peer by ourselves.
func (p *peer) renews() bool { return p.dial != nil || p.policy.Rekey }

// rekeyTime is when, after it was made, we renew an SA: who dialled goes first,
// the other side leaves it time to. The jitter spreads what was made together.
func (p *peer) rekeyTime(life, own time.Duration) time.Duration {
	if own > 0 && own < life {
		life = own
	}
	if p.dial != nil {
		return p.s.jitter(life, 80, 90)
	}
	return p.s.jitter(life, 90, 96)
}

// Rekey renews the IKE SA (Phase1) or the newest child SA (Phase2) of a peer now.
func (s *Server) Rekey(now time.Time, id Peer, phase Phase) error {
	if p := s.sessions[id]; p != nil {
		ok := p.machine.Rekey(now, phase == Phase2)
		p.arm()
		if !ok {
			return ErrNoPeer
		}
		return nil
	}
	p := s.peers[id]
	if p == nil || !p.up {
		return ErrNoPeer
	}
	if cur := p.current(); phase == Phase1 && cur != nil {
		p.renewIKE(now, cur)
		return nil
	} else if phase == Phase1 {
		p.startMain(now)
		return nil
	}
	c := p.newest()
	if c == nil {
		return ErrNoPeer
	}
	p.renewChild(now, c)
	return nil
}

// Renewals of both phases take turns. strongSwan gives the child SAs of a phase 1 to the one
// that renews it when that comes up, and a quick mode that ends under the old one after that
// is lost with it. A renewal waits for the other no longer than turnTime, though, and not
// beyond a quarter of the time that is left of its SA: some never answer a server's main mode.
const (
	turnTime = 4 * time.Second
	turnLook = 500 * time.Millisecond
)

// othersTurn is since when the other renewal is waited for by that of an SA which expires then.
func othersTurn(now, expires time.Time) time.Time {
	return now.Add(-min(turnTime, expires.Sub(now)/4))
}

// renewIKE starts a new main mode if i still is the SA in use, in its turn.
func (p *peer) renewIKE(now time.Time, i *isakmp) {
	switch {
	case p.current() != i:
	case p.quickSince(othersTurn(now, i.expireAt)):
		i.rekeyAt = now.Add(turnLook)
		i.arm()
	default:
		p.startMain(now)
	}
}

// quickSince reports whether a quick mode of ours is under way that began after then.
func (p *peer) quickSince(then time.Time) bool {
	if p.quicks.ours == 0 {
		return false
	}
	for _, i := range p.ikes {
		for _, q := range i.quicks {
			if q.initiator && q.counted && q.started.After(then) {
				return true
			}
		}
	}
	return false
}

// mainSince reports whether a main mode of ours is under way that began after then.
func (p *peer) mainSince(then time.Time) bool {
	for _, i := range p.ikes {
		if i.initiator && (i.state == negotiating || i.state == extending) && i.started.After(then) {
			return true
		}
	}
	return false
}

// mainUnderWay reports whether we are in the middle of a main mode of ours.
func (p *peer) mainUnderWay() bool {
	for _, i := range p.ikes {
		if i.initiator && (i.state == negotiating || i.state == extending) {
			return true
		}
	}
	return false
}

// startMain begins a main mode that renews phase 1: a complete new exchange on
// the current path with new cookies. The old SA stays in use meanwhile.
func (p *peer) startMain(now time.Time) {
	if cur := p.current(); p.closed || p.mainUnderWay() || p.dial == nil && cur != nil && cur.sa.Aggressive {
		return
	}
	c := v1.InitiatorConfig{
		Rand: p.s.config.Rand, NonceLen: 32, PSK: bytes.Clone(p.proof.PSK),
		Certificate: p.proof.certificate1(), Authorities: p.proof.Authorities,
		Vendors:  []wire.VendorID{wire.VendorRFC3947.ID(), wire.VendorNATTDraft02N.ID(), wire.VendorDPD.ID(1, 0)},
		Identity: p.proof.identity1(p.lastIKE.Auth, p.path),
	}
	if p.dial != nil {
		p.dial.introduce(&c)
	} else {
		t := p.lastIKE
		if t.Auth.XAUTH() {
			t.Auth = t.Auth.WithXAUTH(true)
			c.Vendors = v1.XAUTHVendors(c.Vendors)
		}
		t.Life.Seconds = seconds(p.policy.IKELifetime, t.Life.Seconds)
		c.Offer = suite.OfferIKE([]suite.IKE{t}, plainLayout())
	}
	if p.launch(now, c, p.path) != nil {
		p.wantMain = now.Add(retryTime)
		p.arm()
	}
}

// plainLayout is how we write a transform when we imitate nobody.
func plainLayout() suite.Layout {
	return suite.Layout{Order: []suite.Field{suite.FieldEncryption, suite.FieldKeyLength, suite.FieldHash,
		suite.FieldIntegrity, suite.FieldGroup, suite.FieldAuth, suite.FieldEncapsulation, suite.FieldSeconds}}
}

// launch sends the first message of a main mode.
func (p *peer) launch(now time.Time, c v1.InitiatorConfig, path Path) error {
	i := p.s.newISAKMP(now, path)
	i.peer, i.initiator, i.place = p, true, p.beginPlace()
	c.Ends = i.ends(path)
	machine, out, err := p.begin(c)
	if err != nil {
		return err
	}
	i.phase1 = machine
	i.key.i, _ = machine.Cookies()
	p.ikes = append(p.ikes, i)
	p.s.dialing[i.key.i] = i
	return i.follow(now, message{path: path}, out)
}

// begin makes the machine of a phase 1 that we start.
func (p *peer) begin(c v1.InitiatorConfig) (*v1.Phase1, v1.Outcome, error) {
	if p.dial != nil && p.dial.aggressive() {
		return v1.StartAggressive(c)
	}
	machine, msg, err := v1.StartMain(c)
	return machine, v1.Outcome{Send: msg}, err
}

// mainFailed takes note that a main mode of ours has ended without an SA.
func (p *peer) mainFailed(now time.Time, i *isakmp, cause Cause, detail string) {
	if p.closed {
		return
	}
	p.s.fail(now, Failed{Peer: p.id, Path: i.path, Tenant: p.tenant, Cause: cause, Detail: detail})
	switch {
	case !p.up:
		p.end(now, ReasonFailed, cause, detail, false)
	case p.dial != nil && p.heardAt.Before(i.started):
		p.end(now, ReasonDead, cause, detail, false)
	case p.current() == nil:
		p.wantMain = now.Add(retryTime)
		p.arm()
	}
}

// renewChild starts a quick mode that renews c, in its turn, and after a main mode if no
// ISAKMP SA stands.
func (p *peer) renewChild(now time.Time, c *child) {
	if p.quickUnderWay() {
		return
	}
	cur := p.current()
	if cur == nil {
		p.wantQuick = c
		p.startMain(now)
		return
	}
	if p.mainSince(othersTurn(now, c.expireAt)) {
		c.rekeyAt = now.Add(turnLook)
		c.arm()
		return
	}
	spi := p.s.allocateSPI()
	t := c.esp
	t.Life.Seconds = seconds(p.policy.ChildLifetime, t.Life.Seconds)
	config := v1.QuickConfig{
		SPI: spi.bytes(), NonceLen: 32, PFS: t.Group, IDci: c.local, IDcr: c.remote,
		Offer: suite.OfferESP([]suite.ESP{t}, spi.bytes(), plainLayout()),
	}
	if !c.hasIDs {
		config.IDci, config.IDcr = p.hostIDs()
	}
	if c.original {
		config.NATOA = p.ownOriginals()
	}
	switch {
	case p.dial != nil && c.tunnel():
		config = p.dial.requestTunnel(spi, c.local, c.remote)
	case p.dial != nil:
		config = p.dial.request(spi)
	}
	p.launchQuick(now, cur, config, c)
}

// continueQuick starts the quick mode that waited for an ISAKMP SA.
func (p *peer) continueQuick(now time.Time) {
	c := p.wantQuick
	p.wantQuick = nil
	switch {
	case c != nil:
		p.renewChild(now, c)
	case p.dial != nil && p.dial.config.XAUTH != nil:
		p.continueTunnels(now)
	case p.dial == nil || len(p.children) > 0 || p.quickUnderWay():
	case p.features.NATT == v1.NATTNone && !p.s.config.RawESP:
		detail := "the server announces no NAT traversal"
		p.s.fail(now, Failed{Peer: p.id, Path: p.path, Tenant: p.tenant, Cause: CauseNoNATT, Detail: detail})
		p.end(now, ReasonFailed, CauseNoNATT, detail, true)
	default:
		p.launchQuick(now, p.current(), p.dial.request(p.s.allocateSPI()), nil)
	}
}

// launchQuick sends the first message of a quick mode.
func (p *peer) launchQuick(now time.Time, i *isakmp, c v1.QuickConfig, replaces *child) {
	c.Rand, c.ID = p.s.config.Rand, i.newID()
	machine, out, err := v1.StartQuick(i.sa, c)
	q := i.newQuick(now, c.ID, machine, true)
	q.replaces, q.place = replaces, i.peer.beginPlace()
	if err != nil {
		q.forget()
		p.quickFailed(now, q, CauseInternal, err.Error())
		return
	}
	i.remember(now, uint32(c.ID))
	q.follow(now, out)
}

// newID is the message ID of a quick mode that we start: random, or the next in
// order where the persona counts.
func (i *isakmp) newID() wire.MessageID {
	if i.peer.dial == nil || !i.peer.dial.habits.Counting {
		return i.randomID()
	}
	i.lastID++
	return i.lastID
}

// quickFailed takes note that a quick mode of ours has ended without a child SA.
func (p *peer) quickFailed(now time.Time, q *quick, cause Cause, detail string) {
	if p.closed {
		return
	}
	p.s.fail(now, Failed{Peer: p.id, Path: p.path, Tenant: p.tenant, Cause: cause, Detail: detail})
	switch {
	case p.dial != nil && len(p.children) == 0:
		p.end(now, ReasonFailed, cause, detail, true)
	case p.dial != nil && cause == CauseTimeout && p.heardAt.Before(q.started):
		p.end(now, ReasonDead, cause, detail, true)
	case q.replaces != nil && p.inUse(q.replaces) == q.replaces:
		q.replaces.rekeyAt = now.Add(retryTime)
		q.replaces.arm()
	case p.dial != nil && p.dial.config.XAUTH != nil:
		p.continueTunnels(now)
	}
}

// seconds is d, or what there was if d is not set.
func seconds(d time.Duration, was uint32) uint32 {
	if d < time.Second {
		return was
	}
	return uint32(d / time.Second)
}
