package auth

import (
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"testing"
	"time"
)

// made is a certificate with any names, signed by the key that all of them have.
func made(t *testing.T, serial int64, subject, issuer string, ca bool) *x509.Certificate {
	c := &x509.Certificate{Subject: pkix.Name{CommonName: subject}, IsCA: ca}
	if ca {
		c.KeyUsage = x509.KeyUsageCertSign
	}
	key := keysOnce()["p521"]
	return issueCert(t, c, &x509.Certificate{Subject: pkix.Name{CommonName: issuer}}, key, key, serial)
}

// fastest is the shortest of some times that f took.
func fastest(f func()) time.Duration {
	best := time.Hour
	for range 5 {
		began := time.Now()
		f()
		best = min(best, time.Since(began))
	}
	return best
}

// TestMadeUpCertificatesCostNothing: whoever makes up certificates of which each could be
// the issuer of each has no more verified than who has one of the authority, whether or
// not he knows the authority's name.
func TestMadeUpCertificatesCostNothing(t *testing.T) {
	root := newAuthority(t, "root", nil)
	trust := &Trust{Roots: []*x509.Certificate{root.cert}}
	right := []*x509.Certificate{root.issue(&x509.Certificate{Subject: pkix.Name{CommonName: "alice"}})}
	usual := fastest(func() {
		if _, err := trust.Verify(today, right, PurposeClient); err != nil {
			t.Fatal(err)
		}
	})
	for _, name := range []string{"nobody", "root"} {
		sent := []*x509.Certificate{made(t, 1, "alice", name, false)}
		for n := range int64(11) {
			sent = append(sent, made(t, 2+n, name, name, true))
		}
		var err error
		took := fastest(func() { _, err = trust.Verify(today, sent, PurposeClient) })
		var why *CertificateError
		if !errors.As(err, &why) || why.Fault != FaultPath {
			t.Errorf("issued by %q: %v", name, err)
		}
		if took > 3*usual {
			t.Errorf("issued by %q: they take %v, a right one %v", name, took, usual)
		}
	}
}

// TestManyWaysToAnAuthority: certificates of real authorities, cross-signed, renewed, sent
// twice and in any order, beside those that have nothing to do with them, are taken.
func TestManyWaysToAnAuthority(t *testing.T) {
	old, root := newAuthority(t, "old root", nil), newAuthority(t, "root", nil)
	below := newAuthority(t, "issuing", root)
	crossed := func(subject *authority, by *authority, serial int64) *x509.Certificate {
		c := &x509.Certificate{Subject: subject.cert.Subject, IsCA: true, KeyUsage: x509.KeyUsageCertSign}
		return issueCert(t, c, by.cert, subject.key, by.key, serial)
	}
	leaf := below.issue(&x509.Certificate{Subject: pkix.Name{CommonName: "alice"}})
	sent := []*x509.Certificate{leaf, made(t, 9, "other", "another", true), root.cert, crossed(below, old, 20), crossed(root, old, 21),
		below.cert, below.cert, crossed(below, root, 22), crossed(below, root, 23), made(t, 10, "another", "another", true)}
	for _, trusted := range []*authority{root, old} {
		trust := &Trust{Roots: []*x509.Certificate{trusted.cert}}
		path, err := trust.Verify(today, sent, PurposeClient)
		if err != nil || !path[len(path)-1].Equal(trusted.cert) {
			t.Errorf("%v: %v", trusted.cert.Subject, err)
		}
	}
	pinned := &Trust{Roots: []*x509.Certificate{leaf}}
	if _, err := pinned.Verify(today, sent, PurposeClient); err != nil {
		t.Errorf("a certificate that is trusted itself: %v", err)
	}
}
