package engine

import (
	"context"
	"time"

	"github.com/culvert-vpn/culvert/esp"
)

// Engine is the control loop and all that it owns. Its methods, but for those of Work, are
// for the control loop.
type Engine struct {
	*machines
	*sessions
	Children *children // of all peers
	Work     *Work
	owner    Owner
	stop     context.CancelFunc
}

// New opens the sockets. Nothing runs before Run.
func New(c Config) (*Engine, error) {
	m := &machines{Table: newTable(), Refused: make(map[string]uint64), Config: c, vault: new(esp.Vault)}
	pairs := &children{machines: m}
	e := &Engine{Work: newWork(c.Faults), machines: m, Children: pairs, sessions: &sessions{machines: m, children: pairs}, stop: func() {}}
	for _, step := range []func() error{e.openPlane, e.openMachines} {
		if err := step(); err != nil {
			e.Close()
			return nil, err
		}
	}
	return e, nil
}

// Run serves until ctx is done, and returns when the owner has said goodbye to every peer.
// Close frees what is left.
func (e *Engine) Run(ctx context.Context, owner Owner) {
	e.owner = owner
	planeCtx, stop := context.WithCancel(context.Background())
	e.stop = stop
	e.Work.running.Add(1)
	go func() {
		defer e.Work.running.Done()
		e.Plane.Run(planeCtx)
	}()
	(&loop{engine: e}).run(ctx)
	close(e.Work.ended)
}

// StopPatience is how long whoever ends an engine waits, once every peer was told, for what is
// still under way: a disk, another process that holds a file, whoever was asked something and
// is silent. Nothing of that is worth a late end.
const StopPatience = 1200 * time.Millisecond

// Stop ends what runs beside the control loop, without waiting for it: slow work, and the
// data plane.
func (e *Engine) Stop() {
	e.stop()
	e.Work.close()
}

// Close is Stop, and frees the sockets.
func (e *Engine) Close() {
	e.Stop()
	if e.Plane != nil {
		e.Plane.Close()
	}
}

// Wait waits until nothing of what Close has ended runs any more.
func (e *Engine) Wait() { e.Work.running.Wait() }
