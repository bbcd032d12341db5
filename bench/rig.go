package bench

import (
	"context"
	"fmt"
	"net/netip"
	"runtime"
	"runtime/debug"
	"slices"
	"sync"
	"time"

	"github.com/culvert-vpn/culvert/dataplane/udp"
	"github.com/culvert-vpn/culvert/internal/config"
	"github.com/culvert-vpn/culvert/internal/dialer"
	"github.com/culvert-vpn/culvert/internal/gateway"
	"github.com/culvert-vpn/culvert/tenant"
)

// rig is a gateway between a fake socket and a fake device, and a dialler that
// made its sessions.
type rig struct {
	suite  string
	count  int
	rules  int // of the tenant's policy; 0: none
	wire   *wire
	device *feed // of the gateway under test
	conns  []rigSession
	stop   context.CancelFunc
	ended  sync.WaitGroup
}

// rigSession is one session, as its dialler sees it.
type rigSession struct {
	*dialer.Connection
	device *feed
}

const (
	// rigKept is how many packets are sealed at a time, and rigEach how many each
	// session seals at the least: the first one after a pause finds nothing in a
	// cache, which is not how many sessions that are busy find it. It is about as
	// many with one session as with many, since packets take room in the caches
	// too, and what is asked is what sessions take.
	rigKept = 1 << 16
	rigEach = 8
	// rigBurst is how many packets a device lends at once.
	rigBurst = 64
	// rigParallel is how many sessions are made at once.
	rigParallel = 64
	// rigIKE makes sessions quickly.
	rigIKE = "aes128-sha256-ecp256"
)

// rigConfig is the configuration of the gateway under test. Nobody is asked
// whether he is there: with thousands of sessions, whose answers are dropped while
// the way down is measured, that would be most of what is allocated meanwhile.
const rigConfig = `
listen: [192.0.2.1]
workers: 1
tenants:
  - name: bench
    psk: [%[1]s]
    auth: {local: {users: [{name: bench, password: %[1]s}]}}
    pool: [10.128.0.0/16]
    limits: {sessions_per_user: 0}
    ike: {dpd: {interval: 0s}}
%[2]s`

// newRig makes the gateway and its sessions, with a policy of so many rules.
func newRig(ctx context.Context, suite string, sessions, rules int) (*rig, error) {
	suites, err := dialer.ParseSuites([]string{rigIKE}, []string{suite})
	if err != nil {
		return nil, badOption("%v", err)
	}
	secret := newSecret()
	conf, err := config.Parse("bench", fmt.Appendf(nil, rigConfig, secret, policyText(rules)))
	if err != nil {
		return nil, failed("%w", err)
	}
	r := &rig{suite: suite, count: sessions, rules: rules, wire: newWire(), device: newFeed(), conns: make([]rigSession, sessions)}
	runCtx, stop := context.WithCancel(context.Background())
	r.stop = stop
	g, err := gateway.New(gateway.Config{
		Config: conf, Listen: r.wire.listenServer,
		OpenDevice: func(*config.Tenant) (tenant.Device, error) { return r.device, nil },
	})
	if err != nil {
		stop()
		return nil, failed("%w", err)
	}
	background(&r.ended, func() { g.Run(runCtx) })
	if err := r.dialAll(ctx, runCtx, suites, secret); err != nil {
		r.close()
		return nil, err
	}
	return r, nil
}

// dialAll makes the sessions, each from an address of its own.
func (r *rig) dialAll(ctx, runCtx context.Context, suites dialer.Suites, secret string) error {
	g, err := dialer.New(dialer.Config{
		Addresses: []netip.Addr{netip.IPv4Unspecified()}, IKEPort: 500, NATTPort: wireNATT, Listen: r.wire.listenClient,
	})
	if err != nil {
		return failed("%w", err)
	}
	background(&r.ended, func() { g.Run(runCtx) })
	server := netip.AddrFrom4([4]byte{192, 0, 2, 1})
	return each(ctx, r.count, rigParallel, func(ctx context.Context, i int) error {
		ctx, cancel := context.WithTimeout(ctx, time.Minute)
		defer cancel()
		s := rigSession{device: newFeed()}
		var err error
		s.Connection, err = g.Dial(ctx, dialer.DialConfig{
			Server: netip.AddrPortFrom(server, 500), ServerNATT: netip.AddrPortFrom(server, wireNATT),
			Local: numbered(10, i), PSK: []byte(secret), User: "bench", Password: secret, Suites: suites, DPD: time.Hour,
			Device: func(dialer.Assigned) (tenant.Device, error) { return s.device, nil },
		})
		if err != nil {
			return failed("session %d: %w", i+1, err)
		}
		r.conns[i] = s
		return nil
	})
}

// numbered returns the i-th of some 16 million addresses that begin with net.
func numbered(net byte, i int) netip.Addr {
	i += 2
	return netip.AddrFrom4([4]byte{net, byte(i >> 16), byte(i >> 8), byte(i)})
}

func (r *rig) close() {
	r.stop()
	r.ended.Wait()
}

// withoutGarbage collects what the diallers and the harness left, and has no more
// collected until it is resumed: the way of a packet makes none, so the time that
// collecting takes is not a packet's.
func withoutGarbage() (resume func()) {
	runtime.GC()
	usual := debug.SetGCPercent(-1)
	return func() { debug.SetGCPercent(usual) }
}

// outside is where packets of a rig go to and come from.
func outside() netip.Addr { return netip.AddrFrom4([4]byte{198, 51, 100, 7}) }

// up measures packets from the sessions to the device for d.
func (r *rig) up(ctx context.Context, size int, d time.Duration) (carried, error) {
	var total carried
	var packets uint64
	var took time.Duration
	for took < d {
		if err := ctx.Err(); err != nil {
			return total, err
		}
		kept, err := r.sealed(ctx, size)
		if err != nil {
			return total, err
		}
		before := r.device.taken.Load()
		resume := withoutGarbage()
		replayed := r.wire.replay(kept)
		resume()
		arrived := r.device.taken.Load() - before
		if arrived < uint64(len(kept))*9/10 || replayed.took == 0 {
			return total, failed("%d of %d packets went up", arrived, len(kept))
		}
		packets += arrived
		took += replayed.took
		total.allocs += float64(replayed.allocs)
	}
	total.rate = rate(packets, took)
	total.allocs /= float64(packets)
	return total, nil
}

// sealed has every session seal its share of a batch of packets, which stay
// on the wire.
func (r *rig) sealed(ctx context.Context, size int) ([]udp.Message, error) {
	r.wire.keep()
	err := each(ctx, r.count, rigParallel, func(_ context.Context, i int) error {
		s := r.conns[i]
		s.device.make(&order{
			headers: [][]byte{udpHeader(s.Local, outside(), size)}, size: size,
			count: max(rigEach, rigKept/r.count), burst: max(1, rigBurst/r.count),
		})
		return nil
	})
	// What belongs to the tunnels, an echo or a Hello, is not what is measured.
	return slices.DeleteFunc(r.wire.take(), func(m udp.Message) bool { return len(m.Data) < size }), err
}

// down measures packets from the device to the sessions for d.
func (r *rig) down(ctx context.Context, size int, d time.Duration) (carried, error) {
	o := &order{size: size, within: d, burst: rigBurst}
	var all []byte // one behind the other, as in a kernel's ring
	for _, s := range r.conns {
		all = append(all, udpHeader(outside(), s.Local, size)...)
	}
	o.headers = slices.Collect(slices.Chunk(all, udpOverhead))
	before := r.wire.dropped.Load()
	r.wire.dropping.Store(true)
	resume := withoutGarbage()
	r.device.make(o)
	resume()
	r.wire.dropping.Store(false)
	sent := r.wire.dropped.Load() - before
	if sent < uint64(o.made)*9/10 || o.took == 0 {
		return carried{}, failed("%d of %d packets went down", sent, o.made)
	}
	return carried{rate: rate(sent, o.took), allocs: float64(o.allocs) / float64(max(1, o.made))}, ctx.Err()
}
