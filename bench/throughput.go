package bench

import (
	"context"
	"errors"
	"fmt"
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
	// Overload also sends UDP at 0.5 to 3 times what goes through.
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
		err = c.overload(ctx, &s, ways[1], p)
	}
	return s, err
}

// Overload sends UDP at half to three times of what goes through culvert, with
// the first suite and each egress.
func Overload(ctx context.Context, c ThroughputConfig, p *Progress) (Section, error) {
	s := Section{
		Name: "overload", Title: "What arrives when more is sent than goes through",
		About: "UDP packets of 512 bytes, at half to three times the rate of which nearly all arrive. A server that spends its time on packets which it then drops would let the curve fall.",
	}
	c, _, err := c.withDefaults()
	if err != nil {
		return s, err
	}
	for _, egress := range c.Egress {
		if err := c.overload(ctx, &s, culvertWay(c.Suites[0], egress, 0), p); err != nil {
			return s, err
		}
	}
	return s, nil
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

// overloadSize is the size of packets under overload, in bytes.
const overloadSize = 512

// overload finds what a way carries at most, and sends it from half to three
// times of that.
func (c ThroughputConfig) overload(ctx context.Context, s *Section, w way, p *Progress) error {
	if err := errors.Join(checkNamespaces(), w.missing()); err != nil {
		s.note("overload was left out: %v", err)
		return nil
	}
	r, err := newRoad(c.Program)
	if err != nil {
		return err
	}
	defer r.close()
	if err := w.start(ctx, r); err != nil {
		return err
	}
	t := c.timing()
	t.iperf = false
	capacity, err := r.capacity(ctx, w, t)
	if err != nil {
		return err
	}
	chart := Chart{Title: "Goodput under overload, " + w.title, Unit: PacketsPerSecond, Kind: Lines, XName: "sent, in times of what goes through without loss"}
	line := Series{Name: w.title}
	for _, factor := range []float64{0.5, 0.75, 1, 1.25, 1.5, 2, 2.5, 3} {
		var samples []float64
		for range c.Rounds {
			got, err := r.carry(ctx, r.client, w.sink(r), w.target, udpLoad("overload", capacity*factor, overloadSize), t)
			if err != nil {
				return err
			}
			samples = append(samples, float64(got.Packets)/got.Seconds)
		}
		f := NewFigure(fmt.Sprintf("%s, %g times capacity", w.title, factor), PacketsPerSecond, samples...)
		p.Say("overload %4.2f times capacity: %s", factor, PacketsPerSecond.Format(f.Median))
		s.Figures = append(s.Figures, f)
		line.Points = append(line.Points, pointOf(factor, f))
	}
	chart.Series = []Series{line}
	s.Charts = append(s.Charts, chart)
	for _, upTo := range []float64{2, 3} {
		name := fmt.Sprintf("%s: what is left of the peak at up to %g times capacity", w.title, upTo)
		s.add(name, Share, line.left(upTo))
		s.atLeast(name, 0.9)
	}
	return nil
}

// left is the lowest that a curve falls until x, as a share of the peak that it
// has had by then.
func (l Series) left(x float64) float64 {
	peak, left := 0.0, 1.0
	for _, p := range l.Points {
		if p.X > x {
			break
		}
		peak = max(peak, p.Y)
		left = min(left, share(p.Y, peak))
	}
	return left
}

// capacity is the highest rate of packets of which nearly all arrive, found by
// halving.
func (r *road) capacity(ctx context.Context, w way, t timing) (float64, error) {
	flood, err := r.carry(ctx, r.client, w.sink(r), w.target, udpLoad("flood", 0, overloadSize), t)
	if err != nil {
		return 0, err
	}
	low, high := 0.0, 2*float64(flood.Packets)/flood.Seconds
	for range 5 {
		middle := (low + high) / 2
		got, err := r.carry(ctx, r.client, w.sink(r), w.target, udpLoad("probe", middle, overloadSize), t)
		if err != nil {
			return 0, err
		}
		if float64(got.Packets)/got.Seconds > 0.98*middle {
			low = middle
		} else {
			high = middle
		}
	}
	if low == 0 {
		return 0, failed("%s loses packets at every rate", w.title)
	}
	return low, nil
}
