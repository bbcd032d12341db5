package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/culvert-vpn/culvert/internal/admin"
)

// newFlows returns the command that shows what clients have under way.
func newFlows(s streams) *cobra.Command {
	f := &flowsCommand{streams: s}
	flows := &cobra.Command{
		Use:   "flows",
		Short: "Show the flows that a tenant's clients have under way",
		Long: `Shows the flows that the rules of a tenant have allowed and that are under way,
those that were in use last first: whose they are, from where to where, which
rule has allowed them, how old they are, how long they have been silent, how
much they carried and how far they got; and what became of all flows since the
server runs. A tenant without rules of flows has none that are known. --json
shows all there is to know, for programs.

The server is asked through a socket in its state directory, which only its own
user and root may open.`,
		Args: arguments(),
		RunE: func(cmd *cobra.Command, _ []string) error { return f.run(cmd.Context()) },
	}
	flags := flows.Flags()
	flags.StringVar(&f.config, "config", "", "configuration `FILE` of the server (default "+defaultConfig+", or the one quickstart made)")
	flags.StringVar(&f.ask.Tenant, "tenant", "", "`TENANT` whose clients they are of (default the configuration's default tenant)")
	flags.StringVar(&f.ask.User, "user", "", "only flows of the sessions of `USER`")
	flags.StringVar(&f.to, "to", "", "only flows that lead to `NETWORK`, or to an address")
	flags.IntVar(&f.ask.Limit, "limit", 100, fmt.Sprintf("`NUMBER` of flows to show, up to %d", admin.MaxFlows))
	flags.BoolVar(&f.json, "json", false, "write JSON")
	return flows
}

// flowsCommand has the flags of flows.
type flowsCommand struct {
	streams
	config, to string
	ask        admin.FlowQuery
	json       bool
}

// run asks the server, and shows what it says.
func (f *flowsCommand) run(ctx context.Context) error {
	if f.ask.Limit < 1 || f.ask.Limit > admin.MaxFlows {
		return usageError{fmt.Errorf("--limit is from 1 to %d", admin.MaxFlows)}
	}
	if f.to != "" {
		var ok bool
		if f.ask.To, ok = network(f.to); !ok {
			return usageError{errors.New("--to is no network: write 10.20.0.0/16 or 10.20.0.5")}
		}
	}
	client, c, fault := serverOf(f.config)
	var err error
	if f.ask.Tenant, err = tenantOf(c, fault, f.ask.Tenant); err != nil {
		return err
	}
	list, err := client.Flows(ctx, f.ask)
	switch {
	case err != nil && fault != nil && !errors.Is(err, admin.ErrNoTenant):
		return fault
	case err != nil:
		return explainTenant(err, f.ask.Tenant)
	}
	if f.json {
		e := json.NewEncoder(f.out)
		e.SetIndent("", "  ")
		return e.Encode(list)
	}
	return f.show(&list)
}

// network reads a network, or an address.
func network(s string) (netip.Prefix, bool) {
	if a, err := netip.ParseAddr(s); err == nil && a.Zone() == "" {
		return netip.PrefixFrom(a, a.BitLen()), true
	}
	p, err := netip.ParsePrefix(s)
	return p.Masked(), err == nil
}

// show writes the flows as a table, and what became of all.
func (f *flowsCommand) show(list *admin.FlowList) error {
	if !list.Rules {
		fmt.Fprintf(f.out, "tenant %s has no rules of flows: whatever is not closed may be, and no flow is known\n", list.Tenant)
		return nil
	}
	w := tabwriter.NewWriter(f.out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "SESSION\tUSER\tFROM\tTO\tRULE\tAGE\tIDLE\tUP\tDOWN\tSTATE")
	for i := range list.Flows {
		fl := &list.Flows[i]
		fmt.Fprintf(w, "%d\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\n", fl.Session, plain(fl.User), sourceOf(fl), fl.To, ruleOf(fl),
			lasting(time.Duration(fl.Age)*time.Second), lasting(time.Duration(fl.Idle)*time.Second), size(fl.Up), size(fl.Down), fl.State)
	}
	if err := w.Flush(); err != nil {
		return err
	}
	if list.More > 0 {
		fmt.Fprintf(f.out, "and %d more: --limit shows up to %d, --user and --to choose\n", list.More, admin.MaxFlows)
	}
	c := &list.Counted
	fmt.Fprintf(f.out, "\nlive %d, begun %d, denied %d, ended by changed rules %d\n", c.Live, c.Begun, c.Denied, c.Lost)
	fmt.Fprintf(f.out, "made room for others: of their session %d, of their tenant %d, of all tenants %d; found no room %d\n",
		c.PushedBySession, c.PushedByTenant, c.PushedByAll, c.Full)
	fmt.Fprintf(f.out, "packets of no flow %d, forged %d\n", c.Stray, c.Forged)
	return nil
}

// sourceOf writes where a flow comes from; only some protocols have ports.
func sourceOf(f *admin.Flow) string {
	if f.Source.Port() == 0 || f.Protocol == 1 || f.Protocol == 58 {
		return f.Source.Addr().String()
	}
	return f.Source.String()
}

// ruleOf writes what has allowed a flow.
func ruleOf(f *admin.Flow) string {
	switch f.Set {
	case "":
		return "-"
	case "policy":
		return f.Rule
	}
	return f.Set + " " + f.Rule
}
