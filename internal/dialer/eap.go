package dialer

import (
	"time"

	"go.uber.org/zap"

	"github.com/culvert-vpn/culvert/ike"
	"github.com/culvert-vpn/culvert/internal/eap"
	"github.com/culvert-vpn/culvert/internal/engine"
)

// carrier carries the packets of a login of ours by EAP to the server: within a PPP link, or,
// where there is no session, within IKEv2.
type carrier struct {
	e       *engine.Engine
	peer    *engine.Peer
	session *engine.Session
}

// gone reports whether there is nothing left to carry them in.
func (c carrier) gone() bool { return c.peer.Gone || c.session != nil && c.session.Ended }

func (c carrier) respond(now time.Time, packet []byte) {
	if c.session != nil {
		c.e.EAPRespond(c.session, packet)
		return
	}
	c.e.IKE.EAPReply(now, ike.Peer(c.peer.ID), ike.EAPReply{Packet: packet})
}

// over says how the login has ended.
func (c carrier) over(now time.Time, d eap.Done) {
	if c.session != nil {
		c.e.EAPFinished(now, c.session, d.OK)
		return
	}
	r := ike.EAPReply{Done: true, OK: d.OK, MSK: d.MSK}
	if d.Err != nil {
		r.Detail = d.Err.Error()
	}
	c.e.IKE.EAPReply(now, ike.Peer(c.peer.ID), r)
}

// eapAsked takes a server's packet of EAP.
func (d *Dialer) eapAsked(now time.Time, c *call, by carrier, packet []byte) error {
	if c.eap == nil {
		client, err := eap.NewClient(c.config.eap())
		if err != nil {
			return err
		}
		c.eap = client
	}
	if err := c.eap.Input(now, packet); err != nil {
		return err
	}
	d.eapEvents(now, c, by)
	return nil
}

// eapEvents carries out what the machine of a login of ours wants.
func (d *Dialer) eapEvents(now time.Time, c *call, by carrier) {
	for c.eap != nil && !by.gone() {
		event, ok := c.eap.Next()
		if !ok {
			return
		}
		switch e := event.(type) {
		case eap.Send:
			by.respond(now, e.Packet)
		case eap.Respond:
			c.eap.Responded(c.config.respond(e))
		case eap.Compute:
			d.eapWork(c, by, e)
		case eap.Done:
			c.eap = nil
			if !e.OK && by.session != nil {
				d.log.Debug("eap-refused", zap.Error(e.Err))
			}
			by.over(now, e)
			clear(e.MSK)
		}
	}
}

// eapWork has slow work done in the pool.
func (d *Dialer) eapWork(c *call, by carrier, e eap.Compute) {
	machine := c.eap
	d.Engine.Work.Later("", func() {
		r := e.Do()
		d.Engine.Work.Post(func(now time.Time) {
			if c.eap == machine {
				machine.Computed(r)
				d.eapEvents(now, c, by)
			}
		})
	})
}
