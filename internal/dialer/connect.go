package dialer

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"syscall"
	"time"

	"go.uber.org/zap"

	"github.com/culvert-vpn/culvert/tenant"
	"github.com/culvert-vpn/culvert/tenant/tun"
)

// ConnectConfig describes the client side: one connection to any L2TP/IPsec
// server, ours or not, that ends in a TUN device.
type ConnectConfig struct {
	// Server is a host name or an address.
	Server string
	PSK    []byte
	// Identity is what we call ourselves in IKE; empty: our address.
	Identity string
	// Group dials by IKEv1's aggressive mode, as the group whose key PSK is; empty:
	// main mode.
	Group          string
	User, Password string
	// L2TPSecret authenticates the tunnel both ways; empty: no such thing.
	L2TPSecret []byte
	// Signed dials L2TP with certificates; nil: with PSK.
	Signed *DialSigned
	// XAUTH dials by IKEv1 in tunnel mode, with extended authentication.
	XAUTH bool
	// V2 dials by IKEv2 in tunnel mode; nil: L2TP.
	V2 *DialV2
	// EAPTLS proves who we are within EAP by certificate; nil: by password.
	EAPTLS *DialEAPTLS
	// Persona is the native client to speak like; empty: culvert itself.
	Persona string
	// Local is the address to call from; invalid: the one the route gives, also when
	// that becomes another.
	Local netip.Addr
	// Device is the name of the TUN device, NetNS the namespace it is put in:
	// empty for our own, a name under /run/netns, or a path.
	Device, NetNS string
	// Routes are sent through the device.
	Routes []netip.Prefix
	// IKELifetime and ChildLifetime are what we propose; 0: the persona's.
	IKELifetime, ChildLifetime time.Duration
	// Suites are what is proposed.
	Suites Suites
	// Once ends Connect when the connection does; otherwise it dials again.
	Once bool
	Log  *zap.Logger
	// OnUp is called whenever the connection stands; may be nil.
	OnUp func(Assigned)
	// OnIPv6 is called when a connection by L2TP has an address of IPv6 and its
	// DNS servers; may be nil.
	OnIPv6 func(netip.Addr, []netip.Addr)
}

// The ports of IKE, and of IKE behind a NAT (RFC 7296 section 2, RFC 3948).
const portIKE, portNATT = 500, 4500

// redialMax is the longest pause between two attempts.
const redialMax = 30 * time.Second

// Connect dials and keeps the connection until ctx is done, then hangs up.
// With Once it returns when the connection ends, with the reason.
func Connect(ctx context.Context, c ConnectConfig) error {
	if c.Log == nil {
		c.Log = zap.NewNop()
	}
	if err := tun.FindNamespace(c.NetNS); err != nil {
		return err
	}
	pause, at := time.Second, route{server: c.Server, watcher: c.watch()}
	defer at.close()
	for {
		began := time.Now()
		err := connectOnce(ctx, c, &at)
		var sent *RedirectedError
		switch {
		case ctx.Err() != nil:
			return nil
		case errors.As(err, &sent) && at.follow(time.Now(), sent.Gateway, at.called):
			continue
		case c.Once:
			return err
		}
		if time.Since(began) > redialMax || errors.Is(err, ErrNewAddress) {
			pause = time.Second
		}
		at.home(c.Server)
		c.Log.Warn("redial", zap.Error(err), zap.Duration("in", pause))
		if !at.rest(ctx, pause) {
			return nil
		}
		pause = min(2*pause, redialMax)
	}
}

// connectOnce makes one connection and returns when it has ended.
func connectOnce(ctx context.Context, c ConnectConfig, at *route) error {
	server, local, err := resolve(ctx, at.server, c.Local)
	at.local, at.lost = local, false
	if err != nil {
		return err
	}
	at.called = server
	c.Log.Info("dialling", zap.Stringer("server", server), zap.Stringer("local", local))
	d, err := newDialer(c, local)
	if err != nil {
		return err
	}
	runCtx, stop := context.WithCancel(context.WithoutCancel(ctx))
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		d.Run(runCtx)
	}()
	defer func() { stop(); <-ended }()
	conn, err := at.dial(ctx, d, DialConfig{
		Server: netip.AddrPortFrom(server, portIKE), ServerNATT: netip.AddrPortFrom(server, portNATT),
		Local: local, PSK: c.PSK, Identity: c.Identity, User: c.User, Password: c.Password, L2TPSecret: c.L2TPSecret,
		Signed: c.Signed, V2: c.V2, XAUTH: c.XAUTH, EAPTLS: c.EAPTLS, AllowEAP: true, RedirectedFrom: at.from, Persona: c.Persona, Suites: c.Suites,
		IKELifetime: c.IKELifetime, ChildLifetime: c.ChildLifetime, Device: c.openDevice,
		IPv6: c.Persona == "", OnIPv6: c.OnIPv6, Group: c.Group, Wish: at.had,
	})
	if err != nil {
		return err
	}
	at.had = conn.Local
	c.Log.Info("connected", conn.fields()...)
	if c.OnUp != nil {
		c.OnUp(conn.Assigned)
	}
	return at.keep(ctx, conn)
}

// watch watches our address, unless we are told which to take.
func (c ConnectConfig) watch() *watcher {
	if c.Local.IsValid() {
		return new(watcher)
	}
	return newWatcher()
}

// from is the address that the sockets of a call are bound to: any that we may have, if
// it may move.
func (c ConnectConfig) from(local netip.Addr) netip.Addr {
	switch {
	case c.Local.IsValid() || c.V2 == nil || c.V2.Transport:
		return local
	case local.Is4():
		return netip.IPv4Unspecified()
	}
	return netip.IPv6Unspecified()
}

// openDevice makes the TUN device of a connection.
func (c ConnectConfig) openDevice(a Assigned) (tenant.Device, error) {
	return tun.New(tun.Config{
		Name: c.Device, Netns: c.NetNS, Addresses: a.addresses(),
		Routes: c.Routes, MTU: a.MTU,
	})
}

// newDialer takes the well-known ports where they are free, as native clients
// do, and any others where not.
func newDialer(c ConnectConfig, local netip.Addr) (*Dialer, error) {
	d := Config{Addresses: []netip.Addr{c.from(local)}, Log: c.Log, IKEPort: portIKE, NATTPort: portNATT}
	made, err := New(d)
	if errors.Is(err, syscall.EADDRINUSE) || errors.Is(err, syscall.EACCES) {
		d.IKEPort, d.NATTPort = 0, 0
		made, err = New(d)
	}
	return made, err
}

// resolve finds the server's address, and ours on the way to it.
func resolve(ctx context.Context, server string, local netip.Addr) (netip.Addr, netip.Addr, error) {
	addrs, err := net.DefaultResolver.LookupNetIP(ctx, "ip", server)
	if err != nil {
		return netip.Addr{}, netip.Addr{}, fmt.Errorf("dialer: %w", err)
	}
	for _, a := range addrs {
		a = a.Unmap()
		if local.IsValid() && local.Is4() == a.Is4() {
			return a, local, nil
		}
		if found, ok := SourceFor(a); ok && !local.IsValid() {
			return a, found, nil
		}
	}
	return netip.Addr{}, netip.Addr{}, fmt.Errorf("dialer: no route from here to %s", server)
}

// SourceFor asks the kernel which of our addresses packets to that one leave
// from; false: there is no route.
func SourceFor(remote netip.Addr) (netip.Addr, bool) {
	conn, err := net.DialUDP("udp", nil, net.UDPAddrFromAddrPort(netip.AddrPortFrom(remote, portIKE)))
	if err != nil {
		return netip.Addr{}, false
	}
	defer conn.Close()
	return conn.LocalAddr().(*net.UDPAddr).AddrPort().Addr().Unmap(), true
}
