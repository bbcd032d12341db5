package bench

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"sync"
	"time"

	ikepersona "github.com/culvert-vpn/culvert/ike/persona"
	"github.com/culvert-vpn/culvert/internal/config"
	"github.com/culvert-vpn/culvert/internal/dialer"
	l2tppersona "github.com/culvert-vpn/culvert/l2tp/persona"
	ppppersona "github.com/culvert-vpn/culvert/ppp/persona"
	"github.com/culvert-vpn/culvert/tenant"
)

// Target is the server that clients dial.
type Target struct {
	// Program is culvert's own file, which is run as the server; unless Server
	// is valid, which is any L2TP/IPsec server that is up already.
	Program string
	Server  netip.Addr
	// Secret, User and Password are what that server wants.
	Secret, User, Password string
	// Older says that Program may be of a version that knows less than this one.
	Older bool
	// Persona is the native client to speak like; empty: culvert itself.
	Persona string
}

func (t Target) check() error {
	switch {
	case !hasPersona(t.Persona):
		return badOption("no persona %q", t.Persona)
	case t.Server.IsValid() && (t.Secret == "" || t.User == "" || t.Password == ""):
		return badOption("--server needs --psk, --user and --password")
	case !t.Server.IsValid() && (t.Secret != "" || t.User != "" || t.Password != ""):
		return badOption("--psk, --user and --password are for --server")
	case !t.Server.IsValid():
		return checkProgram(t.Program)
	}
	return nil
}

// hasPersona reports whether every protocol knows the native client.
func hasPersona(name string) bool {
	_, ike := ikepersona.V1(name)
	_, tunnel := l2tppersona.Named(name)
	_, link := ppppersona.Named(name)
	return name == "" || ike == nil && tunnel && link
}

// The ports that servers of ours get: above those of services, and below those
// that kernels give to whoever asks for any.
const firstPort, lastPort = 20_000, 32_000

// freePorts finds ports for IKE and NAT-T of a server of ours on the loopback
// device, that leave a real server alone, and another bench. They are free until
// the server opens them, since no kernel gives them away.
func freePorts() (ike, natt uint16, err error) {
	for range 100 {
		ike = uint16(firstPort + rand.IntN(lastPort-firstPort))
		natt = ike + 1
		if err = errors.Join(tryPort(ike), tryPort(natt)); err == nil {
			return ike, natt, nil
		}
	}
	return 0, 0, failed("%w", err)
}

// tryPort reports why a port of UDP is not to be had.
func tryPort(port uint16) error {
	conn, err := net.ListenUDP("udp", net.UDPAddrFromAddrPort(netip.AddrPortFrom(loopServer(), port)))
	if err != nil {
		return err
	}
	return conn.Close()
}

// loopServer is the address of that server. Clients have the rest of 127/8.
func loopServer() netip.Addr { return netip.AddrFrom4([4]byte{127, 0, 0, 1}) }

// fleet is many clients of one server.
type fleet struct {
	target   Target
	server   netip.AddrPort
	natt     netip.AddrPort
	secret   string
	user     string
	password string
	probes   *probes

	shared  *dialer.Dialer // for servers on the loopback device
	running sync.WaitGroup
	stop    context.CancelFunc
	ctx     context.Context
}

// newFleet makes the clients' side. Nobody dials yet.
func newFleet(t Target, st *standing) (*fleet, error) {
	f := &fleet{target: t, probes: newProbes()}
	f.ctx, f.stop = context.WithCancel(context.Background())
	if t.Server.IsValid() {
		f.server, f.natt = netip.AddrPortFrom(t.Server, config.DefaultPortIKE), netip.AddrPortFrom(t.Server, config.DefaultPortNATT)
		f.secret, f.user, f.password = t.Secret, t.User, t.Password
		return f, nil
	}
	f.server, f.natt = netip.AddrPortFrom(loopServer(), st.config.ike), netip.AddrPortFrom(loopServer(), st.config.natt)
	f.secret, f.user, f.password = st.config.secret, benchUser, st.config.secret
	g, err := dialer.New(dialer.Config{Addresses: []netip.Addr{netip.IPv4Unspecified()}})
	if err != nil {
		return nil, failed("%w", err)
	}
	f.shared = g
	background(&f.running, func() { g.Run(f.ctx) })
	return f, nil
}

// close hangs up everything.
func (f *fleet) close() {
	f.stop()
	f.running.Wait()
}

// client is one that dialled in.
type client struct {
	*dialer.Connection
	own context.CancelFunc // ends the gateway that only this client has; may be nil
}

// hangUp ends the connection.
func (c *client) hangUp(ctx context.Context) {
	c.Connection.Close(ctx)
	if c.own != nil {
		c.own()
	}
}

// dial has the i-th client dial in.
func (f *fleet) dial(ctx context.Context, i int, suites dialer.Suites) (*client, error) {
	g, local, own, err := f.place(i)
	if err != nil {
		return nil, err
	}
	conn, err := g.Dial(ctx, dialer.DialConfig{
		Server: f.server, ServerNATT: f.natt, Local: local, PSK: []byte(f.secret), User: f.user, Password: f.password,
		Persona: f.target.Persona, Suites: suites, DPD: time.Minute,
		Device: func(dialer.Assigned) (tenant.Device, error) { return probeDevice{f.probes}, nil },
	})
	if err != nil {
		if own != nil {
			own()
		}
		return nil, err
	}
	return &client{Connection: conn, own: own}, nil
}

// place returns what the i-th client dials with. A server tells its clients
// apart by address and port. On the loopback device every client has an address
// of its own, and they share sockets; elsewhere each has sockets of its own.
func (f *fleet) place(i int) (*dialer.Dialer, netip.Addr, context.CancelFunc, error) {
	if f.shared != nil {
		return f.shared, numbered(127, i), nil, nil
	}
	local, ok := dialer.SourceFor(f.target.Server)
	if !ok {
		return nil, local, nil, failed("no route to %s", f.target.Server)
	}
	g, err := dialer.New(dialer.Config{Addresses: []netip.Addr{local}})
	if err != nil {
		return nil, local, nil, failed("%w", err)
	}
	ctx, stop := context.WithCancel(f.ctx)
	background(&f.running, func() { g.Run(ctx) })
	return g, local, stop, nil
}

// standing is the server, if it is ours: a process on the loopback device.
type standing struct {
	site   *site
	config serverConfig
	proc   *process
}

// stand starts our server, unless the target is somebody else's.
func (s *site) stand(ctx context.Context, t Target) (*standing, error) {
	if t.Server.IsValid() {
		return nil, nil
	}
	ike, natt, err := freePorts()
	if err != nil {
		return nil, err
	}
	st := &standing{site: s, config: serverConfig{
		listen: loopServer(), ike: ike, natt: natt, secret: newSecret(), egress: "netstack", older: t.Older,
	}}
	return st, st.start(ctx)
}

func (st *standing) start(ctx context.Context) error {
	var err error
	st.proc, err = st.site.serve(ctx, nil, st.config)
	return err
}

// cpu returns what the server has used; 0 when it is not ours.
func (st *standing) cpu() time.Duration {
	if st == nil {
		return 0
	}
	return st.proc.cpu()
}

// together makes a server, if it is to be ours, and the clients for it.
func together(ctx context.Context, t Target) (*site, *standing, *fleet, error) {
	s, err := newSite(t.Program)
	if err != nil {
		return nil, nil, nil, err
	}
	st, err := s.stand(ctx, t)
	if err == nil {
		var f *fleet
		if f, err = newFleet(t, st); err == nil {
			s.later(f.close)
			return s, st, f, nil
		}
	}
	s.close()
	return nil, nil, nil, err
}

// causes counts errors by their text, for a note.
type causes struct {
	mu    sync.Mutex
	count map[string]int
}

func (c *causes) add(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.count == nil {
		c.count = make(map[string]int)
	}
	if errors.Is(err, context.DeadlineExceeded) {
		err = errors.New("no answer in time")
	}
	c.count[err.Error()]++
}

// note writes the causes into a section.
func (c *causes) note(s *Section, what string) {
	for text, n := range c.count {
		s.note("%s", fmt.Sprintf("%d %s: %s", n, what, text))
	}
}
