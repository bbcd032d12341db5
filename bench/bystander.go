package bench

import (
	"context"
	"time"

	"github.com/culvert-vpn/culvert/internal/dialer"
)

const (
	// bystanderNumber is the place of a bystander among the clients.
	bystanderNumber = 2_000_000
	// bystanderEvery is how long a bystander waits between echo requests.
	bystanderEvery = 10 * time.Millisecond
)

// bystander is a client that stands while others dial in. It has sockets and a
// control loop of its own, so that it waits for the server and not for them.
type bystander struct {
	fleet  *fleet
	client *client
}

// newBystander dials in. The site removes it.
func newBystander(ctx context.Context, s *site, t Target, st *standing, suites dialer.Suites) (*bystander, error) {
	f, err := newFleet(t, st)
	if err != nil {
		return nil, err
	}
	s.later(f.close)
	limit, cancel := context.WithTimeout(ctx, loginLimit)
	defer cancel()
	c, err := f.dial(limit, bystanderNumber, suites)
	if err != nil {
		return nil, failed("bystander: %w", err)
	}
	return &bystander{f, c}, nil
}

// echoes sends echo requests for a time and returns how many seconds the
// answers took. One that does not come took as long as it was waited for.
func (b *bystander) echoes(ctx context.Context, d time.Duration) (all []float64) {
	for began := time.Now(); time.Since(began) < d && ctx.Err() == nil; pause(ctx, bystanderEvery) {
		limit, cancel := context.WithTimeout(ctx, echoLimit)
		took, err := b.fleet.probes.echo(limit, b.client)
		if cancel(); err != nil {
			took = echoLimit
		}
		all = append(all, took.Seconds())
	}
	return all
}

// waits are echoes of bystanders, a round each: half and 99 of 100 took no
// longer.
type waits struct{ p50, p99 []float64 }

func (w *waits) add(echoes []float64) {
	if len(echoes) > 0 {
		w.p50, w.p99 = append(w.p50, Quantile(echoes, 0.5)), append(w.p99, Quantile(echoes, 0.99))
	}
}

// figures puts them into the section.
func (w *waits) figures(s *Section, when string) {
	if len(w.p50) > 0 {
		s.add("echo p50 of who stands, "+when, Seconds, w.p50...)
		s.add("echo p99 of who stands, "+when, Seconds, w.p99...)
	}
}
