package bench

import (
	"context"
	"errors"
	"slices"
	"time"
)

// AllConfig says which measurements are made one after the other.
type AllConfig struct {
	// Program is culvert's own file.
	Program string
	// Parts are the names of measurements; empty: all of them.
	Parts []string
	// Rounds is how often what is compared alternates; 0: 5. The other
	// measurements are repeated three times.
	Rounds int
	// Brief makes everything as short as it can be, to see whether it works.
	Brief bool
}

// part is one measurement of All.
type part struct {
	name string
	run  func(ctx context.Context, p *Progress) (Section, error)
}

// scaled is a time, or as little as makes sense.
func (c AllConfig) scaled(usual, brief time.Duration) time.Duration {
	if c.Brief {
		return brief
	}
	return usual
}

// scaledCount is scaled for numbers.
func (c AllConfig) scaledCount(usual, brief int) int {
	if c.Brief {
		return brief
	}
	return usual
}

// parts are all measurements, sized to be over in some 20 minutes together.
func (c AllConfig) parts() []part {
	target := Target{Program: c.Program}
	rounds := c.scaledCount(3, 1)
	return []part{
		{"compare", func(ctx context.Context, p *Progress) (Section, error) {
			return Compare(ctx, CompareConfig{
				Program: c.Program, Rounds: c.Rounds, Duration: c.scaled(1500*time.Millisecond, 100*time.Millisecond), Warmup: c.scaled(500*time.Millisecond, 50*time.Millisecond),
				Clients: c.scaledCount(50, 3),
			}, p)
		}},
		{"throughput", func(ctx context.Context, p *Progress) (Section, error) {
			return Throughput(ctx, c.throughput(rounds, "udp64", "udp512", "udp1400", "imix", "tcp4"), p)
		}},
		{"overload", func(ctx context.Context, p *Progress) (Section, error) {
			return Overload(ctx, c.throughput(c.scaledCount(5, 1)), p)
		}},
		{"crypto", func(ctx context.Context, p *Progress) (Section, error) {
			return Crypto(ctx, CryptoConfig{Duration: c.scaled(100*time.Millisecond, time.Millisecond), Rounds: rounds}, p)
		}},
		{"forward", func(ctx context.Context, p *Progress) (Section, error) {
			return Forward(ctx, ForwardConfig{Duration: c.scaled(400*time.Millisecond, time.Millisecond), Rounds: rounds}, p)
		}},
		{"flat", c.flat},
		{"logins", func(ctx context.Context, p *Progress) (Section, error) {
			return Logins(ctx, LoginsConfig{Target: target, Duration: c.scaled(3*time.Second, 300*time.Millisecond), Rounds: c.scaledCount(5, 1), Parallel: c.scaledCount(64, 8)}, p)
		}},
		{"sessions", func(ctx context.Context, p *Progress) (Section, error) {
			return Sessions(ctx, SessionsConfig{Target: target, Sessions: c.scaledCount(20000, 4), Steps: c.scaledCount(4, 2), Hold: c.scaled(30*time.Second, 100*time.Millisecond)}, p)
		}},
		{"storm", func(ctx context.Context, p *Progress) (Section, error) {
			return Storm(ctx, StormConfig{Program: c.Program, Clients: c.scaledCount(5000, 10)}, p)
		}},
	}
}

func (c AllConfig) throughput(rounds int, loads ...string) ThroughputConfig {
	return ThroughputConfig{
		Program: c.Program, Loads: loads, Rounds: rounds,
		Duration: c.scaled(time.Second, 100*time.Millisecond), Warmup: c.scaled(500*time.Millisecond, 50*time.Millisecond),
	}
}

// flat asks whether a packet costs more among many sessions.
func (c AllConfig) flat(ctx context.Context, p *Progress) (Section, error) {
	sessions := []int{1, 10, 100, 1000, 5000, 20000}
	if c.Brief {
		sessions = sessions[:2]
	}
	s, err := Forward(ctx, ForwardConfig{
		Suites: []string{"aes256gcm16"}, Sizes: []int{1400}, Sessions: sessions,
		Duration: c.scaled(400*time.Millisecond, time.Millisecond), Rounds: c.scaledCount(3, 1),
	}, p)
	s.Name, s.Title = "flat", "What a packet costs among many sessions, on one core"
	return s, err
}

// All makes one measurement after the other. What fails is noted in its
// section, and the others are made; an error says that some failed.
func All(ctx context.Context, c AllConfig, p *Progress) ([]Section, error) {
	parts, err := c.chosen()
	if err != nil {
		return nil, err
	}
	var sections []Section
	var wrong []error
	for _, part := range parts {
		p.Say("%s begins", part.name)
		s, err := part.run(ctx, p)
		if err != nil {
			s.note("%v", err)
			wrong = append(wrong, failed("%s: %w", part.name, err))
		}
		sections = append(sections, s)
		if ctx.Err() != nil {
			break
		}
	}
	return sections, errors.Join(wrong...)
}

// chosen are the parts that were asked for.
func (c AllConfig) chosen() ([]part, error) {
	all := c.parts()
	var names []string
	for _, p := range all {
		names = append(names, p.name)
	}
	for _, name := range c.Parts {
		if !slices.Contains(names, name) {
			return nil, badOption("no part %q; there are %v", name, names)
		}
	}
	if c.Rounds < 0 || c.Rounds > 1000 {
		return nil, badOption("%d rounds: between 1 and 1000", c.Rounds)
	}
	if len(c.Parts) > 0 {
		all = slices.DeleteFunc(all, func(p part) bool { return !slices.Contains(c.Parts, p.name) })
	}
	return all, checkProgram(c.Program)
}
