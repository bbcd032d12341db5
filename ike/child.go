package ike

import (
	"encoding/binary"
	"net/netip"
	"slices"
	"time"

	"github.com/culvert-vpn/culvert/ike/suite"
	"github.com/culvert-vpn/culvert/ike/v1"
	"github.com/culvert-vpn/culvert/ike/wire"
	"github.com/culvert-vpn/culvert/internal/x/deadline"
)

// child is a pair of ESP SAs in use. Its keys are the owner's of the events.
type child struct {
	p         *peer
	alarm     alarm
	place     place // among the SAs of the peer
	in, out   SPI
	initiator bool
	active    bool
	made      time.Time
	life      time.Duration
	esp       suite.ESP
	local     wire.ID // identities of quick mode, ours and the peer's
	remote    wire.ID
	hasIDs    bool
	original  bool // NAT-OA was exchanged

	activateAt time.Time // we send on it
	lookAt     time.Time // we look whether the peer does
	looks      int       // how often we did
	before     uint64    // packets that had come in what it replaces when we looked
	declined   int       // how many that were to replace it the peer does not have
	renewAt    time.Time // we renew it, if it is in use then
	rekeyAt    time.Time // we renew it
	expireAt   time.Time // it was not renewed
	deleteAt   time.Time // it was replaced and we tell the peer
	goneAt     time.Time // it stops receiving
}

// Times of a child SA that replaces another, and of one that was replaced.
const (
	// A responder may receive on the new one no sooner than message 3 of quick mode
	// tells it that we are there (strongSwan does): what we sent close behind that
	// message would be lost.
	activateDelay = time.Second

	lookTime    = time.Second     // between two looks at what the peer sends on
	childDelay  = 8 * time.Second // before it is deleted
	childLinger = 3 * time.Second // how long it still receives after that
)

func (s SPI) bytes() [4]byte {
	var b [4]byte
	binary.BigEndian.PutUint32(b[:], uint32(s))
	return b
}

func spiOf(b [4]byte) SPI { return SPI(binary.BigEndian.Uint32(b[:])) }

// install makes the child SA of an exchange receive, and send if active: at once if
// it is the first, else a little later.
func (q *quick) install(now time.Time, active bool) {
	p := q.i.peer
	v := q.machine.Child()
	c := &child{p: p, in: spiOf(v.In), out: spiOf(v.Out), place: q.place, initiator: q.initiator, made: now, esp: v.ESP,
		local: v.Request.IDcr, remote: v.Request.IDci, hasIDs: v.Request.HasIDs, original: len(v.Request.NATOA) > 0}
	if q.initiator {
		c.local, c.remote = c.remote, c.local
	}
	c.life = lifeOf(v.ESP.Life, defaultLife)
	c.alarm.due = c.due
	replaces := SPI(0)
	p.take(&c.place)
	if old := p.inUse(c); old != nil {
		replaces = old.in
	}
	if active && replaces != 0 {
		active, c.activateAt = false, now.Add(activateDelay)
	}
	p.children = append(p.children, c)
	p.s.stats.Children++
	p.awaitUse(now)
	p.s.emit(Installed{Peer: p.id, Child: c.describe(v, active, replaces)})
	q.child = c
	c.expireAt = now.Add(c.life + grace(c.life))
	c.arm()
	if active {
		c.use(now)
	}
	p.boundChildren()
	p.arm()
}

// describe is the child SA as its user needs it.
func (c *child) describe(v v1.Child, active bool, replaces SPI) ChildSA {
	localOA, remoteOA := c.originals(v)
	d := ChildTerms{
		In: c.in, Out: c.out, Initiator: c.initiator, Active: active,
		Transport: v.ESP.Encapsulation.IsTransport(), UDPEncap: v.ESP.Encapsulation.UDP(),
		Encryption: uint8(v.ESP.Encryption), KeyBits: int(v.ESP.KeyBits), Integrity: uint16(v.ESP.Integrity), ESN: v.ESP.ESN,
		Local: selector(c.local, c.p.path.Local), Remote: selector(c.remote, c.p.path.Remote),
		LocalOriginal: localOA, RemoteOriginal: remoteOA,
		Lifetime: v.ESP.Life.Duration(), LifeBytes: uint64(v.ESP.Life.Kilobytes) << 10,
		Path: c.p.path, Replaces: replaces,
	}
	if c.tunnel() {
		c.describeTunnel(&d)
	}
	return ChildSA{ChildTerms: d, KeyIn: ChildKeys(v.KeyIn), KeyOut: ChildKeys(v.KeyOut)}
}

// originals are the addresses with which the peer computes its inner checksums:
// as it said in NAT-OA, or else in its identities.
func (c *child) originals(v v1.Child) (local, remote netip.Addr) {
	if len(v.NATOA) == 2 {
		local, remote = v.NATOA[1], v.NATOA[0]
		if c.initiator {
			local, remote = remote, local
		}
		return local, remote
	}
	if c.initiator {
		return netip.Addr{}, netip.Addr{}
	}
	local, _ = c.local.Addr()
	remote, _ = c.remote.Addr()
	return local, remote
}

// selector is the traffic that an identity of quick mode stands for, with the
// outer address in place of the one behind the NAT.
func selector(id wire.ID, outer netip.AddrPort) Selector {
	a := outer.Addr().Unmap()
	return Selector{Addr: netip.PrefixFrom(a, a.BitLen()), Proto: id.Protocol, Port: id.Port}
}

// sameTraffic reports whether two child SAs protect the same ports, or the same
// networks.
func sameTraffic(a, b *child) bool {
	if a.tunnel() || b.tunnel() {
		return a.tunnel() && b.tunnel() && sameID(a.local, b.local) && sameID(a.remote, b.remote)
	}
	return a.local.Protocol == b.local.Protocol && a.local.Port == b.local.Port && a.remote.Port == b.remote.Port
}

// newest is the child SA to renew when somebody asks for it.
func (p *peer) newest() *child {
	var last *child
	for _, o := range p.children {
		if o.active && !o.leaves() && (last == nil || o.place.born > last.place.born) {
			last = o
		}
	}
	return last
}

// activate lets us send on the child SA: the peer receives on it.
func (c *child) activate(now time.Time) {
	if c.active || !slices.Contains(c.p.children, c) {
		return
	}
	c.p.s.emit(Activated{Peer: c.p.id, In: c.in})
	c.use(now)
}

// awaitUse gives a client that has no child SA in use but those that it has not confirmed
// some time for it: it may have vanished, or gone without them.
func (p *peer) awaitUse(now time.Time) {
	p.childless = time.Time{}
	if !p.uses() {
		p.childless = now.Add(childlessTime)
	}
}

// uses reports whether a child SA is in use: confirmed, or used without that.
func (p *peer) uses() bool {
	return slices.ContainsFunc(p.children, func(c *child) bool {
		return c.active || c.initiator || p.s.config.Received != nil && p.s.config.Received(p.id, c.in) > 0
	})
}

// use makes an active child SA the one that is renewed, unless a later one is
// active already.
func (c *child) use(now time.Time) {
	c.active, c.p.childless = true, time.Time{}
	if c.p.renews() {
		c.renewAt = c.made.Add(c.p.rekeyTime(c.life, c.p.policy.ChildLifetime)) // the other side counts from then
	}
	if c.initiator && c.p.s.config.Received != nil {
		c.lookAt = now.Add(lookTime)
	}
	if cur := c.p.inUse(c); cur != nil && cur != c {
		c.p.s.emit(Activated{Peer: c.p.id, In: cur.in})
	}
	c.p.tend(now, c)
}

func (c *child) arm() {
	if !slices.Contains(c.p.children, c) {
		c.p.s.alarms.Stop(&c.alarm)
		return
	}
	c.p.s.alarms.Set(&c.alarm, deadline.Earliest(c.rekeyAt, c.expireAt, c.activateAt, c.lookAt, c.deleteAt, c.goneAt))
}

func (c *child) due(now time.Time) {
	switch {
	case deadline.Due(now, c.goneAt):
		c.end(now, ReasonExpired)
	case deadline.Due(now, c.expireAt):
		c.tellDeleted()
		c.end(now, ReasonExpired)
	case deadline.Due(now, c.activateAt):
		c.activateAt = time.Time{}
		c.activate(now)
	case deadline.Due(now, c.lookAt):
		c.look(now)
	case deadline.Due(now, c.deleteAt) && !c.leaves() && !c.superseded(): // what came after it is gone
		c.deleteAt = time.Time{}
	case deadline.Due(now, c.deleteAt):
		if c.goneAt.IsZero() {
			c.goneAt = now.Add(childLinger)
		}
		// Nobody acknowledges a DELETE, so it is said until the SA is gone.
		c.deleteAt = now.Add(time.Second)
		c.tellDeleted()
	case deadline.Due(now, c.rekeyAt):
		c.rekeyAt = now.Add(retryTime)
		c.p.renewChild(now, c)
	}
	c.arm()
}

// tellDeleted sends a DELETE for the child SA.
func (c *child) tellDeleted() {
	if cur := c.p.current(); cur != nil {
		cur.inform(v1.DeleteESP(c.in.bytes()))
	}
}

// deletedByPeer ends a child SA that the peer receives on no longer. If another
// one is there, what is still on its way to us on the old one may arrive.
func (c *child) deletedByPeer(now time.Time) {
	sent := c.p.inUse(c) == c
	c.activateAt, c.lookAt, c.rekeyAt, c.deleteAt, c.goneAt = time.Time{}, time.Time{}, time.Time{}, time.Time{}, now.Add(childLinger)
	successor := c.p.inUse(c)
	if successor == nil {
		successor = c.p.awaited(c)
	}
	switch {
	case successor == nil:
		c.end(now, ReasonDeleted)
		return
	case !successor.active:
		// The initiator deletes the old SA when it has the new one, so that message 3,
		// if we wait for it, is only lost.
		successor.activate(now)
	case sent:
		c.p.s.emit(Activated{Peer: c.p.id, In: successor.in})
	}
	c.p.tend(now, c)
}

// awaited is the last child SA that came later than c and that the peer may not
// have; nil: there is none.
func (p *peer) awaited(c *child) *child {
	last := c
	for _, o := range p.children {
		if !o.active && !o.leaves() && sameTraffic(o, c) && o.place.born > last.place.born {
			last = o
		}
	}
	if last == c {
		return nil
	}
	return last
}

// end removes a child SA, and with it the peer if that has nothing else.
func (c *child) end(now time.Time, why Reason) {
	c.remove()
	if o := c.p.awaited(c); o != nil && c.p.inUse(c) == nil {
		o.activate(now)
	}
	c.p.tend(now, c)
	c.p.reap(now, why)
}

// remove forgets a child SA.
func (c *child) remove() {
	n := slices.Index(c.p.children, c)
	if n < 0 {
		return
	}
	c.p.children = slices.Delete(c.p.children, n, n+1)
	c.p.s.alarms.Stop(&c.alarm)
	c.p.s.stats.Children--
	if c.p.wantQuick == c {
		c.p.wantQuick = nil
	}
	c.p.s.emit(Removed{Peer: c.p.id, In: c.in, Out: c.out})
}

// boundChildren keeps a peer from piling up child SAs.
func (p *peer) boundChildren() {
	limit := p.s.config.Limits.Children
	if p.assignment != nil { // one a network, and its successor
		limit += 2 * len(p.assignment.Local)
	}
	for len(p.children) > limit {
		n := max(0, slices.IndexFunc(p.children, func(c *child) bool { return p.inUse(c) != c }))
		p.children[n].tellDeleted()
		p.children[n].remove()
	}
}
