package gateway

import (
	"crypto/rand"
	"time"

	"github.com/culvert-vpn/culvert/internal/engine"
	"github.com/culvert-vpn/culvert/ppp"
)

// maxMRU is the most we ask for, as every native client does: paths narrower
// than Ethernet's 1500 bytes are common, and this fits through them.
const maxMRU = 1400

// link is the server's end of the PPP link of a client's call, whose encapsulation carries
// mru bytes.
func (g *server) link(p *engine.Peer, mru int) (ppp.Config, error) {
	group, _ := g.keys.group(p.Label)
	c := ppp.Config{Role: ppp.Server, Rand: rand.Reader, Name: "culvert", MRU: uint16(min(mru, maxMRU))}
	for _, t := range group {
		c.Auth.MSCHAPv2 = c.Auth.MSCHAPv2 || t.Auth.Allow.MSCHAPv2
		c.Auth.CHAPMD5 = c.Auth.CHAPMD5 || t.Auth.Allow.CHAP
		c.Auth.PAP = c.Auth.PAP || t.Auth.Allow.PAP
		c.Auth.EAP = c.Auth.EAP || t.Auth.Allow.EAP || t.Auth.Allow.EAPTLS
	}
	return c, nil
}

// verdict is what a client that is welcome gets.
func (s *session) verdict(proof string) ppp.Verdict {
	return ppp.Verdict{
		OK: true, Success: proof, Local: s.tenant.Gateway(), Peer: s.addr, DNS: s.grant.DNS, NBNS: s.grant.NBNS, IPv6: s.prefix.IsValid(),
	}
}

// linkUp opens the session for IP packets.
func (g *server) linkUp(now time.Time, s *session) {
	g.introduce(s)
	g.engine.Bind(s.Session, s.place())
	if s.Up.IsZero() {
		g.opened(now, s)
	}
}
