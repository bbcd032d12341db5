package gateway

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/crypto/ocsp"

	"github.com/culvert-vpn/culvert/ike"
	"github.com/culvert-vpn/culvert/internal/ca"
	"github.com/culvert-vpn/culvert/internal/dialer"
)

// revoke takes certificates back and writes the list.
func (a *authority) revoke(names ...string) {
	a.t.Helper()
	for _, name := range names {
		if _, err := a.ca.Revoke(name, "keyCompromise"); err != nil {
			a.t.Fatal(err)
		}
	}
	if err := a.ca.WriteCRL(time.Hour); err != nil {
		a.t.Fatal(err)
	}
}

// TestRevokedSessionEnds: a list counts as soon as it is written, for those who
// are in as for those who come.
func TestRevokedSessionEnds(t *testing.T) {
	a := newAuthority(t, "a")
	lines := a.server(vpn)
	certs := map[string]*ike.Certificate{}
	for _, name := range []string{"carol", "dave", "erin", "frank"} {
		certs[name] = a.client(name)
	}
	a.revoke()
	inWorld(t, goodRoad, eapTLSConfig+lines, func(t *testing.T, w *world) {
		v2 := a.trusts(vpn)
		inTunnel, inLink, good := w.client(nil), w.client(nil), w.client(nil)
		carol := inTunnel.mustDial(v2, a.byTLS(certs["carol"]))
		dave := inLink.mustDial(a.byTLS(certs["dave"]))
		frank := good.mustDial(v2, a.byTLS(certs["frank"]))
		a.revoke("carol", "dave", "erin")
		time.Sleep(2 * watchInterval)
		for name, conn := range map[string]*dialer.Connection{"carol": carol, "dave": dave} {
			select {
			case <-conn.Done():
			case <-time.After(time.Minute):
				t.Errorf("%s is still in", name)
			}
		}
		w.wantLog("session-down", "reason", "the certificate was revoked")
		good.wantPing(frank, "198.18.0.2")
		w.client(nil).wantRefused(v2, a.byTLS(certs["erin"]))

		if err := os.WriteFile(a.path("crl.pem"), []byte("nonsense"), 0o644); err != nil {
			t.Fatal(err)
		}
		time.Sleep(2 * watchInterval)
		if n := w.log.FilterMessage("crl-refused").Len(); n != 1 {
			t.Errorf("the broken list was refused %d times", n)
		}
		w.client(nil).wantRefused(v2, a.byTLS(certs["erin"])) // by the list from before
		good.wantPing(frank, "198.18.0.2")
	})
}

// place answers OCSP requests and hands out the list of an authority.
type place struct {
	*httptest.Server
	a       *authority
	revoked *big.Int // by OCSP
	asked   int
}

func (a *authority) key() crypto.Signer {
	a.t.Helper()
	b, err := os.ReadFile(a.path("ca.key"))
	if err != nil {
		a.t.Fatal(err)
	}
	block, _ := pem.Decode(b)
	key, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		a.t.Fatal(err)
	}
	return key.(crypto.Signer)
}

// root is its own certificate.
func (a *authority) root() *x509.Certificate {
	a.t.Helper()
	b, err := os.ReadFile(a.path("ca.crt"))
	if err != nil {
		a.t.Fatal(err)
	}
	block, _ := pem.Decode(b)
	c, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		a.t.Fatal(err)
	}
	return c
}

func newPlace(t *testing.T) *place {
	p := &place{}
	p.Server = httptest.NewServer(p)
	t.Cleanup(p.Close)
	return p
}

func (p *place) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	p.asked++
	if r.URL.Path == "/crl" {
		b, _ := os.ReadFile(p.a.path("crl.pem"))
		w.Write(b)
		return
	}
	body, _ := io.ReadAll(r.Body)
	q, err := ocsp.ParseRequest(body)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	answer := ocsp.Response{Status: ocsp.Good, SerialNumber: q.SerialNumber, ThisUpdate: bubbleStart, NextUpdate: bubbleStart.Add(time.Hour)}
	if p.revoked != nil && q.SerialNumber.Cmp(p.revoked) == 0 {
		answer.Status, answer.RevokedAt = ocsp.Revoked, bubbleStart
	}
	b, err := ocsp.CreateResponse(p.a.root(), p.a.root(), answer, p.a.key())
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Write(b)
}

// issue makes a client's certificate that names where to ask about it.
func (a *authority) issue(name string, serial int64, responder string) *ike.Certificate {
	a.t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		a.t.Fatal(err)
	}
	c := &x509.Certificate{
		SerialNumber: big.NewInt(serial), Subject: pkix.Name{CommonName: name}, NotBefore: bubbleStart, NotAfter: bubbleStart.Add(24 * time.Hour),
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}, OCSPServer: []string{responder},
	}
	der, err := x509.CreateCertificate(rand.Reader, c, a.root(), key.Public(), a.key())
	if err != nil {
		a.t.Fatal(err)
	}
	if c, err = x509.ParseCertificate(der); err != nil {
		a.t.Fatal(err)
	}
	return &ike.Certificate{Chain: []*x509.Certificate{c}, Signer: key}
}

// withoutList is the configuration of a tenant that has no list of its own.
func (a *authority) withoutList() string {
	lines, _, _ := bytes.Cut([]byte(a.server(vpn)), []byte("    crl:"))
	return string(lines)
}

// TestRevocationIsAsked: OCSP is asked, and the list fetched, where the certificate
// says; strict_revocation wants an answer.
func TestRevocationIsAsked(t *testing.T) {
	p := newPlace(t)
	a := newAuthorityAt(t, "a", p.URL+"/crl")
	p.a = a
	lines := a.withoutList()
	listed, unlisted := a.client("listed"), a.client("unlisted")
	a.revoke("listed")
	good, bad := a.issue("good", 1001, p.URL+"/ocsp"), a.issue("bad", 1002, p.URL+"/ocsp")
	silent := a.issue("silent", 1003, "http://127.0.0.1:1/ocsp")
	p.revoked = big.NewInt(1002)
	for _, strict := range []bool{false, true} {
		yaml := testConfig + lines
		if strict {
			yaml += "    strict_revocation: true\n"
		}
		inWorld(t, goodRoad, yaml, func(t *testing.T, w *world) {
			for _, c := range []*ike.Certificate{good, unlisted} {
				c, host := c, w.client(nil)
				host.wantPing(host.mustDial(a.trusts(vpn), with(c)), "198.18.0.2")
			}
			for _, c := range []*ike.Certificate{bad, listed} {
				w.client(nil).wantRefused(a.trusts(vpn), with(c))
			}
			w.wantDetail("was revoked")
			if strict {
				w.client(nil).wantRefused(a.trusts(vpn), with(silent))
				w.wantDetail("nothing tells whether")
				return
			}
			host := w.client(nil)
			host.wantPing(host.mustDial(a.trusts(vpn), with(silent)), "198.18.0.2")
		})
	}
	if p.asked == 0 {
		t.Error("nobody was asked")
	}
}

// silent is a web in which nobody answers.
type silent struct{}

func (silent) RoundTrip(r *http.Request) (*http.Response, error) {
	<-r.Context().Done()
	return nil, r.Context().Err()
}

// TestSilentAuthority: an authority that does not answer costs its own clients some
// seconds, and nobody else any.
func TestSilentAuthority(t *testing.T) {
	a := newAuthority(t, "a")
	yaml := testConfig + manySessions + a.withoutList()
	inWorld(t, goodRoad, yaml, func(t *testing.T, w *world) {
		w.stop()
		<-w.ended
		w.web = silent{}
		w.start()
		began := time.Now()
		waiting := make(chan time.Duration)
		const many = 20 // more than there are workers in the pool
		for n := range many {
			cert, host := a.issue("client", int64(2000+n), fmt.Sprintf("http://ocsp%d.example", n)), w.client(nil)
			go func() {
				ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
				defer cancel()
				if _, err := host.dial(ctx, a.trusts(vpn), with(cert)); err != nil {
					t.Error(err)
				}
				waiting <- time.Since(began)
			}()
		}
		time.Sleep(time.Second) // all have shown their certificates
		second := time.Now()
		other := w.client(nil)
		other.wantPing(other.mustDial(), "198.18.0.2")
		if took := time.Since(second); took > 2*time.Second {
			t.Errorf("a login beside them took %v", took)
		}
		for range many {
			if took := <-waiting; took < 4*time.Second || took > 10*time.Second {
				t.Errorf("the own clients take %v", took)
			}
		}
	})
}

func newAuthorityAt(t *testing.T, name, url string) *authority {
	t.Helper()
	dir := filepath.Join(t.TempDir(), name)
	x, err := ca.Init(dir, ca.Options{Name: name, ECDSA: true, CRLURL: url, Now: bubbleStart, Rand: rand.Reader})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { x.Close() })
	return &authority{t: t, dir: dir, ca: x}
}
