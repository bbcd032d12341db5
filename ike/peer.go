package ike

import (
	"bytes"
	"slices"
	"time"

	"github.com/culvert-vpn/culvert/ike/suite"
	"github.com/culvert-vpn/culvert/ike/v1"
	"github.com/culvert-vpn/culvert/ike/v2"
	"github.com/culvert-vpn/culvert/ike/wire"
	"github.com/culvert-vpn/culvert/internal/x/deadline"
)

// peer is one remote party: the ISAKMP SAs and child SAs that we share with it.
type peer struct {
	s     *Server
	id    Peer
	alarm alarm

	tenant   string
	proof    Candidate // how both sides prove who they are, for the main modes that we start; the PSK is ours
	policy   Policy
	path     Path
	member   memberKey
	dial     *dialler // nil if it dialled us
	features v1.Features

	up        bool // Up was emitted
	closed    bool // Closed was emitted
	unproven  bool // nothing shows yet that the peer receives on path
	assigning bool // an Assign is unanswered
	pulls     bool // the client asks for its configuration
	pushing   bool

	born     int       // how many SAs there have been, of either kind
	ikes     []*isakmp // all but strangers' half-open ones
	children []*child
	quicks   quickModes
	lastIKE  suite.IKE // of the newest ISAKMP SA, to be proposed again

	wantQuick *child    // its renewal waits for an ISAKMP SA
	wantMain  time.Time // when to try main mode again
	heardAt   time.Time
	dpd       dpd
	probeAt   time.Time // until when it has to answer; zero: it need not
	route     *question // whether it is on a path; nil: none
	keepAlive time.Time // when the next NAT keepalive is due
	childless time.Time // until when a child SA must be there

	user       string // of extended authentication
	assignment *Assignment
	waiting    []*transaction // requests that wait for it
	pushAt     time.Time      // when it is told without asking
}

// Times of a peer.
const (
	keepAliveTime = 20 * time.Second // RFC 3948 section 4
	childlessTime = 60 * time.Second // an ISAKMP SA without child SA is of no use
)

func (s *Server) newPeer(proof Candidate, path Path) *peer {
	s.lastPeer++
	proof.PSK = bytes.Clone(proof.PSK)
	p := &peer{s: s, id: s.lastPeer, tenant: proof.Tenant, proof: proof, policy: *proof.policy(), path: path}
	p.alarm.due = p.due
	s.peers[p.id] = p
	return p
}

// join finds the peer that a verified main mode renews, or makes a new one.
// Without INITIAL_CONTACT the same address, identity and tenant are the same
// party; with it, the party has lost everything that came before (RFC 2407,
// section 4.6.3.3).
func (s *Server) join(now time.Time, i *isakmp, c candidate, path Path) *peer {
	key := memberKey{local: path.Local, remote: path.Remote, tenant: c.Tenant, identity: i.claimed()}
	i.contact = i.phase1.InitialContact()
	if i.phase1.Choice().Auth.XAUTH() && c.peer == nil { // whose it is turns out later
		p := s.newPeer(c.Candidate, path)
		p.ikes = append(p.ikes, i)
		return p
	}
	p := s.members[key]
	if p == nil {
		p = c.peer
	}
	if p != nil && i.contact && c.peer == nil {
		p.end(now, ReasonReplaced, CauseNone, "", false)
		p = nil
	}
	if p == nil {
		p = s.newPeer(c.Candidate, path)
		p.childless = now.Add(childlessTime)
	}
	p.ikes = append(p.ikes, i)
	p.enroll(key)
	p.heard(now, path)
	return p
}

// identityText is an identity in words: an address as such, a name with its type.
func identityText(id wire.ID) string {
	if a, ok := id.Addr(); ok {
		return a.String()
	}
	return id.String()
}

// enroll makes the peer known by key.
func (p *peer) enroll(key memberKey) {
	if p.s.members[p.member] == p {
		delete(p.s.members, p.member)
	}
	p.member = key
	p.s.members[key] = p
}

// arm sets the alarm to the earliest of the deadlines.
func (p *peer) arm() {
	if p.closed {
		p.s.alarms.Stop(&p.alarm)
		return
	}
	p.s.alarms.Set(&p.alarm, deadline.Earliest(p.dpd.at, p.probeAt, p.route.dueAt(), p.keepAlive, p.wantMain, p.pushAt, p.childless))
}

func (p *peer) due(now time.Time) {
	switch {
	case deadline.Due(now, p.childless) && p.uses():
		p.childless = time.Time{}
	case deadline.Due(now, p.childless):
		p.childless = time.Time{}
		p.end(now, ReasonExpired, CauseNone, "no child SA was made", true)
	case deadline.Due(now, p.wantMain):
		p.wantMain = time.Time{}
		p.startMain(now)
	case deadline.Due(now, p.pushAt):
		p.push(now)
	case deadline.Due(now, p.probeAt):
		p.probeAt = time.Time{}
		p.end(now, ReasonReplaced, CauseNone, "", true)
	case deadline.Due(now, p.route.dueAt()):
		p.repeatRoute(now)
	case deadline.Due(now, p.dpd.at):
		p.ask(now)
	case deadline.Due(now, p.keepAlive):
		p.keepAlive = now.Add(keepAliveTime)
		p.s.emit(Keepalive{Peer: p.id, Path: p.path})
	}
	p.arm()
}

// ikeUp takes an ISAKMP SA into use.
func (p *peer) ikeUp(now time.Time, i *isakmp) {
	p.lastIKE, p.features = i.sa.Choice, i.sa.Features
	if i.initiator {
		p.heard(now, i.path)
		p.moveTo(now, i.path, true)
	}
	if !p.up {
		p.up = true
		if p.dial != nil && p.path.NATT {
			p.keepAlive = now.Add(keepAliveTime)
		}
		p.s.emit(Up{Peer: p.id, Path: p.path, Tenant: p.tenant, Identity: p.member.identity,
			Family: p.features.Family, Suite: i.sa.Choice.IKESuite.String(), Initiator: p.dial != nil, Certificates: i.chain})
	}
	p.take(&i.place)
	p.tendIKEs(now)
	p.watch(now)
	p.boundIKEs(now)
	p.continueQuick(now)
	p.arm()
}

// boundIKEs keeps a peer from piling up ISAKMP SAs.
func (p *peer) boundIKEs(now time.Time) {
	for len(p.ikes) > p.s.config.Limits.IKEs {
		cur := p.current()
		n := slices.IndexFunc(p.ikes, func(i *isakmp) bool { return i != cur })
		p.ikes[n].tellDeleted()
		p.ikes[n].forget()
	}
}

// forgetIKE takes an SA that is gone off the list.
func (p *peer) forgetIKE(i *isakmp) {
	if n := slices.Index(p.ikes, i); n >= 0 {
		p.ikes = slices.Delete(p.ikes, n, n+1)
	}
}

// reap closes the peer if nothing is left of it. A party that we dialled and
// that has deleted our last child SA wants to be rid of us.
func (p *peer) reap(now time.Time, why Reason) {
	if p.closed || !p.up {
		return
	}
	if len(p.children) == 0 && (p.current() == nil || p.dial != nil && !p.quickUnderWay()) {
		p.end(now, why, CauseNone, "", true)
		return
	}
	if p.current() == nil && p.dial != nil && !p.mainUnderWay() {
		p.startMain(now)
	}
	if !p.uses() && p.childless.IsZero() {
		p.childless = now.Add(childlessTime)
		if p.assignment != nil {
			p.childless = p.idleEnd(now)
		}
	}
	p.arm()
}

// end closes the peer for good. tell says whether it is told.
func (p *peer) end(now time.Time, why Reason, cause Cause, detail string, tell bool) {
	if p.closed {
		return
	}
	p.closed = true
	if tell {
		p.sayGoodbye()
	}
	for len(p.children) > 0 {
		p.children[0].remove()
	}
	for len(p.ikes) > 0 {
		p.ikes[0].forget()
	}
	p.s.alarms.Stop(&p.alarm)
	p.unregister()
	clear(p.proof.PSK)
	p.s.emit(Closed{Peer: p.id, Reason: why, Cause: cause, Detail: detail})
}

// unregister removes the peer from every index.
func (p *peer) unregister() {
	delete(p.s.peers, p.id)
	if p.s.members[p.member] == p {
		delete(p.s.members, p.member)
	}
	if p.dial == nil {
		return
	}
	p.dial.zero()
	for _, path := range []Path{p.dial.config.Path, p.dial.config.NATTPath} {
		if p.s.dialled[path.ends()] == p {
			delete(p.s.dialled, path.ends())
		}
	}
}

// sayGoodbye deletes the child SAs and then the ISAKMP SAs.
func (p *peer) sayGoodbye() {
	cur := p.current()
	if cur == nil {
		return
	}
	for _, c := range p.children {
		cur.inform(v1.DeleteESP(c.in.bytes()))
	}
	for _, i := range p.ikes {
		if i.state == standing {
			i.tellDeleted()
		}
	}
}

// Close deletes the child SAs and the IKE SAs of a peer, telling it once, and
// emits Removed and Closed.
func (s *Server) Close(now time.Time, id Peer, why Reason) {
	if p := s.peers[id]; p != nil {
		p.end(now, why, CauseNone, "", true)
	}
	if p := s.sessions[id]; p != nil {
		p.why = why
		p.machine.Close(now)
		p.arm()
	}
}

// alive takes an authentic message into account.
func (p *peer) alive(now time.Time) {
	if !p.probeAt.IsZero() {
		p.probeAt = time.Time{}
		p.s.emit(Answered{Peer: p.id})
	}
	p.heardAt = now
	p.dpd.tries = 0
}

// heard takes one into account that cannot have been recorded, and the path it came by.
func (p *peer) heard(now time.Time, path Path) {
	p.alive(now)
	if p.dial == nil && (path.NATT || !p.path.NATT) {
		p.moveTo(now, path, false)
	}
}

// moveTo sends to another path from now on. A client is asked whether it is there,
// unless that is proven.
func (p *peer) moveTo(now time.Time, path Path, proven bool) {
	if p.path == path && (!proven || !p.unproven) {
		return
	}
	p.path = path
	p.unproven = p.up && p.dial == nil && !proven && p.askRoute(now, path)
	if p.up {
		p.s.emit(Moved{Peer: p.id, Path: path, Unproven: p.unproven})
	}
	defer p.arm()
	if p.member != (memberKey{}) {
		key := p.member
		key.local, key.remote = path.Local, path.Remote
		p.enroll(key)
	}
}

// Alive says that authenticated traffic of the peer arrived: it lives.
func (s *Server) Alive(now time.Time, id Peer) {
	if p := s.peers[id]; p != nil {
		p.alive(now)
	}
	if p := s.sessions[id]; p != nil {
		p.machine.Alive(now)
	}
}

// Moved says that authenticated traffic of the peer came from another path (its
// NAT forgot the mapping): answer there from now on.
func (s *Server) Moved(now time.Time, id Peer, path Path) {
	if p := s.peers[id]; p != nil {
		p.heardAt = now
		p.moveTo(now, path, false)
	}
	if p := s.sessions[id]; p != nil {
		p.machine.Moved(now, v2.Path(path))
		p.arm()
	}
}
