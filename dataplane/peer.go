package dataplane

import (
	"net/netip"
	"sync/atomic"

	"github.com/culvert-vpn/culvert/esp"
	"github.com/culvert-vpn/culvert/l2tp"
	"github.com/culvert-vpn/culvert/tenant"
	"github.com/culvert-vpn/culvert/tenant/ipkt"
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

	at       atomic.Uint64 // the address of the route, as whereabouts has it
	route    atomic.Pointer[route]
	first    atomic.Pointer[Session] // of sessions; most peers have no other
	sessions atomic.Pointer[[]*Session]
	room     *Session     // for the first session, beside the peer; nil: taken
	waiting  atomic.Int32 // control messages in the Inbox
	active   atomic.Bool  // an authentic packet was seen since the last sweep
	moving   atomic.Bool  // a Moved message is on its way
}

// household is a peer and its first session: packets need both.
type household struct {
	peer    Peer
	session Session
}

// NewPeer returns a peer that has no SA yet.
func NewPeer(id uint64) *Peer {
	h := new(household)
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

// whereabouts is an IPv4 address and port as a number, and 0 for all others.
func whereabouts(a netip.AddrPort) uint64 {
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
	// Ways are SAs for single networks in tunnel mode; the first that matches a
	// packet is taken, and Out if none does.
	Ways []Way
}

// Way is an SA that takes only packets between two networks.
type Way struct {
	Local, Remote netip.Prefix // of sources on our side, of destinations on the peer's
	Out           *esp.Outbound
}

// route is what a packet needs on its way to a peer; it is immutable.
type route struct {
	listener *listener
	// Out, the ports and Path are those of the Encapsulation, where every packet
	// finds them.
	Out                   *esp.Outbound
	LocalPort, RemotePort uint16
	checksum              bool
	sideBySide            bool // packets wait, to be sealed several at once
	divided               bool // there are ways
	*routeRest
	Path Path
}

// routeRest is what few packets need.
type routeRest struct {
	Encapsulation
	ways []*route // one for each of Ways
}

func newRoute(l *listener, e Encapsulation) *route {
	r := &route{
		listener: l, Out: e.Out, Path: e.Path, LocalPort: e.LocalPort, RemotePort: e.RemotePort,
		checksum: e.Path.Remote.Addr().Is6(), sideBySide: e.Out.SideBySide(), divided: len(e.Ways) > 0,
		routeRest: &routeRest{Encapsulation: e},
	}
	for _, w := range e.Ways {
		way := e
		way.Out, way.Ways = w.Out, nil
		r.ways = append(r.ways, newRoute(l, way))
	}
	return r
}

// toward is the route of a packet in tunnel mode.
func (r *route) toward(pkt []byte) *route {
	if !r.divided {
		return r
	}
	ip, err := ipkt.Parse(pkt)
	if err != nil {
		return r
	}
	for i, w := range r.Ways {
		if w.Local.Contains(ip.Source()) && w.Remote.Contains(ip.Destination()) {
			return r.ways[i]
		}
	}
	return r
}

// Encapsulation returns the peer's present way out, and whether it has one.
func (p *Peer) Encapsulation() (Encapsulation, bool) {
	r := p.route.Load()
	if r == nil {
		return Encapsulation{}, false
	}
	return r.Encapsulation, true
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
	peer.at.Store(whereabouts(e.Path.Remote))
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

// SessionConfig describes one call, or one tunnel mode SA, to NewSession.
type SessionConfig struct {
	Peer *Peer
	// Tunnel and Call are our ids, by which the peer names the call.
	Tunnel l2tp.TunnelID
	Call   l2tp.CallID
	// RemoteTunnel and RemoteCall are the peer's ids.
	RemoteTunnel l2tp.TunnelID
	RemoteCall   l2tp.CallID
	// Sequencing puts Ns and Nr on data packets, RFC 2661 section 5.4.
	Sequencing bool
}

// Session is one call. It carries PPP control as soon as it is made, and IP
// once Bind has given it an address and a device.
type Session struct {
	// This is what every packet needs: one line of the cache.
	tunnel l2tp.TunnelID
	call   l2tp.CallID
	active atomic.Bool // an IP packet was seen since the last sweep
	send   atomic.Pointer[sendState]
	bound  atomic.Pointer[binding]
	// Up counts what the client sent, Down what it was sent.
	Up, Down Traffic
	*sessionRest
}

// sessionRest is what few packets need.
type sessionRest struct {
	peer         *Peer
	ns           atomic.Uint32
	sequencing   bool
	remoteTunnel l2tp.TunnelID
	remoteCall   l2tp.CallID
	addr         netip.Addr
	anyAddress   bool
	prefix       netip.Prefix // of IPv6
	port         *Port
	link         LinkOptions
}

// LinkOptions are what PPP agreed on for a session.
type LinkOptions struct {
	ACFC, PFC bool // the peer accepts compressed headers from us
	MTU       int  // the largest IP packet the peer takes: its MRU
	// Host: this is the client's own end, and router advertisements are for the
	// control loop and not for the device.
	Host bool
}

// binding is a session's place in its tenant's network; immutable.
type binding struct {
	port   *Port
	addr4  [4]byte
	is4    bool // there is addr4
	any    bool
	host   bool         // router advertisements are ours
	prefix netip.Prefix // of IPv6; invalid: none
}

// NewSession makes the session known to the workers under its peer's SAs.
func (p *Plane) NewSession(c SessionConfig) *Session {
	s := c.Peer.newSession()
	s.tunnel, s.call, s.sessionRest = c.Tunnel, c.Call, &sessionRest{
		peer: c.Peer, remoteTunnel: c.RemoteTunnel, remoteCall: c.RemoteCall, sequencing: c.Sequencing,
	}
	s.update()
	c.Peer.addSession(s)
	return s
}

// Peer returns the peer whose call this is.
func (s *Session) Peer() *Peer { return s.peer }

// MTU returns the size of the largest IP packet that reaches the client in one
// piece now: the smaller of its MRU and what the encapsulation leaves. Bytes.
func (s *Session) MTU() int {
	if st := s.send.Load(); st != nil {
		return int(st.mtu)
	}
	return 0
}

// Bind opens the session for IP packets: from addr only, and to it. With an
// invalid addr the session takes packets of every source, and gets those of
// every destination: the client's own end of a connection.
func (p *Plane) Bind(s *Session, port *Port, addr netip.Addr, link LinkOptions) {
	s.addr, s.anyAddress = addr, !addr.IsValid()
	port.routes.put(s) // first: an answer may be back at once
	s.attach(port, link)
}

// Bind6 opens the session for IPv6 packets: from its prefix only, and to it.
// Packets that are only for the link, as router solicitations are, go to the
// control loop. Both families of a session have one port.
func (p *Plane) Bind6(s *Session, port *Port, prefix netip.Prefix, link LinkOptions) {
	s.prefix = prefix.Masked()
	port.routes.putPrefix(s)
	s.attach(port, link)
}

func (s *Session) attach(port *Port, link LinkOptions) {
	s.port, s.link = port, link
	s.update()
	b := &binding{port: port, prefix: s.prefix, any: s.anyAddress, host: s.anyAddress && link.Host}
	if s.addr.Is4() {
		b.addr4, b.is4 = s.addr.As4(), true
	}
	s.bound.Store(b)
}

// Unbind closes the session for what Bind opened it for.
func (p *Plane) Unbind(s *Session) {
	if s.port == nil {
		return
	}
	s.port.routes.remove(s)
	s.addr, s.anyAddress = netip.Addr{}, false
	s.detach()
}

// Unbind6 closes the session for what Bind6 opened it for.
func (p *Plane) Unbind6(s *Session) {
	if s.port == nil {
		return
	}
	s.port.routes.removePrefix(s)
	s.prefix = netip.Prefix{}
	s.detach()
}

// detach leaves what is still bound. A session without any of it carries PPP
// control only.
func (s *Session) detach() {
	if s.addr.IsValid() || s.anyAddress || s.prefix.IsValid() {
		s.attach(s.port, s.link)
		return
	}
	s.bound.Store(nil)
	s.port = nil
}

// RemoveSession forgets the session.
func (p *Plane) RemoveSession(s *Session) {
	p.Unbind(s)
	p.Unbind6(s)
	s.peer.removeSession(s)
}

// Port is a tenant's device as the plane knows it: a writer for each worker,
// the routes to the clients, and a downlink for each source.
type Port struct {
	device   tenant.Device
	writers  []tenant.Writer // by worker
	pools    []netip.Prefix
	gateway  netip.Addr // our IPv4 address there
	gateway6 netip.Addr // our IPv6 address there; invalid: none
	routes   routeTable
}
