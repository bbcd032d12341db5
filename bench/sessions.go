package bench

import (
	"context"
	"fmt"
	"sync"
	"time"
)

// SessionsConfig says how many sessions are made and held.
type SessionsConfig struct {
	Target
	Sessions int           // 0: 10000
	Steps    int           // how often it is measured on the way; 0: 4
	Hold     time.Duration // 0: one minute
	Group    string        // of Diffie-Hellman; empty: ecp256
}

func (c SessionsConfig) withDefaults() (SessionsConfig, error) {
	if c.Sessions == 0 {
		c.Sessions = 10000
	}
	if c.Steps == 0 {
		c.Steps = min(4, c.Sessions)
	}
	if c.Hold == 0 {
		c.Hold = time.Minute
	}
	if c.Group == "" {
		c.Group = "ecp256"
	}
	switch {
	case c.Sessions < 1 || c.Sessions > 60000:
		return c, badOption("%d sessions: between 1 and 60000", c.Sessions)
	case c.Steps < 1 || c.Steps > c.Sessions:
		return c, badOption("%d steps to %d sessions", c.Steps, c.Sessions)
	case c.Hold < time.Millisecond || c.Hold > 24*time.Hour:
		return c, badOption("held for %v: between 1 ms and a day", c.Hold)
	}
	if _, err := suitesFor(c.Group); err != nil {
		return c, err
	}
	return c, c.Target.check()
}

// crowd is sessions that stand, and what was seen on the way there.
type crowd struct {
	config  SessionsConfig
	server  *standing
	fleet   *fleet
	clients []*client
	empty   int64 // resident bytes of the server before anybody came
	memory  Series
	p50     Series
	p99     Series
}

// Sessions ramps up to many sessions and holds them.
func Sessions(ctx context.Context, c SessionsConfig, p *Progress) (Section, error) {
	s := Section{
		Name: "sessions", Title: "Many idle sessions",
		About: "Full L2TP/IPsec sessions of one server process, dialled from another address each. Memory is what the process has in RAM beyond what it had before anybody came; echo requests go through every session.",
	}
	c, err := c.withDefaults()
	if err != nil {
		return s, err
	}
	site, server, fleet, err := together(ctx, c.Target)
	if err != nil {
		return s, err
	}
	defer site.close()
	w := &crowd{config: c, server: server, fleet: fleet, clients: make([]*client, c.Sessions)}
	w.memory.Name, w.p50.Name, w.p99.Name = "each", "p50", "p99"
	if server != nil {
		pause(ctx, 200*time.Millisecond)
		w.empty = server.proc.resident()
	}
	from := 0
	for step := range c.Steps {
		to := c.Sessions * (step + 1) / c.Steps
		if err := w.ramp(ctx, &s, from, to, p); err != nil {
			return s, err
		}
		from = to
	}
	if err := w.hold(ctx, &s, p); err != nil {
		return s, err
	}
	s.promise(c.Sessions, c.Steps)
	s.Charts = append(s.Charts, Chart{Title: "Echo through all sessions, one after the other", Unit: Seconds, Kind: Lines, XName: "sessions", Series: []Series{w.p50, w.p99}})
	if server != nil {
		s.Charts = append(s.Charts, Chart{Title: "Resident memory of the server, a session", Unit: Bytes, Kind: Lines, XName: "sessions", Series: []Series{w.memory}})
	}
	return s, nil
}

// promise gives goals to what was looked at with 10,000 sessions and more.
func (s *Section) promise(sessions, steps int) {
	for step := range steps {
		n := sessions * (step + 1) / steps
		if n < 10000 {
			continue
		}
		s.atMost(fmt.Sprintf("memory a session at %d", n), 24<<10)
		s.atMost(fmt.Sprintf("sessions without an answer at %d", n), 0)
	}
	s.atMost("sessions lost while held", 0)
	s.atMost("sessions without an answer after the hold", 0)
}

// ramp makes the sessions from one number to another, and looks at them.
func (w *crowd) ramp(ctx context.Context, s *Section, from, to int, p *Progress) error {
	suites, err := suitesFor(w.config.Group)
	if err != nil {
		return err
	}
	began := time.Now()
	err = each(ctx, to-from, rigParallel, func(ctx context.Context, i int) error {
		limit, cancel := context.WithTimeout(ctx, loginLimit)
		defer cancel()
		c, err := w.fleet.dial(limit, from+i, suites)
		if err != nil {
			return failed("session %d: %w", from+i+1, err)
		}
		w.clients[from+i] = c
		return nil
	})
	if err != nil {
		return err
	}
	p.Say("sessions %6d stand, the last %d in %.1f s", to, to-from, time.Since(began).Seconds())
	return w.look(ctx, s, to, fmt.Sprintf("at %d", to), p)
}

// look measures memory, and an echo through every session.
func (w *crowd) look(ctx context.Context, s *Section, n int, when string, p *Progress) error {
	all, err := w.echoes(ctx, n)
	if err != nil {
		return err
	}
	p50, p99 := Quantile(all.times, 0.5), Quantile(all.times, 0.99)
	s.add("echo p50 "+when, Seconds, p50)
	s.add("echo p99 "+when, Seconds, p99)
	s.add("echoes lost "+when, Count, float64(all.lost))
	s.add("sessions without an answer "+when, Count, float64(all.silent))
	w.p50.Points = append(w.p50.Points, Point{X: float64(n), Y: p50})
	w.p99.Points = append(w.p99.Points, Point{X: float64(n), Y: p99})
	memory := "unknown"
	if w.server != nil {
		each := float64(w.server.proc.resident()-w.empty) / float64(n)
		memory = Bytes.Format(each)
		s.add("memory a session "+when, Bytes, each)
		w.memory.Points = append(w.memory.Points, Point{X: float64(n), Y: each})
	}
	p.Say("sessions %6d %-12s echo p50 %s, p99 %s, %d lost, %d silent; memory %s each", n, when, Seconds.Format(p50), Seconds.Format(p99), all.lost, all.silent, memory)
	return nil
}

const (
	// echoParallel is how many echo requests are under way at once.
	echoParallel = 32
	// echoLimit is how long an answer is waited for.
	echoLimit = 3 * time.Second
	// echoTries is how often a session is asked that does not answer.
	echoTries = 3
)

// heard is what came of an echo request through each session.
type heard struct {
	times  []float64 // of the answers, in seconds
	lost   int       // requests without an answer: packets that were lost
	silent int       // sessions that answered none of several
}

// echoes sends an echo request through each of the first n sessions, and more
// through those that do not answer.
func (w *crowd) echoes(ctx context.Context, n int) (all heard, err error) {
	var mu sync.Mutex
	err = each(ctx, n, echoParallel, func(ctx context.Context, i int) error {
		for range echoTries {
			limit, cancel := context.WithTimeout(ctx, echoLimit)
			took, err := w.fleet.probes.echo(limit, w.clients[i])
			cancel()
			mu.Lock()
			if err == nil {
				all.times = append(all.times, took.Seconds())
				mu.Unlock()
				return nil
			}
			all.lost++
			mu.Unlock()
		}
		mu.Lock()
		all.silent++
		mu.Unlock()
		return nil
	})
	return all, err
}

// hold keeps everything as it is for a while and looks again.
func (w *crowd) hold(ctx context.Context, s *Section, p *Progress) error {
	began, used := time.Now(), w.server.cpu()
	p.Update("all %d are held for %v", w.config.Sessions, w.config.Hold)
	if err := pause(ctx, w.config.Hold); err != nil {
		return err
	}
	if w.server != nil {
		idle := share((w.server.cpu() - used).Seconds(), time.Since(began).Seconds())
		s.add("CPU of the idle server", Share, idle)
		s.add("CPU of an idle session in a second", Seconds, idle/float64(w.config.Sessions))
		p.Say("sessions %6d held for %v: the server took %s of a core, %s a second for each", w.config.Sessions, w.config.Hold, Share.Format(idle), Seconds.Format(idle/float64(w.config.Sessions)))
	}
	lost := 0
	for _, c := range w.clients {
		select {
		case <-c.Done():
			lost++
		default:
		}
	}
	s.add("sessions lost while held", Count, float64(lost))
	return w.look(ctx, s, w.config.Sessions, "after the hold", p)
}
