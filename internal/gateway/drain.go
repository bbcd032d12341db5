package gateway

import (
	"net/netip"
	"time"

	"github.com/culvert-vpn/culvert/internal/engine"
	"github.com/culvert-vpn/culvert/internal/engine/tell"
	"github.com/culvert-vpn/culvert/internal/x/deadline"
)

// sweepInterval is how stale the server's idea may be of which clients do nothing, and of
// what is to be advertised to them.
const sweepInterval = 5 * time.Second

// Drain carries out what has happened in the engine, and what the authority of logins wants.
// It implements engine.Owner.
func (g *Gateway) Drain(now time.Time) {
	for {
		e, ok := g.server.engine.Next(now)
		switch {
		case ok:
			g.happened(now, e)
		case !g.logins.answers(now):
			return
		}
	}
}

// happened carries out one event of the engine: the only place where that is done.
func (g *Gateway) happened(now time.Time, e engine.Event) {
	switch e := e.(type) {
	case engine.Secured:
		g.logins.peerUp(now, e)
	case engine.Ready:
		if p := g.server.peers[e.Peer.ID]; p != nil {
			g.server.openTunnelMode(now, p)
		}
	case engine.EAP:
		if p := g.server.of(e.Peer); p != nil {
			g.logins.eapOfIKE(now, p, e.EAP)
		}
	case engine.Login:
		if p := g.server.of(e.Peer); p != nil {
			g.logins.xauth(now, p, e.Login)
		}
	case engine.Assign:
		if p := g.server.of(e.Peer); p != nil {
			g.logins.assign(now, p, e.Assign)
		}
	case engine.Answered:
		if p := g.server.peers[e.Peer.ID]; p != nil {
			g.logins.answered(now, p)
		}
	case engine.Authenticate:
		if s := g.server.session(e.Session); s != nil {
			g.logins.authenticate(now, s, e.Authenticate)
		}
	case engine.EAPResponse:
		if s := g.server.session(e.Session); s != nil {
			g.logins.eapResponse(now, s, e.EAPResponse)
		}
	case engine.LinkUp:
		if s := g.server.session(e.Session); s != nil {
			g.server.linkUp(now, s)
		}
	case engine.LinkUp6:
		if s := g.server.session(e.Session); s != nil {
			g.server.linkUp6(now, s, e.Up6)
		}
	case engine.LinkDown6:
		if s := g.server.session(e.Session); s != nil {
			s.router, s.advertiseAt = netip.Addr{}, time.Time{}
		}
	case engine.Asked:
		if s := g.server.session(e.Session); s != nil {
			g.server.question(s, e.Packet)
		}
	case engine.Used:
		if s := g.server.sessions[e.Session.ID]; s != nil {
			g.server.succeed(now, s)
		}
	case engine.Ended:
		if s := g.server.sessions[e.Session.ID]; s != nil {
			g.logins.ended(now, s)
		}
	case engine.Closed:
		g.logins.peerClosed(now, e)
	case engine.Failed:
		g.logins.attemptFailed(e)
	case engine.Moved:
		g.server.say(e)
		g.logins.moved(now, e.Peer)
	case engine.SARefused, engine.RouteRefused, engine.LinkRefused, engine.RekeyRefused, engine.Worn, engine.Untold:
		g.server.say(e)
	}
}

// Advance does what is due for logins and clients, and what is done now and then. It
// implements engine.Owner.
func (g *Gateway) Advance(now time.Time) {
	if deadline.Due(now, g.logins.loginsDue(now)) {
		g.logins.advanceLogins(now)
	}
	if len(g.server.peers) > 0 && !now.Before(g.nextSweep) {
		g.nextSweep = now.Add(sweepInterval)
		g.sweep(now)
	}
	if !now.Before(g.nextReport) {
		g.nextReport = now.Add(tell.ReportInterval)
		g.report(now)
		g.logins.throttle.Advance(now)
		g.logins.found(now)
		g.applier.zeroSuperseded(now)
	}
	if deadline.Due(now, g.server.bans.list.Deadline()) {
		g.server.expireBans(now)
	}
	if g.server.bans.list.Changed() && !now.Before(g.nextBans) {
		g.saveBansLater(now)
	}
	if g.server.leasesChanged && !now.Before(g.nextSave) {
		g.nextSave = now.Add(saveInterval)
		g.server.saveLeases()
	}
}

// Deadline implements engine.Owner.
func (g *Gateway) Deadline() time.Time {
	next := deadline.Earliest(g.nextReport, g.logins.loginsDue(time.Now()), g.server.bans.list.Deadline())
	if g.server.bans.list.Changed() {
		next = deadline.Earliest(next, g.nextBans)
	}
	if len(g.server.peers) > 0 {
		next = deadline.Earliest(next, g.nextSweep)
	}
	if g.server.leasesChanged {
		next = deadline.Earliest(next, g.nextSave)
	}
	return next
}

// Goodbye tells every client that we go, and where to, if there is another gateway. It
// implements engine.Owner.
func (g *Gateway) Goodbye(now time.Time) {
	g.sendAway(now)
	g.server.engine.Goodbye(now)
}

// sweep looks after clients that do nothing, and after what is due now and then.
func (g *Gateway) sweep(now time.Time) {
	var idle []*peer
	for _, p := range g.server.peers {
		in := false
		for _, s := range p.all {
			in = in || s.leased
			if deadline.Due(now, s.advertiseAt) {
				g.server.advertise(now, s)
			}
		}
		if p.idle(now, in) {
			idle = append(idle, p)
		}
		if p.tunnelMode != nil {
			g.server.lookAtHeir(now, p.tunnelMode)
		}
	}
	g.server.endIdle(now, idle)
	for _, t := range g.server.tenants {
		g.server.tellFlows(t, false)
	}
}

// report says in the log what was dropped since it last said so, and which pools are full.
func (g *Gateway) report(now time.Time) {
	losses := g.server.drops().Losses()
	g.server.emit(tell.Dropped(losses, g.reported))
	g.reported = losses
	g.server.tellBans()
	for _, t := range g.server.tenants {
		g.server.tellFlows(t, true)
		t.lookAtRoom(now, g.server, t)
	}
}
