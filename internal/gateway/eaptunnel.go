package gateway

import (
	"time"

	"github.com/culvert-vpn/culvert/ike"
	"github.com/culvert-vpn/culvert/internal/access"
	"github.com/culvert-vpn/culvert/internal/eap"
)

// tunnelLogin carries a login by EAP in IKEv2, as server. Who it was stays with the peer:
// Assign asks for it.
type tunnelLogin struct{ p *peer }

func (c tunnelLogin) peer() *peer { return c.p }

func (c tunnelLogin) session() *session { return nil }

func (c tunnelLogin) holds(_ *Gateway, a *attempt) bool { return c.p.login == a }

func (c tunnelLogin) request(g *Gateway, now time.Time, a *attempt, packet []byte) {
	g.ike.EAPReply(now, ike.Peer(c.p.id), ike.EAPReply{Packet: packet, Held: a.eap.held()})
}

// over answers IKE.
func (c tunnelLogin) over(g *Gateway, now time.Time, a *attempt, d eap.Done) {
	l := a.eap
	if l.why != access.None {
		g.refuse(now, a, l.why, l.err)
		return
	}
	g.ike.EAPReply(now, ike.Peer(c.p.id), ike.EAPReply{
		Packet: l.last, Done: true, OK: true, Identity: a.user, MSK: d.MSK, Tenant: a.tenant.Name + byCertificate,
	})
}

func (c tunnelLogin) refused(g *Gateway, now time.Time, a *attempt, why access.Refusal) {
	c.p.login = nil
	g.ike.EAPReply(now, ike.Peer(c.p.id), ike.EAPReply{Packet: a.eap.last, Done: true, Identity: a.user, Detail: why.String()})
}

// left tells the log why a login failed whose client did not stay to the end.
func (g *Gateway) left(p *peer) {
	if p.login == nil || p.login.eap == nil {
		return
	}
	l := p.login.eap
	if s, ok := l.machine.(*eap.Server); ok && s.Failure() != nil {
		p.login.method = "EAP-TLS"
		g.tellRefused(p.login, access.EAPFailed, s.Failure())
		p.login = nil
		l.close()
	}
}

// eapTunnel carries a packet of EAP between IKEv2 and the machine of its login.
func (g *Gateway) eapTunnel(now time.Time, e ike.EAP) {
	p := g.peerOf(e.Peer)
	switch {
	case e.Initiator && p.dial != nil:
		if err := g.eapAsked(now, p.dial, tunnelCall{g, p}, e.Packet); err != nil {
			g.ike.EAPReply(now, e.Peer, ike.EAPReply{Done: true, Detail: err.Error()})
		}
	case e.Initiator:
	case e.Packet == nil:
		p.label, p.path, p.identity, p.family, p.v2 = e.Tenant, e.Path, e.Identity, e.Family, true
		p.claims = e.Identity
		g.startTunnelLogin(now, p)
	case p.login == nil || p.login.eap == nil:
		g.ike.EAPReply(now, e.Peer, ike.EAPReply{Done: true, Detail: "no login is under way"})
	default:
		g.eapInput(now, p.login, e.Packet)
	}
}

// startTunnelLogin begins a login by EAP in IKEv2.
func (g *Gateway) startTunnelLogin(now time.Time, p *peer) {
	g.endLogin(now, p)
	who := EAPClient{Identity: p.identity, Family: string(p.family), Client: p.path.Remote}
	c := tunnelLogin{p}
	l, err := g.newEAPLogin(g.keys.relatives(p.label, p.path.Local.Addr()), who, c, 0)
	if err != nil {
		g.ike.EAPReply(now, ike.Peer(p.id), ike.EAPReply{Done: true, Detail: err.Error()})
		return
	}
	p.login = &attempt{carrier: c, method: "EAP", eap: l}
	l.machine.Start()
	g.eapEvents(now, p.login)
}

// endLogin gives up a login of tunnel mode, if there is one.
func (g *Gateway) endLogin(now time.Time, p *peer) {
	g.forget(now, p.asking)
	g.left(p)
	if p.login != nil {
		g.forget(now, p.login)
		p.login.eap.close()
	}
	p.login, p.asking = nil, nil
}

// tunnelCall carries a login of ours by EAP in IKEv2, as client.
type tunnelCall struct {
	g *Gateway
	p *peer
}

func (c tunnelCall) respond(now time.Time, packet []byte) {
	c.g.ike.EAPReply(now, ike.Peer(c.p.id), ike.EAPReply{Packet: packet})
}

func (c tunnelCall) over(now time.Time, d eap.Done) {
	r := ike.EAPReply{Done: true, OK: d.OK, MSK: d.MSK}
	if d.Err != nil {
		r.Detail = d.Err.Error()
	}
	c.g.ike.EAPReply(now, ike.Peer(c.p.id), r)
}

func (c tunnelCall) gone() bool { return c.g.peers[c.p.id] != c.p }
