package engine

import (
	"time"

	"github.com/culvert-vpn/culvert/ike"
	"github.com/culvert-vpn/culvert/ppp"
)

// Next returns what has happened next, and carries out meanwhile what the protocols want of
// one another and of the data plane; false: there is nothing more.
func (e *Engine) Next(now time.Time) (Event, bool) {
	for {
		if event, ok := e.happened.next(); ok {
			e.serving.peer, e.serving.session = event.of()
			return event, true
		}
		e.serving = served{}
		if !e.some(now, e.ikeEvent) && !e.some(now, e.l2tpEvent) && !e.linkEvents(now) {
			return nil, false
		}
	}
}

// some has events of a machine carried out until something has happened that is to be handed
// out, and reports whether there was any.
func (e *Engine) some(now time.Time, one func(time.Time) bool) (any bool) {
	for e.happened.empty() && one(now) {
		any = true
	}
	return any
}

// ikeEvent carries out one thing that IKE wants and reports whether there was any.
func (e *Engine) ikeEvent(now time.Time) bool {
	event, ok := e.IKE.Next()
	if !ok {
		return false
	}
	switch x := event.(type) {
	case ike.Send:
		e.unsent(e.Plane.SendIKE(planePath(x.Path), x.Path.NATT, x.Data))
	case ike.Keepalive:
		e.unsent(e.Plane.SendKeepalive(planePath(x.Path)))
	case ike.Compute:
		if !e.Work.compute(x) {
			e.IKE.Computed(now, x.ID, ike.ErrBusy)
		}
	case ike.Installed:
		e.Children.install(now, x)
	case ike.Activated:
		e.Children.activate(x.Peer, x.In)
	case ike.Removed:
		e.Children.uninstall(x)
	case ike.Moved:
		e.Children.peerMoved(now, x)
	case ike.Closed:
		e.peerClosed(now, x)
	default:
		e.peerEvent(event)
	}
	return true
}

// peerEvent notes what is said of a peer, and hands it out.
func (e *Engine) peerEvent(event ike.Event) {
	switch x := event.(type) {
	case ike.Up:
		p := e.Table.peerOf(x.Peer)
		p.is(x.Tenant, x.Path, x.Identity, x.Family)
		p.V2, p.Suite, p.Chain = x.V2, x.Suite, x.Certificates
		e.happened.add(Secured{p})
	case ike.EAP:
		p := e.Table.peerOf(x.Peer)
		if !x.Initiator && x.Packet == nil {
			p.is(x.Tenant, x.Path, x.Identity, x.Family)
			p.V2 = true
		}
		e.happened.add(EAP{p, x})
	case ike.Login:
		p := e.Table.peerOf(x.Peer)
		if p.Suite == "" { // or we renew phase 1 ourselves
			p.is(x.Tenant, x.Path, x.Identity, x.Family)
		}
		e.happened.add(Login{p, x})
	case ike.Assign:
		e.happened.add(Assign{e.Table.peerOf(x.Peer), x})
	case ike.Answered:
		if p := e.Table.Peers[uint64(x.Peer)]; p != nil {
			e.happened.add(Answered{p})
		}
	case ike.Configured:
		e.happened.add(Configured{e.Table.peerOf(x.Peer), x.Assignment})
	case ike.Redirected:
		e.happened.add(Redirected{e.Table.Peers[uint64(x.Peer)], x.Gateway})
	case ike.Untold:
		e.happened.add(Untold{x.Attempts})
	case ike.Failed:
		e.happened.add(Failed{e.Table.Peers[uint64(x.Peer)], x})
	}
}

// linkEvents carries out what the touched PPP links want until something has happened that is
// to be handed out, and reports whether there was anything.
func (e *Engine) linkEvents(now time.Time) (any bool) {
	for e.happened.empty() && len(e.touched) > 0 {
		s := e.touched[len(e.touched)-1]
		e.touched = e.touched[:len(e.touched)-1]
		s.touched = false
		e.serving = served{peer: s.Peer, session: s}
		for e.happened.empty() {
			event, ok := s.Link.Next()
			if !ok {
				break
			}
			any = true
			e.linkWants(now, s, event)
		}
		switch {
		case !e.happened.empty():
			e.Touch(s) // there may be more
		case !s.Ended:
			e.schedule(s)
		}
		e.serving = served{}
	}
	return any
}

func (e *Engine) linkWants(now time.Time, s *Session, event ppp.Event) {
	switch x := event.(type) {
	case ppp.Send:
		e.unsent(e.Plane.SendPPP(s.Plane, x.Frame))
	case ppp.Authenticate:
		e.happened.add(Authenticate{s, x})
	case ppp.EAPResponse:
		e.happened.add(EAPResponse{s, x})
	case ppp.EAPRequest:
		e.happened.add(EAPRequest{s, x})
	case ppp.Up:
		s.agreed(x.SendACFC, x.SendPFC, x.PeerMRU)
		e.happened.add(LinkUp{s, x})
	case ppp.Down:
		e.Plane.Unbind(s.Plane)
	case ppp.Up6:
		s.agreed(x.SendACFC, x.SendPFC, x.PeerMRU)
		e.happened.add(LinkUp6{s, x})
	case ppp.Down6:
		e.Plane.Unbind6(s.Plane)
		e.happened.add(LinkDown6{s})
	case ppp.Identified:
		s.identified(x.Text)
	case ppp.Closed:
		e.linkClosed(now, s, x)
	}
}
