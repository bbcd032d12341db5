package engine

import (
	"context"
	"errors"
	"runtime"
	"sync"
	"time"

	"github.com/culvert-vpn/culvert/ike"
	"github.com/culvert-vpn/culvert/internal/x/fault"
)

// ErrEnded is what whoever asks the control loop for something gets once that has ended.
var ErrEnded = errors.New("engine: the control loop has ended")

// Work is what is done outside of the control loop, and how it comes back there. Its methods
// may be called by any goroutine.
type Work struct {
	computing *pool // what takes a processor
	waiting   *pool // what waits for a disk, a directory, an authority
	computed  chan result
	// Requests are what the control loop is to do.
	Requests chan func(now time.Time)
	ended    chan struct{} // closed when the control loop has ended
	running  sync.WaitGroup
}

// result is what a slow computation gave.
type result struct {
	id    ike.ComputeID
	value any
}

func newWork(faults *fault.Log) *Work {
	w := &Work{computed: make(chan result, 1024), Requests: make(chan func(time.Time), 64), ended: make(chan struct{})}
	cpus := runtime.GOMAXPROCS(0)
	w.computing = newPool(cpus, cpus, 0, 0, &w.running)
	w.waiting = newPool(maxWaiting, maxWaitingEach, maxQueued, maxQueuedEach, &w.running)
	w.computing.faults, w.waiting.faults = faults, faults
	return w
}

// Do runs f in the control loop and waits for it. The error is that of ctx, or ErrEnded.
func (w *Work) Do(ctx context.Context, f func(now time.Time)) error {
	done := make(chan struct{})
	select {
	case w.Requests <- func(now time.Time) { defer close(done); f(now) }:
	case <-w.ended:
		return ErrEnded
	case <-ctx.Done():
		return ctx.Err()
	}
	select {
	case <-done:
		return nil
	case <-w.ended:
		return ErrEnded
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Post runs f in the control loop, and returns at once when that has ended.
func (w *Work) Post(f func(now time.Time)) {
	select {
	case w.Requests <- f:
	case <-w.ended:
	}
}

// Later has something done for an owner, such as a tenant, that may wait for a disk or a
// network, and reports whether it will be: it is not if too much waits already.
func (w *Work) Later(owner string, f func()) bool { return w.waiting.do(owner, f) }

// Compute has something done that takes a processor.
func (w *Work) Compute(f func()) { w.computing.do("", f) }

// compute has a slow computation of IKE done, among what computes or, where it asks who may
// not answer, among what waits. It reports false where there is no room for it.
func (w *Work) compute(e ike.Compute) bool {
	f := func() {
		r := result{e.ID, ike.ErrFault}
		defer func() { w.give(r) }() // also if it panics: what it was counted for is given back
		r.value = e.Do()
	}
	if e.Waits {
		return w.waiting.do(e.Path.Remote.Addr().String(), f)
	}
	w.Compute(f)
	return true
}

func (w *Work) give(r result) {
	select {
	case w.computed <- r:
	case <-w.ended:
	}
}

// crowded reports whether more computations stand in line than can be done soon.
func (w *Work) crowded() bool { return w.computing.inLine() >= maxComputing }

// close forgets what stands in line, and takes no more.
func (w *Work) close() {
	w.computing.close()
	w.waiting.close()
}
