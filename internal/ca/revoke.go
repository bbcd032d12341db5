package ca

import (
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"math/big"
	"slices"
	"strings"
	"time"
)

// reasons are those that an operator may give, with their numbers (RFC 5280,
// section 5.3.1).
var reasons = map[string]int{
	"unspecified": 0, "keyCompromise": 1, "affiliationChanged": 3, "superseded": 4, "cessationOfOperation": 5,
}

// Reasons returns the reasons that Revoke takes.
func Reasons() []string {
	var out []string
	for name := range reasons {
		out = append(out, name)
	}
	slices.Sort(out)
	return out
}

// Revoke takes back the certificate of that name or serial number, in hexadecimal
// digits, and writes the list.
func (a *CA) Revoke(which, reason string) (Entry, error) {
	code, ok := reasons[reason]
	if !ok {
		return Entry{}, fmt.Errorf("%w: reason %q is none of %s", ErrOptions, reason, strings.Join(Reasons(), ", "))
	}
	i := a.find(which)
	if i < 0 {
		return Entry{}, fmt.Errorf("%w: %s was not issued here", ErrNotFound, which)
	}
	e := &a.index.Issued[i]
	if !e.Revoked.IsZero() {
		return *e, fmt.Errorf("%w: %s, at %s", ErrRevoked, which, e.Revoked.Format(time.RFC3339))
	}
	e.Revoked, e.Reason = a.now.UTC().Truncate(time.Second), code
	return *e, a.WriteCRL(DefaultCRL)
}

// find returns the place of a certificate, of several of one name that of the last.
func (a *CA) find(which string) int {
	serial := strings.ReplaceAll(which, ":", "")
	for i, e := range slices.Backward(a.index.Issued) {
		if e.Name == which || strings.EqualFold(e.Serial, serial) {
			return i
		}
	}
	return -1
}

// WriteCRL writes the revocation list with the next number, to be in force for so
// long. Certificates that have expired are left out.
func (a *CA) WriteCRL(valid time.Duration) error {
	if valid <= 0 {
		return fmt.Errorf("%w: a list has to be valid for some time", ErrOptions)
	}
	a.index.CRLNumber++
	list := &x509.RevocationList{Number: big.NewInt(a.index.CRLNumber), ThisUpdate: a.now.Add(-backdate), NextUpdate: a.now.Add(valid)}
	for _, e := range a.index.Issued {
		serial, ok := new(big.Int).SetString(e.Serial, 16)
		if ok && !e.Revoked.IsZero() && a.now.Before(e.NotAfter) {
			list.RevokedCertificateEntries = append(list.RevokedCertificateEntries,
				x509.RevocationListEntry{SerialNumber: serial, RevocationTime: e.Revoked, ReasonCode: e.Reason})
		}
	}
	der, err := x509.CreateRevocationList(a.rand, list, a.cert, a.key)
	if err != nil {
		return fmt.Errorf("ca: %w", err)
	}
	if err := a.writeIndex(); err != nil {
		return err
	}
	return a.replace("crl.pem", 0o644, pem.EncodeToMemory(&pem.Block{Type: "X509 CRL", Bytes: der}))
}
