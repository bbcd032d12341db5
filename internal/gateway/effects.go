package gateway

import (
	"time"

	"github.com/culvert-vpn/culvert/dataplane"
	"github.com/culvert-vpn/culvert/ike"
	"github.com/culvert-vpn/culvert/l2tp"
	"github.com/culvert-vpn/culvert/ppp"
)

// The three functions of this file are the complete list of what the protocols
// can do to the world and to one another.

// ikeEvents carries out what IKE wants and reports whether there was anything.
func (g *Gateway) ikeEvents(now time.Time) bool {
	some := false
	for {
		event, ok := g.ike.Next()
		if !ok {
			return some
		}
		some = true
		switch e := event.(type) {
		case ike.Send:
			g.unsent(g.plane.SendIKE(planePath(e.Path), e.Path.NATT, e.Data))
		case ike.Keepalive:
			g.unsent(g.plane.SendKeepalive(planePath(e.Path)))
		case ike.Compute:
			g.compute(now, e)
		case ike.Up:
			g.peerUp(now, e)
		case ike.Installed:
			g.install(now, e)
		case ike.Activated:
			g.activate(now, e.Peer, e.In)
		case ike.Removed:
			g.uninstall(e)
		case ike.Moved:
			g.peerMoved(now, e)
		case ike.EAP:
			g.eapTunnel(now, e)
		case ike.Login:
			g.xauth(now, e)
		case ike.Assign:
			g.assign(now, e)
		case ike.Answered:
			if p := g.peers[uint64(e.Peer)]; p != nil {
				awaited := p.awaited
				p.awaited = nil
				g.answered(now, p.id, awaited)
			}
		case ike.Configured:
			g.configured(e)
		case ike.Redirected:
			g.redirected(now, e)
		case ike.Untold:
			g.attemptsUntold(e)
		case ike.Failed:
			g.attemptFailed(e)
		case ike.Closed:
			g.peerClosed(now, e)
		}
	}
}

// l2tpEvents carries out what L2TP wants and reports whether there was anything.
func (g *Gateway) l2tpEvents(now time.Time) bool {
	some := false
	for {
		event, ok := g.l2tp.Next()
		if !ok {
			return some
		}
		some = true
		switch e := event.(type) {
		case l2tp.Send:
			if p := g.peers[uint64(e.To)]; p != nil {
				g.unsent(g.plane.SendL2TP(p.plane, e.Data))
			}
		case l2tp.TunnelUp:
			g.l2tpTunnelUp(e)
		case l2tp.TunnelDown:
			g.l2tpTunnelDown(now, e)
		case l2tp.CallUp:
			g.callUp(now, e)
		case l2tp.CallDown:
			g.callDown(now, e)
		}
	}
}

// linkEvents carries out what the touched PPP links want and reports whether
// there was anything.
func (g *Gateway) linkEvents(now time.Time) bool {
	some := false
	for len(g.touched) > 0 {
		s := g.touched[len(g.touched)-1]
		g.touched = g.touched[:len(g.touched)-1]
		s.touched = false
		g.serving = served{peer: s.peer, session: s}
		for {
			event, ok := s.link.Next()
			if !ok {
				break
			}
			some = true
			g.linkEvent(now, s, event)
		}
		if !s.ended {
			g.schedule(s)
		}
		g.serving = served{}
	}
	return some
}

func (g *Gateway) linkEvent(now time.Time, s *session, event ppp.Event) {
	switch e := event.(type) {
	case ppp.Send:
		g.unsent(g.plane.SendPPP(s.plane, e.Frame))
	case ppp.Authenticate:
		g.authenticate(now, s, e)
	case ppp.EAPResponse:
		g.eapResponse(now, s, e)
	case ppp.EAPRequest:
		g.eapRequest(now, s, e)
	case ppp.Up:
		g.linkUp(now, s, e)
	case ppp.Down:
		g.linkDown(s)
	case ppp.Up6:
		g.linkUp6(now, s, e)
	case ppp.Down6:
		g.linkDown6(s)
	case ppp.Identified:
		s.identified(e.Text)
	case ppp.Closed:
		g.linkClosed(now, s, e)
	}
}

// unsent counts what could not be sent: the machines send again.
func (g *Gateway) unsent(err error) {
	if err != nil {
		g.refused["send"]++
	}
}

func planePath(p ike.Path) dataplane.Path {
	return dataplane.Path{Local: p.Local, Remote: p.Remote}
}

func ikePath(p dataplane.Path, natt bool) ike.Path {
	return ike.Path{Local: p.Local, Remote: p.Remote, NATT: natt}
}
