package engine

import (
	"time"

	"github.com/culvert-vpn/culvert/ike"
)

// peerMoved follows a peer to another address.
func (e *children) peerMoved(now time.Time, m ike.Moved) {
	p := e.machines.Table.peerOf(m.Peer)
	if p.Path.Remote != m.Path.Remote && p.Path.Remote.IsValid() {
		p.moves++
		e.tellMoves(now, p, m.Path)
	}
	p.Path = m.Path
	p.onTrial(now, m.Unproven)
	e.Reroute(p)
}

// A peer moves with each of its packets, if it likes: so many of its moves are said at once,
// and then one in tellEvery, and where it has come to in the end.
const (
	tellAtOnce = 4
	tellEvery  = 10 * time.Second
)

// tellMoves says where a peer has moved, and how often since that was said last, if it is
// time.
func (e *children) tellMoves(now time.Time, p *Peer, to ike.Path) {
	if p.moves == 0 || p.toldUntil.Sub(now) > (tellAtOnce-1)*tellEvery {
		return
	}
	e.machines.happened.add(Moved{Peer: p, From: p.Path.Remote, To: to.Remote, Moves: int(p.moves)})
	if p.toldUntil.Before(now) {
		p.toldUntil = now
	}
	p.toldUntil, p.moves = p.toldUntil.Add(tellEvery), 0
}
