package gateway

import (
	"crypto/x509"
	"fmt"
	"net/netip"
	"time"

	"github.com/culvert-vpn/culvert/dataplane"
	"github.com/culvert-vpn/culvert/esp"
	"github.com/culvert-vpn/culvert/ike"
	"github.com/culvert-vpn/culvert/ike/family"
	"github.com/culvert-vpn/culvert/internal/access"
	"github.com/culvert-vpn/culvert/internal/event"
	"github.com/culvert-vpn/culvert/internal/x/deadline"
	"github.com/culvert-vpn/culvert/l2tp"
	"github.com/culvert-vpn/culvert/ppp"
)

// peer is one client: what IKE knows as a Peer, with its child SAs, its
// tunnels and its calls.
type peer struct {
	id       uint64
	plane    *dataplane.Peer
	label    string // whose pre-shared key it has, as keyring.group takes it
	path     ike.Path
	identity string // what it calls itself
	family   family.Family
	suite    string
	chain    []*x509.Certificate // that it proved itself with in IKE; nil: in another way
	host     string              // the host name of its L2TP
	port     uint16              // the UDP port of its L2TP
	v2       bool                // it speaks IKEv2
	unproven bool                // it has not answered yet from where it is
	asked    bool                // its user's other sessions were asked whether they live
	refused  bool                // the log has said why its login failed, or will
	children map[ike.SPI]*child
	current  *child // what we send on
	rekeys   int32  // how often that was another one
	used     int32  // how often it was said which child SA to send on
	calls    map[l2tp.CallID]*session
	dial     *dial     // set when we called it
	tunnel   *session  // of IKEv2 tunnel mode
	login    *attempt  // by EAP inside IKEv2, or by name and password in IKEv1
	asking   *attempt  // its login of tunnel mode that was asked about last
	trial    *trial    // nil: it was never unproven
	idleAt   time.Time // since when it has no session; zero: it has one

	moves     int32               // since the log said that it moves
	rivals    int32               // for how many its own login waits
	toldUntil time.Time           // what was said of its moves is enough until then
	claims    string              // what it calls itself in IKE, where it logs in by another name
	awaited   []*peer             // whose logins wait for it to answer
	resume    *attempt            // its own login, while it waits
	refusal   *event.LoginRefused // in whose words the log is to say so when IKE tells that it has
}

// child is one child SA in use.
type child struct {
	ike.ChildTerms
	sa     *dataplane.SA
	out    *esp.Outbound
	only   *dataplane.Selectors // what it is for; nil: everything
	wornAt time.Time            // when it was to be renewed for wear
	fullAt time.Time            // when it had carried what was agreed on
	used   int32                // when it was said to send on this one, in their order
	active bool
}

// session is one call of a peer, from its PPP link to its place in the
// tenant's network.
type session struct {
	deadline.Alarm // of the link, in Gateway.links

	id       uint64 // never used twice
	peer     *peer
	call     l2tp.Call
	plane    *dataplane.Session
	link     *ppp.Link     // nil in tunnel mode
	tenant   *tenantState  // nil until the user is known
	grant    *access.Grant // nil until then
	user     string
	addr     netip.Addr
	prefix   netip.Prefix // of IPv6; invalid: none
	up       time.Time
	clientOS string              // what LCP Identification says
	reason   string              // why it ends, in words
	login    *attempt            // in its link; nil: none is under way
	chain    []*x509.Certificate // that its user was proved with, by EAP; nil: in another way

	linkOptions dataplane.LinkOptions // what PPP agreed on
	trafficAt   time.Time             // when packets were last seen, to the sweep

	after, heir *session  // whose addresses it takes over, and which takes over its own; nil: none
	readyAt     time.Time // when it could have been opened, in place of after

	router      netip.Addr // our link-local address, while IPv6 is up
	advertiseAt time.Time  // when the next router advertisement is due
	advertised  int32

	leased, touched, ended bool
}

// peerOf returns the peer with that number and makes it when IKE has just begun with it.
func (g *Gateway) peerOf(id ike.Peer) *peer {
	p := g.peers[uint64(id)]
	if p == nil {
		p = &peer{
			id: uint64(id), plane: dataplane.NewPeer(uint64(id)), port: l2tpPort,
			children: make(map[ike.SPI]*child), calls: make(map[l2tp.CallID]*session),
		}
		g.peers[p.id] = p
	}
	return p
}

func (g *Gateway) peerUp(now time.Time, e ike.Up) {
	p := g.peerOf(e.Peer)
	p.label, p.path, p.identity, p.family, p.v2, p.suite = e.Tenant, e.Path, e.Identity, e.Family, e.V2, e.Suite
	p.chain = e.Certificates
	g.emit(event.PeerUp{Peer: p.about()})
	if p.homeless(g.keys) { // its tenant was removed in the meantime
		g.ike.Close(now, e.Peer, ike.ReasonLocal)
	}
}

// install makes a child SA known to the data plane.
func (g *Gateway) install(now time.Time, e ike.Installed) {
	p := g.peerOf(e.Peer)
	c, err := g.newChild(p.plane, e.Child)
	e.Child.KeyIn.Zero()
	e.Child.KeyOut.Zero()
	if err != nil {
		g.emit(event.SARefused{Peer: p.about(), Err: err})
		g.ike.Close(now, e.Peer, ike.ReasonLocal)
		return
	}
	p.children[c.In] = c
	c.sa.Tunnel = p.tunnelSession(c)
	if c.only = selectors(&c.ChildTerms, p.dial != nil); c.only != nil && c.sa.Tunnel != nil {
		g.plane.AddNarrowSA(esp.SPI(c.In), c.sa, c.only)
	} else {
		g.plane.AddSA(esp.SPI(c.In), c.sa)
	}
	if c.Active {
		g.activate(now, e.Peer, c.In)
	}
}

// newChild makes the two ends of a child SA from what IKE agreed on.
func (g *Gateway) newChild(p *dataplane.Peer, sa ike.ChildSA) (*child, error) {
	t, err := esp.ByIANA(sa.Encryption, sa.KeyBits, sa.Integrity)
	if err != nil {
		return nil, err
	}
	c := &child{ChildTerms: sa.ChildTerms}
	c.sa, err = dataplane.NewSA(p, esp.InboundConfig{
		SPI: esp.SPI(sa.In), Transform: t, ESN: sa.ESN, Vault: g.vault,
		Keys: esp.Keys{Encryption: sa.KeyIn.Encryption, Integrity: sa.KeyIn.Integrity},
	})
	if err != nil {
		return nil, err
	}
	c.out, err = esp.NewOutbound(esp.OutboundConfig{
		SPI: esp.SPI(sa.Out), Transform: t, ESN: sa.ESN, Vault: g.vault, After: g.config.after,
		Keys: esp.Keys{Encryption: sa.KeyOut.Encryption, Integrity: sa.KeyOut.Integrity},
	})
	return c, err
}

// activate sends on that SA from now on.
func (g *Gateway) activate(now time.Time, id ike.Peer, in ike.SPI) {
	p := g.peers[uint64(id)]
	if p == nil || p.children[in] == nil {
		return
	}
	if p.current != nil && p.current.In != in && (p.children[in].Transport || p.children[in].Replaces != 0) {
		p.rekeys++
	}
	p.current = p.children[in]
	p.current.active = true
	p.used++
	p.current.used = p.used
	if p.current.Path.Remote.IsValid() {
		p.path = p.current.Path
	}
	if port := p.current.Remote.Port; port != 0 {
		p.port = port
	}
	g.reroute(p)
	g.dialSecured(now, p)
	g.tunnelReady(now, p)
}

// activateUsed sends on a peer's only SA when the peer does so: its first packet
// in the SA may be looked at before the last message of its quick mode, which
// waits in the queue of strangers, and would be answered into the void.
func (g *Gateway) activateUsed(now time.Time, p *peer) {
	if p.current != nil || len(p.children) != 1 {
		return
	}
	for in := range p.children {
		g.activate(now, ike.Peer(p.id), in)
	}
}

// reroute tells the data plane how packets reach the peer now.
func (g *Gateway) reroute(p *peer) {
	if p.current == nil {
		return
	}
	c := p.current
	local, remote := c.LocalOriginal, c.RemoteOriginal
	if !local.IsValid() {
		local = p.path.Local.Addr()
	}
	if !remote.IsValid() {
		remote = p.path.Remote.Addr()
	}
	port := uint16(l2tpPort)
	if c.Local.Port != 0 {
		port = c.Local.Port
	}
	err := g.plane.Route(p.plane, dataplane.Encapsulation{
		Out: c.out, Path: planePath(p.path), LocalPort: port, RemotePort: p.port,
		InnerLocal: local, InnerRemote: remote, OuterMTU: g.config.OuterMTU,
		Ways: p.ways(), Trial: p.tried(),
	})
	if err != nil {
		g.emit(event.RouteRefused{Peer: p.about(), Err: err})
	}
}

// setPort notes the port that the peer's L2TP speaks from: some choose a new
// one at every dial and name none in their selector.
func (p *peer) setPort(g *Gateway, port uint16) {
	if p.port != port && port != 0 {
		p.port = port
		g.reroute(p)
	}
}

// received returns how many packets have come in a child SA.
func (g *Gateway) received(id ike.Peer, in ike.SPI) uint64 {
	p := g.peers[uint64(id)]
	if p == nil || p.children[in] == nil {
		return 0
	}
	packets, _ := p.children[in].sa.In.Opened()
	return packets
}

// uninstall forgets a child SA.
func (g *Gateway) uninstall(e ike.Removed) {
	p := g.peers[uint64(e.Peer)]
	if p == nil || p.children[e.In] == nil {
		return
	}
	c := p.children[e.In]
	delete(p.children, e.In)
	g.plane.RemoveSA(esp.SPI(e.In))
	lost := p.current == c
	if lost {
		p.current = p.newestActive()
	}
	if lost || p.tunnel != nil {
		g.reroute(p)
	}
}

// newestActive returns the SA to fall back to when the current one is gone.
func (p *peer) newestActive() *child {
	var best *child
	for _, c := range p.children {
		if c.active && (best == nil || c.used > best.used) {
			best = c
		}
	}
	return best
}

func (g *Gateway) peerMoved(now time.Time, e ike.Moved) {
	p := g.peerOf(e.Peer)
	if p.path.Remote != e.Path.Remote && p.path.Remote.IsValid() {
		g.tellMove(now, p, e.Path)
	}
	p.path = e.Path
	p.onTrial(now, e.Unproven)
	g.reroute(p)
}

// A peer moves with each of its packets, if it likes: so many of its moves are said at once,
// and then one in tellEvery, and where it has come to in the end.
const (
	tellAtOnce = 4
	tellEvery  = 10 * time.Second
)

// tellMove says that a peer has moved, or has the sweep say it.
func (g *Gateway) tellMove(now time.Time, p *peer, to ike.Path) {
	p.moves++
	g.tellMoves(now, p, to)
}

// tellMoves says where a peer has moved, and how often since that was said last, if it is
// time.
func (g *Gateway) tellMoves(now time.Time, p *peer, to ike.Path) {
	if p.moves == 0 || p.toldUntil.Sub(now) > (tellAtOnce-1)*tellEvery {
		return
	}
	g.emit(event.PeerMoved{Peer: p.about(), To: to.Remote, Moves: int(p.moves)})
	p.toldUntil, p.moves = latest(p.toldUntil, now).Add(tellEvery), 0
}

// peerClosed ends what is left of a peer: no SA can carry a goodbye any more.
func (g *Gateway) peerClosed(now time.Time, e ike.Closed) {
	p := g.peers[uint64(e.Peer)]
	if p == nil {
		return
	}
	for _, s := range p.sessions() {
		s.because(fmt.Sprint(e.Reason))
	}
	awaited := p.awaited
	p.awaited = nil
	defer func() { g.answered(now, p.id, awaited) }()
	g.endLogin(now, p)
	g.sayRefused(p, true) // IKE had no line for it
	g.l2tp.Forget(l2tp.Peer(p.id))
	g.l2tpEvents(now)
	for _, s := range p.sessions() {
		g.end(now, s)
	}
	for in := range p.children {
		g.uninstall(ike.Removed{Peer: e.Peer, In: in})
	}
	delete(g.peers, p.id)
	if p.suite == "" { // it never was up
		g.dialClosed(p, e)
		return
	}
	g.emit(event.PeerDown{Peer: p.about(), Reason: e.Reason.String()})
	g.dialClosed(p, e)
}

func (g *Gateway) l2tpTunnelUp(e l2tp.TunnelUp) {
	if p := g.peers[uint64(e.Peer)]; p != nil {
		p.host = e.HostName
		p.family = p.family.Refine(e.HostName, e.Vendor, e.Firmware)
	}
}

// newSession returns a session of the peer that holds nothing yet.
func (g *Gateway) newSession(p *peer) *session {
	g.lastSession++
	return &session{id: g.lastSession, peer: p}
}

// callUp starts PPP in a new call.
func (g *Gateway) callUp(now time.Time, e l2tp.CallUp) {
	p := g.peers[uint64(e.Call.Peer)]
	if p == nil {
		return
	}
	s := g.newSession(p)
	s.call = e.Call
	s.plane = g.plane.NewSession(dataplane.SessionConfig{
		Peer: p.plane, Tunnel: e.Call.Tunnel, Call: e.Call.Call,
		RemoteTunnel: e.RemoteTunnel, RemoteCall: e.RemoteCall, Sequencing: e.Sequencing,
	})
	var err error
	if s.link, err = g.newLink(p, s.plane.MTU()); err != nil {
		g.emit(event.LinkRefused{Peer: p.about(), Err: err})
		g.plane.RemoveSession(s.plane)
		g.l2tp.CloseCall(now, e.Call, l2tp.Result{Code: l2tp.ClearNoFacilities})
		return
	}
	p.calls[e.Call.Call] = s
	g.sessions[s.plane] = s
	s.link.Start(now)
	g.touch(s)
}

// callDown ends the session of a call that L2TP says is over.
func (g *Gateway) callDown(now time.Time, e l2tp.CallDown) {
	p := g.peers[uint64(e.Call.Peer)]
	if p == nil {
		return
	}
	if p.dial != nil && !e.Up {
		g.fail(now, p.dial, fmt.Errorf("%w: %s", ErrEnded, e.Reason))
	}
	if s := p.calls[e.Call.Call]; s != nil && s.call == e.Call {
		s.because(fmt.Sprint(e.Reason))
		g.end(now, s)
	}
}

// linkClosed ends the call of a link that is over.
func (g *Gateway) linkClosed(now time.Time, s *session, e ppp.Closed) {
	s.because(fmt.Sprint(e.Reason))
	g.l2tp.CloseCall(now, s.call, l2tp.Result{Code: l2tp.ClearAdministrative})
	g.end(now, s)
}

// sessions are the peer's calls and what it has in tunnel mode.
func (p *peer) sessions() []*session {
	list := make([]*session, 0, len(p.calls)+1)
	for _, s := range p.calls {
		list = append(list, s)
	}
	if p.tunnel != nil {
		list = append(list, p.tunnel)
	}
	return list
}

// because notes why the session ends; the first reason is the cause.
func (s *session) because(reason string) {
	if s.reason == "" {
		s.reason = reason
	}
}

func (s *session) identified(text string) {
	if s.clientOS == "" {
		s.clientOS = text
	}
	s.peer.family = s.peer.family.RefineByPPP(text)
}

// end takes the session out of every table and gives back what it held.
func (g *Gateway) end(now time.Time, s *session) {
	if s.ended {
		return
	}
	s.ended = true
	if s.link != nil {
		s.link.Forget()
		delete(s.peer.calls, s.call.Call)
	} else {
		s.peer.tunnel = nil
	}
	g.giveUpLogin(now, s)
	g.handBack(now, s)
	g.plane.RemoveSession(s.plane)
	delete(g.sessions, s.plane)
	g.links.Stop(s)
	if s.tenant != nil {
		g.keepTraffic(s)
		s.tenant.release(s)
	}
	if !s.up.IsZero() {
		g.tellDown(s)
	}
	g.dialEnded(now, s)
}

// protocol is what the peer speaks, as far as IKE knows.
func (p *peer) protocol() string {
	if p.v2 {
		return "ikev2"
	}
	return "ikev1"
}

// protocol is what the session's client speaks.
func (s *session) protocol() string {
	if s.link != nil {
		return "l2tp/" + s.peer.protocol()
	}
	if !s.peer.v2 {
		return "xauth/ikev1"
	}
	return s.peer.protocol()
}
