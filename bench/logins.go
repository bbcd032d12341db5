package bench

import (
	"context"
	"crypto/rand"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"github.com/culvert-vpn/culvert/ike/suite"
	"github.com/culvert-vpn/culvert/internal/dialer"
)

// LoginsConfig says how clients dial in.
type LoginsConfig struct {
	Target
	// Groups are the Diffie-Hellman groups; empty: modp2048 and ecp256.
	Groups []string
	// Parallel is how many dial at once; 0: 64.
	Parallel int
	Duration time.Duration // of each measurement; 0: 5 s
	Rounds   int           // 0: 3
}

// maxParallel bounds what one fleet does at once.
const maxParallel = 10000

func (c LoginsConfig) withDefaults() (LoginsConfig, error) {
	setList(&c.Groups, "modp2048", "ecp256")
	if c.Parallel == 0 {
		c.Parallel = 64
	}
	if c.Parallel < 1 || c.Parallel > maxParallel {
		return c, badOption("%d at once: between 1 and %d", c.Parallel, maxParallel)
	}
	for _, g := range c.Groups {
		if _, err := suitesFor(g); err != nil {
			return c, err
		}
	}
	if err := defaultTimes(&c.Duration, 5*time.Second, &c.Rounds, 3); err != nil {
		return c, err
	}
	return c, c.Target.check()
}

// suitesFor proposes one group, with a cipher that every server has.
func suitesFor(group string) (dialer.Suites, error) {
	s, err := dialer.ParseSuites([]string{"aes256-sha256-" + group, "aes256-sha1-" + group}, nil)
	if err != nil {
		return s, badOption("group %q: %v", group, err)
	}
	return s, nil
}

// Logins measures full dial-ins: IKE, L2TP, PPP, until there is an address.
func Logins(ctx context.Context, c LoginsConfig, p *Progress) (Section, error) {
	s := Section{
		Name: "logins", Title: "Dial-ins a second",
		About: "Clients dial in, main mode, quick mode, L2TP, PPP with MS-CHAPv2, until they have an address, and hang up. Both ends are on this machine; what a core of the server is enough for is divided by the CPU time of the server's process.",
	}
	c, err := c.withDefaults()
	if err != nil {
		return s, err
	}
	var all, perCore []Figure
	for _, group := range c.Groups {
		rates, cores, err := c.group(ctx, &s, group, p)
		if err != nil {
			return s, err
		}
		all = append(all, NewFigure(group, PerSecond, rates...))
		perCore = append(perCore, NewFigure(group, PerSecond, cores...))
	}
	s.Charts = []Chart{rowsOf("Dial-ins a second, both ends on this machine", all...)}
	if !c.Server.IsValid() {
		s.atLeast("share of the bare exponentiations modp2048", 0.6)
		s.atLeast("dial-ins ecp256, a core of the server", 1000)
		s.Charts = append(s.Charts, rowsOf("Dial-ins a second of the server's CPU time", perCore...))
		s.note("the bare exponentiations are one key and one shared secret: what the server computes for a dial-in at least")
	}
	return s, nil
}

// group measures one group and returns dial-ins a second, and a second of the
// server's CPU time.
func (c LoginsConfig) group(ctx context.Context, s *Section, group string, p *Progress) (rates, perCore []float64, err error) {
	var bare, shares []float64
	var idle, busy waits
	var wrong causes
	for range c.Rounds {
		before := bareExponentiations(group, c.Duration/4)
		got, err := c.once(ctx, group, &wrong)
		if err != nil {
			return nil, nil, err
		}
		alone := (before + bareExponentiations(group, c.Duration/4)) / 2
		rates, perCore = append(rates, got.rate), append(perCore, got.perCore)
		bare, shares = append(bare, alone), append(shares, share(got.perCore, alone))
		idle.add(got.idle)
		busy.add(got.busy)
	}
	s.add("dial-ins "+group, PerSecond, rates...)
	if !c.Server.IsValid() {
		s.add("dial-ins "+group+", a core of the server", PerSecond, perCore...)
		s.add("bare exponentiations "+group, PerSecond, bare...)
		s.add("share of the bare exponentiations "+group, Share, shares...)
	}
	idle.figures(s, "before "+group)
	busy.figures(s, "during "+group)
	wrong.note(s, "dial-ins failed")
	p.Say("logins %-12s %s, %s a core of the server, the exponentiations alone %s (%s)", group, PerSecond.Format(Summarize(rates).Median),
		PerSecond.Format(Summarize(perCore).Median), PerSecond.Format(Summarize(bare).Median), Share.Format(Summarize(shares).Median))
	return rates, perCore, nil
}

// loginRound is what one round found.
type loginRound struct {
	rate, perCore float64
	idle, busy    []float64 // echoes of a client that stands, in seconds
}

// once dials in and hangs up for the time of one round. What was under way at
// its end is not counted, and neither is the first second.
func (c LoginsConfig) once(ctx context.Context, group string, wrong *causes) (loginRound, error) {
	site, server, fleet, err := together(ctx, c.Target)
	if err != nil {
		return loginRound{}, err
	}
	defer site.close()
	suites, err := suitesFor(group)
	if err != nil {
		return loginRound{}, err
	}
	var r loginRound
	listen := func(ctx context.Context, d time.Duration) []float64 {
		pause(ctx, d)
		return nil
	}
	if server != nil {
		b, err := newBystander(ctx, site, c.Target, server, suites)
		if err != nil {
			return r, err
		}
		listen = b.echoes
		r.idle = listen(ctx, min(time.Second, c.Duration/2))
	}
	var up, failures atomic.Int64
	roundCtx, cancel := context.WithCancel(ctx)
	defer cancel()
	done := make(chan error, 1)
	background(&fleet.running, func() {
		done <- each(roundCtx, 1<<30, c.Parallel, func(ctx context.Context, i int) error {
			return fleet.login(ctx, i, suites, &up, &failures, wrong)
		})
	})
	pause(roundCtx, min(time.Second, c.Duration/2))
	began, before, used := time.Now(), up.Load(), server.cpu()
	r.busy = listen(roundCtx, c.Duration)
	n, took, cpu := up.Load()-before, time.Since(began), server.cpu()-used
	cancel()
	<-done
	if err := ctx.Err(); err != nil {
		return loginRound{}, err
	}
	if n == 0 {
		return loginRound{}, failed("nobody dialled in, %d tried: %v", failures.Load(), wrong.count)
	}
	r.rate, r.perCore = rate(n, took), rate(n, cpu)
	return r, nil
}

// loginLimit is how long a dial-in may take.
const loginLimit = time.Minute

// login dials in and hangs up. A failure is counted; too many of them end it.
func (f *fleet) login(ctx context.Context, i int, suites dialer.Suites, up, failures *atomic.Int64, wrong *causes) error {
	limit, cancel := context.WithTimeout(ctx, loginLimit)
	defer cancel()
	// Addresses are used again when their last user is long gone.
	c, err := f.dial(limit, i%1_000_000, suites)
	if err != nil {
		if ctx.Err() != nil {
			return nil
		}
		wrong.add(err)
		if failures.Add(1) > 100 && up.Load() == 0 {
			return failed("%w", err)
		}
		return nil
	}
	up.Add(1)
	c.hangUp(context.WithoutCancel(ctx))
	return nil
}

// bareExponentiations returns how often a second of CPU time makes a key and a
// shared secret of a group. All CPUs are at it, as they are during dial-ins: one
// alone is faster where CPUs are shared with others, or with each other.
func bareExponentiations(group string, d time.Duration) float64 {
	ike, err := suite.ParseIKESuite("aes256-sha256-" + group)
	if err != nil {
		return 0
	}
	peer, err := ike.Group.GenerateKey(rand.Reader)
	if err != nil {
		return 0
	}
	public := peer.Public()
	return repeatAll(func() {
		if k, err := ike.Group.GenerateKey(rand.Reader); err == nil {
			k.Shared(public)
			k.Zero()
		}
	}, d)
}

// repeatAll is repeat for what takes long, on all CPUs at once. The rate is that of
// a second of CPU time, as the server's is: what else the machine does slows neither.
func repeatAll(f func(), d time.Duration) float64 {
	var count, used atomic.Int64
	var all sync.WaitGroup
	for range runtime.GOMAXPROCS(0) {
		background(&all, func() {
			n, took := repeatHere(f, d)
			count.Add(n)
			used.Add(int64(took))
		})
	}
	all.Wait()
	return rate(count.Load(), time.Duration(used.Load()))
}

// repeatHere runs f for d, and returns how often and in how much CPU time.
func repeatHere(f func(), d time.Duration) (n int64, used time.Duration) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	began, before := time.Now(), threadCPU()
	for time.Since(began) < d || n == 0 {
		f()
		n++
	}
	return n, threadCPU() - before
}

// threadCPU returns what this thread has used.
func threadCPU() time.Duration {
	var t unix.Timespec
	if unix.ClockGettime(unix.CLOCK_THREAD_CPUTIME_ID, &t) != nil {
		return 0
	}
	return time.Duration(t.Nano())
}
