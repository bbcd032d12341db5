package revocation

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net/http"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/crypto/ocsp"

	"github.com/culvert-vpn/culvert/ike/auth"
)

var now = time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)

// web answers requests by their URL, and counts them.
type web struct {
	pages map[string]func(body []byte) []byte
	asked int
}

func (w *web) RoundTrip(r *http.Request) (*http.Response, error) {
	w.asked++
	page, ok := w.pages[r.URL.String()]
	if !ok {
		return nil, errors.New("unreachable")
	}
	body, _ := io.ReadAll(r.Body)
	b := page(body)
	if b == nil {
		return &http.Response{StatusCode: 404, Status: "404 Not Found", Body: http.NoBody, Request: r}, nil
	}
	return &http.Response{StatusCode: 200, Body: io.NopCloser(bytes.NewReader(b)), Request: r}, nil
}

type authority struct {
	t    *testing.T
	key  *ecdsa.PrivateKey
	cert *x509.Certificate
}

func newAuthority(t *testing.T) *authority {
	t.Helper()
	a := &authority{t: t}
	a.key, _ = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	c := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "ca"}, IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign, NotBefore: now.AddDate(-1, 0, 0), NotAfter: now.AddDate(1, 0, 0)}
	a.cert = a.sign(c, c)
	return a
}

func (a *authority) sign(c, parent *x509.Certificate) *x509.Certificate {
	a.t.Helper()
	der, err := x509.CreateCertificate(rand.Reader, c, parent, a.key.Public(), a.key)
	if err != nil {
		a.t.Fatal(err)
	}
	out, err := x509.ParseCertificate(der)
	if err != nil {
		a.t.Fatal(err)
	}
	return out
}

func (a *authority) issue(serial int64, crl, responder []string) *x509.Certificate {
	return a.sign(&x509.Certificate{SerialNumber: big.NewInt(serial), NotBefore: now.AddDate(-1, 0, 0), NotAfter: now.AddDate(1, 0, 0),
		CRLDistributionPoints: crl, OCSPServer: responder}, a.cert)
}

func (a *authority) list(from time.Time, serials ...int64) []byte {
	a.t.Helper()
	list := &x509.RevocationList{Number: big.NewInt(1), ThisUpdate: from, NextUpdate: from.Add(48 * time.Hour)}
	for _, s := range serials {
		list.RevokedCertificateEntries = append(list.RevokedCertificateEntries, x509.RevocationListEntry{SerialNumber: big.NewInt(s), RevocationTime: from})
	}
	b, err := x509.CreateRevocationList(rand.Reader, list, a.cert, a.key)
	if err != nil {
		a.t.Fatal(err)
	}
	return b
}

// respond is an OCSP responder.
func (a *authority) respond(status map[int64]int) func([]byte) []byte {
	return func(body []byte) []byte {
		r, err := ocsp.ParseRequest(body)
		if err != nil {
			return nil
		}
		b, err := ocsp.CreateResponse(a.cert, a.cert, ocsp.Response{Status: status[r.SerialNumber.Int64()], SerialNumber: r.SerialNumber,
			ThisUpdate: now.Add(-time.Hour), NextUpdate: now.Add(time.Hour), RevokedAt: now.Add(-time.Hour)}, a.key)
		if err != nil {
			a.t.Error(err)
		}
		return b
	}
}

func page(b []byte) func([]byte) []byte { return func([]byte) []byte { return b } }

func TestCheck(t *testing.T) {
	a, stranger := newAuthority(t), newAuthority(t)
	w := &web{pages: map[string]func([]byte) []byte{
		"http://a/list":    page(a.list(now.Add(-time.Hour), 66)),
		"http://a/old":     page(a.list(now.AddDate(0, -1, 0))),
		"http://a/other":   page(stranger.list(now.Add(-time.Hour))),
		"http://a/junk":    page([]byte("junk")),
		"http://a/missing": page(nil),
		"http://a/long":    page(make([]byte, 9<<20)),
		"http://a/ocsp":    a.respond(map[int64]int{5: ocsp.Good, 66: ocsp.Revoked, 7: ocsp.Unknown}),
		"http://a/forged":  stranger.respond(map[int64]int{5: ocsp.Good}),
	}}
	c := New(Config{Client: w})
	list := func(s ...string) []string { return s }
	for i, test := range []struct {
		serial    int64
		crl, ocsp []string
		want      error
	}{
		{5, list("http://a/list"), nil, nil},
		{66, list("http://a/list"), nil, auth.ErrRevoked},
		{66, list("http://a/missing", "http://a/list"), nil, auth.ErrRevoked},
		{5, list("http://a/old"), nil, ErrUnknown}, {5, list("http://a/other"), nil, ErrUnknown},
		{5, list("http://a/junk"), nil, ErrUnknown}, {5, list("http://a/missing"), nil, ErrUnknown},
		{5, list("http://a/long"), nil, ErrUnknown}, {5, list("http://a/nowhere"), nil, ErrUnknown},
		{5, list("https://a/list", "ldap://a/list"), nil, ErrUnknown}, {5, nil, nil, ErrUnknown},
		{5, nil, list("http://a/ocsp"), nil}, {66, nil, list("http://a/ocsp"), auth.ErrRevoked},
		{7, nil, list("http://a/ocsp"), ErrUnknown}, {5, nil, list("http://a/forged"), ErrUnknown},
		{7, list("http://a/list"), list("http://a/ocsp"), nil},
		{66, list("http://a/list"), list("http://a/nowhere"), auth.ErrRevoked},
	} {
		err := c.Check(now, a.issue(test.serial, test.crl, test.ocsp), a.cert)
		if !errors.Is(err, test.want) || test.want == nil && err != nil {
			t.Errorf("%d: %v, want %v", i, err, test.want)
		}
	}
}

// TestCache: an answer is asked for once within its time, a failure soon again.
func TestCache(t *testing.T) {
	a := newAuthority(t)
	w := &web{pages: map[string]func([]byte) []byte{"http://a/list": page(a.list(now.Add(-time.Hour)))}}
	c := New(Config{Client: w, Entries: 3})
	ask := func(at time.Time, url string, want int) {
		t.Helper()
		w.asked = 0
		c.Check(at, a.issue(5, []string{url}, nil), a.cert)
		if w.asked != want {
			t.Errorf("%s: asked %d times, want %d", url, w.asked, want)
		}
	}
	ask(now, "http://a/list", 1)
	ask(now.Add(30*time.Minute), "http://a/list", 0)
	ask(now.Add(2*time.Hour), "http://a/list", 1)
	ask(now, "http://a/gone", 1)
	ask(now.Add(time.Second), "http://a/gone", 0)
	ask(now.Add(2*time.Minute), "http://a/gone", 1)
	for i := range 20 {
		ask(now, fmt.Sprintf("http://a/%d", i), 1)
	}
	if c.cache.Len() > 3 {
		t.Errorf("%d entries", c.cache.Len())
	}
}

// slow answers after a second, or not at all.
type slow struct {
	page  []byte
	mu    sync.Mutex
	asked int
}

func (s *slow) RoundTrip(r *http.Request) (*http.Response, error) {
	s.mu.Lock()
	s.asked++
	s.mu.Unlock()
	if s.page == nil {
		<-r.Context().Done()
		return nil, r.Context().Err()
	}
	time.Sleep(time.Second)
	return &http.Response{StatusCode: 200, Body: io.NopCloser(bytes.NewReader(s.page)), Request: r}, nil
}

// TestCacheKeepsWhatIsAskedFor: many certificates that name places of their own do not push
// out the list that everybody is looked up in.
func TestCacheKeepsWhatIsAskedFor(t *testing.T) {
	a := newAuthority(t)
	w := &web{pages: map[string]func([]byte) []byte{"http://a/list": page(a.list(now.Add(-time.Hour)))}}
	c := New(Config{Client: w, Entries: 8})
	usual := a.issue(5, []string{"http://a/list"}, nil)
	for i := range 200 {
		c.Check(now, a.issue(int64(100+i), []string{fmt.Sprintf("http://a/%d", i)}, nil), a.cert)
		if err := c.Check(now, usual, a.cert); err != nil {
			t.Fatal(err)
		}
	}
	if asked := w.asked - 200; asked != 1 {
		t.Errorf("the list was fetched %d times", asked)
	}
}

// TestAskedOnce: what many want to know at once is asked once.
func TestAskedOnce(t *testing.T) {
	a := newAuthority(t)
	synctest.Test(t, func(t *testing.T) {
		w := &slow{page: a.list(now.Add(-time.Hour), 66)}
		c := New(Config{Client: w})
		var all sync.WaitGroup
		for n := range 20 {
			cert := a.issue(int64(60+n), []string{"http://a/list"}, nil)
			all.Go(func() {
				if err := c.Check(now, cert, a.cert); errors.Is(err, auth.ErrRevoked) != (n == 6) {
					t.Errorf("%d: %v", n, err)
				}
			})
		}
		all.Wait()
		if w.asked != 1 {
			t.Errorf("asked %d times", w.asked)
		}
	})
}

// TestSilentPlace: a place that does not answer is left alone for a minute, whatever
// about it is asked.
func TestSilentPlace(t *testing.T) {
	a := newAuthority(t)
	synctest.Test(t, func(t *testing.T) {
		w := &slow{}
		c := New(Config{Client: w})
		began := time.Now()
		for n := range 10 {
			if err := c.Check(now, a.issue(int64(n+1), nil, []string{"http://a/ocsp"}), a.cert); !errors.Is(err, ErrUnknown) {
				t.Error(err)
			}
		}
		if took := time.Since(began); w.asked != 1 || took > 6*time.Second {
			t.Errorf("asked %d times, for %v", w.asked, took)
		}
		c.Check(now.Add(2*keepFailure), a.issue(50, nil, []string{"http://a/ocsp"}), a.cert)
		if w.asked != 2 {
			t.Error("never asked again")
		}
	})
}

// TestEndOfAsking: nobody waits for an answer longer than Config.Context lasts.
func TestEndOfAsking(t *testing.T) {
	a := newAuthority(t)
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		began := time.Now()
		New(Config{Client: &slow{}, Context: ctx}).Check(now, a.issue(5, nil, []string{"http://a/ocsp"}), a.cert)
		if took := time.Since(began); took != time.Second {
			t.Errorf("it took %v", took)
		}
	})
}
