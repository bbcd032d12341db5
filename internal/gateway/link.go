package gateway

import (
	"crypto/rand"
	"math"
	"time"

	"github.com/culvert-vpn/culvert/dataplane"
	"github.com/culvert-vpn/culvert/internal/config"
	"github.com/culvert-vpn/culvert/ppp"
)

// maxMRU is the most we ask for, as every native client does: paths narrower
// than Ethernet's 1500 bytes are common, and this fits through them.
const maxMRU = 1400

// newLink makes the PPP link of a call: the server's end, or the client's end
// of a call that we placed. mtu is what the encapsulation carries.
func (g *Gateway) newLink(p *peer, mtu int) (*ppp.Link, error) {
	mru := uint16(min(mtu, maxMRU))
	if p.dial != nil {
		return newClientLink(p.dial.config, mru)
	}
	group, _ := g.keys.group(p.label)
	c := ppp.Config{Role: ppp.Server, Rand: rand.Reader, Name: "culvert", MRU: mru}
	for _, t := range group {
		c.Auth.MSCHAPv2 = c.Auth.MSCHAPv2 || t.Auth.Allow.MSCHAPv2
		c.Auth.CHAPMD5 = c.Auth.CHAPMD5 || t.Auth.Allow.CHAP
		c.Auth.PAP = c.Auth.PAP || t.Auth.Allow.PAP
		c.Auth.EAP = c.Auth.EAP || t.Auth.Allow.EAP || t.Auth.Allow.EAPTLS
	}
	return ppp.NewLink(c)
}

func newClientLink(d DialConfig, mru uint16) (*ppp.Link, error) {
	persona, err := d.link()
	if err != nil {
		return nil, err
	}
	if d.Persona != ownPersona {
		mru = 0 // the persona knows
	}
	return ppp.NewLink(ppp.Config{
		Role: ppp.Client, Rand: rand.Reader, Persona: persona, MRU: mru,
		User: d.User, Password: []byte(d.Password), IPv6: d.IPv6,
		// Never PAP: whoever knows the pre-shared key could play the server and
		// ask for the password in clear.
		Auth: ppp.AuthPolicy{MSCHAPv2: d.EAPTLS == nil, EAP: d.AllowEAP, CHAPMD5: d.AllowCHAP},
	})
}

// verdict is what a client that is welcome gets.
func (s *session) verdict(proof string) ppp.Verdict {
	return ppp.Verdict{
		OK: true, Success: proof, Local: s.tenant.Gateway(), Peer: s.addr, DNS: s.grant.DNS, NBNS: s.grant.NBNS, IPv6: s.prefix.IsValid(),
	}
}

// linkUp opens the session for IP packets.
func (g *Gateway) linkUp(now time.Time, s *session, e ppp.Up) {
	s.linkOptions = s.options(e.SendACFC, e.SendPFC, e.PeerMRU)
	if s.peer.dial != nil {
		s.linkOptions.Host = s.peer.dial.config.IPv6
		s.up, s.addr = now, e.Local
		g.dialUp(s, e)
		return
	}
	g.plane.Bind(s.plane, s.tenant.port, s.addr, s.linkOptions)
	if s.up.IsZero() {
		g.opened(now, s)
	}
}

// options are what PPP agreed on, bounded by what the tenant allows.
func (s *session) options(acfc, pfc bool, mru int) dataplane.LinkOptions {
	o := dataplane.LinkOptions{ACFC: acfc, PFC: pfc, MTU: uint16(min(mru, math.MaxUint16))}
	if s.grant != nil && s.grant.MTU > 0 {
		o.MTU = min(o.MTU, uint16(s.grant.MTU))
	}
	return o
}

// linkDown closes the session for IP packets until the link is up again.
func (g *Gateway) linkDown(s *session) { g.plane.Unbind(s.plane) }

// key is the name that a user's address is leased under.
func (s *session) key() string { return config.UserKey(s.user) }
