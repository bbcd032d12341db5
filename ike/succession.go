package ike

import "time"

// Which SA comes after which. Nothing in RFC 2408 and 2409 says which one counts if
// both sides renew at once, and whoever has a rule for it has one of its own. So
// nothing depends on what the other side decides: an SA stays usable until the peer
// deletes it, it expires, or we delete it; and all that we delete is what one of
// ours came after: what stood here when we began that one.
//
// That is an order in time, whatever is lost or late: if one of ours came after one
// of the peer's, none of the peer's that came before ours can have come after it.
// So of those that nothing came after, neither side deletes any. SAs that both
// sides began at once both stay, and the next renewal comes after both.

// place is where an SA comes among those of its peer.
type place struct {
	born  int // how many there had been, with this one, when it was there
	after int // how many there had been when we began it; 0: the peer did
}

// cameAfter reports whether p takes the place of o.
func (p place) cameAfter(o place) bool { return o.born > 0 && o.born <= p.after }

// beginPlace is the place of an SA that we begin now.
func (p *peer) beginPlace() place { return place{after: p.born} }

// take gives an SA its place, now that it is there.
func (p *peer) take(at *place) {
	p.born++
	at.born = p.born
}

// current is the ISAKMP SA to use for what we start, the last one that stands; nil
// if none does.
func (p *peer) current() *isakmp {
	var last *isakmp
	for _, i := range p.ikes {
		if i.state == standing && (last == nil || i.place.born > last.place.born) {
			last = i
		}
	}
	return last
}

// superseded reports whether we may delete an ISAKMP SA.
func (i *isakmp) superseded() bool {
	for _, o := range i.peer.ikes {
		if o.state == standing && o.place.cameAfter(i.place) {
			return true
		}
	}
	return false
}

// tendIKEs has the ISAKMP SA in use renewed in time, and those deleted, a little
// later, that one of ours came after.
func (p *peer) tendIKEs(now time.Time) {
	cur := p.current()
	for _, i := range p.ikes {
		switch {
		case i.state != standing:
			continue
		case i != cur:
			i.rekeyAt = time.Time{}
		case i.rekeyAt.IsZero():
			i.rekeyAt = i.renewAt
		}
		if i.deleteAt.IsZero() && i.superseded() {
			i.deleteAt = now.Add(ikeDelay)
		}
		i.arm()
	}
}

// leaves reports whether a child SA is about to go.
func (c *child) leaves() bool { return !c.goneAt.IsZero() }

// inUse is the child SA to send on for the traffic of c, which may be c: the last
// one that both sides are known to have. nil: there is none.
func (p *peer) inUse(c *child) *child { return p.inUseBut(c, nil) }

// inUseBut is what would be in use without one of the child SAs.
func (p *peer) inUseBut(c, but *child) *child {
	var last *child
	for _, o := range p.children {
		if o != but && o.active && !o.leaves() && sameTraffic(o, c) && (last == nil || o.place.born > last.place.born) {
			last = o
		}
	}
	return last
}

// superseded reports whether we may delete a child SA.
func (c *child) superseded() bool {
	for _, o := range c.p.children {
		if o.active && !o.leaves() && sameTraffic(o, c) && o.place.cameAfter(c.place) {
			return true
		}
	}
	return false
}

// tend has the child SA in use for the traffic of c renewed in time, and those
// deleted, a little later, that one of ours came after.
func (p *peer) tend(now time.Time, c *child) {
	cur := p.inUse(c)
	for _, o := range p.children {
		switch {
		case !sameTraffic(o, c):
			continue
		case o != cur:
			o.rekeyAt = time.Time{}
		case o.rekeyAt.IsZero():
			o.rekeyAt = o.renewAt
		}
		if o.deleteAt.IsZero() && !o.leaves() && o.superseded() {
			o.deleteAt = now.Add(childDelay)
		}
		o.arm()
	}
}

// look finds out whether the peer has a child SA that we began, and send on: it may
// have agreed to it and lost it. strongSwan does not take message 3 of a quick mode
// if it has begun to renew phase 1 in between. If it goes on sending on what was to
// be replaced, and never on this one, we go back to that, until it does, and try
// again later.
func (c *child) look(now time.Time) {
	c.lookAt = time.Time{}
	old := c.p.inUseBut(c, c)
	switch heard := c.p.s.config.Received(c.p.id, c.in) > 0; {
	case old == nil || old.place.born > c.place.born || c.superseded():
		return
	case heard && !c.active:
		c.activate(now)
		return
	case heard:
		return
	}
	n := c.p.s.config.Received(c.p.id, old.in)
	if c.active && c.looks > 0 && n != c.before {
		c.goBack(now, old)
	}
	c.before, c.lookAt = n, now.Add(lookTime<<min(c.looks/8, 6)) // ever more rarely
	c.looks++
}

// goBack sends on old again, and has it renewed once more, later each time.
func (c *child) goBack(now time.Time, old *child) {
	c.active = false
	c.p.s.emit(Activated{Peer: c.p.id, In: old.in})
	c.p.tend(now, c)
	if !old.rekeyAt.IsZero() {
		old.rekeyAt = now.Add(retryTime << min(old.declined, 10))
		old.declined++
		old.arm()
	}
}
