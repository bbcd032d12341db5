package gateway

import (
	"context"
	"errors"
	"fmt"
	"time"

	"go.uber.org/zap"

	"github.com/culvert-vpn/culvert/dataplane/udp"
	"github.com/culvert-vpn/culvert/internal/engine"
	"github.com/culvert-vpn/culvert/internal/engine/tell"
	"github.com/culvert-vpn/culvert/internal/event"
)

// Gateway is the server.
type Gateway struct {
	*applier
	nextSweep  time.Time
	nextSave   time.Time
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
	g := &Gateway{applier: newApplier(newLogins(newServer(c)))}
	g.asking, g.stop = context.WithCancel(context.Background())
	for _, step := range []func() error{g.openEngine, g.shareDevices, g.openTenants} {
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
	c := g.config.Config
	e := engine.Config{
		Addresses: c.Listen, IKEPort: c.Ports.IKE, NATTPort: c.Ports.NATT, Listen: g.config.Listen, Workers: c.Workers,
		OuterMTU: g.config.OuterMTU, After: g.config.after, Faults: g.faults, Log: g.log,
		Candidates: g.candidates, L2TPSecret: g.l2tpSecret, Link: g.link, Renews: g.renews,
	}
	if c.Redirect.Always {
		e.Redirect = g.elsewhere
	}
	if g.engine, err = engine.New(e); err == nil {
		g.emit(tell.Buffers(g.engine))
	}
	return err
}

// shareDevices makes what devices of the kernel and the host's network share.
func (g *Gateway) shareDevices() (err error) {
	if g.config.OpenDevice != nil {
		return nil
	}
	if g.devices, err = newDevices(g.config.Config, g.faults); err == nil {
		g.config.OpenDevice = g.devices.open
	}
	return err
}

// Run serves until ctx is done, then says goodbye to every client and returns. What is
// still under way then is waited for, but no longer than engine.StopPatience.
func (g *Gateway) Run(ctx context.Context) error {
	g.since = time.Now()
	watching, stop := context.WithCancel(context.Background())
	g.running.Add(1)
	go g.watch(watching)
	c := g.config.Config
	g.emit(event.Serving{Listen: c.Listen, Tenants: len(g.tenants), IKE: c.Ports.IKE, NATT: c.Ports.NATT})
	g.engine.Run(ctx, g)
	g.stop()
	g.finish(stop)
	return nil
}

// Close frees sockets and devices. Run does it by itself.
func (g *Gateway) Close() {
	g.stop()
	if g.engine != nil {
		g.engine.Stop()
	}
	for _, t := range g.tenants {
		t.close()
	}
	g.devices.close()
	if g.engine != nil {
		g.engine.Close()
	}
}

// openTenants opens what every tenant needs, and the keys that lead to it.
func (g *Gateway) openTenants() error {
	c := g.config.Config
	for i := range c.Tenants {
		t, err := g.openTenant(c, &c.Tenants[i])
		if err != nil {
			return fmt.Errorf("gateway: tenant %s: %w", c.Tenants[i].Name, err)
		}
		g.tenants = append(g.tenants, t) // so that it is closed if the next one cannot be opened
		g.connect(t)
	}
	selector, err := newSelector(c.Tenants)
	g.roster = newRoster(g.tenants, selector)
	return err
}
