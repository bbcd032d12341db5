package gateway

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"math/big"
	"testing"
	"time"

	"github.com/culvert-vpn/culvert/ike"
)

// TestSubjectNamesOneUser: of a whole subject the common name is the user, whatever
// else stands there.
func TestSubjectNamesOneUser(t *testing.T) {
	a := newAuthority(t, "a")
	yaml := testConfig + a.server(vpn)
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	c := &x509.Certificate{
		SerialNumber: big.NewInt(3001), NotBefore: bubbleStart, NotAfter: bubbleStart.Add(24 * time.Hour),
		Subject:     pkix.Name{CommonName: "mallory", SerialNumber: "1,CN=alice", Organization: []string{"x,CN=bob"}},
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, c, a.root(), key.Public(), a.key())
	if err != nil {
		t.Fatal(err)
	}
	if c, err = x509.ParseCertificate(der); err != nil {
		t.Fatal(err)
	}
	inWorld(t, goodRoad, yaml, func(t *testing.T, w *world) {
		host := w.client(nil)
		host.wantPing(host.mustDial(a.trusts(vpn), with(&ike.Certificate{Chain: []*x509.Certificate{c}, Signer: key})), "198.18.0.2")
		w.wantLog("session-up", "user", "mallory")
	})
}
