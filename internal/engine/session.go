package engine

import (
	"fmt"
	"net/netip"
	"time"

	"github.com/culvert-vpn/culvert/dataplane"
	"github.com/culvert-vpn/culvert/ike"
	"github.com/culvert-vpn/culvert/internal/x/deadline"
	"github.com/culvert-vpn/culvert/l2tp"
	"github.com/culvert-vpn/culvert/ppp"
)

// sessions are what peers have in the data plane: calls of L2TP with their PPP links, and
// what child SAs of tunnel mode carry.
type sessions struct {
	machines *machines
	children *children
	// Deadlines are those of the sessions.
	Deadlines deadline.Heap[*Session]
	touched   []*Session // whose links may have events
}

// Touch notes that the session's link may have events.
func (e *sessions) Touch(s *Session) {
	if !s.touched {
		s.touched = true
		e.touched = append(e.touched, s)
	}
}

// schedule puts the session where its next deadline belongs.
func (e *sessions) schedule(s *Session) {
	if s.Ended {
		e.Deadlines.Stop(s)
		return
	}
	e.Deadlines.Set(s, s.due())
}

// OpenTunnelMode has a session be what its peer's child SAs of tunnel mode carry.
func (e *sessions) OpenTunnelMode(s *Session) {
	s.Plane = e.machines.Plane.NewSession(dataplane.SessionConfig{Peer: s.Peer.Plane})
	s.Peer.TunnelMode = s
	e.machines.Table.Sessions[s.Plane] = s
}

// callUp starts PPP in a new call.
func (e *sessions) callUp(now time.Time, c l2tp.CallUp) {
	p := e.machines.Table.Peers[uint64(c.Call.Peer)]
	if p == nil {
		return
	}
	s := e.machines.Table.NewSession(p)
	s.Call = c.Call
	s.Plane = e.machines.Plane.NewSession(dataplane.SessionConfig{
		Peer: p.Plane, Tunnel: c.Call.Tunnel, Call: c.Call.Call,
		RemoteTunnel: c.RemoteTunnel, RemoteCall: c.RemoteCall, Sequencing: c.Sequencing,
	})
	var err error
	if s.Link, err = e.newLink(s); err != nil {
		e.machines.happened.add(LinkRefused{p, err})
		e.machines.Plane.RemoveSession(s.Plane)
		e.machines.L2TP.CloseCall(now, c.Call, l2tp.Result{Code: l2tp.ClearNoFacilities})
		return
	}
	p.Calls[c.Call.Call] = s
	e.machines.Table.Sessions[s.Plane] = s
	s.Link.Start(now)
	e.Touch(s)
}

// newLink makes the PPP link of a call.
func (e *sessions) newLink(s *Session) (*ppp.Link, error) {
	c, err := e.machines.Config.Link(s.Peer, s.Plane.MTU())
	if err != nil {
		return nil, err
	}
	return ppp.NewLink(c)
}

// callDown ends the session of a call that L2TP says is over.
func (e *sessions) callDown(c l2tp.CallDown) {
	p := e.machines.Table.Peers[uint64(c.Call.Peer)]
	if p == nil {
		return
	}
	if !c.Up {
		e.machines.happened.add(CallRefused{p, c.Reason})
	}
	if s := p.Calls[c.Call.Call]; s != nil && s.Call == c.Call {
		s.Because(fmt.Sprint(c.Reason))
		e.End(s)
	}
}

// linkClosed ends the call of a link that is over.
func (e *sessions) linkClosed(now time.Time, s *Session, c ppp.Closed) {
	s.Because(fmt.Sprint(c.Reason))
	e.machines.L2TP.CloseCall(now, s.Call, l2tp.Result{Code: l2tp.ClearAdministrative})
	e.End(s)
}

// End takes the session out of every table. That it has ended is an event, too.
func (e *sessions) End(s *Session) {
	if s.Ended {
		return
	}
	s.Ended = true
	if s.Link != nil {
		s.Link.Forget()
		delete(s.Peer.Calls, s.Call.Call)
	} else {
		s.Peer.TunnelMode = nil
	}
	e.machines.Plane.RemoveSession(s.Plane)
	delete(e.machines.Table.Sessions, s.Plane)
	e.Deadlines.Stop(s)
	e.machines.happened.add(Ended{s})
}

// Binding is the place of a session in a network.
type Binding struct {
	Port   *dataplane.Port
	Addr   netip.Addr   // of the session, IPv4; invalid: any
	Prefix netip.Prefix // of IPv6
	MTU    int          // what the network carries, in bytes; 0: what the session does
	Host   bool         // it is our own end: packets are for this host, whatever their source
}

// agreed notes what PPP has agreed on.
func (s *Session) agreed(acfc, pfc bool, mru int) {
	s.options = dataplane.LinkOptions{ACFC: acfc, PFC: pfc, MTU: uint16(min(mru, 0xffff))}
}

// bounded is what PPP agreed on, within what the network carries.
func (s *Session) bounded(b Binding) dataplane.LinkOptions {
	o := s.options
	o.Host = b.Host
	if m := uint16(min(b.MTU, 0xffff)); m > 0 && (m < o.MTU || s.Link == nil) {
		o.MTU = m
	}
	return o
}

// Bind opens a session for IPv4 packets, and Bind6 for those of IPv6.
func (e *sessions) Bind(s *Session, b Binding) {
	e.machines.Plane.Bind(s.Plane, b.Port, b.Addr, s.bounded(b))
}

// Bind6 opens a session for IPv6 packets.
func (e *sessions) Bind6(s *Session, b Binding) {
	e.machines.Plane.Bind6(s.Plane, b.Port, b.Prefix, s.bounded(b))
}

// Opened notes that a session carries packets from now on.
func (e *sessions) Opened(now time.Time, s *Session) {
	s.Up, s.UsedAt = now, now
	e.schedule(s)
}

// Limit has limits hold for a session from now on.
func (e *sessions) Limit(s *Session, l Limits) {
	s.limits = l
	e.schedule(s)
}

// used notes that packets of a peer's sessions were seen.
func (e *sessions) used(now time.Time, p *Peer) {
	if p.TunnelMode != nil {
		p.TunnelMode.UsedAt = now
		e.schedule(p.TunnelMode)
	}
	for _, s := range p.Calls {
		s.UsedAt = now
		s.Link.Traffic(now)
		e.schedule(s)
	}
}

// SendIP sends an IP packet in a session of tunnel mode, or of a link that is up.
func (e *sessions) SendIP(s *Session, packet []byte) {
	e.machines.unsent(e.machines.Plane.SendIP(s.Plane, packet))
}

// Authenticated answers the link of a session.
func (e *sessions) Authenticated(now time.Time, s *Session, id uint32, v ppp.Verdict) {
	s.Link.Authenticated(now, id, v)
	e.Touch(s)
}

// EAPRequest sends a request to the client of a link that logs in by EAP.
func (e *sessions) EAPRequest(now time.Time, s *Session, id uint32, packet []byte) {
	e.machines.Count(s.Link.EAPRequest(now, id, packet), "eap")
	e.Touch(s)
}

// EAPRespond answers the server of a link that we log in by.
func (e *sessions) EAPRespond(s *Session, packet []byte) {
	e.machines.Count(s.Link.EAPRespond(packet), "eap")
	e.Touch(s)
}

// EAPFinished says to the link how our login by EAP has ended.
func (e *sessions) EAPFinished(now time.Time, s *Session, ok bool) {
	e.machines.Count(s.Link.EAPFinished(now, ok), "eap")
	e.Touch(s)
}

// AskEcho asks the other side of a link whether it lives.
func (e *sessions) AskEcho(s *Session) {
	s.Link.AskEcho()
	e.Touch(s)
}

// advanceSession does what is due for a session.
func (e *sessions) advanceSession(now time.Time, s *Session) {
	switch last, idle := s.lastsUntil(), s.idleUntil(); {
	case !last.IsZero() && !now.Before(last):
		e.overdue(now, s, ppp.CauseSessionTimeout)
	case !idle.IsZero() && !now.Before(idle) && s.Plane.Active(): // since the last sweep
		s.UsedAt = now
	case !idle.IsZero() && !now.Before(idle):
		e.overdue(now, s, ppp.CauseIdle)
	}
	if s.Link != nil {
		s.Link.Advance(now)
		e.Touch(s)
	}
}

// overdue ends a session whose time is over, in good order.
func (e *sessions) overdue(now time.Time, s *Session, why ppp.Cause) {
	s.Because(why.String())
	if s.Link != nil {
		s.Link.Close(now, ppp.Reason{Cause: why})
		return
	}
	e.machines.IKE.Close(now, ike.Peer(s.Peer.ID), ike.ReasonLocal)
}
