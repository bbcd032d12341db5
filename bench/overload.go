package bench

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"time"
)

const (
	// overloadSize is the size of packets under overload, in bytes.
	overloadSize = 512
	// capacityLoss is what may be lost at capacity, as a share: a machine that is
	// shared loses a little at any rate.
	capacityLoss = 0.02
	// leastRate is the first that is tried, in packets a second.
	leastRate = 30_000.0
	// overloadClients send as much each.
	overloadClients = 2
	// roughly is how far from a multiple of capacity counts as that.
	roughly = 0.1
	// overloadPackets are enough to say what arrives, and overloadLeast is how long
	// they are counted at least: what is sent was sealed beforehand, and must fit
	// into memory.
	overloadPackets = 500_000
	overloadLeast   = 300 * time.Millisecond
)

// overloadFactors are how many times capacity is sent, in turn.
func overloadFactors() []float64 { return []float64{0.5, 0.75, 1, 1.25, 1.5, 2, 2.5, 3} }

// Overload sends UDP at half to three times of what goes through culvert, with
// the last suite and each egress.
func Overload(ctx context.Context, c ThroughputConfig, p *Progress) (Section, error) {
	s := Section{
		Name: "overload", Title: "What arrives when more is sent than goes through",
		About: "UDP packets of 512 bytes, at half to three times the rate of which nearly all arrive. The server has one CPU to itself; the clients and who counts have the others, where the kernel also puts what clients send into the server's socket, as with a network card whose interrupts are there. The clients, two that send as much each, sealed their packets beforehand, and are as busy at every rate: while nothing is due, they send through a device that drops. So the server has the same CPU at every point, and if it spent its time on packets that it then drops, the curve would fall. For comparison, the kernel then receives on the server's CPU too (RPS), where it takes time before the server can.",
	}
	c, _, err := c.withDefaults()
	if err != nil {
		return s, err
	}
	for _, egress := range c.Egress {
		if err := c.overload(ctx, &s, egress, p); err != nil {
			return s, err
		}
	}
	return s, nil
}

// overload finds what goes through, and sends it from half to three times of
// that.
func (c ThroughputConfig) overload(ctx context.Context, s *Section, egress string, p *Progress) error {
	l, err := c.newOverloaded(ctx, egress)
	if errors.Is(err, ErrMissing) {
		s.note("overload was left out: %v", err)
		return nil
	}
	if err != nil {
		return err
	}
	defer l.close()
	if err := l.findCapacity(ctx); err != nil {
		return err
	}
	p.Say("overload: %s goes through %s, of which CPU %v is the server's", PacketsPerSecond.Format(l.capacity), l.way.title, l.own)
	if err := l.curve(ctx, &l.apart, overloadFactors(), c.Rounds, s, p); err != nil {
		return err
	}
	if err := l.steer(l.server, "outer", l.own); err != nil {
		s.note("%v", err)
	} else if err := l.curve(ctx, &l.together, []float64{1, 2, 3}, c.Rounds, s, p); err != nil {
		return err
	}
	l.promise(s)
	return nil
}

// overloaded is a server on a CPU of its own, and a flood on the others.
type overloaded struct {
	*road
	way      way
	timing   timing
	own      cpus // the server's
	job      FloodJob
	secret   string  // the file
	capacity float64 // packets a second
	// The kernel receives for the server on other CPUs, or on its own.
	apart, together curves
}

// curves are what was found over what was sent, in times of capacity.
type curves struct {
	name            string
	arrived, perCPU Series
}

// attempt is what became of one flood.
type attempt struct {
	sent, arrived float64 // packets a second
	perCPU        float64 // packets that arrived, a second of the server's CPU time
}

// newOverloaded starts the server.
func (c ThroughputConfig) newOverloaded(ctx context.Context, egress string) (*overloaded, error) {
	all, err := allowedCPUs()
	if err == nil {
		err = errors.Join(checkNamespaces(), checkTUN())
	}
	if err != nil {
		return nil, err
	}
	if len(all) < 2 {
		return nil, missing("a second CPU: one is the server's alone, and the flood is made by another")
	}
	l := &overloaded{own: all[len(all)-1:], timing: c.timing()}
	if l.road, err = newRoad(c.Program); err != nil {
		return nil, err
	}
	if err := l.start(ctx, c.Suites[len(c.Suites)-1], egress, all[:len(all)-1]); err != nil {
		l.close()
		return nil, err
	}
	return l, nil
}

// start starts the server on its CPU. All that starts afterwards is on the
// others.
func (l *overloaded) start(ctx context.Context, suite, egress string, others cpus) error {
	var conf serverConfig
	l.way, conf, _ = culvertServer(suite, egress, 0)
	l.apart.name, l.together.name = l.way.title, l.way.title+", the kernel on the same CPU"
	conf.secret = newSecret()
	l.job = FloodJob{
		Dials: Dials{Server: serverAddr(), First: firstCaller(), Clients: overloadClients, Secret: conf.secret, User: benchUser, ESP: suite},
		Size:  overloadSize,
	}
	var err error
	if l.secret, err = l.write("secret", conf.secret); err != nil {
		return err
	}
	if err := l.addresses(firstCaller(), overloadClients); err != nil {
		return err
	}
	l.cpus = l.own
	l.serving, err = l.serve(ctx, l.server, conf)
	l.cpus = others
	return err
}

// findCapacity finds the highest rate of packets of which nearly all arrive: by
// doubling, and then by halving what is between.
func (l *overloaded) findCapacity(ctx context.Context) error {
	low, high := 0.0, leastRate
	for ; ; low, high = high, 2*high {
		if all, err := l.allArrive(ctx, high); err != nil {
			return err
		} else if !all {
			break
		}
	}
	for range 4 {
		middle := (low + high) / 2
		if all, err := l.allArrive(ctx, middle); err != nil {
			return err
		} else if all {
			low = middle
		} else {
			high = middle
		}
	}
	if l.capacity = low; low == 0 {
		return failed("%s loses packets at every rate", l.way.title)
	}
	return nil
}

// allArrive reports whether nearly all of a rate arrives, at the second time
// perhaps: the machine may have had something else to do.
func (l *overloaded) allArrive(ctx context.Context, rate float64) (bool, error) {
	for range 2 {
		a, err := l.send(ctx, rate)
		if all := a.arrived > (1-capacityLoss)*rate; all || err != nil {
			return all, err
		}
	}
	return false, nil
}

// send floods the server at a rate, in packets a second.
func (l *overloaded) send(ctx context.Context, rate float64) (a attempt, err error) {
	mark := l.mark()
	defer l.closeTo(mark)
	l.carried++
	job := l.job
	job.Warmup, job.Duration = l.window(rate)
	job.Rate, job.To = rate, netip.AddrPortFrom(l.way.target, trafficPort+l.carried)
	counting := TrafficJob{Proto: "udp", Addr: job.To, Sizes: []int{job.Size}, Warmup: job.Warmup, Duration: job.Duration}
	sink, err := l.traffic(l.way.sink(l.road), listening, counting)
	if err != nil {
		return a, err
	}
	limit, cancel := context.WithTimeout(ctx, job.Warmup+job.Duration+patience)
	defer cancel()
	if _, err := sink.wantLine(limit, "ready"); err != nil {
		return a, err
	}
	used := l.serverCPU()
	flood, err := l.road.start(l.client, "flood", append([]string{l.program, "bench", FloodCommand}, job.arguments(l.secret)...)...)
	if err != nil {
		return a, err
	}
	line, err := flood.wantLine(limit, "{")
	if err != nil {
		return a, err
	}
	out, err := sink.result(limit)
	if err != nil {
		return a, fmt.Errorf("%w; the flood said: %s", err, flood.lines.last(2))
	}
	used = l.serverCPU() - used
	return attemptOf(line, out, used, job)
}

// window returns for how long packets are sent and then counted: the same at each
// point of a curve, and no longer than was asked for.
func (l *overloaded) window(rate float64) (warmup, duration time.Duration) {
	if l.capacity > 0 {
		rate = l.capacity
	}
	d := time.Duration(overloadPackets / rate * float64(time.Second))
	duration = min(max(d, overloadLeast), l.timing.duration)
	return min(l.timing.warmup, duration/2), duration
}

// attemptOf reads what the two ends wrote.
func attemptOf(flood, sink string, used time.Duration, j FloodJob) (a attempt, err error) {
	sent, err := parseTransfer(flood)
	if err != nil {
		return a, err
	}
	got, err := parseTransfer(sink)
	if err != nil {
		return a, err
	}
	a.sent = float64(sent.Packets) / sent.Seconds
	a.arrived = float64(got.Packets) / got.Seconds
	a.perCPU = rate(got.All/uint64(j.Size-udpOverhead), used)
	return a, nil
}

// curve sends so many times what goes through, up and down in turns so that a slow
// while of the machine is not always that of the same rates, and puts what arrives
// into the section.
func (l *overloaded) curve(ctx context.Context, c *curves, factors []float64, rounds int, s *Section, p *Progress) error {
	all := make([][]attempt, len(factors))
	for round := range rounds {
		for n := range factors {
			i := upAndDown(round, n, len(factors))
			p.Update("round %d: %s, %g times capacity", round+1, c.name, factors[i])
			a, err := l.send(ctx, l.capacity*factors[i])
			if err != nil {
				return err
			}
			all[i] = append(all[i], a)
		}
	}
	for i, factor := range factors {
		l.point(c, factor, all[i], s, p)
	}
	return nil
}

// upAndDown is which of count comes as the n-th in a round.
func upAndDown(round, n, count int) int {
	if round%2 == 0 {
		return n
	}
	return count - 1 - n
}

// point puts a point of the curves into the section. It stands at what was sent:
// clients may not be able to send as much as was asked of them.
func (l *overloaded) point(c *curves, factor float64, all []attempt, s *Section, p *Progress) {
	var sent, arrived, perCPU []float64
	for _, a := range all {
		sent, arrived, perCPU = append(sent, a.sent/l.capacity), append(arrived, a.arrived), append(perCPU, a.perCPU)
	}
	name := fmt.Sprintf("%s, %g times capacity", c.name, factor)
	x, f, g := NewFigure(name+", sent", Times, sent...), NewFigure(name, PacketsPerSecond, arrived...), NewFigure(name+perServerCore, PacketsPerSecond, perCPU...)
	s.Figures = append(s.Figures, f, g, x)
	c.arrived.Points = append(c.arrived.Points, pointOf(x.Median, f))
	c.perCPU.Points = append(c.perCPU.Points, pointOf(x.Median, g))
	p.Say("%s: %s of %s arrive, %s a second of the server's CPU time", name, PacketsPerSecond.Format(f.Median),
		PacketsPerSecond.Format(x.Median*l.capacity), PacketsPerSecond.Format(g.Median))
}

// promise draws the curves, and says what of the peak must be left.
func (l *overloaded) promise(s *Section) {
	chart := func(title string, lines ...Series) {
		s.Charts = append(s.Charts, Chart{Title: title + ", " + l.way.title, Unit: PacketsPerSecond, Kind: Lines, XName: "sent, in times of what goes through without loss", Series: lines})
	}
	l.apart.arrived.Name, l.together.arrived.Name = "the kernel receives on other CPUs", "the kernel receives on the server's CPU"
	l.apart.perCPU.Name, l.together.perCPU.Name = l.apart.arrived.Name, l.together.arrived.Name
	chart("Goodput under overload", l.apart.arrived, l.together.arrived)
	chart("What a second of the server's CPU time carries under overload", l.apart.perCPU, l.together.perCPU)
	for _, upTo := range []float64{2, 3} {
		name := fmt.Sprintf("%s: what is left of the peak at up to %g times capacity", l.way.title, upTo)
		s.add(name, Share, l.apart.arrived.left(upTo+roughly))
		s.atLeast(name, 0.9)
	}
	if most := l.apart.arrived.Points[len(l.apart.arrived.Points)-1].X; most < 3-3*roughly {
		s.note("%s: the clients could send no more than %s capacity", l.way.title, Times.Format(most))
	}
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
