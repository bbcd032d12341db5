package revocation

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"math/big"
	"testing"
	"time"

	"golang.org/x/crypto/ocsp"

	"github.com/culvert-vpn/culvert/ike/auth"
)

// holder is somebody with a certificate.
type holder struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

// holder issues a certificate to a key of its own, changed by edit.
func (a *authority) holder(serial int64, edit func(*x509.Certificate)) holder {
	a.t.Helper()
	h := holder{}
	h.key, _ = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	c := &x509.Certificate{SerialNumber: big.NewInt(serial), Subject: pkix.Name{CommonName: "holder"}, NotBefore: now.AddDate(-1, 0, 0),
		NotAfter: now.AddDate(1, 0, 0), KeyUsage: x509.KeyUsageDigitalSignature, OCSPServer: []string{"http://a/ocsp"}}
	edit(c)
	der, err := x509.CreateCertificate(rand.Reader, c, a.cert, h.key.Public(), a.key)
	if err == nil {
		h.cert, err = x509.ParseCertificate(der)
	}
	if err != nil {
		a.t.Fatal(err)
	}
	return h
}

// answers is a responder that says good of everything, and signs as h.
func (h holder) answers(t *testing.T, issuer *x509.Certificate, edit func(*ocsp.Response)) func([]byte) []byte {
	return func(body []byte) []byte {
		r, err := ocsp.ParseRequest(body)
		if err != nil {
			return nil
		}
		answer := ocsp.Response{Status: ocsp.Good, SerialNumber: r.SerialNumber, Certificate: h.cert,
			ThisUpdate: now.Add(-time.Hour), NextUpdate: now.Add(time.Hour)}
		if edit != nil {
			edit(&answer)
		}
		b, err := ocsp.CreateResponse(issuer, h.cert, answer, h.key)
		if err != nil {
			t.Error(err)
		}
		return b
	}
}

// TestOnlyWhoTheIssuerNamesAnswersForIt: of all the certificates that an authority has
// issued, those that say OCSP speak for it, while they are valid. A client's own certificate,
// revoked or not, does not vouch for itself.
func TestOnlyWhoTheIssuerNamesAnswersForIt(t *testing.T) {
	a, other := newAuthority(t), newAuthority(t)
	usage := func(list ...x509.ExtKeyUsage) func(*x509.Certificate) {
		return func(c *x509.Certificate) { c.ExtKeyUsage = list }
	}
	client := a.holder(66, usage(x509.ExtKeyUsageClientAuth))
	ocspOnly := usage(x509.ExtKeyUsageOCSPSigning)
	for name, x := range map[string]struct {
		signer holder
		ok     bool
	}{
		"the issuer":                        {holder{a.cert, a.key}, true},
		"a responder that the issuer names": {a.holder(100, ocspOnly), true},
		"the client itself":                 {client, false},
		"a certificate without usages":      {a.holder(101, func(*x509.Certificate) {}), false},
		"a certificate for any usage":       {a.holder(102, usage(x509.ExtKeyUsageAny)), false},
		"a server":                          {a.holder(103, usage(x509.ExtKeyUsageServerAuth)), false},
		"another authority's responder":     {other.holder(104, ocspOnly), false},
		"another authority":                 {holder{other.cert, other.key}, false},
		"a responder that was one": {a.holder(105, func(c *x509.Certificate) {
			ocspOnly(c)
			c.NotAfter = now.Add(-time.Hour)
		}), false},
		"a responder that will be one": {a.holder(106, func(c *x509.Certificate) {
			ocspOnly(c)
			c.NotBefore = now.Add(time.Hour)
		}), false},
		"a responder whose key is for something else": {a.holder(107, func(c *x509.Certificate) {
			ocspOnly(c)
			c.KeyUsage = x509.KeyUsageKeyEncipherment
		}), false},
	} {
		t.Run(name, func(t *testing.T) {
			w := &web{pages: map[string]func([]byte) []byte{"http://a/ocsp": x.signer.answers(t, a.cert, nil)}}
			err := New(Config{Client: w}).Check(now, client.cert, a.cert)
			if (err == nil) != x.ok || err != nil && !errors.Is(err, ErrUnknown) {
				t.Errorf("%v", err)
			}
		})
	}
}

// TestIssuerBelowARootAnswers: an authority that is not a root may send its own certificate
// with its answer.
func TestIssuerBelowARootAnswers(t *testing.T) {
	root := newAuthority(t)
	below := root.holder(7, func(c *x509.Certificate) {
		c.Subject.CommonName, c.IsCA, c.BasicConstraintsValid, c.KeyUsage = "below", true, true, x509.KeyUsageCertSign|x509.KeyUsageDigitalSignature
	})
	ca := &authority{t: t, key: below.key, cert: below.cert}
	client := ca.holder(66, func(*x509.Certificate) {})
	w := &web{pages: map[string]func([]byte) []byte{"http://a/ocsp": below.answers(t, below.cert, nil)}}
	if err := New(Config{Client: w}).Check(now, client.cert, below.cert); err != nil {
		t.Error(err)
	}
}

// TestOldAnswersAreNotPlayedBack: an answer that does not say until when it holds does so for
// a day.
func TestOldAnswersAreNotPlayedBack(t *testing.T) {
	a := newAuthority(t)
	client := a.holder(66, func(*x509.Certificate) {})
	for _, x := range []struct {
		age time.Duration
		ok  bool
	}{{time.Hour, true}, {23 * time.Hour, true}, {25 * time.Hour, false}, {365 * 24 * time.Hour, false}} {
		w := &web{pages: map[string]func([]byte) []byte{"http://a/ocsp": holder{a.cert, a.key}.answers(t, a.cert, func(r *ocsp.Response) {
			r.ThisUpdate, r.NextUpdate, r.Certificate = now.Add(-x.age), time.Time{}, nil
		})}}
		if err := New(Config{Client: w}).Check(now, client.cert, a.cert); (err == nil) != x.ok {
			t.Errorf("%v old: %v", x.age, err)
		}
	}
}

// TestListsOfOthersDoNotCount: a list that is not about the certificate at hand, or that
// says something which nobody here understands, tells nothing of it; what is on a list that
// is understood is revoked.
func TestListsOfOthersDoNotCount(t *testing.T) {
	a := newAuthority(t)
	place := "http://a/list"
	for name, x := range map[string]struct {
		extensions []pkix.Extension
		entry      []pkix.Extension
		good       error // of a certificate that is not on the list
		revoked    error // of one that is
	}{
		"all":                           {nil, nil, nil, auth.ErrRevoked},
		"users only":                    {[]pkix.Extension{idp(0x81, 1, 0xff)}, nil, nil, auth.ErrRevoked},
		"authorities only":              {[]pkix.Extension{idp(0x82, 1, 0xff)}, nil, ErrUnknown, auth.ErrRevoked},
		"some reasons only":             {[]pkix.Extension{idp(0x83, 2, 1, 2)}, nil, ErrUnknown, auth.ErrRevoked},
		"other issuers' as well":        {[]pkix.Extension{idp(0x84, 1, 0xff)}, nil, ErrUnknown, ErrUnknown},
		"attribute certificates":        {[]pkix.Extension{idp(0x85, 1, 0xff)}, nil, ErrUnknown, ErrUnknown},
		"this place":                    {[]pkix.Extension{idp(point(place)...)}, nil, nil, auth.ErrRevoked},
		"another place":                 {[]pkix.Extension{idp(point("http://a/elsewhere")...)}, nil, ErrUnknown, auth.ErrRevoked},
		"a scope that cannot be read":   {[]pkix.Extension{{Id: []int{2, 5, 29, 28}, Critical: true, Value: []byte("junk")}}, nil, ErrUnknown, ErrUnknown},
		"changes only":                  {[]pkix.Extension{{Id: []int{2, 5, 29, 27}, Critical: true, Value: []byte{2, 1, 1}}}, nil, ErrUnknown, ErrUnknown},
		"something critical":            {[]pkix.Extension{{Id: []int{1, 2, 3, 4}, Critical: true, Value: []byte{5, 0}}}, nil, ErrUnknown, ErrUnknown},
		"something that may be ignored": {[]pkix.Extension{{Id: []int{1, 2, 3, 4}, Value: []byte{5, 0}}}, nil, nil, auth.ErrRevoked},
		"an entry of another issuer":    {nil, []pkix.Extension{{Id: []int{2, 5, 29, 29}, Critical: true, Value: []byte{0x30, 0}}}, ErrUnknown, ErrUnknown},
	} {
		t.Run(name, func(t *testing.T) {
			list := &x509.RevocationList{Number: big.NewInt(1), ThisUpdate: now.Add(-time.Hour), NextUpdate: now.Add(48 * time.Hour), ExtraExtensions: x.extensions,
				RevokedCertificateEntries: []x509.RevocationListEntry{{SerialNumber: big.NewInt(66), RevocationTime: now.Add(-time.Hour), ExtraExtensions: x.entry}}}
			b, err := x509.CreateRevocationList(rand.Reader, list, a.cert, a.key)
			if err != nil {
				t.Fatal(err)
			}
			for serial, want := range map[int64]error{5: x.good, 66: x.revoked} {
				c := New(Config{Client: &web{pages: map[string]func([]byte) []byte{place: page(b)}}})
				if err := c.Check(now, a.issue(serial, []string{place}, nil), a.cert); !errors.Is(err, want) || want == nil && err != nil {
					t.Errorf("of %d: %v, want %v", serial, err, want)
				}
			}
		})
	}
}

// idp is an IssuingDistributionPoint with that content.
func idp(content ...byte) pkix.Extension {
	return pkix.Extension{Id: []int{2, 5, 29, 28}, Critical: true, Value: append([]byte{0x30, byte(len(content))}, content...)}
}

// point is a distributionPoint with a URI.
func point(uri string) []byte {
	name := append([]byte{0x86, byte(len(uri))}, uri...)
	full := append([]byte{0xa0, byte(len(name))}, name...)
	return append([]byte{0xa0, byte(len(full))}, full...)
}
