package gateway

import (
	"time"

	"github.com/culvert-vpn/culvert/ike"
	"github.com/culvert-vpn/culvert/internal/access"
	"github.com/culvert-vpn/culvert/internal/eap"
)

// tunnelLogin carries a login by EAP in IKEv2, as server.
type tunnelLogin struct {
	g *Gateway
	p *peer
}

func (c tunnelLogin) peer() *peer { return c.p }

func (c tunnelLogin) holds(l *eapLogin) bool { return c.p.login == l }

func (c tunnelLogin) request(now time.Time, l *eapLogin, packet []byte) {
	c.g.ike.EAPReply(now, ike.Peer(c.p.id), ike.EAPReply{Packet: packet, Held: l.held()})
}

// over answers IKE. What was found out stays with the peer: Assign asks for it.
func (c tunnelLogin) over(now time.Time, l *eapLogin, d eap.Done) {
	reply := ike.EAPReply{Packet: l.last, Done: true, Identity: l.user}
	if l.why == access.None {
		reply.OK, reply.MSK, reply.Tenant = true, d.MSK, l.tenant.Name+byCertificate
	} else {
		reply.Detail = l.why.String()
		c.refused(l, d)
	}
	c.g.ike.EAPReply(now, ike.Peer(c.p.id), reply)
}

// left tells the log why a login failed whose client did not stay to the end.
func (c tunnelLogin) left(l *eapLogin) {
	if s, ok := l.machine.(*eap.Server); ok && s.Failure() != nil {
		l.why, l.err = access.EAPFailed, s.Failure()
		c.refused(l, eap.Done{Method: eap.TypeTLS})
		l.close()
	}
}

// refused tells the log.
func (c tunnelLogin) refused(l *eapLogin, d eap.Done) {
	c.g.tellRefused(c.p, c.p.refusedLogin(l.user, d.Method.String(), l.why, l.err))
	c.p.login = nil
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
	case p.login == nil:
		g.ike.EAPReply(now, e.Peer, ike.EAPReply{Done: true, Detail: "no login is under way"})
	default:
		g.eapInput(now, p.login, e.Packet)
	}
}

// startTunnelLogin begins a login by EAP in IKEv2.
func (g *Gateway) startTunnelLogin(now time.Time, p *peer) {
	g.endLogin(p)
	who := EAPClient{Identity: p.identity, Family: string(p.family), Client: p.path.Remote}
	l, err := g.newEAPLogin(g.keys.relatives(p.label, p.path.Local.Addr()), who, tunnelLogin{g, p}, 0)
	if err != nil {
		g.ike.EAPReply(now, ike.Peer(p.id), ike.EAPReply{Done: true, Detail: err.Error()})
		return
	}
	p.login = l
	l.machine.Start()
	g.eapEvents(now, l)
}

// endLogin gives up a login, if there is one.
func (g *Gateway) endLogin(p *peer) {
	if l := p.login; l != nil {
		tunnelLogin{g, p}.left(l)
		l.close()
	}
	p.login = nil
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
