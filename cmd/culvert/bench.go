package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/culvert-vpn/culvert/bench"
)

// benchCommand has the flags that every sub-command of bench shares.
type benchCommand struct {
	streams streams
	json    bool
	report  string
}

// newBench returns the commands that measure.
func newBench(s streams) *cobra.Command {
	b := &benchCommand{streams: s}
	c := newGroup("bench", "Measure culvert, and what else there is", `Measures culvert on this machine. Progress goes to standard error, results to
standard output; --report writes a page with plots as well.

  culvert bench crypto        ESP on one core
  culvert bench forward       packets through a whole gateway, no kernel
  culvert bench flows         the policy of a tenant: new flows, memory
  culvert bench throughput    TCP and UDP between network namespaces
  culvert bench logins        dial-ins a second, and what they cost
  culvert bench sessions      many idle sessions: memory, and echoes
  culvert bench storm         everybody redials when the server was killed
  culvert bench compare       the same work through other VPNs
  culvert bench all           all of these, in some 20 minutes
  culvert bench join          one page of several reports

throughput and compare need root for namespaces and TUN devices. What a machine
lacks is named, and the rest is run. Everything that is created is removed, also
on ^C.`,
		b.newCrypto(), b.newForward(), b.newFlows(), b.newThroughput(), b.newLogins(), b.newSessions(), b.newStorm(), b.newCompare(), b.newAll(), b.newJoin(), newBenchTraffic(s), newBenchWireGuard(s), newBenchCallers(s), newBenchFlood(s), b.newStrangers())
	c.PersistentFlags().BoolVar(&b.json, "json", false, "write results as JSON")
	c.PersistentFlags().StringVar(&b.report, "report", "", "write a page with plots into `DIR`")
	return c
}

// measurement is one sub-command at work.
type measurement func(ctx context.Context, p *bench.Progress) (bench.Section, error)

// command makes the sub-command that runs a measurement.
func (b *benchCommand) command(use, short, long string, flags func(*pflag.FlagSet), run measurement) *cobra.Command {
	c := &cobra.Command{
		Use: use, Short: short, Long: long, Args: arguments(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return b.measure(cmd, func(ctx context.Context, p *bench.Progress) ([]bench.Section, error) {
				s, err := run(ctx, p)
				return []bench.Section{s}, err
			})
		},
	}
	flags(c.Flags())
	return c
}

// newAll returns the command that makes every measurement.
func (b *benchCommand) newAll() *cobra.Command {
	c := bench.AllConfig{Program: ownFile()}
	cmd := &cobra.Command{
		Use: "all", Short: "Every measurement, one after the other",
		Long: `Makes every measurement, one after the other, with times that are short enough
for all to be over in some 20 minutes, and long enough to say something.

What a machine lacks is named, and the rest is run.`,
		Args: arguments(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return b.measure(cmd, func(ctx context.Context, p *bench.Progress) ([]bench.Section, error) { return bench.All(ctx, c, p) })
		},
	}
	f := cmd.Flags()
	f.StringSliceVar(&c.Parts, "parts", nil, "`NAMES` of measurements (default compare,throughput,overload,crypto,forward,flat,logins,sessions,storm)")
	f.IntVar(&c.Rounds, "rounds", 0, "how `OFTEN` compare alternates (default 5)")
	f.BoolVar(&c.Brief, "brief", false, "as short as it can be, to see whether everything works")
	return cmd
}

// newJoin returns the command that makes one report of several.
func (b *benchCommand) newJoin() *cobra.Command {
	return &cobra.Command{
		Use: "join FILE...", Short: "One page of several reports",
		Long: `Reads what --json or --report wrote, and writes it as one: as text, with --json,
or as a page with --report DIR.`,
		Args: cobra.MinimumNArgs(1),
		RunE: func(_ *cobra.Command, files []string) error {
			if err := bench.CheckDir(b.report); err != nil {
				return usageError{err}
			}
			r, err := bench.Join(files...)
			if errors.Is(err, bench.ErrOptions) {
				return usageError{err}
			}
			if err != nil {
				return err
			}
			return b.write(r)
		},
	}
}

// measure runs measurements and writes what they found, also when they ended
// early.
func (b *benchCommand) measure(cmd *cobra.Command, run func(context.Context, *bench.Progress) ([]bench.Section, error)) error {
	if err := bench.CheckDir(b.report); err != nil {
		return usageError{err}
	}
	r := bench.Report{Command: cmd.CommandPath(), Started: time.Now(), Host: bench.ThisHost()}
	sections, err := run(cmd.Context(), bench.NewProgress(b.streams.err))
	if errors.Is(err, bench.ErrOptions) {
		return usageError{err}
	}
	if cmd.Context().Err() != nil {
		err = errors.New("interrupted; everything that was created is removed")
	}
	r.Seconds, r.Sections = time.Since(r.Started).Seconds(), sections
	if !r.HasFigures() {
		if err == nil {
			err = errors.Join(errors.New("nothing could be measured: see the notes"), b.write(r))
		}
		return err
	}
	return errors.Join(err, b.write(r))
}

func (b *benchCommand) write(r bench.Report) error {
	if b.report != "" {
		if err := r.WriteDir(b.report); err != nil {
			return err
		}
		fmt.Fprintf(b.streams.err, "the page is %s/index.html\n", strings.TrimSuffix(b.report, "/"))
	}
	if b.json {
		return r.WriteJSON(b.streams.out)
	}
	return r.WriteText(b.streams.out)
}

// ownFile is the culvert that is running.
func ownFile() string {
	path, err := os.Executable()
	if err != nil {
		return ""
	}
	return path
}

// times adds the flags of how long and how often.
func times(f *pflag.FlagSet, duration *time.Duration, rounds *int, usually string) {
	f.DurationVar(duration, "duration", 0, "`TIME` of each measurement (default "+usually+")")
	f.IntVar(rounds, "rounds", 0, "how `OFTEN` everything is repeated (default 3)")
}

func (b *benchCommand) newCrypto() *cobra.Command {
	var c bench.CryptoConfig
	return b.command("crypto", "ESP on one core", `Seals and opens ESP packets in memory, on one core, and says how many bits of
payload a second go through each suite.`, func(f *pflag.FlagSet) {
		f.StringSliceVar(&c.Suites, "suites", nil, "ESP `SUITES`, such as aes256gcm16,aes256-sha256")
		f.IntSliceVar(&c.Sizes, "sizes", nil, "payloads in `BYTES` (default 64,512,1400)")
		times(f, &c.Duration, &c.Rounds, "1s")
	}, func(ctx context.Context, p *bench.Progress) (bench.Section, error) { return bench.Crypto(ctx, c, p) })
}

func (b *benchCommand) newForward() *cobra.Command {
	var c bench.ForwardConfig
	return b.command("forward", "Packets through a whole gateway, without the kernel", `Carries packets through a whole gateway in this process, between a fake socket
and a fake device, with sessions that really dialled in. Says how many packets a
second one core carries up and down, which share that is of what the cipher
alone allows, and how many allocations a packet costs.

--sessions 1,100,1000,20000 plots whether a packet costs more among many.
--policy 100 measures the same besides where the tenant has so many rules, round
by round, and says what is left of the rate.`, func(f *pflag.FlagSet) {
		f.StringSliceVar(&c.Suites, "suites", nil, "ESP `SUITES` (default aes256gcm16,aes256-sha256,aes256-sha1)")
		f.IntSliceVar(&c.Sizes, "sizes", nil, "IP packets in `BYTES` (default 64,512,1400)")
		f.IntVar(&c.Policy, "policy", 0, "also with a policy of so many `RULES`")
		f.IntSliceVar(&c.Sessions, "sessions", nil, "`NUMBERS` of sessions that take turns (default 1)")
		times(f, &c.Duration, &c.Rounds, "1s")
	}, func(ctx context.Context, p *bench.Progress) (bench.Section, error) { return bench.Forward(ctx, c, p) })
}

func (b *benchCommand) newThroughput() *cobra.Command {
	c := bench.ThroughputConfig{Program: ownFile()}
	return b.command("throughput", "TCP and UDP between network namespaces", `Makes network namespaces, runs culvert serve and culvert connect in them, and
sends TCP and UDP through, and without a VPN to compare.

Loads: tcp, tcpN for N streams, tcpdown and tcpNdown from the server's side to
the client, udpN for packets of N bytes, imix. UDP is sent as fast as it goes,
and what arrives counts. Needs root.`, func(f *pflag.FlagSet) {
		f.StringSliceVar(&c.Suites, "suites", nil, "ESP `SUITES` (default aes256gcm16,aes256-sha256)")
		f.StringSliceVar(&c.Egress, "egress", nil, "`EGRESS` of the server: tun, netstack (default both)")
		f.StringSliceVar(&c.Loads, "loads", nil, "`LOADS` (default tcp,tcp4,udp64,udp512,udp1400,imix)")
		f.StringVar(&c.Tool, "tool", "", "what makes traffic: own or iperf3 (default own)")
		f.BoolVar(&c.Overload, "overload", false, "also send UDP at 0.5 to 3 times what goes through, to a server that has one CPU to itself")
		times(f, &c.Duration, &c.Rounds, "5s")
	}, func(ctx context.Context, p *bench.Progress) (bench.Section, error) {
		return bench.Throughput(ctx, c, p)
	})
}
