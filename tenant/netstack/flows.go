package netstack

import (
	"context"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"gvisor.dev/gvisor/pkg/tcpip/stack"

	"github.com/culvert-vpn/culvert/tenant"
)

// sweepAtLeast is for flows that are given less time than the configuration has.
const sweepAtLeast = 10 * time.Second

// flow is what every flow of a client has: whose it is, when it was last used,
// and how to end it.
type flow struct {
	key    flowKey
	source netip.Addr
	ctx    context.Context // done when the flow is to end
	cancel context.CancelFunc
	idle   atomic.Int64 // how long it may be unused, in nanoseconds
	used   atomic.Int64 // when it was last used, in nanoseconds since flows.epoch
	epoch  time.Time

	dialling bool      // guarded by flows.mu: has a place among the handshakes
	sequence uint32    // of a TCP flow's SYN
	mss      int       // payload bytes of a packet to a TCP flow's client
	alive    *liveness // guarded by flows.mu; nil: no connection yet
	holding  *holding  // likewise
	purse    *purse    // of the client
	ends     ends
}

// ends says which side of a TCP flow has sent all it will.
type ends struct{ client, host atomic.Bool }

// flowKey names a flow as packets of it do.
type flowKey struct {
	tcp bool
	id  stack.TransportEndpointID
}

// touch says that the flow is in use.
func (f *flow) touch() { f.used.Store(int64(time.Since(f.epoch))) }

// setIdle bounds how long the flow may be unused from now on.
func (f *flow) setIdle(d time.Duration) { f.idle.Store(int64(d)) }

// flows are the flows of a device, bounded in total and by source. Flows that
// are not used are ended by a timer that runs only while there are flows.
type flows struct {
	limits  flowLimits
	clients *clients
	epoch   time.Time
	ctx     context.Context // parent of all flows'
	every   time.Duration   // how often idle flows are looked for

	purse    *purse        // of the device
	patience time.Duration // with who acknowledges nothing while memory is short

	mu       sync.Mutex
	all      map[flowKey]*flow
	sources  map[netip.Addr]*sourceFlows
	dialling int
	timer    *time.Timer
	closed   bool
	refused  atomic.Uint64
	running  sync.WaitGroup // flows that have not ended
}

type flowLimits struct {
	total, perSource, handshakes, handshakesPerSource int
}

// sourceFlows are the flows of one client.
type sourceFlows struct {
	purse    *purse
	flows    map[*flow]struct{}
	dialling int
}

func newFlows(ctx context.Context, cfg Config, c *clients) *flows {
	fs := &flows{
		limits: flowLimits{
			total:               cfg.Flows,
			perSource:           cfg.FlowsPerSource,
			handshakes:          cfg.Handshakes,
			handshakesPerSource: min(max(cfg.Handshakes/handshakeShare, minHandshakesPerSource), cfg.Handshakes),
		},
		clients:  c,
		epoch:    time.Now(),
		ctx:      ctx,
		every:    max(min(cfg.TCPIdle, cfg.TCPHalfClosed, cfg.Unacknowledged, sweepAtLeast)/4, 10*time.Millisecond),
		all:      make(map[flowKey]*flow),
		sources:  make(map[netip.Addr]*sourceFlows),
		patience: cfg.Unacknowledged,
		purse:    cfg.purse(),
	}
	fs.timer = time.AfterFunc(time.Hour, fs.sweep)
	fs.timer.Stop()
	return fs
}

// now is the time since the epoch, in nanoseconds.
func (fs *flows) now() int64 { return int64(time.Since(fs.epoch)) }

// find returns the flow of key, or nil.
func (fs *flows) find(key flowKey) *flow {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	return fs.all[key]
}

// open returns the flow of key. fresh says that it is a new one, which the
// caller ends with end; a nil flow is one too many.
func (fs *flows) open(key flowKey, idle time.Duration) (f *flow, fresh bool) {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	if f := fs.all[key]; f != nil {
		return f, false
	}
	source := fs.clients.of(addrOf(key.id.RemoteAddress))
	mine := fs.sources[source]
	if fs.full(key, mine) {
		fs.refused.Add(1)
		return nil, false
	}
	if mine == nil {
		mine = &sourceFlows{purse: fs.purse.part(clientPart), flows: make(map[*flow]struct{})}
		fs.sources[source] = mine
	}
	f = &flow{key: key, source: source, epoch: fs.epoch, dialling: key.tcp, purse: mine.purse}
	f.ctx, f.cancel = context.WithCancel(fs.ctx)
	f.setIdle(idle)
	f.touch()
	if f.dialling {
		fs.dialling++
		mine.dialling++
	}
	fs.running.Add(1)
	if len(fs.all) == 0 {
		fs.timer.Reset(fs.every)
	}
	fs.all[key] = f
	mine.flows[f] = struct{}{}
	return f, true
}

func (fs *flows) full(key flowKey, mine *sourceFlows) bool {
	flows, dialling := 0, 0
	if mine != nil {
		flows, dialling = len(mine.flows), mine.dialling
	}
	if fs.closed || flows >= fs.limits.perSource || !tenant.Room(flows, len(fs.all), fs.limits.total) {
		return true
	}
	return key.tcp && (dialling >= fs.limits.handshakesPerSource || !tenant.Room(dialling, fs.dialling, fs.limits.handshakes))
}

// established gives the flow's place among the handshakes back, and has its
// connection watched.
func (fs *flows) established(f *flow, alive *liveness, h *holding) {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	f.alive, f.holding = alive, h
	fs.endDialling(f)
}

func (fs *flows) endDialling(f *flow) {
	if f.dialling {
		f.dialling = false
		fs.dialling--
		fs.sources[f.source].dialling--
	}
}

// end forgets a flow that open returned as fresh.
func (fs *flows) end(f *flow) {
	defer fs.running.Done()
	f.cancel()
	fs.mu.Lock()
	defer fs.mu.Unlock()
	mine := fs.sources[f.source]
	fs.endDialling(f)
	delete(fs.all, f.key)
	delete(mine.flows, f)
	if len(mine.flows) == 0 {
		delete(fs.sources, f.source)
	}
}

// sweep ends the flows that were unused for too long, and where memory is short
// those that do not let go of theirs.
func (fs *flows) sweep() {
	now := time.Since(fs.epoch)
	for _, f := range fs.endIdle(int64(now)) {
		if f.holding.measure(now) >= fs.patience && f.purse.filled() >= crowded {
			f.cancel()
		}
	}
}

// endIdle ends the flows that were unused for too long, and returns the TCP
// connections.
func (fs *flows) endIdle(now int64) (connections []*flow) {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	for _, f := range fs.all {
		if f.alive != nil && f.alive.look(time.Duration(now), time.Duration(f.idle.Load())) {
			f.touch()
		}
		if now-f.used.Load() >= f.idle.Load() {
			f.cancel()
		}
		if f.holding != nil {
			connections = append(connections, f)
		}
	}
	if len(fs.all) > 0 && !fs.closed {
		fs.timer.Reset(fs.every)
	}
	return connections
}

// forget ends all flows of a source.
func (fs *flows) forget(source netip.Addr) {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	if mine := fs.sources[source]; mine != nil {
		for f := range mine.flows {
			f.cancel()
		}
	}
}

// close admits no more flows; those that are there end with their context.
func (fs *flows) close() {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	fs.closed = true
	fs.timer.Stop()
}

func (fs *flows) count() int {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	return len(fs.all)
}
