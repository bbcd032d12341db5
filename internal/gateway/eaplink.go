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

// linkLogin carries a login by EAP in a PPP link, as server.
type linkLogin struct {
	g        *Gateway
	s        *session
	question ppp.Authenticate // of the link
}

func (c *linkLogin) peer() *peer { return c.s.peer }

func (c *linkLogin) holds(l *eapLogin) bool { return !c.s.ended && c.s.eap == l }

func (c *linkLogin) request(now time.Time, _ *eapLogin, packet []byte) {
	c.g.count(c.s.link.EAPRequest(now, c.question.ID, packet), "eap")
	c.g.touch(c.s)
}

// over answers the link. Who was proved without a password may still be locked
// out, which the state store knows.
func (c *linkLogin) over(now time.Time, l *eapLogin, _ eap.Done) {
	g, s := c.g, c.s
	who := login{l.tenant, l.user, l.chain}
	s.eap, c.question.User = nil, l.user
	if l.why != access.None || l.password {
		g.authenticated(now, s, who, c.question, access.Judgement{Refusal: l.why, Err: l.err})
		return
	}
	shown := g.shown(l.tenant, l.user, l.chain)
	if !g.later(l.tenant, func() {
		j := g.local.Judge(shown, access.Shown{})
		g.post(func(now time.Time) {
			if !s.ended {
				g.authenticated(now, s, who, c.question, j)
			}
		})
	}) {
		g.authenticated(now, s, who, c.question, access.Judgement{Refusal: access.Busy})
	}
}

// startEAP begins a login by EAP in a link.
func (g *Gateway) startEAP(now time.Time, s *session, e ppp.Authenticate) {
	s.endEAP()
	group, _ := g.keys.group(s.peer.label)
	who := EAPClient{Family: string(s.peer.family), Client: s.peer.path.Remote}
	l, err := g.newEAPLogin(group, who, &linkLogin{g, s, e}, min(1024, s.link.EAPRoom()-eapHeaderLen))
	if err != nil {
		g.refuseLogin(now, s, login{user: s.user}, e, access.EAPFailed, err)
		return
	}
	s.eap = l
	l.machine.Start()
	g.eapEvents(now, l)
}

// endEAP gives up a login by EAP, if there is one.
func (s *session) endEAP() {
	s.eap.close()
	s.eap = nil
	s.peer.dial.endEAP()
}

// eapResponse takes a client's packet.
func (g *Gateway) eapResponse(now time.Time, s *session, e ppp.EAPResponse) {
	if s.eap == nil || s.eap.carrier.(*linkLogin).question.ID != e.ID {
		return
	}
	g.eapInput(now, s.eap, e.Packet)
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
