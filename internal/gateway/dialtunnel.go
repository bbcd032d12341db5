package gateway

import (
	"crypto"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net/netip"
	"time"

	"github.com/culvert-vpn/culvert/dataplane"
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

// signed adds what IKE needs to place a call by IKEv1 with certificates, or as a group.
func (c DialConfig) signed(d ike.DialConfig) ike.DialConfig {
	d.Group = c.Group
	if c.Signed != nil && c.V2 == nil {
		d.PSK, d.Certificate, d.Verify, d.RemoteIdentity = nil, c.Signed.Certificate, c.Signed.Verify, c.Signed.Name
	}
	return d
}

// callXAUTH adds what IKE needs to place a call with extended authentication.
func (c DialConfig) callXAUTH(d ike.DialConfig) ike.DialConfig {
	if c.XAUTH {
		d.XAUTH = &ike.DialXAUTH{User: c.User, Password: []byte(c.Password)}
	}
	return d
}

// callV2 is what IKE needs to place a call by IKEv2.
func (c DialConfig) callV2(d ike.DialConfig) ike.DialConfig {
	if c.V2 == nil {
		return d
	}
	d.V2 = &ike.DialV2{
		RemoteIdentity: c.V2.Name, Certificate: c.V2.Certificate, Verify: c.V2.Verify, Authorities: c.V2.Authorities,
		Wish:      c.Wish,
		Configure: !c.V2.Transport, Transport: c.V2.Transport,
		EAP: c.V2.Certificate == nil && len(c.PSK) == 0,
		IKE: c.Suites.IKE2, ESP: c.Suites.ESP2,
	}
	if k := c.V2.PPK; k != nil {
		d.V2.PPK, d.V2.PPKID, d.V2.PPKRequired = k.Secret, []byte(k.ID), !k.Optional
	}
	d.V2.RedirectedFrom = c.RedirectedFrom
	d.IKE, d.ESP = nil, nil
	return d
}

// configured notes what the server of a call in tunnel mode gave us.
func (g *Gateway) configured(e ike.Configured) {
	p := g.peerOf(e.Peer)
	if p.dial == nil || p.tunnel != nil {
		return
	}
	s := g.newSession(p)
	s.addr, s.user = e.Assignment.IPv4, p.dial.config.User
	s.plane = g.plane.NewSession(dataplane.SessionConfig{Peer: p.plane})
	p.tunnel = s
	p.dial.granted = e.Assignment
	g.sessions[s.plane] = s
}

// dialTunnelUp opens the device of a connection that has its addresses.
func (g *Gateway) dialTunnelUp(s *session) {
	d := s.peer.dial
	d.session = s
	a := Assigned{Local: d.granted.IPv4, Local6: d.granted.IPv6, Remote: s.peer.path.Remote.Addr(), DNS: d.granted.DNS, Domains: d.granted.Domains, MTU: s.plane.MTU()}
	if !a.Local.IsValid() {
		a.Local = a.Local6.Addr()
	}
	a.Suite = s.peer.current.out.Transform().String()
	g.dialStands(s, a)
}

// dialStands opens the device of a connection, if it shall have one.
func (g *Gateway) dialStands(s *session, a Assigned) {
	d := s.peer.dial
	d.conn = &Connection{Assigned: a, g: g, d: d, done: d.done}
	if d.config.Device == nil {
		d.up <- d.conn
		return
	}
	go func() {
		device, err := d.config.Device(a)
		g.post(func(now time.Time) { g.dialDevice(now, d, device, err) })
	}()
}

// addresses are those of the connection's device.
func (a Assigned) addresses() []netip.Prefix {
	list := []netip.Prefix{netip.PrefixFrom(a.Local, a.Local.BitLen())}
	if a.Local6.IsValid() && a.Local6.Addr() != a.Local {
		list = append(list, netip.PrefixFrom(a.Local6.Addr(), a.Local6.Addr().BitLen()))
	}
	return list
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
		return nil, nil, fmt.Errorf("gateway: authorities: %w", err)
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
		return nil, fmt.Errorf("gateway: %w", err)
	}
	signer, ok := pair.PrivateKey.(crypto.Signer)
	if !ok {
		return nil, fmt.Errorf("gateway: the key cannot sign")
	}
	chain, err := auth.ParseCertificates(c.Chain)
	return &ike.Certificate{Chain: chain, Signer: signer}, err
}

// NewDialEAPTLS makes a login by EAP-TLS of what files hold. name is whom we dial.
func NewDialEAPTLS(name string, c Credentials) (*DialEAPTLS, error) {
	roots, err := auth.ParseCertificates(c.Authorities)
	if err != nil {
		return nil, fmt.Errorf("gateway: authorities: %w", err)
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
