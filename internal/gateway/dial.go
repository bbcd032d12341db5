package gateway

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"time"

	"go.uber.org/zap"

	"github.com/culvert-vpn/culvert/dataplane"
	"github.com/culvert-vpn/culvert/ike"
	"github.com/culvert-vpn/culvert/internal/eap"
	"github.com/culvert-vpn/culvert/l2tp"
	"github.com/culvert-vpn/culvert/ppp"
	"github.com/culvert-vpn/culvert/tenant"
)

// The errors of dialling.
var (
	ErrPersona = errors.New("gateway: unknown persona")
	ErrEnded   = errors.New("gateway: connection ended")
)

// ownPersona is the persona that is no native client but culvert itself.
const ownPersona = "culvert"

// DialConfig describes one call to an L2TP/IPsec server.
type DialConfig struct {
	// Server is the address to call, with the port of IKE; ServerNATT is where
	// the exchange moves to: the same address, and port 4500.
	Server, ServerNATT netip.AddrPort
	// Local is our address, one that the Gateway listens on.
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

// Connection is a call that stands.
type Connection struct {
	Assigned
	g    *Gateway
	d    *dial
	done chan struct{}
}

// Done is closed when the connection has ended.
func (c *Connection) Done() <-chan struct{} { return c.done }

// Err says why the connection ended; valid once Done is closed.
func (c *Connection) Err() error { return c.d.err }

// Close hangs up and waits until the server was told, or ctx is done.
func (c *Connection) Close(ctx context.Context) {
	c.g.do(ctx, func(now time.Time) { c.g.hangUp(now, c.d) })
}

// Send sends one IPv4 packet to the server, from Assigned.Local. It goes by way
// of the control loop, which is for probes; traffic comes from a Device. The
// packet is borrowed for the call.
func (c *Connection) Send(ctx context.Context, packet []byte) error {
	var sent error
	err := c.g.do(ctx, func(time.Time) {
		if sent = ErrEnded; c.d.session != nil && !c.d.session.ended {
			sent = c.d.session.send(c.g.plane, packet)
		}
	})
	return errors.Join(err, sent)
}

// send sends an IP packet in the session: within a frame where there is a link.
func (s *session) send(plane *dataplane.Plane, packet []byte) error {
	if s.link == nil {
		return plane.SendIP(s.plane, packet)
	}
	return plane.SendPPP(s.plane, append(ppp.AppendHeader(nil, ppp.ProtocolIPv4, false, false), packet...))
}

// dial is one call under way; it belongs to the control loop.
type dial struct {
	config  DialConfig
	peer    *peer
	called  bool
	session *session
	eap     *eap.Client    // nil: the server has not asked by EAP
	granted ike.Assignment // in IKEv2
	device  tenant.Device
	port    *dataplane.Port
	up      chan *Connection // gets the connection, once
	conn    *Connection
	err     error
	done    chan struct{} // closed at the end
	// elsewhere is where the server has sent us; nil: nowhere.
	elsewhere *RedirectedError

	id6  ppp.InterfaceID // ours, while IPv6 is up; 0: it is not
	addr netip.Prefix    // of IPv6, as advertised
}

// Dial calls a server and returns when the connection stands, or with the
// reason why it does not. Run must be running.
func (g *Gateway) Dial(ctx context.Context, c DialConfig) (*Connection, error) {
	return (&route{watcher: new(watcher)}).dial(ctx, g, c)
}

// place begins a call.
func (g *Gateway) place(ctx context.Context, c DialConfig) (*dial, error) {
	if c.Persona == "" {
		c.Persona = ownPersona
	}
	d := &dial{config: c, up: make(chan *Connection, 1), done: make(chan struct{})}
	return d, g.do(ctx, func(now time.Time) { g.call(now, d) })
}

// call starts IKE.
func (g *Gateway) call(now time.Time, d *dial) {
	c := d.config
	dpd := c.DPD
	if dpd == 0 {
		dpd = 10 * time.Second
	}
	dial, err := c.ike(c.callV2(c.callXAUTH(c.signed(ike.DialConfig{
		Path:     ike.Path{Local: g.localFor(c.Local, false), Remote: c.Server},
		NATTPath: ike.Path{Local: g.localFor(c.Local, true), Remote: c.ServerNATT, NATT: true},
		PSK:      c.PSK, Identity: c.Identity, PFS: c.PFS, IKE: c.Suites.IKE, ESP: c.Suites.ESP,
		Policy: &ike.Policy{
			Legacy: true, IKELifetime: c.IKELifetime, ChildLifetime: c.ChildLifetime, Rekey: true, DPD: dpd, DPDTries: 3,
		},
	}))))
	if err != nil {
		d.finish(err)
		return
	}
	id, err := g.ike.Dial(now, dial)
	if err != nil {
		d.finish(err)
		return
	}
	d.peer = g.peerOf(id)
	d.peer.dial = d
}

// localFor is the local address and port that messages of ours leave from.
func (g *Gateway) localFor(local netip.Addr, natt bool) netip.AddrPort {
	for n := range g.config.Config.Listen {
		l := g.plane.Local(n, natt)
		if l.Addr() == local || l.Addr().IsUnspecified() && l.Addr().Is4() == local.Is4() {
			return netip.AddrPortFrom(local, l.Port())
		}
	}
	return netip.AddrPort{}
}

// dialSecured places the call once there is an SA to place it in.
func (g *Gateway) dialSecured(now time.Time, p *peer) {
	d := p.dial
	if d == nil || d.called || d.config.XAUTH || d.config.V2 != nil && !d.config.V2.Transport {
		return
	}
	d.called = true
	persona, err := d.config.lac()
	if err != nil {
		g.fail(now, d, err)
		return
	}
	if _, err := g.l2tp.Dial(now, l2tp.Peer(p.id), l2tp.DialConfig{Persona: persona}); err != nil {
		g.fail(now, d, err)
	}
}

// dialUp opens the device of a connection that has its addresses.
func (g *Gateway) dialUp(s *session, e ppp.Up) {
	d := s.peer.dial
	d.session = s
	a := Assigned{Local: e.Local, Remote: e.Peer, DNS: e.DNS, MTU: min(s.plane.MTU(), e.PeerMRU)}
	if s.peer.current != nil {
		a.Suite = s.peer.current.out.Transform().String()
	}
	g.dialStands(s, a)
}

// dialDevice joins the device and the session, if the session is still there.
func (g *Gateway) dialDevice(now time.Time, d *dial, device tenant.Device, err error) {
	if err != nil {
		g.fail(now, d, fmt.Errorf("gateway: %w", err))
		return
	}
	if d.session == nil || d.session.ended {
		device.Close()
		return
	}
	d.device = device
	d.port = g.plane.AddDevice(dataplane.PortConfig{Device: device, Gateways: []netip.Addr{d.conn.Local}})
	g.plane.Bind(d.session.plane, d.port, netip.Addr{}, d.session.linkOptions)
	g.solicit(now, d.session)
	d.up <- d.conn
}

// fail ends a call for a reason of ours.
func (g *Gateway) fail(now time.Time, d *dial, err error) {
	if d.err == nil {
		d.err = err
	}
	g.hangUp(now, d)
}

// hangUp ends a call politely, as far as it got.
func (g *Gateway) hangUp(now time.Time, d *dial) {
	if d.peer == nil {
		d.finish(ErrEnded)
		return
	}
	if d.called {
		g.l2tp.ClosePeer(now, l2tp.Peer(d.peer.id), l2tp.Result{Code: l2tp.ClearAdministrative})
		g.settle(now)
	}
	g.ike.Close(now, ike.Peer(d.peer.id), ike.ReasonLocal)
}

// dialEnded notes that the call's session is over: the rest is hung up.
func (g *Gateway) dialEnded(now time.Time, s *session) {
	d := s.peer.dial
	if d == nil || d.session != nil && d.session != s {
		return
	}
	g.fail(now, d, fmt.Errorf("%w: %s", ErrEnded, s.reason))
}

// l2tpTunnelDown notes that a tunnel is over: a call of ours with it.
func (g *Gateway) l2tpTunnelDown(now time.Time, e l2tp.TunnelDown) {
	if p := g.peers[uint64(e.Peer)]; p != nil && p.dial != nil {
		g.fail(now, p.dial, fmt.Errorf("%w: %s", ErrEnded, e.Reason))
	}
}

// dialClosed notes that nothing is left of the call.
func (g *Gateway) dialClosed(p *peer, e ike.Closed) {
	if p.dial == nil {
		return
	}
	p.dial.finish(p.dial.closedBecause(e))
}

// finish closes what the call had open. The first error is the reason.
func (d *dial) finish(err error) {
	if d.err == nil {
		d.err = err
	}
	select {
	case <-d.done:
		return
	default:
	}
	if d.device != nil {
		d.device.Close()
	}
	close(d.done)
}

// Assigned lines in the log.
func (a Assigned) fields() []zap.Field {
	return []zap.Field{
		zap.Stringer("address", a.Local), zap.Stringer("gateway", a.Remote),
		zap.Int("mtu", a.MTU), zap.String("esp", a.Suite),
	}
}
