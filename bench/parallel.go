package bench

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
)

// each calls f for 0 to n-1, on at most parallel goroutines. It stops at the
// first error, or when ctx is done.
func each(ctx context.Context, n, parallel int, f func(ctx context.Context, i int) error) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var next atomic.Int64
	var running sync.WaitGroup
	for range min(n, parallel) {
		running.Go(func() {
			for i := int(next.Add(1)) - 1; i < n && ctx.Err() == nil; i = int(next.Add(1)) - 1 {
				if err := f(ctx, i); err != nil {
					cancel(err)
				}
			}
		})
	}
	running.Wait()
	if err := context.Cause(ctx); err != nil && !errors.Is(err, context.Canceled) {
		return err
	}
	return ctx.Err()
}

// background runs f and adds it to what has to end.
func background(running *sync.WaitGroup, f func()) { running.Go(f) }
