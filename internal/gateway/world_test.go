package gateway

import (
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"

	"github.com/culvert-vpn/culvert/dataplane/simnet"
	"github.com/culvert-vpn/culvert/dataplane/udp"
	"github.com/culvert-vpn/culvert/internal/config"
	"github.com/culvert-vpn/culvert/internal/dialer"
	"github.com/culvert-vpn/culvert/internal/eap"
	"github.com/culvert-vpn/culvert/internal/engine"
	"github.com/culvert-vpn/culvert/internal/store"
	"github.com/culvert-vpn/culvert/tenant"
	"github.com/culvert-vpn/culvert/tenant/ipkt"
)

// world is a network in memory with one concentrator and whoever dials it.
type world struct {
	store  *store.Store // nil: none
	t      *testing.T
	net    *simnet.Network
	server *Gateway
	log    *observer.ObservedLogs
	stop   context.CancelFunc
	ended  chan struct{}
	conf   *config.Config
	nets   map[string]*echoDevice
	hosts  int
	eap    func(EAPClient) eap.Authenticator
	web    http.RoundTripper
	wrap   func(*echoDevice) tenant.Device // makes a tenant's network another; nil: it stays
	after  uint64                          // where the server's sequence numbers begin
	level  zapcore.Level                   // what the server's log has; without it info and above

	clients []*client
}

const (
	serverAddr = "203.0.113.1"
	testPSK    = "correct horse battery staple"
)

const testConfig = `
listen: [203.0.113.1]
tenants:
  - name: acme
    default: true
    match: {realms: [acme]}
    psk: ["correct horse battery staple"]
    auth: {local: {users: [{name: alice, password: alicepw}, {name: bob, password: bobpw}]}}
    pool: [10.100.1.0/24]
`

// inWorld runs f in a bubble with a server of that configuration.
func inWorld(t *testing.T, road simnet.Config, yaml string, f func(t *testing.T, w *world)) {
	t.Helper()
	inWorldWith(t, nil, road, yaml, f)
}

// inWorldWith is inWorld with a state store.
func inWorldWith(t *testing.T, kept *store.Store, road simnet.Config, yaml string, f func(t *testing.T, w *world)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		conf, err := config.Parse("test.yaml", []byte(yaml))
		if err != nil {
			t.Fatal(err)
		}
		conf.Workers = 1
		w := &world{t: t, net: simnet.New(road), store: kept, conf: conf, nets: make(map[string]*echoDevice)}
		w.start()
		defer w.close()
		f(t, w)
	})
}

// start starts the server.
func (w *world) start() {
	core, logs := observer.New(w.level)
	w.log = logs
	g, err := New(Config{Config: w.conf, Store: w.store, Log: zap.New(core), Listen: w.net.Listen, OpenDevice: w.openDevice, EAP: w.eap, Web: w.web, after: w.after})
	if err != nil {
		w.t.Fatal(err)
	}
	w.server, w.stop, w.ended = run(g)
}

// runner is a server, or who dials it.
type runner interface{ Run(context.Context) error }

func run[G runner](g G) (G, context.CancelFunc, chan struct{}) {
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		g.Run(ctx)
	}()
	return g, stop, ended
}

func (w *world) close() {
	for _, c := range w.clients {
		c.close()
	}
	w.stop()
	<-w.ended
}

func (w *world) openDevice(t *config.Tenant) (tenant.Device, error) {
	d := newEchoDevice(1500)
	w.nets[t.Name] = d
	if w.wrap != nil {
		return w.wrap(d), nil
	}
	return d, nil
}

// client is one dialling gateway.
type client struct {
	w     *world
	g     *dialer.Dialer
	stop  context.CancelFunc
	ended chan struct{}
	local netip.Addr
	dev   *echoDevice
	next  chan *echoDevice // gets what is opened, in place of dev; nil: dev is that
}

// client makes a host with a dialling gateway on it, behind the NAT if there is one.
func (w *world) client(nat *simnet.NAT) *client {
	w.hosts++
	listen := w.net.Listen
	local := netip.AddrFrom4([4]byte{192, 0, byte(2 + w.hosts>>8), byte(w.hosts)})
	if nat != nil {
		listen = nat.Listen
		local = netip.AddrFrom4([4]byte{10, 77, byte(w.hosts >> 8), byte(w.hosts)})
	}
	return w.clientAt(local, listen)
}

func (w *world) clientAt(local netip.Addr, listen func(udp.Config) (udp.Conn, error)) *client {
	conf := &config.Config{Listen: []netip.Addr{local}, Workers: 1, Ports: config.Ports{IKE: 500, NATT: 4500}}
	g, err := dialer.New(dialer.Config{Addresses: conf.Listen, IKEPort: conf.Ports.IKE, NATTPort: conf.Ports.NATT, Listen: listen})
	if err != nil {
		w.t.Fatal(err)
	}
	c := &client{w: w, local: local}
	c.g, c.stop, c.ended = run(g)
	w.clients = append(w.clients, c)
	return c
}

func (c *client) close() {
	c.stop()
	<-c.ended
}

// dial dials with what testConfig accepts, changed by the edits.
func (c *client) dial(ctx context.Context, edits ...func(*dialer.DialConfig)) (*dialer.Connection, error) {
	server := netip.MustParseAddr(serverAddr)
	d := dialer.DialConfig{
		Server: netip.AddrPortFrom(server, 500), ServerNATT: netip.AddrPortFrom(server, 4500),
		Local: c.local, PSK: []byte(testPSK), User: "alice", Password: "alicepw",
		Device: func(a dialer.Assigned) (tenant.Device, error) {
			dev := newEchoDevice(a.MTU)
			if c.next != nil {
				c.next <- dev
			} else {
				c.dev = dev
			}
			return dev, nil
		},
	}
	for _, edit := range edits {
		edit(&d)
	}
	return c.g.Dial(ctx, d)
}

// mustDial dials and fails the test if that takes more than a minute or fails.
func (c *client) mustDial(edits ...func(*dialer.DialConfig)) *dialer.Connection {
	c.w.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	conn, err := c.dial(ctx, edits...)
	if err != nil {
		for _, entry := range c.w.log.All() {
			c.w.t.Logf("%s %v", entry.Message, entry.ContextMap())
		}
		c.w.t.Fatalf("dial: %v", err)
	}
	return conn
}

// ping sends an echo request through the tunnel and reports whether the answer came.
func (c *client) ping(conn *dialer.Connection, to netip.Addr, within time.Duration) bool {
	return c.dev.echo(conn.Local, to, within)
}

// wantPing fails the test when no echo comes back.
func (c *client) wantPing(conn *dialer.Connection, to string) {
	c.w.t.Helper()
	if !c.ping(conn, netip.MustParseAddr(to), 5*time.Second) {
		c.w.t.Fatalf("no echo from %s to %s", conn.Local, to)
	}
}

// echoDevice is a network that answers every ICMP echo request, and from which
// echo requests can be sent.
type echoDevice struct {
	mtu    int
	queue  chan []byte
	closed chan struct{}
	once   sync.Once
	buf    []byte

	mu      sync.Mutex
	waiting map[uint32]chan struct{}
	next    uint32
	seen    int
	first   func(pkt []byte) bool // takes what it wants before all others; nil: nobody does
	other   func(pkt []byte)      // takes what is no ICMP for IPv4; nil: nobody does
	slow    time.Duration         // that it takes over each packet
}

func newEchoDevice(mtu int) *echoDevice {
	return &echoDevice{
		mtu: mtu, queue: make(chan []byte, 1024), closed: make(chan struct{}),
		buf: make([]byte, tenant.Headroom+2048+tenant.Tailroom), waiting: make(map[uint32]chan struct{}),
	}
}

func (d *echoDevice) Sources() []tenant.Source { return []tenant.Source{&echoSource{d: d}} }
func (d *echoDevice) Writer() tenant.Writer    { return &echoWriter{d: d} }
func (d *echoDevice) MTU() int                 { return d.mtu }
func (d *echoDevice) Close() error             { d.once.Do(func() { close(d.closed) }); return nil }

type echoSource struct {
	d   *echoDevice
	pkt []byte
}

func (s *echoSource) Read() error {
	select {
	case s.pkt = <-s.d.queue:
		return nil
	case <-s.d.closed:
		return io.EOF
	}
}

func (s *echoSource) Next() ([]byte, int, bool) {
	if s.pkt == nil {
		return nil, 0, false
	}
	n := copy(s.d.buf[tenant.Headroom:], s.pkt)
	s.pkt = nil
	return s.d.buf[:tenant.Headroom+n], tenant.Headroom, true
}

type echoWriter struct {
	d    *echoDevice
	pkts [][]byte
}

func (w *echoWriter) Commit(pkt []byte) { w.pkts = append(w.pkts, pkt) }

func (w *echoWriter) Flush() error {
	w.d.mu.Lock()
	slow := w.d.slow
	w.d.mu.Unlock()
	time.Sleep(slow * time.Duration(len(w.pkts)))
	for _, pkt := range w.pkts {
		w.d.take(append([]byte(nil), pkt...))
	}
	w.pkts = nil
	return nil
}

// take answers an echo request, and notes an echo reply.
func (d *echoDevice) take(pkt []byte) {
	d.mu.Lock()
	first := d.first
	d.mu.Unlock()
	if first != nil && first(pkt) {
		return
	}
	ip, err := ipkt.Parse(pkt)
	if err != nil || ip.Protocol != ipkt.ProtocolICMP || len(ip.Payload()) < 8 {
		d.mu.Lock()
		other := d.other
		d.mu.Unlock()
		if other != nil {
			other(pkt)
		}
		return
	}
	d.mu.Lock()
	d.seen++
	d.mu.Unlock()
	icmp := ip.Payload()
	switch icmp[0] {
	case 8:
		src, dst := ip.Source().As4(), ip.Destination().As4()
		copy(pkt[12:], dst[:])
		copy(pkt[16:], src[:])
		icmp[0] = 0
		d.send(pkt)
	case 0:
		d.mu.Lock()
		if ch := d.waiting[binary.BigEndian.Uint32(icmp[4:])]; ch != nil {
			close(ch)
			delete(d.waiting, binary.BigEndian.Uint32(icmp[4:]))
		}
		d.mu.Unlock()
	}
}

func (d *echoDevice) send(pkt []byte) {
	select {
	case d.queue <- pkt:
	default:
	}
}

// echo sends an echo request out of the device and waits for the reply.
func (d *echoDevice) echo(from, to netip.Addr, within time.Duration) bool {
	d.mu.Lock()
	d.next++
	id := d.next
	ch := make(chan struct{})
	d.waiting[id] = ch
	d.mu.Unlock()
	d.send(echoRequest(from, to, id))
	select {
	case <-ch:
		return true
	case <-time.After(within):
		return false
	}
}

func echoRequest(from, to netip.Addr, id uint32) []byte {
	pkt := make([]byte, 84)
	pkt[0], pkt[8], pkt[9] = 0x45, 64, ipkt.ProtocolICMP
	binary.BigEndian.PutUint16(pkt[2:], uint16(len(pkt)))
	src, dst := from.As4(), to.As4()
	copy(pkt[12:], src[:])
	copy(pkt[16:], dst[:])
	ipkt.SetHeaderChecksum(pkt[:20])
	pkt[20] = 8
	binary.BigEndian.PutUint32(pkt[24:], id)
	binary.BigEndian.PutUint16(pkt[22:], ^ipkt.Checksum(pkt[20:], 0))
	return pkt
}

// wantLog fails the test unless the server logged the event with the field.
func (w *world) wantLog(event, key, value string) {
	w.t.Helper()
	for _, entry := range w.log.FilterMessage(event).All() {
		if fmt.Sprint(entry.ContextMap()[key]) == value {
			return
		}
	}
	w.t.Errorf("no log line %q with %s=%q; there are:", event, key, value)
	for _, entry := range w.log.All() {
		w.t.Logf("%s %v", entry.Message, entry.ContextMap())
	}
}

// wantEmpty fails the test unless the server holds nothing of any client.
func (w *world) wantEmpty() { w.t.Helper(); w.server.wantEmpty(w.t) }

// wantNothing fails the test unless the client's own gateway holds nothing any more.
func (c *client) wantNothing() {
	c.w.t.Helper()
	time.Sleep(2 * time.Minute)
	if err := c.g.Engine.Work.Do(context.Background(), func(time.Time) { wantNobody(c.w.t, c.g.Engine) }); err != nil {
		c.w.t.Error(err)
	}
}

func (g *Gateway) wantEmpty(t *testing.T) {
	t.Helper()
	err := g.server.engine.Work.Do(context.Background(), func(time.Time) {
		wantNobody(t, g.server.engine)
		if n := len(g.server.peers) + len(g.server.sessions); n != 0 {
			t.Errorf("%d peers, %d sessions left", len(g.server.peers), len(g.server.sessions))
		}
		for _, tenant := range g.server.tenants {
			for _, pool := range tenant.all {
				if n := pool.four.Leased(); n != 0 {
					t.Errorf("%d addresses of %s/%s still leased", n, tenant.Name, pool.Name)
				}
				if pool.six != nil && pool.six.Leased() != 0 {
					t.Errorf("%d prefixes of %s/%s still leased", pool.six.Leased(), tenant.Name, pool.Name)
				}
			}
			if tenant.outside != 0 || tenant.unpooled != 0 {
				t.Errorf("%d, %d sessions of %s are outside still", tenant.outside, tenant.unpooled, tenant.Name)
			}
		}
	})
	if err != nil {
		t.Error(err)
	}
}

// wantNobody fails the test unless an engine has neither peers nor sessions.
func wantNobody(t *testing.T, e *engine.Engine) {
	t.Helper()
	if n := len(e.Table.Peers) + len(e.Table.Sessions) + e.Deadlines.Len(); n != 0 {
		t.Errorf("%d peers, %d sessions, %d deadlines left", len(e.Table.Peers), len(e.Table.Sessions), e.Deadlines.Len())
	}
}

func (w *world) addr(s string) netip.Addr { return netip.MustParseAddr(s) }

// takeOver has the device take so long over each packet.
func (d *echoDevice) takeOver(each time.Duration) {
	d.mu.Lock()
	d.slow = each
	d.mu.Unlock()
}

func (d *echoDevice) count() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.seen
}

// mute loses everything that the client sends: it vanishes without a word.
func (c *client) mute(from, _ netip.AddrPort, _ []byte) bool { return from.Addr() != c.local }
