package ike

import (
	"time"

	"github.com/culvert-vpn/culvert/ike/wire"
)

// Return routability. A peer is where its last authentic ESP packet, or an exchange
// with a nonce of ours in it, came from. A message that could have been recorded moves
// nobody. And until the peer has answered from a new path, somebody else may be there:
// dead peer detection asks it, if it knows that.

// question is one about a path, under way.
type question struct {
	path  Path
	first uint32 // sequence number of the first R-U-THERE that went there
	at    time.Time
	tries int
}

const (
	routeTime = 2 * time.Second // between two questions about a path, at first
	maxDetour = 3               // how often one is asked where the peer is not known to be
)

// askRoute asks the peer whether it is there. It reports whether it can be asked.
func (p *peer) askRoute(now time.Time, path Path) bool {
	cur := p.current()
	if cur == nil || !p.features.DPD {
		return false
	}
	if p.route != nil && p.route.path == path {
		return true
	}
	p.beginDPD()
	p.route = &question{path: path, first: p.dpd.sequence + 1}
	p.repeatRoute(now)
	return true
}

// dueAt is when it is asked again; zero: there is none.
func (q *question) dueAt() time.Time {
	if q == nil {
		return time.Time{}
	}
	return q.at
}

// repeatRoute asks once more.
func (p *peer) repeatRoute(now time.Time) {
	q := p.route
	cur := p.current()
	if cur == nil || q.path != p.path && q.tries >= maxDetour {
		p.route = nil
		return
	}
	q.at = now.Add(routeTime << min(q.tries, 5))
	q.tries++
	p.dpd.sequence++
	cur.informAt(q.path, cur.sa.AreYouThere(wire.NotifyRUThere, p.dpd.sequence))
}

// answered takes the answer to a question of dead peer detection, and reports whether
// it is one.
func (p *peer) answered(now time.Time, path Path, sequence uint32) bool {
	if p.dpd.sequence-sequence >= maxUnanswered || sequence == 0 {
		return false
	}
	if q := p.route; q != nil && q.path == path && sequence-q.first <= p.dpd.sequence-q.first {
		p.route = nil
		p.moveTo(now, path, true)
	}
	return true
}

// asksFresh takes a question of the peer, and reports whether it is a new one: "the
// responder ... MUST ... verify that the sequence number" is not an old one (RFC 3706,
// section 6.2). One that is repeated has the same number.
func (i *isakmp) asksFresh(sequence uint32) bool {
	if i.asked && int32(sequence-i.lastAsked) < 0 {
		return false
	}
	i.asked, i.lastAsked = true, sequence
	return true
}
