package gateway

import (
	"context"
	"crypto/rand"
	"errors"
	"net/http"
	"net/netip"
	"runtime"
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/culvert-vpn/culvert/dataplane"
	"github.com/culvert-vpn/culvert/dataplane/udp"
	"github.com/culvert-vpn/culvert/esp"
	"github.com/culvert-vpn/culvert/ike"
	"github.com/culvert-vpn/culvert/internal/access"
	"github.com/culvert-vpn/culvert/internal/config"
	"github.com/culvert-vpn/culvert/internal/eap"
	"github.com/culvert-vpn/culvert/internal/event"
	"github.com/culvert-vpn/culvert/internal/store"
	"github.com/culvert-vpn/culvert/internal/x/deadline"
	"github.com/culvert-vpn/culvert/internal/x/fault"
	"github.com/culvert-vpn/culvert/l2tp"
	"github.com/culvert-vpn/culvert/tenant"
)

// l2tpPort is the UDP port of L2TP, RFC 2661 section 8.1.
const l2tpPort = 1701

// Config is what a Gateway is made of.
type Config struct {
	// Config is the checked configuration file.
	Config *config.Config
	// Store holds users and leases; nil: only those of the configuration.
	Store *store.Store
	// Version says which culvert this is, to whoever asks for the Figures.
	Version string
	// Log gets one line for each thing that happens to a client.
	Log *zap.Logger
	// Listen opens sockets; nil: those of the kernel.
	Listen func(udp.Config) (udp.Conn, error)
	// OpenDevice opens the device of a tenant; nil: what its egress says.
	OpenDevice func(*config.Tenant) (tenant.Device, error)
	// EAP makes a machine that relays a client's EAP to whoever knows its method, such
	// as a RADIUS server, or returns nil where it is to be served here; nil: all is.
	// It is called on the control loop; what is slow is the machine's Compute.
	EAP func(EAPClient) eap.Authenticator
	// Web asks about revoked certificates; nil: over the network.
	Web http.RoundTripper
	// OuterMTU is the largest IP packet between clients and us, in bytes; 0: 1500.
	OuterMTU int

	dialler bool   // this gateway only calls: see NewDialler
	after   uint64 // the sequence number behind which child SAs begin to send
}

// Gateway is one concentrator.
type Gateway struct {
	config  Config
	devices *devices // nil: Config.OpenDevice shares what it wants
	log     *zap.Logger
	stream  *event.Stream
	counter *event.Counter // of what happens
	since   time.Time      // when Run began
	plane   *dataplane.Plane
	ike     *ike.Server
	l2tp    *l2tp.Endpoint
	vault   *esp.Vault // of all SAs

	applying chan struct{} // has room for one Apply

	// What follows belongs to the control loop.
	*roster
	applied    *config.Config // what runs, if it came by Apply
	superseded []superseded   // what came so before it
	peers      map[uint64]*peer
	sessions   map[*dataplane.Session]*session
	links      deadline.Heap[*session]
	touched    []*session
	// lastSession is the number of the last session that was made.
	lastSession uint64
	nextSweep   time.Time
	nextSave    time.Time
	nextReport  time.Time
	reported    tally // what the log has said
	// leasesChanged: the state store does not know the latest leases.
	leasesChanged bool
	refused       map[string]uint64 // messages that a machine refused, by machine
	throttle      *access.Throttle
	authority     access.Authority        // who knows the users
	attempts      map[uint64]*attempt     // that it is asked about
	held          deadline.Heap[*attempt] // that wait to be
	lastAsked     uint64                  // the number of the last one of attempts
	taken         []*taking               // figures that are being taken
	heldUp        int                     // logins that the throttle lets wait
	maxIdle       int                     // peers without a session

	faults  *fault.Log
	serving served // who the control loop does something for

	computing *pool // what takes a processor
	waiting   *pool // what waits for a disk, a directory, an authority
	computed  chan result
	requests  chan func(now time.Time)
	ended     chan struct{} // closed when the control loop has ended
	running   sync.WaitGroup
	asking    context.Context // ends with the control loop
	stop      context.CancelFunc
}

// New opens the sockets and the tenants' devices. Nothing runs before Run.
func New(c Config) (*Gateway, error) {
	if c.Config == nil {
		return nil, errors.New("gateway: Config.Config is required")
	}
	if c.Log == nil {
		c.Log = zap.NewNop()
	}
	if c.Listen == nil {
		c.Listen = listenKernel
	}
	g := &Gateway{
		config: c, log: brief(c.Log), vault: new(esp.Vault),
		peers: make(map[uint64]*peer), sessions: make(map[*dataplane.Session]*session),
		refused:  make(map[string]uint64),
		computed: make(chan result, 1024),
		throttle: access.NewThrottle(), attempts: make(map[uint64]*attempt), maxIdle: maxIdle,
		roster: newRoster(nil, nil), applying: make(chan struct{}, 1),
		requests: make(chan func(time.Time), 64), ended: make(chan struct{}),
		counter: event.NewCounter(),
	}
	g.stream = event.NewStream(g.sinkFailed, event.NewLog(g.log), g.counter)
	g.faults = fault.New(g.alarm)
	g.authority = access.NewLocal(nil)
	if c.Store != nil {
		g.authority = access.NewLocal(c.Store)
	}
	cpus := runtime.GOMAXPROCS(0)
	g.computing = newPool(cpus, cpus, 0, 0, &g.running)
	g.waiting = newPool(maxWaiting, maxWaitingEach, maxQueued, maxQueuedEach, &g.running)
	g.computing.faults, g.waiting.faults = g.faults, g.faults
	g.asking, g.stop = context.WithCancel(context.Background())
	for _, step := range []func() error{g.openPlane, g.shareDevices, g.openTenants, g.openMachines} {
		if err := step(); err != nil {
			g.Close()
			return nil, err
		}
	}
	return g, nil
}

// listenKernel opens a socket of the kernel.
func listenKernel(c udp.Config) (udp.Conn, error) { return udp.Listen(c) }

func (g *Gateway) openPlane() error {
	c := g.config.Config
	var granted grants
	plane, err := dataplane.New(dataplane.Config{
		Listen: granted.noting(g.config.Listen), Addresses: c.Listen, Workers: c.Workers,
		IKEPort: c.Ports.IKE, NATTPort: c.Ports.NATT, Faults: g.faults,
	})
	g.plane = plane
	if err == nil {
		granted.warn(g)
	}
	return err
}

// shareDevices makes what devices of the kernel and the host's network share.
func (g *Gateway) shareDevices() (err error) {
	if g.config.OpenDevice != nil || g.config.dialler {
		return nil
	}
	if g.devices, err = newDevices(g.config.Config, g.faults); err == nil {
		g.config.OpenDevice = g.devices.open
	}
	return err
}

func (g *Gateway) openMachines() error {
	spis, err := newSPIs(rand.Reader)
	if err != nil {
		return err
	}
	ic := ike.Config{Rand: rand.Reader, AllocateSPI: spis.next, Received: g.received}
	if !g.config.dialler {
		ic.Candidates, ic.V2 = g.candidates, true
		if g.config.Config.Redirect.Always {
			ic.Redirect = g.elsewhere
		}
	}
	if g.ike, err = ike.NewServer(ic); err != nil {
		return err
	}
	g.l2tp, err = l2tp.New(l2tp.Config{
		Rand: rand.Reader, HostName: "culvert", Vendor: "culvert", Accept: !g.config.dialler, Secret: g.l2tpSecret,
	})
	return err
}

// candidates are who may dial us there by now.
func (g *Gateway) candidates(local, remote netip.Addr) []ike.Candidate {
	return g.keys.candidates(local, remote)
}

// l2tpSecret returns the secret that a peer's tunnels are authenticated with;
// empty: none. Tenants that share a pre-shared key share the first one's.
func (g *Gateway) l2tpSecret(id l2tp.Peer) []byte {
	p := g.peers[uint64(id)]
	switch {
	case p == nil:
		return nil
	case p.dial != nil:
		return p.dial.config.L2TPSecret
	}
	group, _ := g.keys.group(p.label)
	for _, t := range group {
		if t.L2TPSecret.Len() > 0 {
			return t.L2TPSecret.Bytes()
		}
	}
	return nil
}

// Run serves until ctx is done, then says goodbye to every client and returns. What is
// still under way then is waited for, but no longer than stopPatience.
func (g *Gateway) Run(ctx context.Context) error {
	g.since = time.Now()
	planeCtx, stop := context.WithCancel(context.Background())
	if !g.config.dialler {
		g.running.Add(1)
		go g.watch(planeCtx)
	}
	g.running.Add(1)
	go func() {
		defer g.running.Done()
		g.plane.Run(planeCtx)
	}()
	if !g.config.dialler {
		c := g.config.Config
		g.emit(event.Serving{Listen: c.Listen, Tenants: len(g.tenants), IKE: c.Ports.IKE, NATT: c.Ports.NATT})
	}
	g.loop(ctx)
	close(g.ended)
	g.stop()
	g.finish(stop)
	return nil
}

// Close frees sockets and devices. Run does it by itself.
func (g *Gateway) Close() {
	g.stop()
	g.computing.close()
	g.waiting.close()
	for _, t := range g.tenants {
		t.close()
	}
	g.devices.close()
	if g.plane != nil {
		g.plane.Close()
	}
}

// do runs f in the control loop and waits for it.
func (g *Gateway) do(ctx context.Context, f func(now time.Time)) error {
	done := make(chan struct{})
	select {
	case g.requests <- func(now time.Time) { defer close(done); f(now) }:
	case <-g.ended:
		return ErrEnded
	case <-ctx.Done():
		return ctx.Err()
	}
	select {
	case <-done:
		return nil
	case <-g.ended:
		return ErrEnded
	case <-ctx.Done():
		return ctx.Err()
	}
}

// post runs f in the control loop, and returns at once when that has ended.
func (g *Gateway) post(f func(now time.Time)) {
	select {
	case g.requests <- f:
	case <-g.ended:
	}
}

// result is what a slow computation gave.
type result struct {
	id    ike.ComputeID
	value any
}

// compute has a slow computation of IKE done, among what computes or, where it asks who
// may not answer, among what waits.
func (g *Gateway) compute(now time.Time, e ike.Compute) {
	f := func() {
		r := result{e.ID, ike.ErrFault}
		defer func() { g.give(r) }() // also if it panics: what it was counted for is given back
		r.value = e.Do()
	}
	switch {
	case !e.Waits:
		g.computing.do("", f)
	case !g.waiting.do(e.Path.Remote.Addr().String(), f):
		g.ike.Computed(now, e.ID, ike.ErrBusy)
	}
}

// later has something done for a tenant that may wait for a disk or a network, and reports
// whether it will be: it is not if too much waits already.
func (g *Gateway) later(t *tenantState, f func()) bool {
	owner := ""
	if t != nil {
		owner = t.Name
	}
	return g.waiting.do(owner, f)
}

func (g *Gateway) give(r result) {
	select {
	case g.computed <- r:
	case <-g.ended:
	}
}

// goodbye tells every client that we go: CDN, StopCCN, DELETE.
func (g *Gateway) goodbye() {
	now := time.Now()
	g.sendAway(now)
	for _, p := range g.peers {
		for _, s := range p.sessions() {
			s.because("gateway shut down")
		}
		g.l2tp.ClosePeer(now, l2tp.Peer(p.id), l2tp.Result{Code: l2tp.StopShutdown, Message: "gateway shut down"})
	}
	g.settle(now)
	for id := range g.peers {
		g.ike.Close(now, ike.Peer(id), ike.ReasonShutdown)
	}
	g.settle(now)
}
