package dialer

import (
	"crypto/rand"
	"errors"
	"net/netip"
	"time"

	"github.com/culvert-vpn/culvert/ike"
	"github.com/culvert-vpn/culvert/ppp"
	"github.com/culvert-vpn/culvert/tenant"
	"go.uber.org/zap"
)

// The errors of dialling.
var (
	ErrPersona = errors.New("dialer: unknown persona")
	ErrEnded   = errors.New("dialer: connection ended")
)

// ownPersona is the persona that is no native client but culvert itself.
const ownPersona = "culvert"

// DialConfig describes one call to an L2TP/IPsec server.
type DialConfig struct {
	// Server is the address to call, with the port of IKE; ServerNATT is where
	// the exchange moves to: the same address, and port 4500.
	Server, ServerNATT netip.AddrPort
	// Local is our address, one that the Dialer has a socket at.
	Local netip.Addr
	PSK   []byte
	// Identity is what we call ourselves in IKE; empty: our address.
	Identity string
	// Group calls by IKEv1's aggressive mode, as the group whose key PSK is; empty:
	// main mode.
	Group          string
	User, Password string
	// L2TPSecret authenticates the tunnel both ways; empty: no such thing.
	L2TPSecret []byte
	// AllowCHAP lets the server ask for CHAP with MD5 instead of MS-CHAPv2, by
	// which it does not have to know the password itself.
	AllowCHAP bool
	// AllowEAP lets the server ask for EAP in PPP, within which we speak MSCHAPv2, or
	// TLS if EAPTLS is set.
	AllowEAP bool
	// EAPTLS proves who we are within EAP by certificate; nil: by password.
	EAPTLS *DialEAPTLS
	// Signed calls by IKEv1 with certificates; nil: with PSK.
	Signed *DialSigned
	// XAUTH calls by IKEv1 in tunnel mode, with User and Password by extended
	// authentication, and mode config: "Cisco IPSec". It tells them to whoever has
	// the pre-shared key, or the certificate that Signed wants.
	XAUTH bool
	// V2 calls by IKEv2 in tunnel mode; nil: by L2TP over IKEv1.
	V2 *DialV2
	// Wish is the address that we would like to be given, by IKEv2: the one that we had.
	// Invalid: any.
	Wish netip.Addr
	// RedirectedFrom is the gateway that has sent us to Server, by IKEv2; invalid:
	// none has.
	RedirectedFrom netip.Addr
	// Persona is the native client to speak like; empty: culvert itself.
	Persona string
	// Device opens the device that the connection's packets leave through,
	// once the addresses are known; it is called on a goroutine of its own.
	// Nil: no device, packets from the server are dropped.
	Device func(Assigned) (tenant.Device, error)
	// ChildLifetime and IKELifetime are what we propose; 0: the persona's.
	IKELifetime, ChildLifetime time.Duration
	// PFS renews child SAs with a key exchange of their own.
	PFS bool
	// IPv6 asks for IPv6 inside L2TP, too: for a prefix, of which an address of
	// the device is made. The device should have AddAddress(netip.Prefix) error.
	IPv6 bool
	// OnIPv6 is called when there is one, on a goroutine of its own; may be nil.
	OnIPv6 func(netip.Addr, []netip.Addr)
	// Suites are what is proposed.
	Suites Suites
	// DPD is the silence after which the server is asked whether it lives; 0: 10 s.
	DPD time.Duration
}

// Assigned is what the server gave a connection.
type Assigned struct {
	Local  netip.Addr   // ours
	Local6 netip.Prefix // ours of IPv6, in IKEv2; invalid: none
	Remote netip.Addr   // the server's end
	DNS    []netip.Addr
	// Domains are what the servers of DNS are for, by IKEv2 (RFC 8598); empty: all.
	Domains []string
	MTU     int    // the largest IP packet that the connection carries, in bytes
	Suite   string // what ESP uses
}

// addresses are those of the connection's device.
func (a Assigned) addresses() []netip.Prefix {
	list := []netip.Prefix{netip.PrefixFrom(a.Local, a.Local.BitLen())}
	if a.Local6.IsValid() && a.Local6.Addr() != a.Local {
		list = append(list, netip.PrefixFrom(a.Local6.Addr(), a.Local6.Addr().BitLen()))
	}
	return list
}

// Assigned lines in the log.
func (a Assigned) fields() []zap.Field {
	return []zap.Field{
		zap.Stringer("address", a.Local), zap.Stringer("gateway", a.Remote),
		zap.Int("mtu", a.MTU), zap.String("esp", a.Suite),
	}
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

// byL2TP reports whether the call is one of L2TP, and not of IPsec tunnel mode.
func (c DialConfig) byL2TP() bool { return !c.XAUTH && (c.V2 == nil || c.V2.Transport) }

// maxMRU is the most we ask for, as every native client does: paths narrower
// than Ethernet's 1500 bytes are common, and this fits through them.
const maxMRU = 1400

// link is the client's end of a PPP link that carries packets of mru bytes.
func (c DialConfig) link(mru uint16) (ppp.Config, error) {
	persona, err := c.linkPersona()
	if err != nil {
		return ppp.Config{}, err
	}
	if c.Persona != ownPersona {
		mru = 0 // the persona knows
	}
	return ppp.Config{
		Role: ppp.Client, Rand: rand.Reader, Persona: persona, MRU: mru,
		User: c.User, Password: []byte(c.Password), IPv6: c.IPv6,
		// Never PAP: whoever knows the pre-shared key could play the server and
		// ask for the password in clear.
		Auth: ppp.AuthPolicy{MSCHAPv2: c.EAPTLS == nil, EAP: c.AllowEAP, CHAPMD5: c.AllowCHAP},
	}, nil
}

// ike is the call as IKE places it, on a path and, once it knows of a NAT, on another.
func (c DialConfig) ike(path, natt ike.Path) (ike.DialConfig, error) {
	dpd := c.DPD
	if dpd == 0 {
		dpd = 10 * time.Second
	}
	return c.speaking(c.callV2(c.callXAUTH(c.signed(ike.DialConfig{
		Path: path, NATTPath: natt,
		PSK: c.PSK, Identity: c.Identity, PFS: c.PFS, IKE: c.Suites.IKE, ESP: c.Suites.ESP,
		Policy: &ike.Policy{
			Legacy: true, IKELifetime: c.IKELifetime, ChildLifetime: c.ChildLifetime, Rekey: true, DPD: dpd, DPDTries: 3,
		},
	}))))
}
