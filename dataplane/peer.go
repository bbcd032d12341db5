package dataplane

import (
	"net/netip"
	"sync"
	"sync/atomic"

	"github.com/culvert-vpn/culvert/esp"
	"github.com/culvert-vpn/culvert/l2tp"
	"github.com/culvert-vpn/culvert/tenant"
	"github.com/culvert-vpn/culvert/tenant/policy"
)

// Path is the pair of UDP addresses between us and a peer.
type Path struct {
	Local, Remote netip.AddrPort
}

// Peer is one client as the plane knows it: the newest SA towards it, where it
// is, and the calls it has. The control loop changes it, workers read it.
type Peer struct {
	// ID is the gateway's number for this client.
	ID uint64

	at       atomic.Uint64 // the address of the route, as endpoint64 has it
	route    atomic.Pointer[route]
	first    atomic.Pointer[Session] // of sessions; most peers have no other
	sessions atomic.Pointer[[]*Session]
	room     *Session     // for the first session, beside the peer; nil: taken
	waiting  atomic.Int32 // control messages in the Inbox
	active   atomic.Bool  // an authentic packet was seen since the last sweep
	moving   atomic.Bool  // a Moved message is on its way
}

// peerBlock is a peer and its first session in one piece of memory: packets need both.
type peerBlock struct {
	peer    Peer
	session Session
}

// upLines is how many bytes of a peerBlock packets upwards need: the peer, the
// session's first two lines.
const upLines = 192

// NewPeer returns a peer that has no SA yet.
func NewPeer(id uint64) *Peer {
	h := new(peerBlock)
	h.peer.ID, h.peer.room = id, &h.session
	h.peer.sessions.Store(&[]*Session{})
	return &h.peer
}

// newSession returns an empty session. One that was removed is not used again: a
// worker may still have it.
func (p *Peer) newSession() *Session {
	if s := p.room; s != nil {
		p.room = nil
		return s
	}
	return new(Session)
}

// endpoint64 is an IPv4 address and port as a number, and 0 for all others.
func endpoint64(a netip.AddrPort) uint64 {
	if !a.Addr().Is4() {
		return 0
	}
	return uint64(ipv4Of(a.Addr()))<<16 | uint64(a.Port())
}

// Encapsulation says how packets reach a peer.
type Encapsulation struct {
	Out  *esp.Outbound
	Path Path
	// LocalPort and RemotePort are those of the UDP datagrams inside the SA,
	// RFC 3193 section 4: 1701, and whatever port the client chose.
	LocalPort, RemotePort uint16
	// InnerLocal and InnerRemote are the addresses which the peer's UDP
	// checksum covers (NAT-OA, RFC 3947 section 5.2). Used over IPv6 only;
	// over IPv4 the checksum is left out.
	InnerLocal, InnerRemote netip.Addr
	// OuterMTU is the size of the largest IP packet the path carries.
	OuterMTU int
	// Ways are SAs in tunnel mode that are for some packets only; the first that is
	// for a packet is taken, and a packet that none is for is dropped. None: Out takes
	// everything.
	Ways []Way
	// Trial is what may be sent on Path, on which the peer has not shown yet that it
	// receives; nil: it has.
	Trial *Trial
}

// Way is an SA and the packets that it is for.
type Way struct {
	Selectors *Selectors // nil: everything
	Out       *esp.Outbound
}

// route is an Encapsulation in use; it is immutable.
type route struct {
	Encapsulation
	wayOut
}

// wayOut is what a packet needs on its way to a peer, beside the SA; immutable.
// It outlives SAs: unless it is divided, who has one keeps no keys.
type wayOut struct {
	listener              *listener
	localPort, remotePort uint16
	checksum              bool // the inner UDP header has one
	divided               bool // there are ways
	tried                 bool // there is a trial
	*slowPath
	path Path
}

// slowPath are what few packets need; nil for most peers.
type slowPath struct {
	local, remote netip.Addr // of the inner UDP checksum
	ways          []Way
	trial         *Trial
}

func newRoute(l *listener, e Encapsulation) *route {
	r := &route{e, wayOut{
		listener: l, path: e.Path, localPort: e.LocalPort, remotePort: e.RemotePort,
		checksum: e.Path.Remote.Addr().Is6(), divided: len(e.Ways) > 0, tried: e.Trial != nil,
	}}
	if r.checksum || r.divided || r.tried {
		r.slowPath = &slowPath{local: e.InnerLocal, remote: e.InnerRemote, ways: e.Ways, trial: e.Trial}
	}
	return r
}

// Route makes packets to the peer go that way from now on. Sessions follow.
func (p *Plane) Route(peer *Peer, e Encapsulation) error {
	l := p.listenerFor(e.Path.Local)
	if l == nil {
		return ErrNoSocket
	}
	if e.OuterMTU == 0 {
		e.OuterMTU = 1500
	}
	peer.at.Store(0)
	peer.route.Store(newRoute(l, e))
	peer.at.Store(endpoint64(e.Path.Remote))
	for _, s := range *peer.sessions.Load() {
		s.update()
	}
	return nil
}

// Arrived ends the wait that follows a Moved message: the gateway has acted on it.
func (p *Peer) Arrived() { p.moving.Store(false) }

func (p *Peer) session(tunnel l2tp.TunnelID, call l2tp.CallID) *Session {
	if s := p.first.Load(); s != nil && s.tunnel == tunnel && s.call == call {
		return s
	}
	for _, s := range *p.sessions.Load() {
		if s.tunnel == tunnel && s.call == call {
			return s
		}
	}
	return nil
}

func (p *Peer) addSession(s *Session) {
	p.setSessions(append(append([]*Session(nil), *p.sessions.Load()...), s))
}

func (p *Peer) removeSession(s *Session) {
	var next []*Session
	for _, other := range *p.sessions.Load() {
		if other != s {
			next = append(next, other)
		}
	}
	p.setSessions(next)
}

func (p *Peer) setSessions(all []*Session) {
	var first *Session
	if len(all) > 0 {
		first = all[0]
	}
	p.first.Store(first)
	p.sessions.Store(&all)
}

// Activity is what a sweep found.
type Activity uint32

// The bits of an Activity.
const (
	ActiveSA   Activity = 1 << iota // an authenticated packet of any kind came
	ActiveData                      // an IP packet went up or down
)

// mark notes an authentic packet of the peer, or an IP packet of the session.
// It writes only when that is not noted yet, so that the line stays shared
// between the cores.
func mark(active *atomic.Bool) {
	if !active.Load() {
		active.Store(true)
	}
}

// TakeActivity returns what was seen since it was last called.
func (p *Peer) TakeActivity() (a Activity) {
	if p.active.Load() && p.active.Swap(false) {
		a |= ActiveSA
	}
	for _, s := range *p.sessions.Load() {
		if s.active.Load() && s.active.Swap(false) {
			a |= ActiveData
		}
	}
	return a
}

// Port is a tenant's device as the plane knows it: a writer for each worker,
// the routes to the clients, and a downlink for each source.
type Port struct {
	device   tenant.Device
	writers  []tenant.Writer              // by worker
	rules    atomic.Pointer[policy.Rules] // of its tenant
	flows    *policy.Flows                // likewise
	gateway  netip.Addr                   // our IPv4 address there
	gateway6 netip.Addr                   // our IPv6 address there; invalid: none
	routes   routeTable
	dropped  *counters // of its tenant
	links    []*downlink
	running  sync.WaitGroup // of the links
}
