package gateway

import (
	"time"

	"github.com/culvert-vpn/culvert/internal/access"
	"github.com/culvert-vpn/culvert/internal/eap"
	"github.com/culvert-vpn/culvert/ppp"
)

// eapHeaderLen is what stands around a fragment of TLS (RFC 5216 section 3.1).
const eapHeaderLen = 10

func (c *linkLogin) request(g *logins, now time.Time, _ *attempt, packet []byte) {
	g.server.engine.EAPRequest(now, c.s.Session, c.question.ID, packet)
}

// over answers the link. Who was proved without a password may still be locked out, which
// the authority knows.
func (c *linkLogin) over(g *logins, now time.Time, a *attempt, _ eap.Done) {
	l := a.eap
	a.eap = nil
	if l.why != access.None || l.password {
		c.judged(g, now, a, access.Judgement{Refusal: l.why, Err: l.err})
		return
	}
	a.shows(g, c)
	g.judge(now, a)
}

// startEAP begins a login by EAP in a link.
func (g *logins) startEAP(now time.Time, a *attempt, c *linkLogin) {
	s := c.s
	group, _ := g.server.keys.group(s.peer.Label)
	who := EAPClient{Family: string(s.peer.Family), Client: s.peer.Path.Remote}
	l, err := g.newEAPLogin(group, who, c, min(1024, s.Link.EAPRoom()-eapHeaderLen))
	if err != nil {
		a.user = s.user
		g.refuse(now, a, access.EAPFailed, err)
		return
	}
	a.eap = l
	l.machine.Start()
	g.eapEvents(now, a)
}

// eapResponse takes a client's packet.
func (g *logins) eapResponse(now time.Time, s *session, e ppp.EAPResponse) {
	if s.login == nil || s.login.eap == nil || s.login.carrier.(*linkLogin).question.ID != e.ID {
		return
	}
	g.eapInput(now, s.login, e.Packet)
}
