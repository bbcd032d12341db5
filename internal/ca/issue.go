package ca

import (
	"crypto"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"fmt"
	"net"
	"regexp"
	"strings"
	"time"

	"software.sslmate.com/src/go-pkcs12"
)

// ikeIntermediate is what old versions of macOS want beside serverAuth.
var ikeIntermediate = asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 8, 2, 2}

// fileName is what the files of a certificate may be called.
var fileName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._@-]{0,99}$`)

// ServerOptions are those of a server's certificate.
type ServerOptions struct {
	// Names are what clients dial: host names and addresses. The first is the common
	// name, and the name of the files.
	Names []string
	Valid time.Duration // zero: DefaultIssued
}

// ClientOptions are those of a client's certificate.
type ClientOptions struct {
	Name  string        // a user's name or mail address
	Valid time.Duration // zero: DefaultIssued
	// Password protects the PKCS#12 file. Required.
	Password string
	// Modern encrypts it with AES, which macOS and iOS before 2025 and old versions of
	// Windows cannot open. Otherwise with what everybody can open: protect the file.
	Modern bool
}

// Issued says what was written.
type Issued struct {
	Certificate *x509.Certificate
	Files       []string
}

// Server issues the certificate of a server, as native clients want it: each name
// is a dNSName, addresses as well (Windows and Apple look there), and addresses are
// iPAddress too; extended key usage serverAuth and ikeIntermediate.
func (a *CA) Server(o ServerOptions) (Issued, error) {
	if len(o.Names) == 0 {
		return Issued{}, fmt.Errorf("%w: a server needs at least one name", ErrName)
	}
	c := &x509.Certificate{
		Subject:            pkix.Name{CommonName: o.Names[0]},
		ExtKeyUsage:        []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		UnknownExtKeyUsage: []asn1.ObjectIdentifier{ikeIntermediate},
	}
	for _, name := range o.Names {
		if err := checkHost(name); err != nil {
			return Issued{}, err
		}
		c.DNSNames = append(c.DNSNames, name)
		if ip := net.ParseIP(name); ip != nil {
			c.IPAddresses = append(c.IPAddresses, ip)
		}
	}
	file := strings.NewReplacer(":", "-", "*", "_").Replace(o.Names[0])
	return a.issue(c, "server", strings.TrimLeft(file, "-_."), o.Valid, nil)
}

var hostName = regexp.MustCompile(`^(\*\.)?[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?(\.[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?)*$`)

func checkHost(name string) error {
	if net.ParseIP(name) != nil || len(name) <= 253 && hostName.MatchString(name) {
		return nil
	}
	return fmt.Errorf("%w: %q is neither a host name nor an address", ErrName, name)
}

// Client issues the certificate of a client, with a PKCS#12 file that also holds
// the authority's certificate.
func (a *CA) Client(o ClientOptions) (Issued, error) {
	if o.Password == "" {
		return Issued{}, fmt.Errorf("%w: the PKCS#12 file needs a password", ErrOptions)
	}
	c := &x509.Certificate{
		Subject:     pkix.Name{CommonName: o.Name},
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}
	// The name is an alternative name as well: Apple's clients use it as their
	// identity, and it has to stand there.
	if strings.Contains(o.Name, "@") {
		c.EmailAddresses = []string{o.Name}
	} else if hostName.MatchString(o.Name) {
		c.DNSNames = []string{o.Name}
	}
	encoder := pkcs12.LegacyDES
	if o.Modern {
		encoder = pkcs12.Modern2023
	}
	return a.issue(c, "client", o.Name, o.Valid, func(key crypto.Signer, c *x509.Certificate) ([]byte, error) {
		return encoder.WithRand(a.rand).Encode(key, c, []*x509.Certificate{a.cert}, o.Password)
	})
}

// issue signs a certificate and writes its files; bundle makes the PKCS#12 file.
func (a *CA) issue(c *x509.Certificate, kind, file string, valid time.Duration,
	bundle func(crypto.Signer, *x509.Certificate) ([]byte, error)) (Issued, error) {
	if !fileName.MatchString(file) || file == "ca" || len(c.Subject.CommonName) > 64 {
		return Issued{}, fmt.Errorf("%w: %q", ErrName, file)
	}
	names := []string{file + ".key", file + ".crt", file + ".p12"}
	for _, name := range names {
		if err := a.absent(name); err != nil {
			return Issued{}, err
		}
	}
	key, c, err := a.sign(c, valid)
	if err != nil {
		return Issued{}, err
	}
	// The index first: a certificate that it does not name could not be revoked.
	a.index.Issued = append(a.index.Issued, Entry{Name: file, Kind: kind, Serial: c.SerialNumber.Text(16), NotAfter: c.NotAfter})
	if err := a.writeIndex(); err != nil {
		return Issued{}, err
	}
	if err := a.writeKey(names[0], key); err != nil {
		return Issued{}, err
	}
	if err := a.writePEM(names[1], 0o644, "CERTIFICATE", c.Raw); err != nil {
		return Issued{}, err
	}
	out := Issued{Certificate: c, Files: []string{a.path(names[0]), a.path(names[1])}}
	if bundle == nil {
		return out, nil
	}
	p12, err := bundle(key, c)
	if err != nil {
		return Issued{}, fmt.Errorf("ca: %w", err)
	}
	out.Files = append(out.Files, a.path(names[2]))
	return out, a.write(names[2], 0o600, p12)
}

// sign makes a key and completes and signs a certificate for it. None outlives the
// authority.
func (a *CA) sign(c *x509.Certificate, valid time.Duration) (crypto.Signer, *x509.Certificate, error) {
	if valid == 0 {
		valid = DefaultIssued
	}
	key, err := a.newKey(a.index.ECDSA)
	if err != nil {
		return nil, nil, err
	}
	if c.SerialNumber, err = a.serial(); err != nil {
		return nil, nil, err
	}
	c.NotBefore, c.NotAfter = a.now.Add(-backdate), a.now.Add(valid)
	if c.NotAfter.After(a.cert.NotAfter) {
		c.NotAfter = a.cert.NotAfter
	}
	if !c.NotAfter.After(a.now) {
		return nil, nil, fmt.Errorf("%w: the authority has expired, or the certificate would be born so", ErrOptions)
	}
	c.BasicConstraintsValid = true
	c.KeyUsage = x509.KeyUsageDigitalSignature
	if !a.index.ECDSA {
		c.KeyUsage |= x509.KeyUsageKeyEncipherment
	}
	if a.index.CRLURL != "" {
		c.CRLDistributionPoints = []string{a.index.CRLURL}
	}
	der, err := x509.CreateCertificate(a.rand, c, a.cert, key.Public(), a.key)
	if err != nil {
		return nil, nil, fmt.Errorf("ca: %w", err)
	}
	c, err = x509.ParseCertificate(der)
	return key, c, err
}
