package auth

import (
	"bytes"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/culvert-vpn/culvert/ike/wire"
	"github.com/culvert-vpn/culvert/internal/certificate"
)

// maxCertificates bounds the certificates taken from one message or file.
const maxCertificates = 64

// MatchID checks that a certificate is that of the identity its owner claims (RFC
// 7296, section 3.5; RFC 4945, section 3.1). A name must be among the subject
// alternative names, or be the subject itself. The error is a *CertificateError.
func MatchID(c *x509.Certificate, id wire.ID2, p Purpose) error {
	data := string(id.Data)
	if data == "" { // no name is that of a certificate which has none
		return fault(FaultName, c, "the identity is empty, and the certificate's names are %s", strings.Join(Names(c), ", "))
	}
	ok := false
	switch id.Type {
	case wire.IDDERASN1DN:
		ok = bytes.Equal(id.Data, c.RawSubject) || sameName(id.Data, c.RawSubject)
	case wire.IDIPv4Addr, wire.IDIPv6Addr:
		a, valid := id.Addr()
		ok = valid && hasAddr(c, a)
	case wire.IDFQDN:
		ok = p == PurposeServer && matchHost(c, data)
	case wire.IDUserFQDN:
		ok = p == PurposeServer && matchMail(c, data)
	case wire.IDKeyID:
		ok = len(c.SubjectKeyId) > 0 && bytes.Equal(id.Data, c.SubjectKeyId)
	}
	if !ok && p == PurposeClient {
		_, ok = spelled(c, id)
	}
	if ok {
		return nil
	}
	return fault(FaultName, c, "the identity is %v, and the certificate's names are %s", id, strings.Join(Names(c), ", "))
}

// MatchHost checks that a server's certificate has the name or address that was
// dialled.
func MatchHost(c *x509.Certificate, host string) error {
	if matchHost(c, host) {
		return nil
	}
	return fault(FaultName, c, "%q was dialled, and the certificate's names are %s", host, strings.Join(Names(c), ", "))
}

// ClientName is the name under which the owner of a client's certificate is known. It is one
// of the certificate's, whatever the client calls itself: the one that it says, if the
// certificate has that, else the common name, or the first of the others.
func ClientName(c *x509.Certificate, id wire.ID2) string {
	if name, ok := spelled(c, id); ok {
		return name
	}
	if a, ok := id.Addr(); ok && hasAddr(c, a) {
		return a.String()
	}
	if c.Subject.CommonName != "" {
		return c.Subject.CommonName
	}
	return Identity(c)
}

// spelled finds the name that a client calls itself among those of its certificate, and
// returns it as the certificate has it. There are no wildcards: they would be names of many.
func spelled(c *x509.Certificate, id wire.ID2) (string, bool) {
	said := string(id.Data)
	if id.Type != wire.IDFQDN && id.Type != wire.IDUserFQDN && id.Type != wire.IDKeyID || said == "" {
		return "", false
	}
	if a, err := netip.ParseAddr(said); said == c.Subject.CommonName || err == nil && hasAddr(c, a) {
		return said, true
	}
	names := slices.Concat(c.EmailAddresses, c.DNSNames, certificate.UPNs(c))
	n := slices.IndexFunc(names, func(s string) bool { return strings.EqualFold(s, said) })
	if n < 0 {
		return "", false
	}
	return names[n], true
}

// Identity returns the name under which a client with this certificate is known: a
// mail address, a DNS name or the common name, the first that there is.
func Identity(c *x509.Certificate) string {
	return Names(c)[0]
}

// Names lists what a certificate calls its owner, at least one.
func Names(c *x509.Certificate) []string {
	out := slices.Concat(c.EmailAddresses, c.DNSNames)
	if c.Subject.CommonName != "" && !slices.Contains(out, c.Subject.CommonName) {
		out = append(out, c.Subject.CommonName)
	}
	out = append(out, certificate.UPNs(c)...)
	for _, ip := range c.IPAddresses {
		out = append(out, ip.String())
	}
	if subject := c.Subject.String(); subject != "" || len(out) > 0 {
		return append(out, subject)
	}
	return []string{fmt.Sprintf("serial number %v of %v", c.SerialNumber, c.Issuer)}
}

// hasAddr looks for an address, as Windows and Apple do also among the DNS names.
func hasAddr(c *x509.Certificate, a netip.Addr) bool {
	for _, ip := range c.IPAddresses {
		if got, ok := netip.AddrFromSlice(ip); ok && got.Unmap() == a.Unmap() {
			return true
		}
	}
	return slices.Contains(c.DNSNames, a.String())
}

func matchHost(c *x509.Certificate, host string) bool {
	if a, err := netip.ParseAddr(host); err == nil {
		return hasAddr(c, a)
	}
	return c.VerifyHostname(host) == nil
}

func matchMail(c *x509.Certificate, mail string) bool {
	return slices.ContainsFunc(c.EmailAddresses, func(s string) bool { return strings.EqualFold(s, mail) })
}

// sameName compares two DER names by what they say, for some peers encode their
// strings in another type than the certificate does.
func sameName(a, b []byte) bool {
	x, errX := wire.ParseDN(a)
	y, errY := wire.ParseDN(b)
	return errX == nil && errY == nil && x.String() == y.String() && x.String() != ""
}

// ParseCerts reads the certificates of CERT payloads, the leaf first. Payloads with
// other contents are passed over. The error is a *CertificateError.
func ParseCerts(list []wire.Cert2) ([]*x509.Certificate, error) {
	var out []*x509.Certificate
	for _, p := range list {
		if p.Encoding != wire.CertX509Signature {
			continue
		}
		c, err := certificate.Parse(p.Data)
		switch {
		case err != nil:
			return nil, fault(FaultMalformed, nil, "number %d of those sent: %v", len(out)+1, err)
		case len(out) == maxCertificates:
			return nil, fault(FaultMalformed, nil, "more than %d were sent", maxCertificates)
		}
		out = append(out, c)
	}
	return out, nil
}

// ParseCertificates reads a file of certificates in PEM or DER. Other things in a
// PEM file, such as keys, are passed over.
func ParseCertificates(b []byte) ([]*x509.Certificate, error) {
	return parseAll(b, "CERTIFICATE", certificate.Parse)
}

// ParseCRLs reads a file of revocation lists in PEM or DER. Signatures are checked
// when a list is used.
func ParseCRLs(b []byte) ([]*x509.RevocationList, error) {
	return parseAll(b, "X509 CRL", certificate.ParseList)
}

func parseAll[T any](b []byte, kind string, parse func([]byte) (*T, error)) ([]*T, error) {
	block, rest := pem.Decode(b)
	if block == nil {
		v, err := parse(b)
		if err != nil {
			return nil, fault(FaultMalformed, nil, "neither PEM nor DER: %v", err)
		}
		return []*T{v}, nil
	}
	var out []*T
	for ; block != nil; block, rest = pem.Decode(rest) {
		if block.Type != kind {
			continue
		}
		v, err := parse(block.Bytes)
		switch {
		case err != nil:
			return nil, fault(FaultMalformed, nil, "number %d of the file: %v", len(out)+1, err)
		case len(out) == maxCertificates:
			return nil, fault(FaultMalformed, nil, "the file has more than %d", maxCertificates)
		}
		out = append(out, v)
	}
	if len(out) == 0 {
		return nil, fault(FaultMissing, nil, "the file has no %s", kind)
	}
	return out, nil
}

func distinctWords[T any](list []T, word func(T) string) string {
	var out []string
	for _, v := range list {
		if w := word(v); !slices.Contains(out, w) {
			out = append(out, w)
		}
	}
	if len(out) == 0 {
		return "another"
	}
	return strings.Join(out, ", ")
}
