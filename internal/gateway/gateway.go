package gateway

import (
	"context"
	"errors"
	"fmt"
	"time"

	"go.uber.org/zap"

	"github.com/culvert-vpn/culvert/dataplane/udp"
	"github.com/culvert-vpn/culvert/internal/config"
	"github.com/culvert-vpn/culvert/internal/engine"
	"github.com/culvert-vpn/culvert/internal/engine/tell"
	"github.com/culvert-vpn/culvert/internal/event"
)

// Gateway is the server.
type Gateway struct {
	server     *server
	logins     *logins
	applier    *applier
	nextSweep  time.Time
	nextSave   time.Time
	nextBans   time.Time
	nextReport time.Time
	reported   map[string]uint64 // what the log has said was dropped
	stop       context.CancelFunc
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
	server := newServer(c)
	logins := newLogins(server)
	g := &Gateway{server: server, logins: logins, applier: newApplier(logins)}
	g.server.asking, g.stop = context.WithCancel(context.Background())
	for _, step := range []func() error{g.openEngine, g.shareDevices, g.openTenants, g.loadBans} {
		if err := step(); err != nil {
			g.Close()
			return nil, err
		}
	}
	return g, nil
}

// listenKernel opens a socket of the kernel.
func listenKernel(c udp.Config) (udp.Conn, error) { return udp.Listen(c) }

func (g *Gateway) openEngine() (err error) {
	c := g.server.config.Config
	e := engine.Config{
		Addresses: c.Listen, IKEPort: c.Ports.IKE, NATTPort: c.Ports.NATT, Listen: g.server.config.Listen, Workers: c.Workers,
		OuterMTU: g.server.config.OuterMTU, After: g.server.config.after, Faults: g.server.faults, Log: g.server.log,
		Candidates: g.server.candidates, Refused: g.server.refusedAt, L2TPSecret: g.server.l2tpSecret, Link: g.server.link, Renews: g.server.renews,
	}
	if c.Redirect.Always {
		e.Redirect = g.elsewhere
	}
	if g.server.engine, err = engine.New(e); err == nil {
		g.server.emit(tell.Buffers(g.server.engine))
	}
	return err
}

// shareDevices makes what devices of the kernel and the host's network share.
func (g *Gateway) shareDevices() (err error) {
	if g.server.config.OpenDevice != nil {
		return nil
	}
	if g.server.devices, err = newDevices(g.server.config.Config, g.server.faults); err == nil {
		g.server.config.OpenDevice = g.server.devices.open
	}
	return err
}

// Run serves until ctx is done, then says goodbye to every client and returns. What is
// still under way then is waited for, but no longer than engine.StopPatience.
func (g *Gateway) Run(ctx context.Context) error {
	g.server.since = time.Now()
	watching, stop := context.WithCancel(context.Background())
	g.server.running.Add(1)
	go g.applier.watch(watching)
	c := g.server.config.Config
	g.server.emit(event.Serving{Listen: c.Listen, Tenants: len(g.server.tenants), IKE: c.Ports.IKE, NATT: c.Ports.NATT})
	g.server.engine.Run(ctx, g)
	g.stop()
	g.finish(stop)
	return nil
}

// Close frees sockets and devices. Run does it by itself.
func (g *Gateway) Close() {
	g.stop()
	if g.server.engine != nil {
		g.server.engine.Stop()
	}
	for _, t := range g.server.tenants {
		t.close()
	}
	g.server.devices.close()
	if g.server.engine != nil {
		g.server.engine.Close()
	}
}

// openTenants opens what every tenant needs, and the keys that lead to it.
func (g *Gateway) openTenants() error {
	c := g.server.config.Config
	for i := range c.Tenants {
		t, err := g.server.openTenant(c, &c.Tenants[i])
		if err != nil {
			return fmt.Errorf("gateway: tenant %s: %w", c.Tenants[i].Name, err)
		}
		g.server.tenants = append(g.server.tenants, t) // so that it is closed if the next one cannot be opened
		g.server.connect(t)
	}
	selector, err := newSelector(c.Tenants)
	g.server.roster = newRoster(g.server.tenants, selector)
	return err
}

// Apply puts another configuration in the place of the one that runs. Tenants that are new
// are opened, those that stay get what it says of them, and those that are gone are closed:
// their clients are told. Whoever is connected to a tenant that stays, stays connected, unless
// what he has is another's by now, or the gateway's address is another one. Sockets need a restart, and a few things besides; they
// stay as they are, and the log names them. If the error is not nil, all is as it was; it
// names the line that stood in the way. Otherwise next is the gateway's, which clears it
// when nothing needs it any more. Apply waits for Run to have begun.
func (g *Gateway) Apply(ctx context.Context, next *config.Config) (Changes, error) {
	return g.applier.replace(ctx, next, false)
}

// ApplyNow is Apply, and ends sessions whose users would be given other addresses by now, and
// that go on otherwise until they log in again.
func (g *Gateway) ApplyNow(ctx context.Context, next *config.Config) (Changes, error) {
	return g.applier.replace(ctx, next, true)
}
