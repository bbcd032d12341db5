package engine

import (
	"crypto/x509"
	"net/netip"
	"time"

	"github.com/culvert-vpn/culvert/dataplane"
	"github.com/culvert-vpn/culvert/esp"
	"github.com/culvert-vpn/culvert/ike"
	"github.com/culvert-vpn/culvert/ike/family"
	"github.com/culvert-vpn/culvert/internal/x/deadline"
	"github.com/culvert-vpn/culvert/l2tp"
	"github.com/culvert-vpn/culvert/ppp"
)

// l2tpPort is the UDP port of L2TP, RFC 2661 section 8.1.
const l2tpPort = 1701

// Peer is one client, or a server that we have called: what IKE knows as a Peer, with its
// child SAs and its sessions. Whoever drives the engine reads it, and changes nothing.
type Peer struct {
	ID       uint64
	Label    string // the ike.Candidate that it came in by; empty: we have called it
	Path     ike.Path
	Identity string // what it calls itself
	Family   family.Family
	Suite    string              // of its IKE SA; empty: it never had one
	Chain    []*x509.Certificate // that it proved itself with in IKE; nil: in another way
	Host     string              // the host name of its L2TP
	V2       bool                // it speaks IKEv2
	Called   bool                // we have called it
	Gone     bool                // nothing is left of it
	Rekeys   int32               // how often what we send on was another child SA

	Plane      *dataplane.Peer
	Children   map[ike.SPI]*Child
	Current    *Child // what we send on; nil: nothing
	Calls      map[l2tp.CallID]*Session
	TunnelMode *Session // that its child SAs of tunnel mode carry; nil: none

	port      uint16    // the UDP port of its L2TP
	unproven  bool      // it has not answered yet from where it is
	used      int32     // how often it was said which child SA to send on
	moves     int32     // since it was said that it moves
	toldUntil time.Time // what was said of its moves is enough until then
	trial     *trial    // nil: it was never unproven
}

// Child is one child SA in use.
type Child struct {
	ike.ChildTerms
	SA   *dataplane.SA
	Out  *esp.Outbound
	Only *dataplane.Selectors // what it is for; nil: everything

	wornAt time.Time // when it was to be renewed for wear
	fullAt time.Time // when it had carried what was agreed on
	used   int32     // when it was said to send on this one, in their order
	active bool
}

// Session is one call of a peer with its PPP link, or what its child SAs of tunnel mode
// carry. Whoever drives the engine reads it, and changes nothing.
type Session struct {
	deadline.Alarm // of what is due next, in the engine's heap

	ID     uint64 // never used twice
	Peer   *Peer
	Call   l2tp.Call
	Plane  *dataplane.Session
	Link   *ppp.Link // nil in tunnel mode
	Up     time.Time // since when it carries packets; zero: it does not yet
	System string    // what LCP Identification says
	Reason string    // why it ends, in words
	Ended  bool
	UsedAt time.Time // when packets were last seen, to the sweep

	limits  Limits
	options dataplane.LinkOptions // what PPP agreed on
	touched bool
}

// Limits are how long a session may last, and be idle; 0: for ever.
type Limits struct{ Session, Idle time.Duration }

// Sessions are the peer's calls and what it has in tunnel mode.
func (p *Peer) Sessions() []*Session {
	list := make([]*Session, 0, len(p.Calls)+1)
	for _, s := range p.Calls {
		list = append(list, s)
	}
	if p.TunnelMode != nil {
		list = append(list, p.TunnelMode)
	}
	return list
}

// ESP is the suite that the peer is sent packets by; empty: there is none yet.
func (p *Peer) ESP() string {
	if p.Current == nil {
		return ""
	}
	return p.Current.Out.Transform().String()
}

// Protocol is what the peer speaks, as far as IKE knows.
func (p *Peer) Protocol() string {
	if p.V2 {
		return "ikev2"
	}
	return "ikev1"
}

// Protocol is what the session's other side speaks.
func (s *Session) Protocol() string {
	if s.Link != nil {
		return "l2tp/" + s.Peer.Protocol()
	}
	if !s.Peer.V2 {
		return "xauth/ikev1"
	}
	return s.Peer.Protocol()
}

// Because notes why the session ends; the first reason is the cause.
func (s *Session) Because(reason string) {
	if s.Reason == "" {
		s.Reason = reason
	}
}

// Openable reports whether a session of tunnel mode has an SA and is not open yet.
func (s *Session) Openable() bool {
	p := s.Peer
	return p.TunnelMode == s && s.Up.IsZero() && p.Current != nil && !p.Current.Transport
}

// is notes who a peer is, as far as IKE knows by now.
func (p *Peer) is(label string, path ike.Path, identity string, f family.Family) {
	p.Label, p.Path, p.Identity, p.Family = label, path, identity, f
}

// identified notes what the other side of the link says it is.
func (s *Session) identified(text string) {
	if s.System == "" {
		s.System = text
	}
	s.Peer.Family = s.Peer.Family.RefineByPPP(text)
}

// lastsUntil and idleUntil are when the session ends by its limits, the latter unless it is
// used; zero: not at all.
func (s *Session) lastsUntil() time.Time {
	if !s.limited() || s.limits.Session == 0 {
		return time.Time{}
	}
	return s.Up.Add(s.limits.Session)
}

func (s *Session) idleUntil() time.Time {
	if !s.limited() || s.limits.Idle == 0 {
		return time.Time{}
	}
	return s.UsedAt.Add(s.limits.Idle)
}

// limited reports whether limits run: from when the session is up until it ends.
func (s *Session) limited() bool { return !s.Up.IsZero() && s.Reason == "" }

// due is when something is to be done for the session; zero: never.
func (s *Session) due() time.Time {
	next := deadline.Earliest(s.lastsUntil(), s.idleUntil())
	if s.Link != nil {
		next = deadline.Earliest(next, s.Link.Deadline())
	}
	return next
}

// newestActive returns the SA to fall back to when the current one is gone.
func (p *Peer) newestActive() *Child {
	var best *Child
	for _, c := range p.Children {
		if c.active && (best == nil || c.used > best.used) {
			best = c
		}
	}
	return best
}

// tunnelModeSession is what a child SA of tunnel mode carries packets of.
func (p *Peer) tunnelModeSession(c *Child) *dataplane.Session {
	if c.Transport || p.TunnelMode == nil {
		return nil
	}
	return p.TunnelMode.Plane
}

// innerAddresses are those between which a child SA of transport mode has packets: the
// ones that its peer knows us and itself by.
func (p *Peer) innerAddresses(c *Child) (local, remote netip.Addr) {
	local, remote = c.LocalOriginal, c.RemoteOriginal
	if !local.IsValid() {
		local = p.Path.Local.Addr()
	}
	if !remote.IsValid() {
		remote = p.Path.Remote.Addr()
	}
	return local, remote
}

func planePath(p ike.Path) dataplane.Path {
	return dataplane.Path{Local: p.Local, Remote: p.Remote}
}

func ikePath(p dataplane.Path, natt bool) ike.Path {
	return ike.Path{Local: p.Local, Remote: p.Remote, NATT: natt}
}
