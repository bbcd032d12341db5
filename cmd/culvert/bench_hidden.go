package main

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/culvert-vpn/culvert/bench"
	"github.com/culvert-vpn/culvert/internal/config"
)

// What bench runs in namespaces is this program again, with these commands.

// newBenchTraffic returns one end of a stream of traffic.
func newBenchTraffic(s streams) *cobra.Command {
	var j bench.TrafficJob
	var addr string
	c := &cobra.Command{
		Use: bench.TrafficCommand + " listen|dial", Short: "One end of the traffic that bench measures",
		Long:   "Sends, or receives and counts; throughput and compare run it.",
		Hidden: true, Args: arguments("listen or dial"),
		RunE: func(cmd *cobra.Command, args []string) error {
			var err error
			if j.Addr, err = netip.ParseAddrPort(addr); err != nil {
				return usageError{fmt.Errorf("--addr: %w", err)}
			}
			if j.Proto == "udp" && len(j.Sizes) == 0 {
				return usageError{errors.New("--sizes is missing")}
			}
			return bench.RunTraffic(cmd.Context(), args[0], j, s.out)
		},
	}
	f := c.Flags()
	f.StringVar(&j.Proto, "proto", "tcp", "tcp or udp")
	f.StringVar(&addr, "addr", "", "`ADDRESS:PORT` of the end that listens")
	f.IntVar(&j.Streams, "streams", 1, "connections of TCP")
	f.BoolVar(&j.Down, "down", false, "data goes to the end that dials; TCP only")
	f.StringVar(&j.Device, "device", "", "`NAME` of the device that streams leave through, with %d for their number")
	f.IntSliceVar(&j.Sizes, "sizes", nil, "IP packets of UDP in `BYTES`")
	f.Float64Var(&j.Rate, "rate", 0, "packets of UDP a second; 0: as many as go")
	f.DurationVar(&j.Warmup, "warmup", 0, "what is not counted")
	f.DurationVar(&j.Duration, "duration", 0, "what is counted")
	return c
}

// newBenchWireGuard returns one end of a WireGuard tunnel.
func newBenchWireGuard(s streams) *cobra.Command {
	var path, addr string
	c := &cobra.Command{
		Use: bench.WireGuardCommand, Short: "One end of the WireGuard tunnel that bench compares with",
		Long:   "Runs wireguard-go until it is ended; compare runs it at both ends.",
		Hidden: true, Args: arguments(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			inner, err := netip.ParseAddr(addr)
			if err != nil {
				return usageError{fmt.Errorf("--address: %w", err)}
			}
			config, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			return bench.RunWireGuard(cmd.Context(), string(config), inner, s.out)
		},
	}
	c.Flags().StringVar(&path, "config", "", "`FILE` in the form of the UAPI")
	c.Flags().StringVar(&addr, "address", "", "`ADDRESS` inside the tunnel")
	return c
}

// newBenchCallers returns many clients in one process.
func newBenchCallers(s streams) *cobra.Command {
	var j bench.CallersJob
	var dials benchDials
	var route string
	c := &cobra.Command{
		Use: bench.CallersCommand, Short: "Many clients with a TUN device each",
		Long:   "Dials in with many clients and stays until it is ended; compare runs it.",
		Hidden: true, Args: arguments(),
		RunE: func(cmd *cobra.Command, _ []string) (err error) {
			if j.Dials, err = dials.resolve(); err != nil {
				return err
			}
			if j.Route, err = netip.ParsePrefix(route); err != nil {
				return usageError{fmt.Errorf("--route: %w", err)}
			}
			return bench.RunCallers(cmd.Context(), j, s.out)
		},
	}
	f := c.Flags()
	dials.define(f)
	f.StringVar(&route, "route", "", "`NETWORK` to reach")
	f.StringVar(&j.IKE, "ike", "", "IKE `SUITE`")
	f.StringVar(&j.Device, "device", "", "`NAME` of the devices, with %d for their number")
	return c
}

// newBenchFlood returns clients that flood a server.
func newBenchFlood(s streams) *cobra.Command {
	var j bench.FloodJob
	var dials benchDials
	var to string
	c := &cobra.Command{
		Use: bench.FloodCommand, Short: "Clients that send more than goes through",
		Long:   "Dials in and floods the server until it is ended; overload runs it.",
		Hidden: true, Args: arguments(),
		RunE: func(cmd *cobra.Command, _ []string) (err error) {
			if j.Dials, err = dials.resolve(); err != nil {
				return err
			}
			if j.To, err = netip.ParseAddrPort(to); err != nil {
				return usageError{fmt.Errorf("--to: %w", err)}
			}
			return bench.RunFlood(cmd.Context(), j, s.out)
		},
	}
	f := c.Flags()
	dials.define(f)
	f.StringVar(&to, "to", "", "`ADDRESS:PORT` behind the server that is sent to")
	f.IntVar(&j.Size, "size", 512, "IP packets in `BYTES`")
	f.Float64Var(&j.Rate, "rate", 0, "packets a second to the server")
	f.DurationVar(&j.Warmup, "warmup", 0, "what is not counted")
	f.DurationVar(&j.Duration, "duration", 0, "what is counted")
	return c
}

// newStrangers returns the measurement of a flood of offers, which also takes another
// version of the server: what a change was good for.
func (b *benchCommand) newStrangers() *cobra.Command {
	var c bench.StrangersConfig
	var t targetFlags
	var program string
	cmd := b.command(bench.StrangersCommand, "Dial-ins beside a flood of offers that nobody takes", `Clients dial in alone, and beside strangers who flood the server with first
messages in which nothing is acceptable. Says how long it takes to be in.`, func(f *pflag.FlagSet) {
		t.add(f)
		f.IntVar(&c.Rate, "rate", 0, "`MESSAGES` a second (default 20000)")
		f.IntVar(&c.Dials, "dials", 0, "how `MANY` dial in, alone and beside the flood (default 20)")
		f.StringVar(&program, "program", "", "`FILE` of the server's program (default this one)")
	}, func(ctx context.Context, p *bench.Progress) (s bench.Section, err error) {
		if c.Target, err = t.target(); err != nil {
			return s, err
		}
		if c.Older = program != ""; c.Older {
			c.Program = program
		}
		return bench.Strangers(ctx, c, p)
	})
	cmd.Hidden = true
	return cmd
}

// benchDials are the flags of what dials in with many clients.
type benchDials struct {
	dials                 bench.Dials
	server, first, secret string
}

func (d *benchDials) define(f *pflag.FlagSet) {
	f.StringVar(&d.server, "server", "", "`ADDRESS` of the server")
	f.StringVar(&d.first, "first", "", "`ADDRESS` of the first client")
	f.IntVar(&d.dials.Clients, "clients", 1, "how `MANY`")
	f.StringVar(&d.secret, "secret", "", "pre-shared `KEY` and password, as file:PATH")
	f.StringVar(&d.dials.User, "user", "", "`NAME` of the user")
	f.StringVar(&d.dials.ESP, "esp", "", "ESP `SUITE`")
}

// resolve returns what the flags say.
func (d *benchDials) resolve() (bench.Dials, error) {
	var err error
	if d.dials.Server, err = netip.ParseAddr(d.server); err != nil {
		return d.dials, usageError{fmt.Errorf("--server: %w", err)}
	}
	if d.dials.First, err = netip.ParseAddr(d.first); err != nil {
		return d.dials, usageError{fmt.Errorf("--first: %w", err)}
	}
	key, err := config.ResolveSecret(d.secret)
	if err != nil {
		return d.dials, fmt.Errorf("--secret: %w", err)
	}
	d.dials.Secret = string(key.Bytes())
	return d.dials, nil
}
