package main

import (
	"context"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/culvert-vpn/culvert/bench"
)

func (b *benchCommand) newFlows() *cobra.Command {
	var c bench.FlowsConfig
	return b.command("flows", "The policy of a tenant on one core", `Has a tenant's policy judge packets in memory, on one core: new flows, each of
which the last rule allows and which takes the place of another, and packets of
flows that are known. Says how many a second there are, and what a flow takes of
memory.`, func(f *pflag.FlagSet) {
		f.IntVar(&c.Rules, "rules", 0, "`NUMBER` of rules (default 100)")
		f.IntVar(&c.Flows, "flows", 0, "`NUMBER` of flows at once (default 1000000)")
		times(f, &c.Duration, &c.Rounds, "1s")
	}, func(ctx context.Context, p *bench.Progress) (bench.Section, error) { return bench.Flows(ctx, c, p) })
}
