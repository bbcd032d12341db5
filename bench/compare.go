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
	// Loads as in ThroughputConfig; empty: tcp, tcpdown, udp1400.
	Loads            []string
	Duration, Warmup time.Duration // of each load; 0: 5 s after 1 s
	Rounds           int           // 0: 5
	Clients          int           // at once, where many are compared; 0: 50; below 0: none
	Tool             string        // as in ThroughputConfig
	Policy           int           // rules with which culvert is compared with itself; 0: none
}

// contestants are all ways there are, culvert's own first.
func (c CompareConfig) contestants() []way {
	ways := []way{
		culvertWay("aes256gcm16", "tun", 0), culvertWay("aes256-sha256", "tun", 0), culvertWay("aes256gcm16", "netstack", 0),
		wireGuardWay(), strongSwanWay("aes256gcm16"), strongSwanWay("aes256-sha256"),
		culvertWay(softEtherSuite, "tun", 0), softEtherWay("tun", 0),
		culvertWay(softEtherSuite, "netstack", 0), softEtherWay("netstack", 0),
	}
	if c.Clients > 0 {
		ways = append(ways, culvertWay(softEtherSuite, "tun", c.Clients), softEtherWay("tun", c.Clients))
	}
	if c.Policy > 0 {
		ways = append(ways, policedWay("aes256gcm16", c.Policy))
	}
	return append(ways, l2tpnsWay(), plainWay())
}

// match is two ways whose ratio says something.
type match struct {
	of, to string // names of ways
	// goals are what the ratio of a load is meant to be at least.
	goals map[string]float64
}

func (c CompareConfig) matches() []match {
	many := fmt.Sprintf("-%d", c.Clients)
	softEther := map[string]float64{"tcp": 5}
	return []match{
		{"culvert-tun-aes256gcm16", "wireguard-go", map[string]float64{"tcp": 1.5, "udp1400": 2}},
		{"culvert-tun-aes256-sha256", "wireguard-go", map[string]float64{"tcp": 1}},
		{"culvert-netstack-aes256gcm16", "wireguard-go", map[string]float64{"tcp": 1, "tcpdown": 1}},
		{"culvert-tun-aes256gcm16-policy", "culvert-tun-aes256gcm16", map[string]float64{"tcp": 0.95, "tcpdown": 0.95}},
		{"culvert-tun-aes256gcm16", "strongswan-aes256gcm16", nil},
		{"culvert-tun-aes256-sha256", "strongswan-aes256-sha256", nil},
		{"culvert-tun-" + softEtherSuite, "softether-tun", softEther},
		{"culvert-tun-" + softEtherSuite + many, "softether-tun" + many, softEther},
		{"culvert-netstack-" + softEtherSuite, "softether-netstack", softEther},
	}
}

func (c CompareConfig) withDefaults() (CompareConfig, []way, []load, error) {
	setList(&c.Loads, "tcp", "tcpdown", "udp1400")
	if c.Clients == 0 {
		c.Clients = 50
	}
	if c.Clients > maxCallers {
		return c, nil, nil, badOption("%d clients at once: at most %d", c.Clients, maxCallers)
	}
	loads, err := parseLoads(c.Loads)
	if err != nil {
		return c, nil, nil, err
	}
	if err := defaultTimes(&c.Duration, 5*time.Second, &c.Rounds, 5); err != nil {
		return c, nil, nil, err
	}
	if err := checkRules(c.Policy); err != nil {
		return c, nil, nil, err
	}
	ways := c.contestants()
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
	s := Section{
		Name: "compare", Title: "The same work through culvert and others",
		About: "Three network namespaces in a row, with both ends of each VPN and both ends of the traffic on this machine. All take turns, round after round; ratios are divided round by round. A bar is the median, the line on it goes from the lowest to the highest round.",
	}
	c, ways, loads, err := c.withDefaults()
	if err != nil {
		return s, err
	}
	m := newMatrix(ways, loads)
	t := ThroughputConfig{Duration: c.Duration, Warmup: c.Warmup, Tool: c.Tool}.timing()
	err = m.run(ctx, c.Program, c.Rounds, t, &s, p)
	m.figures(&s)
	m.ratios(&s, c.matches())
	return s, err
}

// ratios divides round by round: what arrived, and what a second of the server's
// CPU time was enough for, which the client that shares the machine does not blur.
func (m *matrix) ratios(s *Section, matches []match) {
	speed := Chart{Title: "How many times as much goes through culvert (dashed: what is asked for)", Unit: Times, Kind: Ratios, Series: []Series{{}}}
	cost := Chart{Title: "How many times as much a second of the server's CPU time carries", Unit: Times, Kind: Ratios, Series: []Series{{}}}
	for _, pair := range matches {
		for _, l := range m.loads {
			m.ratio(s, &speed, pair, l, "")
			m.ratio(s, &cost, pair, l, perServerCore)
		}
	}
	for _, c := range []Chart{cost, speed} {
		if len(c.Labels) > 0 {
			s.Charts = append([]Chart{c}, s.Charts...)
		}
	}
}

// ratio adds one ratio to the section and to a chart, if both were measured.
func (m *matrix) ratio(s *Section, c *Chart, pair match, l load, kind string) {
	of, ok1 := m.way(pair.of)
	to, ok2 := m.way(pair.to)
	if !ok1 || !ok2 {
		return
	}
	samples := ratios(m.samples[m.key(of, l)+kind], m.samples[m.key(to, l)+kind])
	if len(samples) == 0 {
		return
	}
	versus := of.title + " against " + to.title
	f := NewFigure(versus+", "+l.name+kind, Times, samples...)
	if goal := pair.goals[l.option]; goal > 0 && kind == "" {
		f.Goal = &Goal{Value: goal}
	}
	s.Figures = append(s.Figures, f)
	c.row(0, l.name, versus, f)
}

// way finds a way by its name.
func (m *matrix) way(name string) (way, bool) {
	i := slices.IndexFunc(m.ways, func(w way) bool { return w.name == name })
	if i < 0 {
		return way{}, false
	}
	return m.ways[i], true
}
