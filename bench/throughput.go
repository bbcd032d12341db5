package bench

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"
)

// ThroughputConfig says what is sent through culvert between namespaces.
type ThroughputConfig struct {
	// Program is culvert's own file, which is run at both ends.
	Program string
	// Suites are the ESP suites; empty: aes256gcm16 and aes256-sha256.
	Suites []string
	// Egress is tun, netstack or both; empty: both.
	Egress []string
	// Loads are tcp, tcpN, tcpdown, tcpNdown, udpN, imix; empty: tcp, tcp4, udp64, udp512,
	// udp1400, imix.
	Loads []string
	// Duration of each load, after a Warmup; 0: 5 s and 1 s.
	Duration, Warmup time.Duration
	Rounds           int // 0: 3
	// Tool is own or iperf3; empty: own.
	Tool string
	// Overload also sends UDP at 0.5 to 3 times what goes through, with the last
	// suite and the first egress, for less than a second at a time.
	Overload bool
}

func (c ThroughputConfig) withDefaults() (ThroughputConfig, []load, error) {
	setList(&c.Suites, "aes256gcm16", "aes256-sha256")
	setList(&c.Egress, "tun", "netstack")
	setList(&c.Loads, "tcp", "tcp4", "udp64", "udp512", "udp1400", "imix")
	loads, err := parseLoads(c.Loads)
	if err != nil {
		return c, nil, err
	}
	if err := defaultTimes(&c.Duration, 5*time.Second, &c.Rounds, 3); err != nil {
		return c, nil, err
	}
	for _, name := range c.Suites {
		if _, err := transformNamed(name); err != nil {
			return c, nil, err
		}
	}
	for _, e := range c.Egress {
		if e != "tun" && e != "netstack" {
			return c, nil, badOption("no egress %q: tun or netstack", e)
		}
	}
	return c, loads, errors.Join(checkProgram(c.Program), checkTool(&c.Tool, c.Duration, loads))
}

func setList(list *[]string, usual ...string) {
	if len(*list) == 0 {
		*list = usual
	}
}

func checkProgram(path string) error {
	if path == "" {
		return badOption("culvert's own file is not known")
	}
	return nil
}

// checkTool refuses a traffic tool that cannot do what is asked of it.
func checkTool(tool *string, d time.Duration, loads []load) error {
	switch *tool {
	case "":
		*tool = "own"
	case "own":
	case iperfProgram:
		if d < time.Second {
			return badOption("iperf3 measures whole seconds, not %v", d)
		}
		if slices.ContainsFunc(loads, func(l load) bool { return len(l.sizes) > 1 }) {
			return badOption("iperf3 sends packets of one size: leave imix out")
		}
		return checkIperf()
	default:
		return badOption("no tool %q: own or iperf3", *tool)
	}
	return nil
}

func (c ThroughputConfig) timing() timing {
	w := c.Warmup
	if w == 0 {
		w = min(time.Second, c.Duration)
	}
	return timing{warmup: w, duration: c.Duration, iperf: c.Tool == iperfProgram}
}

// Throughput measures culvert at both ends of a pair of namespaces.
func Throughput(ctx context.Context, c ThroughputConfig, p *Progress) (Section, error) {
	s := Section{
		Name: "throughput", Title: "Traffic between network namespaces, culvert at both ends",
		About: "UDP is sent as fast as it goes, and what arrives counts. Both ends of the tunnel and both ends of the traffic share this machine.",
	}
	c, loads, err := c.withDefaults()
	if err != nil {
		return s, err
	}
	ways := []way{plainWay()}
	for _, egress := range c.Egress {
		for _, suite := range c.Suites {
			ways = append(ways, culvertWay(suite, egress, 0))
		}
	}
	m := newMatrix(ways, loads)
	if err := m.run(ctx, c.Program, c.Rounds, c.timing(), &s, p); err != nil {
		return s, err
	}
	m.figures(&s)
	if c.Overload {
		err = c.overload(ctx, &s, c.Egress[0], p)
	}
	return s, err
}

// matrix is every load through every way, in alternating rounds.
type matrix struct {
	ways    []way // all, also those that were left out
	loads   []load
	samples map[string][]float64 // by way and load, bits a second
}

func newMatrix(ways []way, loads []load) *matrix {
	return &matrix{ways: ways, loads: loads, samples: make(map[string][]float64)}
}

func (m *matrix) key(w way, l load) string { return w.title + ", " + l.name }

// run does all rounds. A way that this machine cannot go is left out, with a
// note; one that fails is left out from then on.
func (m *matrix) run(ctx context.Context, program string, rounds int, t timing, s *Section, p *Progress) error {
	if err := checkNamespaces(); err != nil {
		s.note("%v", err)
		p.Say("left out: %v", err)
		return nil
	}
	ways := slices.DeleteFunc(slices.Clone(m.ways), func(w way) bool {
		err := w.missing()
		if err != nil {
			s.note("%s was left out: %v", w.title, err)
			p.Say("left out %s: %v", w.title, err)
		}
		return err != nil
	})
	for round := range rounds {
		for i := 0; i < len(ways); i++ {
			err := m.through(ctx, program, ways[i], t, p, round)
			if ctx.Err() != nil {
				return ctx.Err()
			}
			if err != nil {
				s.note("%s was left out from round %d on: %v", ways[i].title, round+1, err)
				p.Say("left out %s: %v", ways[i].title, err)
				ways = slices.Delete(ways, i, i+1)
				i--
			}
		}
	}
	return nil
}

// through makes one way and sends every load through it.
func (m *matrix) through(ctx context.Context, program string, w way, t timing, p *Progress, round int) error {
	r, err := newRoad(program)
	if err != nil {
		return err
	}
	defer r.close()
	p.Update("round %d: %s comes up", round+1, w.title)
	if err := w.start(ctx, r); err != nil {
		return err
	}
	for _, l := range m.loads {
		work, ok := w.load(l)
		if !ok {
			continue
		}
		used := r.serverCPU()
		got, err := r.carry(ctx, r.client, w.sink(r), w.target, work, t)
		if err != nil {
			return err
		}
		m.add(m.key(w, l), got.bitsPerSecond())
		if used = r.serverCPU() - used; used > 0 && got.All > 0 {
			m.add(m.key(w, l)+perServerCore, rate(8*got.All, used))
		}
		p.Say("round %d  %-34s %-18s %s%s", round+1, w.title, l.name, BitsPerSecond.Format(got.bitsPerSecond()), packetsIn(got))
	}
	return nil
}

func packetsIn(t transfer) string {
	if t.Packets == 0 {
		return ""
	}
	return "  " + PacketsPerSecond.Format(float64(t.Packets)/t.Seconds)
}

// perServerCore is how figures end that say what a second of the server's own CPU
// time is enough for.
const perServerCore = ", a core of the server"

// serverCPU is what the server of the VPN has used.
func (r *road) serverCPU() time.Duration {
	if r.serving == nil {
		return 0
	}
	return r.serving.cpu()
}

func (m *matrix) add(key string, sample float64) { m.samples[key] = append(m.samples[key], sample) }

// figures puts everything measured into the section, with a chart a load.
func (m *matrix) figures(s *Section) {
	for _, l := range m.loads {
		m.bars(s, l, "", l.name)
	}
	for _, l := range m.loads {
		m.bars(s, l, perServerCore, l.name+": what a second of the server's CPU time carries")
	}
}

// bars puts the samples of one load into the section.
func (m *matrix) bars(s *Section, l load, of, title string) {
	c := Chart{Title: title, Kind: Rows, Series: []Series{{Name: "culvert"}, {Name: "others"}}}
	for _, w := range m.ways {
		if samples := m.samples[m.key(w, l)+of]; len(samples) > 0 {
			s.add(m.key(w, l)+of, BitsPerSecond, samples...)
			series := 1
			if strings.HasPrefix(w.title, "culvert") {
				series = 0
			}
			c.row(series, w.title, "", NewFigure(w.title, BitsPerSecond, samples...))
		}
	}
	if len(c.Labels) > 0 {
		s.Charts = append(s.Charts, c)
	}
}
