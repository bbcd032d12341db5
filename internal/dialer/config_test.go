package dialer

import (
	"crypto/x509"
	"testing"
	"time"

	"github.com/culvert-vpn/culvert/ike"
)

// TestCallsAreWhatTheyAreToldToBe: what a call is authenticated with, and by which protocol it
// is placed, reaches IKE; and nothing else that proves who we are does.
func TestCallsAreWhatTheyAreToldToBe(t *testing.T) {
	authority, own := &x509.Certificate{Raw: []byte{1}}, &ike.Certificate{}
	for name, x := range map[string]struct {
		c     DialConfig
		l2tp  bool
		right func(d ike.DialConfig) bool
	}{
		"L2TP": {DialConfig{PSK: []byte("k"), Group: "g"}, true, func(d ike.DialConfig) bool {
			return string(d.PSK) == "k" && d.Group == "g" && d.V2 == nil && d.XAUTH == nil && d.Policy.DPD == 10*time.Second
		}},
		"L2TP with certificates": {DialConfig{PSK: []byte("k"), Signed: &DialSigned{Name: "vpn", Certificate: own}, DPD: time.Second}, true, func(d ike.DialConfig) bool {
			return d.PSK == nil && d.Certificate == own && d.RemoteIdentity == "vpn" && d.Policy.DPD == time.Second
		}},
		"XAUTH": {DialConfig{PSK: []byte("k"), XAUTH: true, User: "u", Password: "p"}, false, func(d ike.DialConfig) bool {
			return d.XAUTH != nil && d.XAUTH.User == "u" && string(d.XAUTH.Password) == "p"
		}},
		"IKEv2, EAP": {DialConfig{V2: &DialV2{Name: "vpn", Authorities: []*x509.Certificate{authority}}}, false, func(d ike.DialConfig) bool {
			return d.V2.EAP && d.V2.Configure && !d.V2.Transport && d.V2.RemoteIdentity == "vpn" && len(d.V2.Authorities) == 1 && d.V2.Authorities[0] == authority
		}},
		"IKEv2, certificate": {DialConfig{V2: &DialV2{Certificate: own}}, false, func(d ike.DialConfig) bool {
			return !d.V2.EAP && d.V2.Certificate == own
		}},
		"IKEv2, key and another": {DialConfig{PSK: []byte("k"), V2: &DialV2{PPK: &DialPPK{ID: "i", Secret: []byte("s")}}}, false, func(d ike.DialConfig) bool {
			return !d.V2.EAP && string(d.PSK) == "k" && string(d.V2.PPK) == "s" && string(d.V2.PPKID) == "i" && d.V2.PPKRequired
		}},
		"L2TP by IKEv2": {DialConfig{PSK: []byte("k"), V2: &DialV2{Transport: true}}, true, func(d ike.DialConfig) bool {
			return d.V2.Transport && !d.V2.Configure
		}},
	} {
		x.c.Persona = ownPersona
		d, err := x.c.ike(ike.Path{}, ike.Path{NATT: true})
		if err != nil || !x.right(d) || !d.NATTPath.NATT || d.Path.NATT {
			t.Errorf("%s: %v, %+v", name, err, d)
		}
		if x.c.byL2TP() != x.l2tp {
			t.Errorf("%s: by L2TP: %v", name, !x.l2tp)
		}
	}
	if _, err := (DialConfig{Persona: "nobody"}).ike(ike.Path{}, ike.Path{}); err == nil {
		t.Error("a call like nobody")
	}
}
