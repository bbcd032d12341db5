package dialer

import (
	"fmt"
	"time"

	"github.com/culvert-vpn/culvert/ike"
	"github.com/culvert-vpn/culvert/internal/engine"
	"github.com/culvert-vpn/culvert/internal/engine/tell"
	"github.com/culvert-vpn/culvert/internal/x/deadline"
	"github.com/culvert-vpn/culvert/l2tp"
	"go.uber.org/zap"
)

// sweepInterval is how stale it may be which calls are to ask for IPv6 again.
const sweepInterval = 5 * time.Second

// Drain carries out what the engine says has happened. It implements engine.Owner.
func (d *Dialer) Drain(now time.Time) {
	for {
		e, ok := d.Engine.Next(now)
		if !ok {
			return
		}
		d.happened(now, e)
	}
}

// happened carries out one event of the engine: the only place where that is done.
func (d *Dialer) happened(now time.Time, e engine.Event) {
	switch e := e.(type) {
	case engine.Ready:
		d.ready(now, e.Peer)
	case engine.Configured:
		d.configured(e)
	case engine.LinkUp:
		d.linkUp(now, e)
	case engine.LinkUp6:
		if c := d.calls[e.Session.Peer.ID]; c != nil {
			c.id6, c.solicited = e.LocalID, 0
			d.solicit(now, c)
		}
	case engine.LinkDown6:
		if c := d.calls[e.Session.Peer.ID]; c != nil {
			c.id6 = 0
		}
	case engine.Asked:
		if c := d.calls[e.Session.Peer.ID]; c != nil {
			d.advertised(c, e.Packet)
		}
	case engine.EAP:
		d.eapOfIKE(now, e)
	case engine.EAPRequest:
		if c := d.calls[e.Session.Peer.ID]; c != nil {
			d.Engine.Count(d.eapAsked(now, c, carrier{d.Engine, e.Session.Peer, e.Session}, e.Packet), "eap")
		}
	case engine.Redirected:
		d.redirected(now, e)
	case engine.Failed:
		d.emit(tell.Failed(e, ""))
	case engine.TunnelDown:
		d.over(now, e.Peer, e.Reason)
	case engine.CallRefused:
		d.over(now, e.Peer, e.Reason)
	case engine.Ended:
		d.ended(now, e.Session)
	case engine.Closed:
		d.closed(e)
	case engine.Secured, engine.Moved, engine.SARefused, engine.RouteRefused, engine.LinkRefused, engine.RekeyRefused, engine.Worn:
		d.say(e)
	}
}

// ready places a call by L2TP once there is an SA to place it in, or goes on with one in
// tunnel mode.
func (d *Dialer) ready(now time.Time, p *engine.Peer) {
	c := d.calls[p.ID]
	if c == nil {
		return
	}
	if !c.placed && c.config.byL2TP() {
		c.placed = true
		d.place(now, c)
	}
	if s := p.TunnelMode; s != nil && s.Openable() {
		d.Engine.Opened(now, s)
		d.opened(c, s)
	}
}

// place places a call in L2TP.
func (d *Dialer) place(now time.Time, c *call) {
	persona, err := c.config.lac()
	if err != nil {
		d.fail(now, c, err)
		return
	}
	if _, err := d.Engine.L2TP.Dial(now, l2tp.Peer(c.peer.ID), l2tp.DialConfig{Persona: persona}); err != nil {
		d.fail(now, c, err)
	}
}

// configured notes what the server of a call in tunnel mode gave us.
func (d *Dialer) configured(e engine.Configured) {
	c := d.calls[e.Peer.ID]
	if c == nil || e.Peer.TunnelMode != nil {
		return
	}
	d.Engine.OpenTunnelMode(d.Engine.Table.NewSession(e.Peer))
	c.local, c.user, c.granted = e.Assignment.IPv4, c.config.User, e.Assignment
}

// opened opens the device of a connection in tunnel mode, which has its addresses.
func (d *Dialer) opened(c *call, s *engine.Session) {
	c.session = s
	a := Assigned{
		Local: c.granted.IPv4, Local6: c.granted.IPv6, Remote: s.Peer.Path.Remote.Addr(), DNS: c.granted.DNS,
		Domains: c.granted.Domains, MTU: s.Plane.MTU(), Suite: s.Peer.ESP(),
	}
	if !a.Local.IsValid() {
		a.Local = a.Local6.Addr()
	}
	d.stands(c, a)
}

// linkUp opens the device of a connection by L2TP, which has its addresses.
func (d *Dialer) linkUp(now time.Time, e engine.LinkUp) {
	s := e.Session
	c := d.calls[s.Peer.ID]
	if c == nil {
		return
	}
	d.Engine.Opened(now, s)
	c.session, c.local = s, e.Local
	d.stands(c, Assigned{Local: e.Local, Remote: e.Peer, DNS: e.DNS, MTU: min(s.Plane.MTU(), e.PeerMRU), Suite: s.Peer.ESP()})
}

// eapOfIKE takes a server's packet of EAP within IKEv2.
func (d *Dialer) eapOfIKE(now time.Time, e engine.EAP) {
	c := d.calls[e.Peer.ID]
	if c == nil || !e.Initiator {
		return
	}
	if err := d.eapAsked(now, c, carrier{e: d.Engine, peer: e.Peer}, e.Packet); err != nil {
		d.Engine.IKE.EAPReply(now, ike.Peer(e.Peer.ID), ike.EAPReply{Done: true, Detail: err.Error()})
	}
}

// redirected notes that the server of a call names another gateway. A call that
// stands is hung up; one that does not either goes there by itself or ends.
func (d *Dialer) redirected(now time.Time, e engine.Redirected) {
	d.log.Info("redirected", zap.String("to", e.Gateway))
	if e.Peer == nil || d.calls[e.Peer.ID] == nil {
		return
	}
	c := d.calls[e.Peer.ID]
	c.elsewhere = &RedirectedError{e.Gateway}
	if c.conn != nil {
		d.fail(now, c, c.elsewhere)
	}
}

// over ends a call whose tunnel, or whose call in it, is over.
func (d *Dialer) over(now time.Time, p *engine.Peer, why l2tp.Reason) {
	if c := d.calls[p.ID]; c != nil {
		d.fail(now, c, fmt.Errorf("%w: %s", ErrEnded, why))
	}
}

// ended hangs up the rest of a call whose session has ended.
func (d *Dialer) ended(now time.Time, s *engine.Session) {
	c := d.calls[s.Peer.ID]
	if c == nil {
		return
	}
	c.endEAP()
	if !s.Up.IsZero() {
		d.emit(tell.Down(s, tell.AboutSession(s, "", c.user, c.local)))
	}
	if c.session == nil || c.session == s {
		d.fail(now, c, fmt.Errorf("%w: %s", ErrEnded, s.Reason))
	}
}

// closed notes that nothing is left of a call.
func (d *Dialer) closed(e engine.Closed) {
	d.say(e)
	if c := d.calls[e.Peer.ID]; c != nil {
		delete(d.calls, e.Peer.ID)
		c.endEAP() // in IKE, which has ended in the middle of it
		c.finish(c.closedBecause(e.Closed))
	}
}

// say says what is said of an event of the engine in any case.
func (d *Dialer) say(e engine.Event) { d.emit(tell.Of(e, "")) }

// Advance asks for IPv6 where that is due, and says what was dropped. It implements
// engine.Owner.
func (d *Dialer) Advance(now time.Time) {
	if len(d.calls) > 0 && !now.Before(d.nextSweep) {
		d.nextSweep = now.Add(sweepInterval)
		for _, c := range d.calls {
			if deadline.Due(now, c.solicitAt) {
				d.solicit(now, c)
			}
		}
	}
	if !now.Before(d.nextReport) {
		d.nextReport = now.Add(tell.ReportInterval)
		losses := d.Engine.Losses()
		d.emit(tell.Dropped(losses, d.reported))
		d.reported = losses
	}
}

// Deadline implements engine.Owner.
func (d *Dialer) Deadline() time.Time {
	if len(d.calls) > 0 {
		return deadline.Earliest(d.nextSweep, d.nextReport)
	}
	return d.nextReport
}

// Goodbye implements engine.Owner.
func (d *Dialer) Goodbye(now time.Time) { d.Engine.Goodbye(now) }
