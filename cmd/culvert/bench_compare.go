package main

import (
	"context"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/culvert-vpn/culvert/bench"
)

func (b *benchCommand) newCompare() *cobra.Command {
	c := bench.CompareConfig{Program: ownFile()}
	return b.command("compare", "The same work through other VPNs", `Sends the same traffic through culvert and through other VPNs, in the same
namespaces and in alternating rounds, and divides round by round: the ratios are
medians, with their spread. wireguard-go is within this program; SoftEther is
compared with where Debian's softether-vpnserver and softether-vpncmd are
installed, dialled by culvert connect with the same suite as culvert's server.

Loads are those of throughput. Needs root.`, func(f *pflag.FlagSet) {
		f.StringSliceVar(&c.With, "with", nil, "`NAMES` of what is compared (default all), such as culvert-tun-aes256gcm16,wireguard-go")
		f.StringSliceVar(&c.Loads, "loads", nil, "`LOADS` (default tcp,tcpdown,udp1400)")
		f.IntVar(&c.Clients, "clients", 0, "how `MANY` clients at once are compared as well (default 50; -1: none)")
		f.IntVar(&c.Policy, "policy", 0, "culvert is compared with itself, too, with a policy of so many `RULES`")
		f.StringVar(&c.Tool, "tool", "", "what makes traffic: own or iperf3 (default own)")
		f.DurationVar(&c.Duration, "duration", 0, "`TIME` of each measurement (default 5s)")
		f.IntVar(&c.Rounds, "rounds", 0, "how `OFTEN` everything is repeated (default 5)")
	}, func(ctx context.Context, p *bench.Progress) (bench.Section, error) { return bench.Compare(ctx, c, p) })
}
