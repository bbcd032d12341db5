package bench

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"github.com/culvert-vpn/culvert/internal/dialer"
)

// StormConfig says how many clients redial at once.
type StormConfig struct {
	Program string        // culvert's own file
	Clients int           // 0: 5000
	Group   string        // of Diffie-Hellman; empty: modp2048
	Persona string        // empty: culvert itself
	Limit   time.Duration // after which those not back are given up; 0: 3 minutes
}

func (c StormConfig) withDefaults() (StormConfig, error) {
	if c.Clients == 0 {
		c.Clients = 5000
	}
	if c.Group == "" {
		c.Group = "modp2048"
	}
	if c.Limit == 0 {
		c.Limit = 3 * time.Minute
	}
	switch {
	case c.Clients < 1 || c.Clients > 60000:
		return c, badOption("%d clients: between 1 and 60000", c.Clients)
	case c.Limit < time.Second:
		return c, badOption("a limit of %v: at least a second", c.Limit)
	}
	if _, err := suitesFor(c.Group); err != nil {
		return c, err
	}
	return c, Target{Program: c.Program, Persona: c.Persona}.check()
}

// Storm kills the server under many clients, starts it again, and has all of
// them redial at once.
func Storm(ctx context.Context, c StormConfig, p *Progress) (Section, error) {
	s := Section{
		Name: "storm", Title: "Everybody redials at once",
		About: "All clients stand, the server is killed and started again, and all of them dial in the same moment, as after a power cut.",
	}
	c, err := c.withDefaults()
	if err != nil {
		return s, err
	}
	site, server, fleet, err := together(ctx, Target{Program: c.Program, Persona: c.Persona})
	if err != nil {
		return s, err
	}
	defer site.close()
	clients, err := c.gather(ctx, fleet, p)
	if err != nil {
		return s, err
	}
	server.proc.kill()
	p.Say("storm: the server is killed")
	each(ctx, len(clients), rigParallel, func(ctx context.Context, i int) error { clients[i].hangUp(ctx); return nil })
	if err := server.start(ctx); err != nil {
		return s, err
	}
	p.Say("storm: the server is up, %d clients redial", c.Clients)
	return s, c.redial(ctx, &s, server, fleet, p)
}

// gather has everybody dial in.
func (c StormConfig) gather(ctx context.Context, f *fleet, p *Progress) ([]*client, error) {
	clients := make([]*client, c.Clients)
	// The group of the first dial-in does not matter: a quick one.
	suites, err := suitesFor("ecp256")
	if err != nil {
		return nil, err
	}
	err = each(ctx, c.Clients, rigParallel, func(ctx context.Context, i int) error {
		limit, cancel := context.WithTimeout(ctx, loginLimit)
		defer cancel()
		var err error
		if clients[i], err = f.dial(limit, i, suites); err != nil {
			return failed("client %d: %w", i+1, err)
		}
		return nil
	})
	p.Say("storm: %d clients stand", c.Clients)
	return clients, err
}

// returns are when clients were back, and how often they had to dial.
type returns struct {
	mu    sync.Mutex
	began time.Time
	after []float64   // seconds
	dials map[int]int // how many clients dialled so often
	wrong causes
}

func (r *returns) add(dials int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.after = append(r.after, time.Since(r.began).Seconds())
	r.dials[dials]++
}

// redial has all clients dial at once, and again when that failed.
func (c StormConfig) redial(ctx context.Context, s *Section, server *standing, f *fleet, p *Progress) error {
	suites, err := suitesFor(c.Group)
	if err != nil {
		return err
	}
	limit, cancel := context.WithTimeout(ctx, c.Limit)
	defer cancel()
	r := &returns{began: time.Now(), dials: make(map[int]int)}
	var back atomic.Int64
	var running sync.WaitGroup
	background(&running, func() { countBack(limit, &back, c.Clients, p) })
	each(limit, c.Clients, c.Clients, func(ctx context.Context, i int) error {
		if n := f.persist(ctx, i, suites, &r.wrong); n > 0 {
			r.add(n)
			back.Add(1)
		}
		return nil
	})
	cancel()
	running.Wait()
	if err := ctx.Err(); err != nil {
		return err
	}
	c.figures(s, r, server)
	p.Say("storm: %d of %d back, the last after %s", len(r.after), c.Clients, Seconds.Format(Summarize(r.after).Max))
	return nil
}

// persist dials until it worked, and returns how often that took; 0: ctx ended.
func (f *fleet) persist(ctx context.Context, i int, suites dialer.Suites, wrong *causes) int {
	for n := 1; ctx.Err() == nil; n++ {
		_, err := f.dial(ctx, i, suites)
		if err == nil {
			return n
		}
		if ctx.Err() == nil {
			wrong.add(err)
		}
	}
	return 0
}

func countBack(ctx context.Context, back *atomic.Int64, of int, p *Progress) {
	for pause(ctx, time.Second) == nil {
		p.Update("storm: %d of %d are back", back.Load(), of)
	}
}

// figures says how long it took.
func (c StormConfig) figures(s *Section, r *returns, server *standing) {
	s.add("clients back", Count, float64(len(r.after)))
	s.add("clients not back", Count, float64(c.Clients-len(r.after)))
	for _, q := range []struct {
		name string
		at   float64
	}{{"half of them back after", 0.5}, {"99 % back after", 0.99}, {"the last back after", 1}} {
		s.add(q.name, Seconds, Quantile(r.after, q.at))
	}
	third := 0
	for n, clients := range r.dials {
		if n >= 3 {
			third += clients
		}
	}
	s.add("back with the first dial", Count, float64(r.dials[1]))
	s.add("back with the second dial", Count, float64(r.dials[2]))
	s.add("needed a third dial or more", Count, float64(third))
	s.add("CPU time of the server", Seconds, server.cpu().Seconds())
	r.wrong.note(s, "dials failed")
	s.atMost("clients not back", 0)
	s.atMost("the last back after", 60)
	s.atMost("needed a third dial or more", 0)
	line := Series{Name: "back"}
	for q := 0.0; q <= 1; q += 0.05 {
		line.Points = append(line.Points, Point{X: Quantile(r.after, q), Y: q})
	}
	s.Charts = []Chart{{Title: "Clients that are back", Unit: Share, Kind: Lines, XName: "seconds", Series: []Series{line}}}
}
