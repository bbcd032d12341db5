package gateway

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"math/big"
	"strings"
	"testing"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"github.com/culvert-vpn/culvert/ike"
)

// longNamed is a certificate that its owner has signed himself, with a name of n bytes.
func longNamed(t *testing.T, n int) *ike.Certificate {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	c := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: strings.Repeat("\"\x01", n/2)},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, c, c, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return &ike.Certificate{Chain: []*x509.Certificate{leaf}, Signer: key}
}

// TestRefusalsAreShort: a line of the log on who is refused is no longer than somebody
// reads, however long the names are that he gives himself.
func TestRefusalsAreShort(t *testing.T) {
	a := newAuthority(t, "a")
	eve := longNamed(t, 12_000)
	inWorld(t, goodRoad, strings.Replace(testConfig, "auth: {local:", "auth: {allow: [mschapv2, certificate, eap-tls], local:", 1)+a.server(vpn), func(t *testing.T, w *world) {
		w.client(nil).wantRefused(a.trusts(vpn), with(eve))
		w.client(nil).wantRefused(a.trusts(vpn), a.byTLS(eve))
		encoder, lines := zapcore.NewJSONEncoder(zap.NewProductionEncoderConfig()), 0
		for _, e := range w.log.All() {
			text, err := encoder.EncodeEntry(e.Entry, e.Context)
			if err != nil {
				t.Fatal(err)
			}
			if e.Message == "ike-refused" || e.Message == "login-refused" {
				lines++
			}
			if text.Len() > 4096 {
				t.Errorf("%s: a line of %d bytes: %.300s", e.Message, text.Len(), text.String())
			}
		}
		if lines < 2 {
			t.Errorf("%d lines say that somebody was refused", lines)
		}
	})
}
