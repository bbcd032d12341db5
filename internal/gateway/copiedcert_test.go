package gateway

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"math/big"
	"testing"

	"github.com/culvert-vpn/culvert/ike"
)

// TestNobodyIsAskedAboutACopy: who shows somebody else's certificate, which is no secret,
// has nobody asked whether it was revoked, and nobody waits for that: not before the key is
// shown, in IKE as in EAP-TLS. Its owner's revocation counts all the same.
func TestNobodyIsAskedAboutACopy(t *testing.T) {
	p := newPlace(t)
	a := newAuthorityAt(t, "a", p.URL+"/crl")
	p.a = a
	lines := a.withoutList()
	good, bad := a.issue("good", 1001, p.URL+"/ocsp"), a.issue("bad", 1002, p.URL+"/ocsp")
	p.revoked = big.NewInt(1002)
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	inWorld(t, goodRoad, eapTLSConfig+lines, func(t *testing.T, w *world) {
		for _, c := range []*ike.Certificate{good, bad} {
			stolen := &ike.Certificate{Chain: c.Chain, Signer: key}
			w.client(nil).wantRefused(a.trusts(vpn), a.byTLS(stolen))
			w.client(nil).wantRefused(a.byTLS(stolen))
			w.client(nil).wantRefused(a.trusts(vpn), with(stolen))
		}
		if p.asked != 0 {
			t.Errorf("%d questions were asked about copies", p.asked)
		}
		w.client(nil).wantRefused(a.trusts(vpn), a.byTLS(bad))
		w.client(nil).wantRefused(a.byTLS(bad))
		w.wantRefusal("EAP failed", "was revoked")
		host := w.client(nil)
		host.wantPing(host.mustDial(a.trusts(vpn), a.byTLS(good)), "198.18.0.2")
		if p.asked == 0 {
			t.Error("nobody was asked")
		}
	})
}
