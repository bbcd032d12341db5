package gateway

import (
	"time"

	"go.uber.org/zap"

	"github.com/culvert-vpn/culvert/internal/access"
	"github.com/culvert-vpn/culvert/internal/eap"
	"github.com/culvert-vpn/culvert/ppp"
)

// eapHeaderLen is what stands around a fragment of TLS (RFC 5216 section 3.1).
const eapHeaderLen = 10

func (c *linkLogin) request(g *Gateway, now time.Time, _ *attempt, packet []byte) {
	g.count(c.s.link.EAPRequest(now, c.question.ID, packet), "eap")
	g.touch(c.s)
}

// over answers the link. Who was proved without a password may still be locked out, which
// the authority knows.
func (c *linkLogin) over(g *Gateway, now time.Time, a *attempt, _ eap.Done) {
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
func (g *Gateway) startEAP(now time.Time, a *attempt, c *linkLogin) {
	s := c.s
	group, _ := g.keys.group(s.peer.label)
	who := EAPClient{Family: string(s.peer.family), Client: s.peer.path.Remote}
	l, err := g.newEAPLogin(group, who, c, min(1024, s.link.EAPRoom()-eapHeaderLen))
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
func (g *Gateway) eapResponse(now time.Time, s *session, e ppp.EAPResponse) {
	if s.login == nil || s.login.eap == nil || s.login.carrier.(*linkLogin).question.ID != e.ID {
		return
	}
	g.eapInput(now, s.login, e.Packet)
	g.touch(s)
}

// linkCall carries a login of ours by EAP in a PPP link, as client.
type linkCall struct {
	g *Gateway
	s *session
}

func (c linkCall) respond(_ time.Time, packet []byte) {
	c.g.count(c.s.link.EAPRespond(packet), "eap")
	c.g.touch(c.s)
}

func (c linkCall) over(now time.Time, d eap.Done) {
	if !d.OK {
		c.g.log.Debug("eap-refused", zap.Error(d.Err))
	}
	c.g.count(c.s.link.EAPFinished(now, d.OK), "eap")
	c.g.touch(c.s)
}

func (c linkCall) gone() bool { return c.s.ended }

// eapRequest takes a server's packet in a call of ours.
func (g *Gateway) eapRequest(now time.Time, s *session, e ppp.EAPRequest) {
	if d := s.peer.dial; d != nil {
		g.count(g.eapAsked(now, d, linkCall{g, s}, e.Packet), "eap")
		g.touch(s)
	}
}
