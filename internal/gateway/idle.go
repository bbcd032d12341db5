package gateway

import (
	"cmp"
	"net/netip"
	"slices"
	"time"

	"github.com/culvert-vpn/culvert/ike"
	"github.com/culvert-vpn/culvert/internal/access"
	"github.com/culvert-vpn/culvert/internal/event"
)

// Whoever has a tenant's key, and is no user, can make any number of security associations
// and never log in. Clients that keep one for a later call do so, too, and so they are let
// be: as many as there is room for. Beyond that those of the network that has most end,
// the oldest first.

const (
	// maxIdle is how many peers may be without a session.
	maxIdle = 4096
	// idleGrace is how long a peer is no such peer yet: it logs in, or dials again.
	idleGrace = 30 * time.Second
)

// idle reports whether a peer has not been anybody's for a while. in says whether one of
// its calls is.
func (p *peer) idle(now time.Time, in bool) bool {
	if in || p.tunnelMode != nil {
		p.idleAt = time.Time{}
		return false
	}
	if p.idleAt.IsZero() {
		p.idleAt = now
	}
	return now.Sub(p.idleAt) >= idleGrace
}

// endIdle ends those peers of list for which there is no room.
func (g *server) endIdle(now time.Time, list []*peer) {
	out := surplus(list, g.maxIdle)
	if len(out) == 0 {
		return
	}
	g.emit(event.PeersIdle{
		Peers: len(list), Ended: len(out), Client: out[0].Path.Remote,
		Hint: "so many have a tenant's key and do not log in; those of the network that has most of them are ended",
	})
	for _, p := range out {
		g.engine.IKE.Close(now, ike.Peer(p.ID), ike.ReasonLocal)
	}
}

// surplus are those of a list that are more than most: as many of each network as leaves all
// networks with about as many, the oldest first.
func surplus(list []*peer, most int) []*peer {
	if len(list) <= most {
		return nil
	}
	slices.SortFunc(list, func(a, b *peer) int { return b.idleAt.Compare(a.idleAt) })
	of, place := map[netip.Prefix]int{}, map[*peer]int{}
	for _, p := range list {
		n := access.Network(p.Path.Remote.Addr())
		of[n]++
		place[p] = of[n]
	}
	slices.SortStableFunc(list, func(a, b *peer) int { return cmp.Compare(place[b], place[a]) })
	return list[:len(list)-most]
}
