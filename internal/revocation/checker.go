package revocation

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"time"

	"golang.org/x/crypto/ocsp"

	"github.com/culvert-vpn/culvert/ike/auth"
)

// ErrUnknown: nobody could say whether a certificate is good.
var ErrUnknown = errors.New("revocation: no answer")

// errSilent: a place did not answer at all.
var errSilent = errors.New("no answer")

// Config is what a Checker needs. Zero fields take their defaults.
type Config struct {
	Timeout time.Duration     // of one request (5 s)
	MaxSize int64             // of an answer in bytes (8 MiB)
	Entries int               // of the cache (1024)
	Client  http.RoundTripper // nil: over the network, no connection kept
	// Context ends all asking; nil: nothing does.
	Context context.Context
	// Waiting is told when a Check begins to wait for the network, and calls what it
	// returned when that is over; nil: nobody is told.
	Waiting func() (over func())
}

// The bounds of how long answers are kept.
const (
	keepAnswer  = time.Hour
	keepFailure = time.Minute
	maxPlaces   = 4 // asked for one certificate
)

// Checker finds out about certificates.
type Checker struct {
	c    Config
	http *http.Client

	mu    sync.Mutex
	cache map[string]answer
	asked map[string]chan struct{} // what somebody asks now; closed when it is in the cache
}

// answer is what was found out, good or bad.
type answer struct {
	until time.Time
	list  *x509.RevocationList // of a list
	err   error                // of a failure, or of a certificate by OCSP
}

// New returns a Checker.
func New(c Config) *Checker {
	if c.Timeout <= 0 {
		c.Timeout = 5 * time.Second
	}
	if c.MaxSize <= 0 {
		c.MaxSize = 8 << 20
	}
	if c.Entries <= 0 {
		c.Entries = 1024
	}
	if c.Context == nil {
		c.Context = context.Background()
	}
	if c.Waiting == nil {
		c.Waiting = func() func() { return func() {} }
	}
	if c.Client == nil { // asked once an hour and place: no connection is kept
		c.Client = &http.Transport{Proxy: http.ProxyFromEnvironment, DisableKeepAlives: true}
	}
	client := &http.Client{Transport: c.Client, Timeout: c.Timeout,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	return &Checker{c: c, http: client, cache: make(map[string]answer), asked: make(map[string]chan struct{})}
}

// Check returns nil if the certificate is good, an error around auth.ErrRevoked if
// it was revoked, and one around ErrUnknown if nobody could say.
func (c *Checker) Check(now time.Time, cert, issuer *x509.Certificate) error {
	var failed []error
	ask := func(places []string, check func(string) error) (error, bool) {
		for _, place := range places[:min(len(places), maxPlaces)] {
			if !strings.HasPrefix(place, "http://") {
				continue
			}
			err := check(place)
			if err == nil || errors.Is(err, auth.ErrRevoked) {
				return err, true
			}
			failed = append(failed, err)
		}
		return nil, false
	}
	if err, ok := ask(cert.OCSPServer, func(url string) error { return c.checkOCSP(now, url, cert, issuer) }); ok {
		return err
	}
	if err, ok := ask(cert.CRLDistributionPoints, func(url string) error { return c.checkList(now, url, cert, issuer) }); ok {
		return err
	}
	if len(failed) == 0 {
		return fmt.Errorf("%w: the certificate names no place to ask", ErrUnknown)
	}
	return fmt.Errorf("%w: %w", ErrUnknown, errors.Join(failed...))
}

// checkOCSP asks a responder.
func (c *Checker) checkOCSP(now time.Time, url string, cert, issuer *x509.Certificate) error {
	key := fmt.Sprintf("ocsp %s %x %x", url, sha256.Sum256(issuer.RawSubjectPublicKeyInfo), cert.SerialNumber)
	return c.cached(now, url, key, func() answer {
		request, err := ocsp.CreateRequest(cert, issuer, nil)
		if err != nil {
			return answer{err: err}
		}
		b, err := c.fetch(http.MethodPost, url, "application/ocsp-request", request)
		if err != nil {
			return answer{err: err}
		}
		r, err := ocsp.ParseResponseForCert(b, cert, issuer)
		if err != nil {
			return answer{err: fmt.Errorf("%s: %w", url, err)}
		}
		return judge(now, url, r)
	}).err
}

// judge reads an answer of OCSP whose signature is good.
func judge(now time.Time, url string, r *ocsp.Response) answer {
	if now.Before(r.ThisUpdate.Add(-keepAnswer)) || !r.NextUpdate.IsZero() && !now.Before(r.NextUpdate) {
		return answer{err: fmt.Errorf("%s: the answer is out of date", url)}
	}
	a := answer{until: soonest(now.Add(keepAnswer), r.NextUpdate)}
	switch r.Status {
	case ocsp.Good:
	case ocsp.Revoked:
		a.err = fmt.Errorf("%w at %s, says %s", auth.ErrRevoked, r.RevokedAt.UTC().Format(time.RFC3339), url)
	default:
		a.err = fmt.Errorf("%s does not know the certificate", url)
	}
	return a
}

// checkList looks into a list.
func (c *Checker) checkList(now time.Time, url string, cert, issuer *x509.Certificate) error {
	key := fmt.Sprintf("list %s %x", url, sha256.Sum256(issuer.RawSubjectPublicKeyInfo))
	a := c.cached(now, url, key, func() answer { return c.fetchList(now, url, issuer) })
	if a.err != nil {
		return a.err
	}
	if when, ok := auth.Listed(a.list, cert); ok {
		return fmt.Errorf("%w at %s, says %s", auth.ErrRevoked, when.UTC().Format(time.RFC3339), url)
	}
	return nil
}

// fetchList fetches a list and checks whose it is and whether it is in force.
func (c *Checker) fetchList(now time.Time, url string, issuer *x509.Certificate) answer {
	b, err := c.fetch(http.MethodGet, url, "", nil)
	if err != nil {
		return answer{err: err}
	}
	lists, err := auth.ParseCRLs(b)
	if err != nil {
		return answer{err: fmt.Errorf("%s: %w", url, err)}
	}
	list := lists[0]
	switch {
	case !bytes.Equal(list.RawIssuer, issuer.RawSubject) || list.CheckSignatureFrom(issuer) != nil:
		return answer{err: fmt.Errorf("%s: the list is not the issuer's", url)}
	case now.Before(list.ThisUpdate) || !list.NextUpdate.IsZero() && !now.Before(list.NextUpdate):
		return answer{err: fmt.Errorf("%s: the list is out of date", url)}
	}
	return answer{list: list, until: soonest(now.Add(keepAnswer), list.NextUpdate)}
}

func soonest(a, b time.Time) time.Time {
	if b.IsZero() || a.Before(b) {
		return a
	}
	return b
}

// fetch does one request within the bounds.
func (c *Checker) fetch(method, url, kind string, body []byte) ([]byte, error) {
	ctx, cancel := context.WithTimeout(c.c.Context, c.c.Timeout)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, method, url, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	if kind != "" {
		r.Header.Set("Content-Type", kind)
	}
	resp, err := c.http.Do(r)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errSilent, err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("%s: %s", url, resp.Status)
	}
	b, err := io.ReadAll(io.LimitReader(resp.Body, c.c.MaxSize+1))
	if err != nil {
		return nil, fmt.Errorf("%w: %s: %w", errSilent, url, err)
	}
	if int64(len(b)) > c.c.MaxSize {
		return nil, fmt.Errorf("%s: more than %d bytes", url, c.c.MaxSize)
	}
	return b, nil
}

// cached returns what is known, or has it found out at a place and keeps it. Who wants
// to know the same meanwhile waits for that.
func (c *Checker) cached(now time.Time, place, key string, find func() answer) answer {
	for {
		c.mu.Lock()
		a, known := c.known(now, place, key)
		busy := c.asked[key]
		if !known && busy == nil {
			c.asked[key] = make(chan struct{})
		}
		c.mu.Unlock()
		switch {
		case known:
			return a
		case busy == nil:
			return c.ask(now, place, key, find)
		}
		over := c.c.Waiting()
		<-busy
		over()
	}
}

// known looks into the cache. A place that did not answer is not asked again at once,
// whatever about.
func (c *Checker) known(now time.Time, place, key string) (answer, bool) {
	for _, k := range []string{key, place} {
		if a, ok := c.cache[k]; ok && now.Before(a.until) {
			return a, true
		}
	}
	return answer{}, false
}

// ask finds an answer out and keeps it.
func (c *Checker) ask(now time.Time, place, key string, find func() answer) answer {
	over := c.c.Waiting()
	a := find()
	over()
	if a.until.IsZero() {
		a.until = now.Add(keepFailure)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.keep(now, key, a)
	if errors.Is(a.err, errSilent) {
		c.keep(now, place, a)
	}
	close(c.asked[key])
	delete(c.asked, key)
	return a
}

func (c *Checker) keep(now time.Time, key string, a answer) {
	c.makeRoom(now)
	c.cache[key] = a
}

// makeRoom drops what is out of date, and if that is nothing, anything.
func (c *Checker) makeRoom(now time.Time) {
	if len(c.cache) < c.c.Entries {
		return
	}
	for key, a := range c.cache {
		if !now.Before(a.until) {
			delete(c.cache, key)
		}
	}
	for key := range c.cache {
		if len(c.cache) < c.c.Entries {
			return
		}
		delete(c.cache, key)
	}
}
