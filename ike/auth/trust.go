package auth

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/x509"
	"encoding/asn1"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/culvert-vpn/culvert/internal/certificate"
)

// maxChain bounds the certificates of a path.
const maxChain = 10

// Purpose is what a certificate is used for.
type Purpose uint8

// The purposes.
const (
	PurposeServer Purpose = iota + 1 // the responder that a client dials
	PurposeClient
)

// Fault is why a certificate is refused.
type Fault uint8

// The faults.
const (
	FaultMissing     Fault = iota + 1 // none was sent
	FaultMalformed                    // it cannot be read
	FaultExpired                      //
	FaultNotYetValid                  //
	FaultUnknownCA                    // no path leads to an authority that is trusted
	FaultPurpose                      // its extended key usage does not allow it
	FaultName                         // it is not that of the identity claimed
	FaultRevoked                      //
	FaultUnknown                      // nothing says that it is not revoked, and Trust.Strict wants it said
	FaultKey                          // its key is too short or of an unknown kind
	FaultPath                         // a rule of RFC 5280 is broken: a constraint, a missing CA mark
)

var faultWords = map[Fault]string{
	FaultMissing: "no certificate was sent", FaultMalformed: "the certificate cannot be read",
	FaultExpired: "the certificate has expired", FaultNotYetValid: "the certificate is not valid yet",
	FaultUnknownCA: "the certificate was issued by an unknown authority",
	FaultPurpose:   "the certificate is for another purpose", FaultName: "the certificate has another name",
	FaultRevoked: "the certificate was revoked", FaultUnknown: "nothing tells whether the certificate was revoked",
	FaultKey: "the certificate's key is not accepted", FaultPath: "the certificate's path is not valid",
}

// String says it in words.
func (f Fault) String() string { return faultWords[f] }

// CertificateError says why a certificate is refused, and which one.
type CertificateError struct {
	Fault   Fault
	Subject string // of the certificate at fault, as RFC 2253 writes it; may be empty
	Detail  string // more, in words; may be empty
}

// Error is a sentence for the operator's log.
func (e *CertificateError) Error() string {
	s := "auth: " + e.Fault.String()
	if e.Subject != "" {
		s += fmt.Sprintf(" (%q)", e.Subject)
	}
	if e.Detail != "" {
		s += ": " + e.Detail
	}
	return s
}

// Unwrap returns ErrCertificate.
func (e *CertificateError) Unwrap() error { return ErrCertificate }

func fault(f Fault, c *x509.Certificate, format string, args ...any) error {
	e := &CertificateError{Fault: f, Detail: fmt.Sprintf(format, args...)}
	if c != nil {
		e.Subject = c.Subject.String()
	}
	return e
}

// Revocation finds out whether a certificate was revoked where that needs the
// network. It may take its time: give one only where Trust.Verify runs on a
// goroutine that may wait.
type Revocation interface {
	// Check returns nil if the certificate is good, ErrRevoked (with anything
	// around it) if it was revoked, and another error if nobody could say.
	Check(now time.Time, cert, issuer *x509.Certificate) error
}

// ErrRevoked is what a Revocation returns for a certificate that was revoked.
var ErrRevoked = errors.New("auth: revoked")

// Trust is who may issue the certificates of peers. It is not changed by use.
type Trust struct {
	Roots         []*x509.Certificate
	Intermediates []*x509.Certificate // known beside those that peers send
	CRLs          []*x509.RevocationList
	Revocation    Revocation // nil: CRLs only
	// Strict refuses certificates of which nothing says that they are good: no
	// list that is in force, and no answer from Revocation.
	Strict bool
}

// Verify builds a path from the first certificate, with the help of the others, to
// a root, and checks it for the purpose, for time and for revocation. It returns
// the path with the root at its end. The error is a *CertificateError.
func (t *Trust) Verify(now time.Time, sent []*x509.Certificate, p Purpose) ([]*x509.Certificate, error) {
	if len(sent) == 0 {
		return nil, fault(FaultMissing, nil, "")
	}
	leaf := sent[0]
	if err := checkKey(leaf); err != nil {
		return nil, err
	}
	between, err := t.between(sent)
	if err != nil {
		return nil, err
	}
	options := x509.VerifyOptions{
		Roots: pool(t.Roots), Intermediates: pool(between), CurrentTime: now,
		KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny},
	}
	paths, err := leaf.Verify(options)
	if err != nil {
		return nil, explain(err, now, leaf)
	}
	for _, path := range paths {
		if err = t.check(now, path, p); err == nil {
			return path, nil
		}
	}
	return nil, err
}

// check is what x509 does not do: our rule of purposes, and revocation.
func (t *Trust) check(now time.Time, path []*x509.Certificate, p Purpose) error {
	if len(path) > maxChain {
		return fault(FaultPath, path[0], "the path has %d certificates", len(path))
	}
	for _, c := range path[:max(1, len(path)-1)] {
		if !p.allowed(c) {
			return fault(FaultPurpose, c, "its extended key usage is %s, and %s is needed", usages(c), p)
		}
	}
	for i, c := range path[:len(path)-1] {
		if err := t.revoked(now, c, path[i+1]); err != nil {
			return err
		}
	}
	return nil
}

// affordable leaves out certificates of which the key is so long that verifying
// with it would be work for nothing.
func affordable(sent []*x509.Certificate) []*x509.Certificate {
	return slices.DeleteFunc(slices.Clone(sent), func(c *x509.Certificate) bool {
		key, ok := c.PublicKey.(*rsa.PublicKey)
		return ok && key.N.BitLen() > maxRSA
	})
}

// pool makes a set of certificates.
func pool(lists ...[]*x509.Certificate) *x509.CertPool {
	p := x509.NewCertPool()
	for _, c := range slices.Concat(lists...) {
		p.AddCert(c)
	}
	return p
}

// checkKey refuses keys with which no AUTH would be accepted.
func checkKey(c *x509.Certificate) error {
	switch key := c.PublicKey.(type) {
	case *rsa.PublicKey:
		if checkRSA(key) != nil {
			return fault(FaultKey, c, "RSA with %d bits", key.N.BitLen())
		}
	case *ecdsa.PublicKey:
		if curveHash(key.Curve) == 0 {
			return fault(FaultKey, c, "an elliptic curve that is not accepted")
		}
	case ed25519.PublicKey:
	default:
		return fault(FaultKey, c, "%v", c.PublicKeyAlgorithm)
	}
	return nil
}

// explain turns the error of x509 into a fault.
func explain(err error, now time.Time, leaf *x509.Certificate) error {
	var invalid x509.CertificateInvalidError
	var unknown x509.UnknownAuthorityError
	switch {
	case errors.As(err, &unknown):
		return fault(FaultUnknownCA, leaf, "issuer %q", leaf.Issuer.String())
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired && now.Before(invalid.Cert.NotBefore):
		return fault(FaultNotYetValid, invalid.Cert, "it begins at %s", stamp(invalid.Cert.NotBefore))
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired:
		return fault(FaultExpired, invalid.Cert, "at %s", stamp(invalid.Cert.NotAfter))
	case errors.As(err, &invalid) && invalid.Cert != nil:
		return fault(FaultPath, invalid.Cert, "%v", err)
	}
	return fault(FaultPath, leaf, "%v", err)
}

func stamp(t time.Time) string { return t.UTC().Format(time.RFC3339) }

// ikeIntermediate is Apple's and Cisco's extended key usage for IKE.
var ikeIntermediate = asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 8, 2, 2}

// String names the usage.
func (p Purpose) String() string {
	if p == PurposeServer {
		return "serverAuth"
	}
	return "clientAuth"
}

// allowed reports whether the extended key usage lets a certificate be used: none,
// any, the purpose's own, or the one for IKE, unless the other side's own stands
// beside that: a server's certificate does not make a client.
func (p Purpose) allowed(c *x509.Certificate) bool {
	if len(c.ExtKeyUsage) == 0 && len(c.UnknownExtKeyUsage) == 0 {
		return true
	}
	want, other := x509.ExtKeyUsageClientAuth, x509.ExtKeyUsageServerAuth
	if p == PurposeServer {
		want, other = other, want
	}
	return slices.Contains(c.ExtKeyUsage, want) || slices.Contains(c.ExtKeyUsage, x509.ExtKeyUsageAny) ||
		!slices.Contains(c.ExtKeyUsage, other) && slices.ContainsFunc(c.UnknownExtKeyUsage, ikeIntermediate.Equal)
}

// usages names the extended key usages of a certificate.
func usages(c *x509.Certificate) string {
	names := map[x509.ExtKeyUsage]string{
		x509.ExtKeyUsageServerAuth: "serverAuth", x509.ExtKeyUsageClientAuth: "clientAuth",
		x509.ExtKeyUsageEmailProtection: "emailProtection", x509.ExtKeyUsageCodeSigning: "codeSigning",
	}
	return distinctWords(c.ExtKeyUsage, func(u x509.ExtKeyUsage) string {
		if s, ok := names[u]; ok {
			return s
		}
		return fmt.Sprintf("usage %d", u)
	})
}

// revoked asks the lists, then Revocation.
func (t *Trust) revoked(now time.Time, c, issuer *x509.Certificate) error {
	known, why := false, "the authority's list is missing or out of date"
	for _, list := range t.CRLs {
		if !bytes.Equal(list.RawIssuer, issuer.RawSubject) || list.CheckSignatureFrom(issuer) != nil {
			continue
		}
		if when, ok := Listed(list, c); ok {
			return fault(FaultRevoked, c, "at %s, by the authority's list", stamp(when))
		}
		if err := certificate.Covers(list, c); err != nil {
			why = err.Error()
			continue
		}
		known = known || !now.Before(list.ThisUpdate) && (list.NextUpdate.IsZero() || now.Before(list.NextUpdate))
	}
	if known {
		return nil
	}
	if t.Revocation == nil {
		return t.unknown(c, why)
	}
	err := t.Revocation.Check(now, c, issuer)
	switch {
	case err == nil:
		return nil
	case errors.Is(err, ErrRevoked):
		return fault(FaultRevoked, c, "%v", err)
	}
	return t.unknown(c, err.Error())
}

func (t *Trust) unknown(c *x509.Certificate, why string) error {
	if t.Strict {
		return fault(FaultUnknown, c, "%s", why)
	}
	return nil
}

// Listed reports whether and when a list revokes a certificate. It does not check
// whose list it is.
func Listed(list *x509.RevocationList, c *x509.Certificate) (time.Time, bool) {
	const removeFromCRL = 8 // RFC 5280, section 5.3.1
	for _, e := range list.RevokedCertificateEntries {
		if e.SerialNumber.Cmp(c.SerialNumber) == 0 && e.ReasonCode != removeFromCRL {
			return e.RevocationTime, true
		}
	}
	return time.Time{}, false
}
