package dialer

import (
	"crypto/rand"

	pppauth "github.com/culvert-vpn/culvert/ppp/auth"

	"github.com/culvert-vpn/culvert/ike/auth"
	"github.com/culvert-vpn/culvert/internal/eap"
)

// eap is what we answer a server with that asks by EAP.
func (c DialConfig) eap() eap.ClientConfig {
	e := eap.ClientConfig{Rand: rand.Reader, Identity: c.User, Methods: []eap.Type{eap.TypeMSCHAPv2}}
	if t := c.EAPTLS; t != nil {
		if e.Identity == "" { // the server asks before TLS says it
			e.Identity = auth.Identity(t.Certificate.Chain[0])
		}
		e.Methods = []eap.Type{eap.TypeTLS}
		e.TLS = &eap.TLSConfig{Certificate: eap.PairOf(t.Certificate.Chain, t.Certificate.Signer), VerifyPeer: t.Verify}
	}
	return e
}

// respond proves that we know the password.
func (c DialConfig) respond(r eap.Respond) eap.Answer {
	hash := pppauth.NTHash(c.Password)
	defer clear(hash[:])
	a := eap.Answer{NTResponse: pppauth.NTResponse(hash, r.Challenge, r.PeerChallenge, r.User)}
	a.MSK = pppauth.MasterSession(hash, a.NTResponse)
	a.Success = pppauth.AuthenticatorResponse(hash, a.NTResponse, r.Challenge, r.PeerChallenge, r.User)
	return a
}
