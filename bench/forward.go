package bench

import (
	"context"
	"fmt"
	"runtime"
	"time"
)

// ForwardConfig says what is carried through a gateway without a kernel.
type ForwardConfig struct {
	Suites   []string      // names of ESP transforms; empty: aes256gcm16, aes256-sha256, aes256-sha1
	Sizes    []int         // of IP packets, in bytes; empty: 64, 512, 1300
	Duration time.Duration // of each measurement; 0: a second
	Rounds   int           // 0: 3
	Sessions []int         // how many sessions take turns; empty: 1
	Policy   int           // rules of a tenant that is measured besides; 0: none
}

// maxForwardSize is what fits into one datagram with any suite.
const maxForwardSize = 1400

func (c ForwardConfig) withDefaults() (ForwardConfig, error) {
	if len(c.Suites) == 0 {
		c.Suites = []string{"aes256gcm16", "aes256-sha256", "aes256-sha1"}
	}
	if len(c.Sizes) == 0 {
		c.Sizes = []int{64, 512, 1400}
	}
	if len(c.Sessions) == 0 {
		c.Sessions = []int{1}
	}
	if err := checkRules(c.Policy); err != nil {
		return c, err
	}
	for _, n := range c.Sessions {
		if n < 1 || n > 50000 {
			return c, badOption("%d sessions: between 1 and 50000", n)
		}
	}
	for _, name := range c.Suites {
		if _, err := transformNamed(name); err != nil {
			return c, err
		}
	}
	if err := defaultTimes(&c.Duration, time.Second, &c.Rounds, 3); err != nil {
		return c, err
	}
	return c, checkSizes(c.Sizes, maxForwardSize)
}

// Forward measures packets through a whole gateway in this process: a fake
// socket hands it sealed packets, a fake device takes them, and the other way
// round. Everything between the two is the real thing, and one goroutine does
// all of it, so the rates are those of one core.
func Forward(ctx context.Context, c ForwardConfig, p *Progress) (Section, error) {
	s := Section{
		Name: "forward", Title: "Packets through one gateway, without the kernel, on one core",
		About: "Sessions dial in over a network in memory. Then packets that they sealed beforehand go up through the whole gateway to a device that counts them, and packets of that device go down. One goroutine does all of it.",
	}
	c, err := c.withDefaults()
	if err != nil {
		return s, err
	}
	for _, suite := range c.Suites {
		for _, sessions := range c.Sessions {
			if err := c.forwardSuite(ctx, &s, suite, sessions, p); err != nil {
				return s, err
			}
		}
	}
	s.Charts = c.charts(s)
	alone := (&rig{suite: "aes256gcm16", count: 1}).name(1400)
	s.atLeast("up share "+alone, 0.6)
	s.atLeast("down share "+alone, 0.6)
	for _, n := range c.Sessions {
		s.among(alone, &rig{suite: "aes256gcm16", count: n})
	}
	s.note("the share is of the rate at which the standard library's cipher alone does the same packets on the same core")
	return s, nil
}

// among says what is left of the rate that one session has among those of r,
// round by round.
func (s *Section) among(alone string, r *rig) {
	for _, way := range []string{"up ", "down "} {
		one, hasOne := s.Figure(way + alone)
		many, hasMany := s.Figure(way + r.name(1400))
		if r.count == 1 || !hasOne || !hasMany {
			continue
		}
		var left []float64
		for i := range min(len(one.Samples), len(many.Samples)) {
			left = append(left, share(many.Samples[i], one.Samples[i]))
		}
		name := fmt.Sprintf("%swhat is left of one session's rate among %d", way, r.count)
		s.add(name, Share, left...)
		s.atLeast(name, 0.9)
	}
}

// forwardSuite measures every size with one suite, over one set of sessions.
func (c ForwardConfig) forwardSuite(ctx context.Context, s *Section, suite string, sessions int, p *Progress) error {
	r, err := newRig(ctx, suite, sessions, 0)
	if err != nil {
		return err
	}
	defer r.close()
	rigs := []*rig{r}
	if c.Policy > 0 {
		policed, err := newRig(ctx, suite, sessions, c.Policy)
		if err != nil {
			return err
		}
		defer policed.close()
		rigs = append(rigs, policed)
	}
	for _, size := range c.Sizes {
		if err := c.forwardSize(ctx, s, rigs, size, p); err != nil {
			return err
		}
		if c.Policy > 0 {
			s.leftWith(rigs[0], rigs[1], size)
		}
	}
	return nil
}

// leftWith says what is left of the rate without a policy, round by round.
func (s *Section) leftWith(without, with *rig, size int) {
	for _, way := range []string{"up ", "down "} {
		one, _ := s.Figure(way + without.name(size))
		other, _ := s.Figure(way + with.name(size))
		var left []float64
		for i := range min(len(one.Samples), len(other.Samples)) {
			left = append(left, share(other.Samples[i], one.Samples[i]))
		}
		name := way + "left of the rate without a policy, " + with.name(size)
		s.add(name, Share, left...)
		s.atLeast(name, 0.9)
		s.atMost(way+"allocs "+with.name(size), 0.001)
	}
}

func (c ForwardConfig) forwardSize(ctx context.Context, s *Section, rigs []*rig, size int, p *Progress) error {
	transform, err := transformNamed(rigs[0].suite)
	if err != nil {
		return err
	}
	bare := newBare(transform, size+forwardOverhead)
	found := make([]forwarded, len(rigs))
	for range c.Rounds {
		for i, r := range rigs { // in turn
			u, err := r.up(ctx, size, c.Duration)
			if err != nil {
				return err
			}
			d, err := r.down(ctx, size, c.Duration)
			if err != nil {
				return err
			}
			found[i].add(u, d, repeat(bare.open, c.Duration/4), repeat(bare.seal, c.Duration/4))
		}
	}
	for i, r := range rigs {
		found[i].tell(s, r.name(size), p)
	}
	return nil
}

// forwarded is what each round has found of one rig and one size.
type forwarded struct{ up, down, upShare, downShare, upAllocs, downAllocs []float64 }

// add adds a round, and what the cipher alone does.
func (f *forwarded) add(u, d carried, open, seal float64) {
	f.up, f.down = append(f.up, u.rate), append(f.down, d.rate)
	f.upAllocs, f.downAllocs = append(f.upAllocs, u.allocs), append(f.downAllocs, d.allocs)
	f.upShare, f.downShare = append(f.upShare, share(u.rate, open)), append(f.downShare, share(d.rate, seal))
}

func (f *forwarded) tell(s *Section, name string, p *Progress) {
	s.add("up "+name, PacketsPerSecond, f.up...)
	s.add("down "+name, PacketsPerSecond, f.down...)
	s.add("up share "+name, Share, f.upShare...)
	s.add("down share "+name, Share, f.downShare...)
	s.add("up allocs "+name, Count, f.upAllocs...)
	s.add("down allocs "+name, Count, f.downAllocs...)
	p.Say("forward %-24s up %s (%s of the cipher)   down %s (%s)   allocs/packet %.3f, %.3f", name,
		PacketsPerSecond.Format(Summarize(f.up).Median), Share.Format(Summarize(f.upShare).Median),
		PacketsPerSecond.Format(Summarize(f.down).Median), Share.Format(Summarize(f.downShare).Median),
		Summarize(f.upAllocs).Median, Summarize(f.downAllocs).Median)
}

// forwardOverhead is what L2TP, PPP, and the UDP and ESP trailers add to what is
// encrypted: UDP 8, L2TP 6 or 8, PPP 2 to 4, padding and trailer 2 to 5.
const forwardOverhead = 22

func share(of, whole float64) float64 {
	if whole == 0 {
		return 0
	}
	return of / whole
}

// name is what figures of a size are called.
func (r *rig) name(size int) string {
	name := fmt.Sprintf("%s %d B", r.suite, size)
	if r.count > 1 {
		name += fmt.Sprintf(" %d sessions", r.count)
	}
	if r.rules > 0 {
		name += fmt.Sprintf(" %d rules", r.rules)
	}
	return name
}

// charts draws rates by size, or by the number of sessions when there are several.
func (c ForwardConfig) charts(s Section) []Chart {
	if len(c.Sessions) > 1 {
		return []Chart{c.curve(s, "up ", "Up, among many sessions"), c.curve(s, "down ", "Down, among many sessions")}
	}
	return []Chart{
		c.bySize(s, "up ", "Up: packets a second on one core"), c.bySize(s, "down ", "Down: packets a second on one core"),
		c.bySize(s, "up share ", "Up: share of what the cipher alone allows"), c.bySize(s, "down share ", "Down: share of what the cipher alone allows"),
	}
}

// bySize draws a group of bars for each size.
func (c ForwardConfig) bySize(s Section, way, title string) Chart {
	chart := Chart{Title: title, Unit: PacketsPerSecond, Kind: Groups, Labels: sizeLabels(c.Sizes)}
	for _, suite := range c.Suites {
		series := Series{Name: suite}
		for i, size := range c.Sizes {
			f, _ := s.Figure(way + (&rig{suite: suite, count: c.Sessions[0]}).name(size))
			series.Points = append(series.Points, pointOf(float64(i), f))
			chart.Unit = f.Unit
		}
		chart.Series = append(chart.Series, series)
	}
	return chart
}

// curve draws the rate over the number of sessions.
func (c ForwardConfig) curve(s Section, way, title string) Chart {
	chart := Chart{Title: title, Unit: PacketsPerSecond, Kind: LogLines, XName: "sessions that take turns"}
	for _, suite := range c.Suites {
		for _, size := range c.Sizes {
			series := Series{Name: fmt.Sprintf("%s %d B", suite, size)}
			for _, n := range c.Sessions {
				f, _ := s.Figure(way + (&rig{suite: suite, count: n}).name(size))
				series.Points = append(series.Points, pointOf(float64(n), f))
			}
			chart.Series = append(chart.Series, series)
		}
	}
	return chart
}

// carried is what one measurement of a rig found.
type carried struct {
	rate   float64 // packets a second
	allocs float64 // allocations a packet
}

// mallocs returns how many objects were allocated so far.
func mallocs() uint64 {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.Mallocs
}
