package bench

import (
	"context"
	"fmt"
	"slices"
	"time"
)

// CompareConfig says what is compared, and with what.
type CompareConfig struct {
	// Program is culvert's own file.
	Program string
	// With are the names of ways to compare; empty: all of them.
	With []string
	// Loads as in ThroughputConfig; empty: tcp, tcp4, udp1400.
	Loads            []string
	Duration, Warmup time.Duration // of each load; 0: 5 s after 1 s
	Rounds           int           // 0: 5
	Tool             string        // as in ThroughputConfig
}

// contestants are all ways there are, culvert's own first.
func contestants() []way {
	return []way{
		culvertWay("aes256gcm16", "tun"), culvertWay("aes256-sha256", "tun"), culvertWay("aes256gcm16", "netstack"),
		culvertWay(softEtherSuite, "netstack"), wireGuardWay(), softEtherWay(), plainWay(),
	}
}

// match is two ways whose ratio says something.
type match struct{ of, to string }

func matches() []match {
	return []match{
		{"culvert aes256gcm16 tun", "wireguard-go"}, {"culvert aes256-sha256 tun", "wireguard-go"},
		{"culvert aes256gcm16 netstack", "wireguard-go"}, {"culvert " + softEtherSuite + " netstack", "SoftEther " + softEtherSuite},
	}
}

func (c CompareConfig) withDefaults() (CompareConfig, []way, []load, error) {
	setList(&c.Loads, "tcp", "tcp4", "udp1400")
	loads, err := parseLoads(c.Loads)
	if err != nil {
		return c, nil, nil, err
	}
	if err := defaultTimes(&c.Duration, 5*time.Second, &c.Rounds, 5); err != nil {
		return c, nil, nil, err
	}
	ways := contestants()
	for _, name := range c.With {
		if !slices.ContainsFunc(ways, func(w way) bool { return w.name == name }) {
			return c, nil, nil, badOption("no %q to compare with; there are %v", name, wayNames(ways))
		}
	}
	if len(c.With) > 0 {
		ways = slices.DeleteFunc(ways, func(w way) bool { return !slices.Contains(c.With, w.name) })
	}
	if err := checkTool(&c.Tool, c.Duration, loads); err != nil {
		return c, nil, nil, err
	}
	return c, ways, loads, checkProgram(c.Program)
}

func wayNames(ways []way) (names []string) {
	for _, w := range ways {
		names = append(names, w.name)
	}
	return names
}

// Compare sends the same work through culvert and through other VPNs, in
// alternating rounds, so that what a machine does besides meets all alike.
func Compare(ctx context.Context, c CompareConfig, p *Progress) (Section, error) {
	s := Section{Name: "compare", Title: "The same work through culvert and others"}
	c, ways, loads, err := c.withDefaults()
	if err != nil {
		return s, err
	}
	m := newMatrix(ways, loads)
	t := ThroughputConfig{Duration: c.Duration, Warmup: c.Warmup, Tool: c.Tool}.timing()
	err = m.run(ctx, c.Program, c.Rounds, t, &s, p)
	m.figures(&s)
	m.ratios(&s, matches())
	if slices.ContainsFunc(m.ways, func(w way) bool { return w.name == "softether" }) {
		s.note("what leaves SoftEther goes through its SecureNAT, in user space as culvert's netstack is; a bridge of its own was not measured")
	}
	return s, err
}

// ratios divides round by round.
func (m *matrix) ratios(s *Section, matches []match) {
	for _, pair := range matches {
		var bars []Figure
		for _, l := range m.loads {
			samples := ratios(m.samples[pair.of+", "+l.name], m.samples[pair.to+", "+l.name])
			if len(samples) == 0 {
				continue
			}
			s.add(fmt.Sprintf("%s against %s, %s", pair.of, pair.to, l.name), Times, samples...)
			bars = append(bars, NewFigure(l.name, Times, samples...))
		}
		if len(bars) > 0 {
			s.Charts = append(s.Charts, barsOf(pair.of+" against "+pair.to, bars...))
		}
	}
}
