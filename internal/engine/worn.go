package engine

import (
	"math"
	"time"

	"github.com/culvert-vpn/culvert/ike"
)

// A child SA without extended sequence numbers carries 2^32 packets each way, and falls
// silent then; a peer of IKEv1 may have agreed to a volume, too. Both are looked at in
// each sweep. What is worn is renewed; where that does not help in time, the connection
// ends, and its client is told, so that it dials again.

const (
	// lastNumbers are those that are not waited for: at 6 million packets a second they
	// last a sweep.
	lastNumbers = 1 << 25
	// wornTime is how long a renewal is given before it is asked for again, and how long
	// a volume may be exceeded.
	wornTime = 30 * time.Second
)

// numbers is how many sequence numbers are left in the direction that has fewer.
func (c *Child) numbers() uint64 {
	left := c.Out.Remaining()
	if !c.ESN {
		left = min(left, math.MaxUint32-min(c.SA.In.HighSequence(), math.MaxUint32))
	}
	return left
}

// volume is how many bytes the child SA has carried in the direction that had more.
func (c *Child) volume() uint64 {
	_, up := c.SA.In.Opened()
	_, down := c.Out.Sealed()
	return max(up, down)
}

// lookAtWear looks at the child SAs of a peer. It reports false if it had to end it.
func (e *children) lookAtWear(now time.Time, p *Peer) bool {
	if len(p.Children) == 1 && p.Current != nil { // as nearly always: a map is slow to walk
		return e.lookAtChild(now, p, p.Current)
	}
	for _, c := range p.Children {
		if c.active && !e.lookAtChild(now, p, c) {
			return false
		}
	}
	return true
}

func (e *children) lookAtChild(now time.Time, p *Peer, c *Child) bool {
	left := c.numbers()
	full := c.LifeBytes > 0 && c.volume() >= c.LifeBytes
	switch {
	case left < lastNumbers:
		e.endWorn(now, p, "its sequence numbers are used up")
		return false
	case full && c.fullAt.IsZero():
		c.fullAt = now
	case full && now.Sub(c.fullAt) > wornTime && c == p.Current:
		e.endWorn(now, p, "it has carried the volume that was agreed on")
		return false
	}
	worn := left < math.MaxUint32/4 || c.LifeBytes > 0 && c.volume() >= c.LifeBytes/4*3 && (p.Called || e.machines.Config.Renews(p))
	if worn && c == p.Current && now.Sub(c.wornAt) > wornTime {
		c.wornAt = now
		if err := e.machines.IKE.Rekey(now, ike.Peer(p.ID), ike.Phase2); err != nil {
			e.machines.happened.add(RekeyRefused{p, err})
		}
	}
	return true
}

// endWorn ends a connection whose child SA can carry no more.
func (e *children) endWorn(now time.Time, p *Peer, why string) {
	e.machines.happened.add(Worn{p, why})
	e.machines.IKE.Close(now, ike.Peer(p.ID), ike.ReasonExpired)
}
