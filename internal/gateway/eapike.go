package gateway

import (
	"time"

	"github.com/culvert-vpn/culvert/ike"
	"github.com/culvert-vpn/culvert/internal/access"
	"github.com/culvert-vpn/culvert/internal/eap"
)

// ikeLogin carries a login by EAP in IKEv2, as server. Who it was stays with the peer:
// Assign asks for it.
type ikeLogin struct{ p *peer }

func (c ikeLogin) peer() *peer { return c.p }

func (c ikeLogin) session() *session { return nil }

func (c ikeLogin) holds(_ *logins, a *attempt) bool { return c.p.login == a }

func (c ikeLogin) request(g *logins, now time.Time, a *attempt, packet []byte) {
	g.server.engine.IKE.EAPReply(now, ike.Peer(c.p.ID), ike.EAPReply{Packet: packet, Held: a.eap.held()})
}

// over answers IKE.
func (c ikeLogin) over(g *logins, now time.Time, a *attempt, d eap.Done) {
	l := a.eap
	if l.why != access.None {
		g.refuse(now, a, l.why, l.err)
		return
	}
	g.server.engine.IKE.EAPReply(now, ike.Peer(c.p.ID), ike.EAPReply{
		Packet: l.last, Done: true, OK: true, Identity: a.user, MSK: d.MSK, Tenant: a.tenant.Name + byCertificate,
	})
}

func (c ikeLogin) refused(g *logins, now time.Time, a *attempt, why access.Refusal) {
	c.p.login = nil
	g.server.engine.IKE.EAPReply(now, ike.Peer(c.p.ID), ike.EAPReply{Packet: a.eap.last, Done: true, Identity: a.user, Detail: why.String()})
}

// left tells the log why a login failed whose client did not stay to the end.
func (g *logins) left(p *peer) {
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

// eapOfIKE carries a packet of EAP between IKEv2 and the machine of its login.
func (g *logins) eapOfIKE(now time.Time, p *peer, e ike.EAP) {
	switch {
	case e.Packet == nil:
		p.claims = e.Identity
		g.startIKELogin(now, p)
	case p.login == nil || p.login.eap == nil:
		g.server.engine.IKE.EAPReply(now, e.Peer, ike.EAPReply{Done: true, Detail: "no login is under way"})
	default:
		g.eapInput(now, p.login, e.Packet)
	}
}

// startIKELogin begins a login by EAP in IKEv2.
func (g *logins) startIKELogin(now time.Time, p *peer) {
	g.endLogin(now, p)
	who := EAPClient{Identity: p.Identity, Family: string(p.Family), Client: p.Path.Remote}
	c := ikeLogin{p}
	l, err := g.newEAPLogin(g.server.keys.relatives(p.Label, p.Path.Local.Addr()), who, c, 0)
	if err != nil {
		g.server.engine.IKE.EAPReply(now, ike.Peer(p.ID), ike.EAPReply{Done: true, Detail: err.Error()})
		return
	}
	p.login = &attempt{carrier: c, method: "EAP", eap: l}
	l.machine.Start()
	g.eapEvents(now, p.login)
}

// endLogin gives up a login of tunnel mode, if there is one.
func (g *logins) endLogin(now time.Time, p *peer) {
	g.forget(now, p.asking)
	g.left(p)
	if p.login != nil {
		g.forget(now, p.login)
		p.login.eap.close()
	}
	p.login, p.asking = nil, nil
}
