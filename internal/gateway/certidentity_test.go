package gateway

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"math/big"
	"strings"
	"testing"
	"time"

	"github.com/culvert-vpn/culvert/ike"
	"github.com/culvert-vpn/culvert/internal/certificate"
	"github.com/culvert-vpn/culvert/internal/dialer"
)

// TestIKEv2CertificateIdentity: a client that calls itself by its address, as Apple's do with
// an empty Local ID, gets in with its certificate and is whom that names; one that calls
// itself by another user's name is still itself. Where a tenant says strict, both are refused.
func TestIKEv2CertificateIdentity(t *testing.T) {
	a := newAuthority(t, "a")
	carol := a.client("carol")
	lines := a.server(vpn)
	called := func(name string) func(*dialer.DialConfig) { return func(d *dialer.DialConfig) { d.Identity = name } }
	inWorld(t, goodRoad, testConfig+lines, func(t *testing.T, w *world) {
		for _, name := range []string{"192.168.3.111", "alice", "carol", ""} {
			c := w.client(nil)
			conn := c.mustDial(a.trusts(vpn), with(carol), called(name))
			c.wantPing(conn, "198.18.0.2")
			c.close()
			time.Sleep(10 * time.Second)
		}
		for _, entry := range w.log.FilterMessage("session-up").All() {
			if user := entry.ContextMap()["user"]; user != "carol" {
				t.Errorf("carol is %v", user)
			}
		}
	})
	strict := strings.Replace(testConfig, "match: {", "match: {certificate_identity: strict, ", 1)
	inWorld(t, goodRoad, strict+lines, func(t *testing.T, w *world) {
		for _, name := range []string{"192.168.3.111", "alice"} {
			w.client(nil).wantRefused(a.trusts(vpn), with(carol), called(name))
		}
		w.wantDetail("another name")
		w.wantDetail("names are carol, CN=carol; match.certificate_identity: strict wants one of these")
		w.wantLog("ike-refused", "tenant", "acme")
		c := w.client(nil)
		c.wantPing(c.mustDial(a.trusts(vpn), with(carol), called("carol")), "198.18.0.2")
	})
}

// odd issues a client's certificate that crypto/x509 would not write: edit changes what is
// signed.
func (a *authority) odd(x *x509.Certificate, edit func(tbs []byte)) *ike.Certificate {
	a.t.Helper()
	issuer, err := tls.LoadX509KeyPair(a.path("ca.crt"), a.path("ca.key"))
	if err != nil {
		a.t.Fatal(err)
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		a.t.Fatal(err)
	}
	x.NotBefore, x.NotAfter, x.ExtKeyUsage = bubbleStart.Add(-time.Hour), bubbleStart.AddDate(1, 0, 0), []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}
	der, err := x509.CreateCertificate(rand.Reader, x, issuer.Leaf, key.Public(), issuer.PrivateKey)
	if err != nil {
		a.t.Fatal(err)
	}
	var whole struct {
		TBS, Algorithm asn1.RawValue
		Signature      asn1.BitString
	}
	if _, err := asn1.Unmarshal(der, &whole); err != nil {
		a.t.Fatal(err)
	}
	edit(whole.TBS.FullBytes)
	sum := sha256.Sum256(whole.TBS.FullBytes)
	sig, err := issuer.PrivateKey.(crypto.Signer).Sign(rand.Reader, sum[:], crypto.SHA256)
	if err != nil {
		a.t.Fatal(err)
	}
	whole.Signature = asn1.BitString{Bytes: sig, BitLength: 8 * len(sig)}
	if der, err = asn1.Marshal(whole); err != nil {
		a.t.Fatal(err)
	}
	c, err := certificate.Parse(der)
	if err != nil {
		a.t.Fatal(err)
	}
	return &ike.Certificate{Chain: []*x509.Certificate{c}, Signer: key}
}

// TestIKEv2CertificatesOfOldAuthorities: clients whose certificates crypto/x509 does not read,
// although RFC 5280 lets them be, log in under the names in there.
func TestIKEv2CertificatesOfOldAuthorities(t *testing.T) {
	a := newAuthority(t, "a")
	lines := a.server(vpn)
	replace := func(old, new string) func([]byte) {
		return func(tbs []byte) { copy(tbs[bytes.Index(tbs, []byte(old)):], new) }
	}
	upn := &x509.Certificate{SerialNumber: big.NewInt(79), ExtraExtensions: []pkix.Extension{{Id: []int{2, 5, 29, 17}, Critical: true,
		Value: []byte("\x30\x22\xa0\x20\x06\x0a\x2b\x06\x01\x04\x01\x82\x37\x14\x02\x03\xa0\x12\x0c\x10erin@corp.invali")}}}
	for user, c := range map[string]*ike.Certificate{
		"carol":            a.odd(&x509.Certificate{SerialNumber: big.NewInt(123), Subject: pkix.Name{CommonName: "carol"}}, replace("\x02\x01\x7b", "\x02\x01\xfb")),
		"dave_x":           a.odd(&x509.Certificate{SerialNumber: big.NewInt(78), Subject: pkix.Name{CommonName: "dave_x"}}, replace("\x0c\x06dave_x", "\x13\x06dave_x")),
		"erin@corp.invali": a.odd(upn, func([]byte) {}),
	} {
		inWorld(t, goodRoad, testConfig+lines, func(t *testing.T, w *world) {
			client := w.client(nil)
			client.wantPing(client.mustDial(a.trusts(vpn), with(c)), "198.18.0.2")
			w.wantLog("session-up", "user", user)
		})
	}
}
