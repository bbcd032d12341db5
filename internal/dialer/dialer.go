package dialer

import (
	"context"
	"errors"
	"net/netip"
	"time"

	"go.uber.org/zap"

	"github.com/culvert-vpn/culvert/dataplane/udp"
	"github.com/culvert-vpn/culvert/internal/engine"
	"github.com/culvert-vpn/culvert/internal/engine/tell"
	"github.com/culvert-vpn/culvert/internal/event"
	"github.com/culvert-vpn/culvert/internal/x/aside"
	"github.com/culvert-vpn/culvert/internal/x/fault"
	"github.com/culvert-vpn/culvert/ppp"
)

// Config is what a Dialer is made of.
type Config struct {
	// Addresses are what calls are placed from. With 0.0.0.0, DialConfig.Local
	// may be any address of this host, and thousands of calls to one server
	// share two sockets.
	Addresses []netip.Addr
	// IKEPort and NATTPort are the local ports; 0 takes any free one.
	IKEPort, NATTPort uint16
	// Log gets one line for each thing that happens to a call; nil: nobody does.
	Log *zap.Logger
	// Listen opens sockets; nil: those of the kernel.
	Listen func(udp.Config) (udp.Conn, error)
}

// Dialer places calls: Dial works while Run does.
type Dialer struct {
	Engine *engine.Engine
	log    *zap.Logger
	stream *event.Stream

	// What follows belongs to the control loop.
	calls      map[uint64]*call // by the peer
	nextSweep  time.Time
	nextReport time.Time
	reported   map[string]uint64 // what the log has said was dropped
}

// New opens the sockets. Nothing runs before Run.
func New(c Config) (*Dialer, error) {
	if c.Log == nil {
		c.Log = zap.NewNop()
	}
	if c.Listen == nil {
		c.Listen = func(c udp.Config) (udp.Conn, error) { return udp.Listen(c) }
	}
	d := &Dialer{log: event.Brief(c.Log), calls: make(map[uint64]*call)}
	d.stream = event.NewStream(tell.SinkFailed(d.log), event.NewLog(d.log))
	var err error
	d.Engine, err = engine.New(engine.Config{
		Addresses: c.Addresses, IKEPort: c.IKEPort, NATTPort: c.NATTPort, Listen: c.Listen, Workers: 1,
		Faults: fault.New(func(r fault.Report) { d.emit(tell.Fault(r)) }), Log: d.log, L2TPSecret: d.l2tpSecret, Link: d.link,
	})
	if err != nil {
		return nil, err
	}
	d.emit(tell.Buffers(d.Engine))
	return d, nil
}

// emit says that something has happened; nil: nothing has.
func (d *Dialer) emit(e event.Event) {
	if e != nil {
		d.stream.Emit(time.Now(), e)
	}
}

// do runs f in the control loop and waits for it.
func (d *Dialer) do(ctx context.Context, f func(now time.Time)) error {
	err := d.Engine.Work.Do(ctx, f)
	if errors.Is(err, engine.ErrEnded) {
		return ErrEnded
	}
	return err
}

// l2tpSecret is what the tunnels of a call are authenticated with.
func (d *Dialer) l2tpSecret(p *engine.Peer) []byte {
	if c := d.calls[p.ID]; c != nil {
		return c.config.L2TPSecret
	}
	return nil
}

// link is the client's end of the PPP link of a call.
func (d *Dialer) link(p *engine.Peer, mtu int) (ppp.Config, error) {
	if c := d.calls[p.ID]; c != nil {
		return c.config.link(uint16(min(mtu, maxMRU)))
	}
	return ppp.Config{}, ErrEnded
}

// Run serves until ctx is done, then says goodbye to every server and returns. What is
// still under way then is waited for, but no longer than engine.StopPatience.
func (d *Dialer) Run(ctx context.Context) error {
	d.Engine.Run(ctx, d)
	select {
	case <-aside.Run(func() { d.Engine.Close(); d.Engine.Wait() }):
	case <-time.After(engine.StopPatience):
	}
	return nil
}
