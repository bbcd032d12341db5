package main

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/culvert-vpn/culvert/internal/admin"
)

// newStatus returns the command that shows what a server has counted.
func newStatus(s streams) *cobra.Command {
	c := &statusCommand{streams: s}
	status := &cobra.Command{
		Use:   "status",
		Short: "Show how the server is, and what it has counted",
		Long: `Shows how the running server is: since when it runs, who is in, the addresses in
use of all there are, traffic, what was dropped and who was refused, by tenant
and by cause. What is counted is counted since the server runs. --json shows all
there is to know, for programs.

The server is asked through a socket in its state directory, which only its own
user and root may open.`,
		Args: arguments(),
		RunE: func(cmd *cobra.Command, _ []string) error { return c.run(cmd.Context()) },
	}
	status.Flags().StringVar(&c.config, "config", "", "configuration `FILE` of the server (default "+defaultConfig+", or the one quickstart made)")
	status.Flags().StringVar(&c.tenant, "tenant", "", "only what is of `TENANT`")
	status.Flags().BoolVar(&c.json, "json", false, "write JSON")
	return status
}

// statusCommand has the flags of status.
type statusCommand struct {
	streams
	config, tenant string
	json           bool
}

// run asks the server and shows what it says.
func (c *statusCommand) run(ctx context.Context) error {
	client, _, fault := serverOf(c.config)
	f, err := client.Figures(ctx)
	switch {
	case err != nil && fault != nil:
		return fault
	case err != nil:
		return err
	}
	if c.tenant == "" {
		return c.show(f, f, f.Tenants, f.All.Causes, f.Losses())
	}
	of, ok := f.Tenant(c.tenant)
	if !ok {
		return fmt.Errorf("the server has no tenant %s; it has %s", plain(c.tenant), strings.Join(names(f.Tenants), ", "))
	}
	return c.show(f, of, []admin.Tenant{of}, of.Causes, of.Losses())
}

func names(tenants []admin.Tenant) (list []string) {
	for _, t := range tenants {
		list = append(list, t.Name)
	}
	return list
}

// show writes the value as JSON, or else what is most often asked for.
func (c *statusCommand) show(f admin.Figures, value any, tenants []admin.Tenant, causes map[string]admin.Named, losses admin.Named) error {
	if c.json {
		e := json.NewEncoder(c.out)
		e.SetIndent("", "  ")
		return e.Encode(value)
	}
	w := tabwriter.NewWriter(c.out, 0, 0, 2, ' ', 0)
	fmt.Fprintf(w, "%s\nsince\t%s, for %s\n", f.Version, f.Since.Local().Format(time.DateTime), lasting(f.At.Sub(f.Since)))
	if c.tenant == "" {
		showServer(w, f)
	}
	fmt.Fprintln(w, "\nTENANT\tSESSIONS\tADDRESSES\tPREFIXES\tUP\tDOWN\tDROPPED\tREFUSED")
	for _, t := range tenants {
		fmt.Fprintf(w, "%s\t%d\t%s\t%s\t%s\t%s\t%d\t%d\n", t.Name, t.Sessions, pool(&t.Addresses), pool(t.Prefixes),
			size(t.Up.Bytes), size(t.Down.Bytes), sum(t.Losses()), sum(refusals(t.Causes)))
	}
	showFlows(w, tenants)
	showCounts(w, "DROPPED\tTIMES", losses)
	showCounts(w, "REFUSED\tTIMES", refusals(causes))
	return w.Flush()
}

// showServer writes what is of no tenant.
func showServer(w *tabwriter.Writer, f admin.Figures) {
	var listen []string
	for _, a := range f.Listen {
		listen = append(listen, a.String())
	}
	fmt.Fprintf(w, "listens\t%s, ports %d and %d\n", strings.Join(listen, ", "), f.IKEPort, f.NATTPort)
	fmt.Fprintf(w, "clients\t%d, of whom %d are logged in; %d half open, %d child SAs\n", f.Peers, f.All.Sessions, f.IKE.HalfOpen, f.IKE.Children)
	fmt.Fprintf(w, "traffic\t%s up, %s down\n", size(f.All.Up.Bytes), size(f.All.Down.Bytes))
	fmt.Fprintf(w, "jobs\t%d at work, %d in line, %d refused\n", f.Computing.AtWork+f.Waiting.AtWork, f.Computing.InLine+f.Waiting.InLine, f.Computing.Refused+f.Waiting.Refused)
	fmt.Fprintf(w, "faults\t%d\n", f.Faults)
}

// showFlows writes what became of flows, of those tenants whose rules ask of them.
func showFlows(w *tabwriter.Writer, tenants []admin.Tenant) {
	head := "\nTENANT\tFLOWS\tBEGUN\tDENIED\tMADE ROOM\tNO ROOM\tLOST\tSTRAY\tFORGED\n"
	for _, t := range tenants {
		if c := t.Flows; c != nil {
			fmt.Fprintf(w, "%s%s\t%d\t%d\t%d\t%d\t%d\t%d\t%d\t%d\n", head, t.Name, c.Live, c.Begun, c.Denied,
				c.PushedBySession+c.PushedByTenant+c.PushedByAll, c.Full, c.Lost, c.Stray, c.Forged)
			head = ""
		}
	}
}

// pool writes how many addresses are in use, of how many.
func pool(a *admin.Addresses) string {
	if a == nil {
		return "-"
	}
	return fmt.Sprintf("%d/%d", a.InUse, a.InUse+a.Free)
}

// refusals are who did not get in, by event and cause.
func refusals(causes map[string]admin.Named) admin.Named {
	all := admin.Named{}
	for event, by := range causes {
		for cause, n := range by {
			all[event+": "+cause] += n
		}
	}
	return all
}

func sum(counts admin.Named) (n uint64) {
	for _, c := range counts {
		n += c
	}
	return n
}

// showCounts writes what was counted, the most first; nothing if that is nothing.
func showCounts(w *tabwriter.Writer, head string, counts admin.Named) {
	list := slices.SortedFunc(maps.Keys(counts), func(a, b string) int {
		return cmp.Or(cmp.Compare(counts[b], counts[a]), strings.Compare(a, b))
	})
	for i, what := range list {
		if counts[what] == 0 {
			return
		}
		if i == 0 {
			fmt.Fprintln(w, "\n"+head)
		}
		fmt.Fprintf(w, "%s\t%d\n", what, counts[what])
	}
}
