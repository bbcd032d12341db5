package certificate

import (
	"bytes"
	"crypto/x509"
	"encoding/asn1"
	"errors"
	"fmt"
	"slices"
	"unicode/utf8"
)

var (
	oidAltName = asn1.ObjectIdentifier{2, 5, 29, 17}
	oidUPN     = asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 311, 20, 2, 3}
)

var errTrailing = errors.New("certificate: bytes behind the certificate")

// Parse reads a certificate in DER, which is copied.
func Parse(der []byte) (*x509.Certificate, error) {
	c, err := x509.ParseCertificate(der)
	if err != nil {
		var ok bool
		if c, ok = parseRelabelled(der); !ok {
			return nil, err
		}
	}
	if names, ok := altNames(c); ok && len(names) > 0 {
		c.UnhandledCriticalExtensions = slices.DeleteFunc(c.UnhandledCriticalExtensions, oidAltName.Equal)
	}
	return c, nil
}

// ParseAll reads certificates in DER that stand one behind the other.
func ParseAll(der []byte) ([]*x509.Certificate, error) {
	var out []*x509.Certificate
	for len(der) > 0 {
		e, ok := elementAt(der, 0)
		if !ok {
			return nil, errTrailing
		}
		c, err := Parse(der[:e.end])
		if err != nil {
			return nil, fmt.Errorf("number %d: %w", len(out)+1, err)
		}
		out, der = append(out, c), der[e.end:]
	}
	return out, nil
}

// ParseList reads a revocation list in DER, which is copied, and refuses it as [CheckList]
// does.
func ParseList(der []byte) (*x509.RevocationList, error) {
	list, err := x509.ParseRevocationList(der)
	if err != nil {
		var ok bool
		if list, ok = parseListRelabelled(der); !ok {
			return nil, err
		}
	}
	if err := CheckList(list); err != nil {
		return nil, err
	}
	return list, nil
}

// parseRelabelled reads a certificate whose names have characters that their type does not
// have. The names are as they came, and so is what is signed.
func parseRelabelled(der []byte) (*x509.Certificate, bool) {
	tbs, fields, ok := signedFields(der)
	if ok && len(fields) > 0 && fields[0].tag == 0xa0 { // version
		fields = fields[1:]
	}
	if !ok || len(fields) < 5 {
		return nil, false
	}
	issuer, subject := fields[2], fields[4] // behind serial number and algorithm; validity between
	c, err := x509.ParseCertificate(relabel(der, issuer, subject))
	if err != nil {
		return nil, false
	}
	c.Raw = bytes.Clone(der)
	c.RawTBSCertificate, c.RawIssuer, c.RawSubject = tbs.of(c.Raw), issuer.of(c.Raw), subject.of(c.Raw)
	return c, true
}

// parseListRelabelled is the same for a list.
func parseListRelabelled(der []byte) (*x509.RevocationList, bool) {
	tbs, fields, ok := signedFields(der)
	if ok && len(fields) > 0 && fields[0].tag == 0x02 { // version
		fields = fields[1:]
	}
	if !ok || len(fields) < 2 {
		return nil, false
	}
	issuer := fields[1] // behind the algorithm
	list, err := x509.ParseRevocationList(relabel(der, issuer))
	if err != nil {
		return nil, false
	}
	list.Raw = bytes.Clone(der)
	list.RawTBSRevocationList, list.RawIssuer = tbs.of(list.Raw), issuer.of(list.Raw)
	return list, true
}

// signedFields are what is signed of a certificate or list, and the first fields of it.
func signedFields(der []byte) (tbs element, fields []element, ok bool) {
	whole, ok := elementAt(der, 0)
	if !ok || whole.end != len(der) {
		return tbs, nil, false
	}
	if tbs, ok = elementAt(der[:whole.end], whole.body); !ok {
		return tbs, nil, false
	}
	const enough = 6
	for at := tbs.body; at < tbs.end && len(fields) < enough; {
		f, ok := elementAt(der[:tbs.end], at)
		if !ok {
			return tbs, nil, false
		}
		fields, at = append(fields, f), f.end
	}
	return tbs, fields, true
}

// Types of strings.
const (
	tagUTF8      = 0x0c
	tagPrintable = 0x13
)

// relabel is a copy in which the strings of names that are no PrintableString, and say they
// are, say that they are UTF8String. All lengths stay.
func relabel(der []byte, names ...element) []byte {
	out := bytes.Clone(der)
	for _, name := range names {
		eachElement(out, name, func(set element) {
			eachElement(out, set, func(pair element) {
				eachElement(out, pair, func(v element) {
					if v.tag == tagPrintable && text(out[v.body:v.end]) {
						out[v.start] = tagUTF8
					}
				})
			})
		})
	}
	return out
}

// text reports whether all of b can be printed.
func text(b []byte) bool {
	return !bytes.ContainsFunc(b, func(r rune) bool { return r < ' ' || r > '~' })
}

// UPNs lists the names of users of Active Directory (userPrincipalName) that a certificate
// is for.
func UPNs(c *x509.Certificate) (out []string) {
	names, _ := altNames(c)
	for _, n := range names {
		if n.Tag != 0 {
			continue
		}
		var id asn1.ObjectIdentifier
		rest, err := asn1.Unmarshal(n.Bytes, &id)
		if err != nil || !id.Equal(oidUPN) {
			continue
		}
		var wrapped asn1.RawValue
		if _, err := asn1.Unmarshal(rest, &wrapped); err != nil {
			continue
		}
		var name asn1.RawValue
		if _, err := asn1.Unmarshal(wrapped.Bytes, &name); err == nil && name.Tag == asn1.TagUTF8String && len(name.Bytes) > 0 && utf8.Valid(name.Bytes) {
			out = append(out, string(name.Bytes))
		}
	}
	return out
}

// altNames reads the subject alternative names of all forms; false: there are none, or they
// cannot be read.
func altNames(c *x509.Certificate) (out []asn1.RawValue, ok bool) {
	for _, x := range c.Extensions {
		if !x.Id.Equal(oidAltName) {
			continue
		}
		var list asn1.RawValue
		if rest, err := asn1.Unmarshal(x.Value, &list); err != nil || len(rest) > 0 || list.Tag != asn1.TagSequence {
			return nil, false
		}
		for rest := list.Bytes; len(rest) > 0; {
			var n asn1.RawValue
			var err error
			if rest, err = asn1.Unmarshal(rest, &n); err != nil || n.Class != asn1.ClassContextSpecific || n.Tag > maxNameForm {
				return nil, false
			}
			out = append(out, n)
		}
		return out, true
	}
	return nil, false
}

// maxNameForm is the last form of a GeneralName (RFC 5280, section 4.2.1.6).
const maxNameForm = 8
