package dataplane

import (
	"net/netip"
	"sync/atomic"

	"github.com/culvert-vpn/culvert/esp"
	"github.com/culvert-vpn/culvert/l2tp"
	"github.com/culvert-vpn/culvert/tenant/policy"
)

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
//
// Packets upwards need the first two lines of memory of it, those downwards the
// first and the two of firstSend. So the first binding and the first way out that
// are of any length are part of the session, and few sessions have others.
type Session struct {
	tunnel l2tp.TunnelID
	call   l2tp.CallID
	active atomic.Bool // an IP packet was seen since the last sweep
	out    atomic.Pointer[esp.Outbound]
	send   atomic.Pointer[sendState] // nil: nothing can be sent
	bound  atomic.Pointer[binding]   // nil: no IP packets
	// Up counts what the client sent, Down what it was sent.
	Up, Down Traffic

	firstBinding binding
	firstPrefix  netip.Prefix

	firstSend sendState

	peer         *Peer
	prefix       *netip.Prefix // of IPv6; nil: none
	addr         netip.Addr
	port         *Port
	party        *policy.Party // made before bound is set, and never another
	ns           atomic.Uint32
	link         LinkOptions
	remoteTunnel l2tp.TunnelID
	remoteCall   l2tp.CallID
	sequencing   bool
	marks        uint8
}

// The marks of a session.
const (
	markBound   = 1 << iota // firstBinding is taken
	markSending             // firstSend is taken
	markNarrow              // there was an SA that is not for everything
)

// downLines is how many bytes of a session packets downwards need. There is a line
// among them that they do not; but to name what is behind it the language reads
// the first one, and waits.
const downLines = 256

// LinkOptions are what PPP agreed on for a session.
type LinkOptions struct {
	MTU       uint16 // the largest IP packet the peer takes: its MRU; 0: unknown
	ACFC, PFC bool   // the peer accepts compressed headers from us
	// Host: this is the client's own end, and router advertisements are for the
	// control loop and not for the device.
	Host bool
}

// binding is a session's place in its tenant's network. Only the addresses of
// one change.
type binding struct {
	port    *Port
	subject policy.Subject // which sources are its own
	host    bool           // router advertisements are ours
	narrow  bool           // packets are held against the selectors of their SA
}

// NewSession makes the session known to the workers under its peer's SAs.
func (p *Plane) NewSession(c SessionConfig) *Session {
	s := c.Peer.newSession()
	s.tunnel, s.call, s.peer = c.Tunnel, c.Call, c.Peer
	s.remoteTunnel, s.remoteCall, s.sequencing = c.RemoteTunnel, c.RemoteCall, c.Sequencing
	s.update()
	c.Peer.addSession(s)
	return s
}

// Active reports whether an IP packet was seen since the activity of its peer was taken.
func (s *Session) Active() bool { return s.active.Load() }

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
	s.addr = addr
	port.routes.put(s, !addr.IsValid()) // first: an answer may be back at once
	s.attach(port, link, !addr.IsValid())
}

// Bind6 opens the session for IPv6 packets: from its prefix only, and to it.
// Packets that are only for the link, as router solicitations are, go to the
// control loop. Both families of a session have one port.
func (p *Plane) Bind6(s *Session, port *Port, prefix netip.Prefix, link LinkOptions) {
	s.prefix = new(netip.Prefix)
	if !s.firstPrefix.IsValid() {
		s.prefix = &s.firstPrefix
	}
	*s.prefix = prefix.Masked()
	port.routes.putPrefix(s)
	s.attach(port, link, s.isAny())
}

// Move has a session keep at another port what it was opened for: packets that are
// under way by the former one still arrive.
func (p *Plane) Move(s *Session, port *Port) {
	former := s.port
	if former == nil || former == port {
		return
	}
	everything := s.isAny()
	addr, prefix := former.routes.has(s)
	if addr || everything {
		port.routes.put(s, everything) // first: an answer may be back at once
	}
	if prefix {
		port.routes.putPrefix(s)
	}
	s.attach(port, s.link, everything)
}

// isAny reports whether the session takes packets of every source.
func (s *Session) isAny() bool {
	b := s.bound.Load()
	return b != nil && b.subject.IsAnybody()
}

// attach makes the session's addresses those that it may use.
func (s *Session) attach(port *Port, link LinkOptions, anyAddress bool) {
	s.port, s.link = port, link
	s.update()
	b, narrow := s.bound.Load(), s.marks&markNarrow != 0
	if host := anyAddress && link.Host; b == nil || b.port != port || b.subject.IsAnybody() != anyAddress || b.host != host || b.narrow != narrow {
		b = s.newBinding()
		b.port, b.host, b.narrow = port, host, narrow
		b.subject.Anybody(anyAddress)
	}
	b.subject.SetPrefix(s.prefix)
	b.subject.SetAddress(s.addr)
	s.known().SetAddresses(&b.subject)
	s.bound.Store(b)
}

// known returns the session as the policy of flows sees it.
func (s *Session) known() *policy.Party {
	if s.party == nil {
		s.party = new(policy.Party)
	}
	return s.party
}

// SetIdentity says who the session is to the rules of its tenant. It is borrowed. Flows
// that are there already are judged again when the rules are set anew. Who is so to rules
// that are set next is who he was to those before; nil: it holds at once.
func (p *Plane) SetIdentity(s *Session, who *policy.Identity, before *policy.Rules) {
	s.known().SetIdentity(who, before)
}

// newBinding returns an empty binding. One that was left is not used again: a
// worker may still have it.
func (s *Session) newBinding() *binding {
	if s.marks&markBound != 0 {
		return new(binding)
	}
	s.marks |= markBound
	return &s.firstBinding
}

// Unbind closes the session for what Bind opened it for.
func (p *Plane) Unbind(s *Session) {
	if s.port == nil {
		return
	}
	s.port.routes.remove(s)
	s.addr = netip.Addr{}
	s.detach(false)
}

// Unbind6 closes the session for what Bind6 opened it for.
func (p *Plane) Unbind6(s *Session) {
	if s.port == nil {
		return
	}
	s.port.routes.removePrefix(s)
	s.prefix = nil
	s.detach(s.isAny())
}

// detach leaves what is still bound. A session without any of it carries PPP
// control only.
func (s *Session) detach(anyAddress bool) {
	if s.addr.IsValid() || anyAddress || s.prefix != nil {
		s.attach(s.port, s.link, anyAddress)
		return
	}
	s.bound.Store(nil)
	s.port = nil
}

// RemoveSession forgets the session.
func (p *Plane) RemoveSession(s *Session) {
	p.Unbind(s)
	p.Unbind6(s)
	if s.party != nil {
		s.party.Leave()
	}
	s.peer.removeSession(s)
}
