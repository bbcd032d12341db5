package certificate

import (
	"crypto/x509"
	"encoding/asn1"
	"errors"
	"fmt"
	"slices"
)

// Which certificates a revocation list is about (RFC 5280, sections 5.2 and 6.3.3).

var (
	crlNumber         = asn1.ObjectIdentifier{2, 5, 29, 20}
	crlReason         = asn1.ObjectIdentifier{2, 5, 29, 21}
	crlInvalidity     = asn1.ObjectIdentifier{2, 5, 29, 24}
	crlDelta          = asn1.ObjectIdentifier{2, 5, 29, 27}
	crlScope          = asn1.ObjectIdentifier{2, 5, 29, 28}
	crlAuthorityKeyID = asn1.ObjectIdentifier{2, 5, 29, 35}
)

// ErrList is what CheckList and Covers return, with what is wrong around it.
var ErrList = errors.New("certificate: the list does not say who is good")

// scope is an IssuingDistributionPoint (RFC 5280, section 5.2.5).
type scope struct {
	Point      asn1.RawValue `asn1:"optional,tag:0"`
	Users      bool          `asn1:"optional,tag:1"`
	CAs        bool          `asn1:"optional,tag:2"`
	Reasons    asn1.RawValue `asn1:"optional,tag:3"`
	Indirect   bool          `asn1:"optional,tag:4"`
	Attributes bool          `asn1:"optional,tag:5"`
}

// CheckList refuses a list that must not be used on its own: with a critical extension
// that is not understood, of certificates of other issuers too, or with nothing but what has
// changed since another one.
func CheckList(list *x509.RevocationList) error {
	if _, err := scopeOf(list); err != nil {
		return err
	}
	for _, e := range list.RevokedCertificateEntries {
		for _, x := range e.Extensions {
			if x.Critical && !x.Id.Equal(crlReason) && !x.Id.Equal(crlInvalidity) {
				return fmt.Errorf("%w: an entry has the critical extension %v, which is not understood", ErrList, x.Id)
			}
		}
	}
	return nil
}

// Covers returns nil if a list that CheckList accepts would have the certificate on it, were
// it revoked: it is about certificates of its kind, and about those that name the place where
// the list is to be found.
func Covers(list *x509.RevocationList, c *x509.Certificate) error {
	s, err := scopeOf(list)
	switch {
	case err != nil:
		return err
	case s.Users && c.IsCA || s.CAs && !c.IsCA:
		return fmt.Errorf("%w: it is about other certificates", ErrList)
	case len(s.Reasons.FullBytes) > 0:
		return fmt.Errorf("%w: it is about some reasons only", ErrList)
	case len(s.Point.FullBytes) == 0:
		return nil
	}
	for _, name := range pointNames(s.Point) {
		if slices.Contains(c.CRLDistributionPoints, name) {
			return nil
		}
	}
	return fmt.Errorf("%w: it is about certificates that name another place", ErrList)
}

// scopeOf reads what the extensions of a list say about it.
func scopeOf(list *x509.RevocationList) (s scope, err error) {
	for _, x := range list.Extensions {
		switch {
		case x.Id.Equal(crlDelta):
			return s, fmt.Errorf("%w: it has nothing but changes (a delta)", ErrList)
		case x.Id.Equal(crlScope):
			if rest, err := asn1.Unmarshal(x.Value, &s); err != nil || len(rest) > 0 {
				return s, fmt.Errorf("%w: what it is about cannot be read", ErrList)
			}
		case x.Critical && !x.Id.Equal(crlNumber) && !x.Id.Equal(crlAuthorityKeyID):
			return s, fmt.Errorf("%w: it has the critical extension %v, which is not understood", ErrList, x.Id)
		}
	}
	if s.Indirect || s.Attributes {
		return s, fmt.Errorf("%w: it is about certificates of others", ErrList)
	}
	return s, nil
}

// pointNames lists the URIs of a DistributionPointName.
func pointNames(point asn1.RawValue) (out []string) {
	var name asn1.RawValue
	if _, err := asn1.Unmarshal(point.Bytes, &name); err != nil || name.Class != asn1.ClassContextSpecific || name.Tag != 0 {
		return nil
	}
	for rest := name.Bytes; len(rest) > 0; {
		var general asn1.RawValue
		var err error
		if rest, err = asn1.Unmarshal(rest, &general); err != nil {
			return out
		}
		if general.Class == asn1.ClassContextSpecific && general.Tag == 6 {
			out = append(out, string(general.Bytes))
		}
	}
	return out
}
