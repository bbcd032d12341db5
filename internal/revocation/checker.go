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
	"slices"
	"strings"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"
	"golang.org/x/crypto/ocsp"
	"golang.org/x/sync/singleflight"

	"github.com/culvert-vpn/culvert/ike/auth"
	"github.com/culvert-vpn/culvert/internal/certificate"
	"github.com/culvert-vpn/culvert/internal/x/deadline"
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
}

// The bounds of how long answers are kept.
const (
	keepAnswer  = time.Hour
	keepFailure = time.Minute
	keepUndated = 24 * time.Hour // since it was made, where it does not say itself
	maxPlaces   = 4              // asked for one certificate
)

// Checker finds out about certificates.
type Checker struct {
	c     Config
	http  *http.Client
	cache *lru.Cache[string, answer]
	asked singleflight.Group
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
	if c.Client == nil { // asked once an hour and place: no connection is kept
		c.Client = &http.Transport{Proxy: http.ProxyFromEnvironment, DisableKeepAlives: true}
	}
	client := &http.Client{Transport: c.Client, Timeout: c.Timeout,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	cache, _ := lru.New[string, answer](c.Entries) // refuses a size below one
	return &Checker{c: c, http: client, cache: cache}
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
		r, err := ocsp.ParseResponseForCert(b, cert, nil)
		if err == nil {
			err = checkSigner(now, r, issuer)
		}
		if err != nil {
			return answer{err: fmt.Errorf("%s: %w", url, err)}
		}
		return judge(now, url, r)
	}).err
}

// errSigner: somebody has signed who may not speak for the issuer.
var errSigner = errors.New("the answer is signed by somebody who may not")

// checkSigner wants the issuer's own signature, or that of a responder which the issuer
// itself has named: "a certificate's issuer MUST ... sign the OCSP responses itself or
// explicitly designate this authority ... by the inclusion of id-kp-OCSPSigning in an extended
// key usage certificate extension", issued "directly" by it (RFC 6960, section 4.2.2.2).
// A certificate that comes with the answer has signed it; that was checked.
func checkSigner(now time.Time, r *ocsp.Response, issuer *x509.Certificate) error {
	signer := r.Certificate
	if signer == nil {
		return r.CheckSignatureFrom(issuer)
	}
	if bytes.Equal(signer.RawSubjectPublicKeyInfo, issuer.RawSubjectPublicKeyInfo) {
		return nil
	}
	switch {
	case !bytes.Equal(signer.RawIssuer, issuer.RawSubject) || signer.CheckSignatureFrom(issuer) != nil:
		return fmt.Errorf("%w: the issuer did not issue its certificate", errSigner)
	case !slices.Contains(signer.ExtKeyUsage, x509.ExtKeyUsageOCSPSigning):
		return fmt.Errorf("%w: its certificate is not for OCSP", errSigner)
	case now.Before(signer.NotBefore) || now.After(signer.NotAfter):
		return fmt.Errorf("%w: its certificate is out of date", errSigner)
	case signer.KeyUsage != 0 && signer.KeyUsage&x509.KeyUsageDigitalSignature == 0:
		return fmt.Errorf("%w: the key of its certificate is not for signatures", errSigner)
	}
	return nil
}

// inForce reports whether an answer made at this is in force, and until when. One that does
// not say when it ends does so after a day: else an old one could be played back for ever.
func inForce(now, this, next time.Time) (until time.Time, ok bool) {
	if next.IsZero() {
		next = this.Add(keepUndated)
	}
	return deadline.Earliest(now.Add(keepAnswer), next), now.Before(next)
}

// judge reads an answer of OCSP whose signature is good.
func judge(now time.Time, url string, r *ocsp.Response) answer {
	until, ok := inForce(now, r.ThisUpdate, r.NextUpdate)
	if !ok || now.Before(r.ThisUpdate.Add(-keepAnswer)) {
		return answer{err: fmt.Errorf("%s: the answer is out of date", url)}
	}
	a := answer{until: until}
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
	if err := certificate.Covers(a.list, cert); err != nil {
		return fmt.Errorf("%s: %w", url, err)
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
	until, ok := inForce(now, list.ThisUpdate, list.NextUpdate)
	switch {
	case !bytes.Equal(list.RawIssuer, issuer.RawSubject) || list.CheckSignatureFrom(issuer) != nil:
		return answer{err: fmt.Errorf("%s: the list is not the issuer's", url)}
	case !ok || now.Before(list.ThisUpdate):
		return answer{err: fmt.Errorf("%s: the list is out of date", url)}
	}
	return answer{list: list, until: until}
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
	if a, known := c.known(now, place, key); known {
		return a
	}
	v, _, _ := c.asked.Do(key, func() (any, error) {
		if a, known := c.known(now, place, key); known { // since we looked
			return a, nil
		}
		return c.ask(now, place, key, find), nil
	})
	return v.(answer)
}

// known looks into the cache. A place that did not answer is not asked again at once,
// whatever about.
func (c *Checker) known(now time.Time, place, key string) (answer, bool) {
	for _, k := range []string{key, place} {
		if a, ok := c.cache.Get(k); ok && now.Before(a.until) {
			return a, true
		}
	}
	return answer{}, false
}

// ask finds an answer out and keeps it.
func (c *Checker) ask(now time.Time, place, key string, find func() answer) answer {
	a := find()
	if a.until.IsZero() {
		a.until = now.Add(keepFailure)
	}
	c.cache.Add(key, a)
	if errors.Is(a.err, errSilent) {
		c.cache.Add(place, a)
	}
	return a
}
