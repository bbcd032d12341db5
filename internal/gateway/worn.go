package gateway

import (
	"math"
	"time"

	"github.com/culvert-vpn/culvert/ike"
	"github.com/culvert-vpn/culvert/internal/event"
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
func (c *child) numbers() uint64 {
	left := c.out.Remaining()
	if !c.ESN {
		left = min(left, math.MaxUint32-min(c.sa.In.HighSequence(), math.MaxUint32))
	}
	return left
}

// volume is how many bytes the child SA has carried in the direction that had more.
func (c *child) volume() uint64 {
	_, up := c.sa.In.Opened()
	_, down := c.out.Sealed()
	return max(up, down)
}

// lookAtWear looks at the child SAs of a peer. It reports false if it had to end it.
func (g *Gateway) lookAtWear(now time.Time, p *peer) bool {
	if len(p.children) == 1 && p.current != nil { // as nearly always: a map is slow to walk
		return g.lookAtChild(now, p, p.current)
	}
	for _, c := range p.children {
		if c.active && !g.lookAtChild(now, p, c) {
			return false
		}
	}
	return true
}

func (g *Gateway) lookAtChild(now time.Time, p *peer, c *child) bool {
	left := c.numbers()
	full := c.LifeBytes > 0 && c.volume() >= c.LifeBytes
	switch {
	case left < lastNumbers:
		g.endWorn(now, p, "its sequence numbers are used up")
		return false
	case full && c.fullAt.IsZero():
		c.fullAt = now
	case full && now.Sub(c.fullAt) > wornTime && c == p.current:
		g.endWorn(now, p, "it has carried the volume that was agreed on")
		return false
	}
	worn := left < math.MaxUint32/4 || c.LifeBytes > 0 && c.volume() >= c.LifeBytes/4*3 && g.mayRenew(p)
	if worn && c == p.current && now.Sub(c.wornAt) > wornTime {
		c.wornAt = now
		if err := g.ike.Rekey(now, ike.Peer(p.id), ike.Phase2); err != nil {
			g.emit(event.RekeyRefused{Peer: p.about(), Err: err})
		}
	}
	return true
}

// mayRenew reports whether we renew child SAs of a peer that could wait for it to do so.
func (g *Gateway) mayRenew(p *peer) bool {
	group, _ := g.keys.group(p.label)
	return p.dial != nil || len(group) > 0 && group[0].IKE.InitiateRekey
}

// endWorn ends a connection whose child SA can carry no more.
func (g *Gateway) endWorn(now time.Time, p *peer, why string) {
	g.emit(event.SAWorn{Peer: p.about(), Cause: why, Hint: "the client did not renew it in time, and dials again"})
	g.ike.Close(now, ike.Peer(p.id), ike.ReasonExpired)
}
