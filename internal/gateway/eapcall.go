package gateway

import (
	"crypto/rand"
	"crypto/x509"
	"time"

	"github.com/culvert-vpn/culvert/ike"
	"github.com/culvert-vpn/culvert/ike/auth"
	"github.com/culvert-vpn/culvert/internal/access"
	"github.com/culvert-vpn/culvert/internal/eap"
	pppauth "github.com/culvert-vpn/culvert/ppp/auth"
)

// DialEAPTLS makes a call prove itself by EAP-TLS (RFC 5216) where the server asks by EAP.
type DialEAPTLS struct {
	// Certificate is what we prove who we are with.
	Certificate *ike.Certificate
	// Verify decides on the server's certificates, the leaf first.
	Verify func(now time.Time, sent []*x509.Certificate) error
}

// eapCall carries the packets of a login of ours to the server.
type eapCall interface {
	// gone reports whether there is nothing left to carry them in.
	gone() bool
	respond(now time.Time, packet []byte)
	over(now time.Time, d eap.Done)
}

// eapAsked takes a server's packet in a call of ours.
func (g *Gateway) eapAsked(now time.Time, d *dial, c eapCall, packet []byte) error {
	if d.eap == nil {
		client, err := eap.NewClient(d.config.eap())
		if err != nil {
			return err
		}
		d.eap = client
	}
	if err := d.eap.Input(now, packet); err != nil {
		return err
	}
	g.eapCallEvents(now, d, c)
	return nil
}

// eap is what we answer a server with that asks by EAP.
func (c DialConfig) eap() eap.ClientConfig {
	e := eap.ClientConfig{Rand: rand.Reader, Identity: c.User, Methods: []eap.Type{eap.TypeMSCHAPv2}}
	if t := c.EAPTLS; t != nil {
		if e.Identity == "" { // the server asks before TLS says it
			e.Identity = auth.Identity(t.Certificate.Chain[0])
		}
		e.Methods = []eap.Type{eap.TypeTLS}
		e.TLS = &eap.TLSConfig{Certificate: pairOf(t.Certificate.Chain, t.Certificate.Signer), VerifyPeer: t.Verify}
	}
	return e
}

// eapCallEvents carries out what the machine of a call of ours wants.
func (g *Gateway) eapCallEvents(now time.Time, d *dial, c eapCall) {
	for d.eap != nil && !c.gone() {
		event, ok := d.eap.Next()
		if !ok {
			return
		}
		switch e := event.(type) {
		case eap.Send:
			c.respond(now, e.Packet)
		case eap.Respond:
			d.eap.Responded(d.config.respond(e))
		case eap.Compute:
			g.eapCallWork(d, c, e)
		case eap.Done:
			d.eap = nil
			c.over(now, e)
			clear(e.MSK)
		}
	}
}

// eapCallWork has slow work done in the pool.
func (g *Gateway) eapCallWork(d *dial, c eapCall, e eap.Compute) {
	machine := d.eap
	g.later(nil, func() {
		r := e.Do()
		g.post(func(now time.Time) {
			if d.eap == machine {
				machine.Computed(r)
				g.eapCallEvents(now, d, c)
			}
		})
	})
}

// endEAP gives up a login of ours, if there is one.
func (d *dial) endEAP() {
	if d != nil && d.eap != nil {
		d.eap.Close()
		d.eap = nil
	}
}

// respond proves that we know the password.
func (c DialConfig) respond(r eap.Respond) eap.Answer {
	hash := pppauth.NTHash(c.Password)
	defer clear(hash[:])
	a := eap.Answer{NTResponse: pppauth.NTResponse(hash, r.Challenge, r.PeerChallenge, r.User)}
	a.MSK = access.MasterSession(hash, a.NTResponse)
	a.Success = pppauth.AuthenticatorResponse(hash, a.NTResponse, r.Challenge, r.PeerChallenge, r.User)
	return a
}
