package dialer

import (
	"crypto"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"time"

	"github.com/culvert-vpn/culvert/ike"
	"github.com/culvert-vpn/culvert/ike/auth"
	"github.com/culvert-vpn/culvert/ike/wire"
)

// DialV2 is how a call by IKEv2, in tunnel mode unless said otherwise, is authenticated. Without
// Certificate the pre-shared key of DialConfig is used, or, where there is none,
// its user and password by EAP-MSCHAPv2.
type DialV2 struct {
	// Name is what the server's certificate must say; empty: any name.
	Name string
	// Verify decides on the server's certificate; nil: it must have our key.
	Verify ike.Verifier
	// Authorities are those whose certificates Verify takes.
	Authorities []*x509.Certificate
	// Certificate is what we prove who we are with; nil: see above.
	Certificate *ike.Certificate
	// Transport calls L2TP in transport mode instead, as NetworkManager can.
	Transport bool
	// PPK is a post-quantum key that is added to the others; nil: none.
	PPK *DialPPK
}

// DialPPK is a post-quantum pre-shared key (RFC 8784).
type DialPPK struct {
	ID     string // its name, which the server is told
	Secret []byte
	// Optional calls servers that do not have it, too.
	Optional bool
}

// DialEAPTLS makes a call prove itself by EAP-TLS (RFC 5216) where the server asks by EAP.
type DialEAPTLS struct {
	// Certificate is what we prove who we are with.
	Certificate *ike.Certificate
	// Verify decides on the server's certificates, the leaf first.
	Verify func(now time.Time, sent []*x509.Certificate) error
}

// Credentials are what a call by IKEv2 is authenticated with, as files hold it.
type Credentials struct {
	// Authorities, in PEM, issue the server's certificate; empty: the server must
	// have our pre-shared key.
	Authorities []byte
	// Chain and Key, in PEM, are our own certificate; empty: none.
	Chain, Key []byte
}

// NewDialV2 makes a call by IKEv2 of what files hold. name is whom we dial.
func NewDialV2(name string, c Credentials) (*DialV2, error) {
	d := &DialV2{}
	var err error
	if len(c.Authorities) > 0 {
		d.Name = name
		if d.Authorities, d.Verify, err = c.verifier(); err != nil {
			return nil, err
		}
	}
	if len(c.Chain) == 0 {
		return d, nil
	}
	d.Certificate, err = c.certificate()
	return d, err
}

// DialSigned is how a call by IKEv1 is authenticated by certificates, instead of
// the pre-shared key.
type DialSigned struct {
	// Name is what the server's certificate must say; empty: any name.
	Name string
	// Verify decides on the server's certificate, and Certificate, with an RSA key,
	// is what we prove who we are with.
	Verify      ike.Verifier
	Certificate *ike.Certificate
}

// NewDialSigned makes a call by IKEv1 of what files hold. name is whom we dial.
func NewDialSigned(name string, c Credentials) (*DialSigned, error) {
	d := &DialSigned{Name: name}
	var err error
	if _, d.Verify, err = c.verifier(); err != nil {
		return nil, err
	}
	d.Certificate, err = c.certificate()
	return d, err
}

// verifier decides on the certificates of servers: those that the authorities issued.
func (c Credentials) verifier() ([]*x509.Certificate, ike.Verifier, error) {
	roots, err := auth.ParseCertificates(c.Authorities)
	if err != nil {
		return nil, nil, fmt.Errorf("dialer: authorities: %w", err)
	}
	trust := &auth.Trust{Roots: roots}
	return roots, func(now time.Time, chain []*x509.Certificate, _ wire.ID2) error {
		_, err := trust.Verify(now, chain, auth.PurposeServer)
		return err
	}, nil
}

// certificate is our own.
func (c Credentials) certificate() (*ike.Certificate, error) {
	pair, err := tls.X509KeyPair(c.Chain, c.Key)
	if err != nil {
		return nil, fmt.Errorf("dialer: %w", err)
	}
	signer, ok := pair.PrivateKey.(crypto.Signer)
	if !ok {
		return nil, fmt.Errorf("dialer: the key cannot sign")
	}
	chain, err := auth.ParseCertificates(c.Chain)
	return &ike.Certificate{Chain: chain, Signer: signer}, err
}

// NewDialEAPTLS makes a login by EAP-TLS of what files hold. name is whom we dial.
func NewDialEAPTLS(name string, c Credentials) (*DialEAPTLS, error) {
	roots, err := auth.ParseCertificates(c.Authorities)
	if err != nil {
		return nil, fmt.Errorf("dialer: authorities: %w", err)
	}
	certificate, err := c.certificate()
	if err != nil {
		return nil, err
	}
	trust := &auth.Trust{Roots: roots}
	return &DialEAPTLS{Certificate: certificate, Verify: func(now time.Time, sent []*x509.Certificate) error {
		if _, err := trust.Verify(now, sent, auth.PurposeServer); err != nil {
			return err
		}
		return auth.MatchHost(sent[0], name)
	}}, nil
}
