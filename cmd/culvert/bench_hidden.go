package main

import (
	"errors"
	"fmt"
	"net/netip"
	"os"

	"github.com/spf13/cobra"

	"github.com/culvert-vpn/culvert/bench"
)

// What bench runs in namespaces is this program again, with these commands.

// newBenchTraffic returns one end of a stream of traffic.
func newBenchTraffic(s streams) *cobra.Command {
	var j bench.TrafficJob
	var addr string
	c := &cobra.Command{
		Use: bench.TrafficCommand + " sink|source", Short: "One end of the traffic that bench measures",
		Long:   "Sends or receives until told otherwise; throughput and compare run it.",
		Hidden: true, Args: arguments("sink or source"),
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
	f.StringVar(&addr, "addr", "", "`ADDRESS:PORT` of the sink")
	f.IntVar(&j.Streams, "streams", 1, "connections of TCP")
	f.IntSliceVar(&j.Sizes, "sizes", nil, "IP packets of UDP in `BYTES`")
	f.Float64Var(&j.Rate, "rate", 0, "packets of UDP a second; 0: as many as go")
	f.BoolVar(&j.Down, "down", false, "of TCP: the source listens and the sink dials")
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
