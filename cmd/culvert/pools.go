package main

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/culvert-vpn/culvert/internal/admin"
	"github.com/culvert-vpn/culvert/internal/config"
)

// newPools returns the command that shows what addresses tenants have.
func newPools(s streams) *cobra.Command {
	p := &poolsCommand{streams: s}
	c := &cobra.Command{
		Use:   "pools",
		Short: "Show the tenants' pools of addresses, and who has what",
		Long: `Shows the pools of the running server's tenants: their ranges, how many
addresses (of IPv6, prefixes) there are, how many are in use, how many are
remembered for the user who had them last, how many are one user's alone, what
share nobody else can have, and which one a newcomer gets next.

--leases shows who has what, and since when: what is in use, what is kept for
its user alone, what is remembered and when he left it, and what is outside:
sessions with other addresses than their users would be given by now, since the
pools have changed.`,
		Args: arguments(),
		RunE: func(cmd *cobra.Command, _ []string) error { return p.run(cmd.Context()) },
	}
	c.Flags().StringVar(&p.config, "config", "", "configuration `FILE` of the server (default "+defaultConfig+", or the one quickstart made)")
	c.Flags().StringVar(&p.tenant, "tenant", "", "only pools of `TENANT`")
	c.Flags().StringVar(&p.pool, "pool", "", "only the pool of that `NAME`; "+config.DefaultPool+" is the one that has none")
	c.Flags().BoolVar(&p.leases, "leases", false, "show who has what")
	c.Flags().BoolVar(&p.json, "json", false, "write JSON")
	return c
}

// poolsCommand has the flags of pools.
type poolsCommand struct {
	streams
	config, tenant, pool string
	leases, json         bool
}

// run asks the server and shows what it says.
func (p *poolsCommand) run(ctx context.Context) error {
	client, _, fault := serverOf(p.config)
	list, err := client.Pools(ctx)
	if err != nil {
		return cmp.Or(fault, err)
	}
	if list, err = p.chosen(list); err != nil {
		return err
	}
	if !p.leases {
		return p.show(list)
	}
	leases := []admin.Lease{}
	for _, pool := range list.Pools {
		some, err := client.Leases(ctx, pool)
		if err != nil {
			return err
		}
		leases = append(leases, some...)
	}
	if len(list.Outside) > 0 {
		sessions, err := client.Sessions(ctx)
		if err != nil {
			return err
		}
		leases = withOutside(leases, outside(sessions, list.Outside))
	}
	return p.showLeases(leases)
}

// chosen are the pools that the flags name.
func (p *poolsCommand) chosen(list admin.PoolList) (admin.PoolList, error) {
	of := func(tenant string) bool { return p.tenant == "" || p.tenant == tenant }
	some := admin.PoolList{Pools: []admin.Pool{}}
	var names []string
	for _, pool := range list.Pools {
		if of(pool.Tenant) && (p.pool == "" || p.pool == pool.Name) {
			some.Pools = append(some.Pools, pool)
		}
		if name := pool.Tenant + "/" + pool.Name; !pool.IPv6 {
			names = append(names, name)
		}
	}
	for _, o := range list.Outside {
		if of(o.Tenant) && p.pool == "" {
			some.Outside = append(some.Outside, o)
		}
	}
	if len(some.Pools) == 0 {
		return some, fmt.Errorf("the server has no such pool; it has %s", strings.Join(names, ", "))
	}
	return some, nil
}

// writeJSON writes a value for programs.
func (p *poolsCommand) writeJSON(value any) error {
	e := json.NewEncoder(p.out)
	e.SetIndent("", "  ")
	return e.Encode(value)
}

// show writes pools, a line each.
func (p *poolsCommand) show(list admin.PoolList) error {
	if p.json {
		return p.writeJSON(list)
	}
	w := tabwriter.NewWriter(p.out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "TENANT\tPOOL\tRANGE\tSIZE\tIN USE\tREMEMBERED\tSTATIC\tTAKEN\tNEXT FREE")
	for _, pool := range list.Pools {
		var ranges []string
		for _, r := range pool.Ranges {
			ranges = append(ranges, r.String())
		}
		next := "none"
		if pool.Next.IsValid() {
			next = single(pool.Next)
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%d\t%d\t%d\t%d\t%d%%\t%s\n", pool.Tenant, pool.Name, strings.Join(ranges, ","), pool.Size, pool.Used,
			pool.Remembered, pool.Static, pool.Percent(), next)
	}
	if err := w.Flush(); err != nil {
		return err
	}
	for i, o := range list.Outside {
		if i == 0 {
			fmt.Fprintln(p.out)
		}
		fmt.Fprintf(p.out, "tenant %s: %d session(s) with other addresses than they would be given now; --leases shows them\n", o.Tenant, o.Sessions)
	}
	return nil
}

// single writes an address as such, and a prefix.
func single(a netip.Prefix) string {
	if a.IsSingleIP() {
		return a.Addr().String()
	}
	return a.String()
}

// stateOutside is what becomes of an address beside the admin.Leased values.
const stateOutside = "outside"

// outside are what sessions of tenants have that have other addresses than their users would
// be given.
func outside(sessions []admin.Session, of []admin.Outside) (leases []admin.Lease) {
	for _, s := range sessions {
		if !s.Outside || !slices.ContainsFunc(of, func(o admin.Outside) bool { return o.Tenant == s.Tenant }) {
			continue
		}
		l := admin.Lease{Tenant: s.Tenant, User: s.User, State: stateOutside, Since: s.Since, Session: s.ID}
		for _, a := range []netip.Prefix{netip.PrefixFrom(s.Address, s.Address.BitLen()), s.Prefix} {
			if a.IsValid() {
				l.Address = a
				leases = append(leases, l)
			}
		}
	}
	return leases
}

// withOutside are leases and what is outside, each address once: one of another pool than its
// user's is of both.
func withOutside(leases, outside []admin.Lease) []admin.Lease {
	at := make(map[string]int, len(leases))
	for i, l := range leases {
		at[l.Tenant+" "+l.Address.String()] = i
	}
	for _, o := range outside {
		if i, also := at[o.Tenant+" "+o.Address.String()]; also {
			leases[i].State, leases[i].Session = stateOutside, o.Session
			continue
		}
		leases = append(leases, o)
	}
	return leases
}

// showLeases writes leases, a line each.
func (p *poolsCommand) showLeases(list []admin.Lease) error {
	slices.SortStableFunc(list, func(a, b admin.Lease) int {
		return cmp.Or(cmp.Compare(a.Tenant, b.Tenant), a.Address.Addr().Compare(b.Address.Addr()))
	})
	if p.json {
		return p.writeJSON(list)
	}
	w := tabwriter.NewWriter(p.out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "TENANT\tPOOL\tADDRESS\tUSER\tSTATE\tFOR\tSESSION")
	for _, l := range list {
		state, since, session := l.State, "-", "-"
		if l.Static && l.State == admin.LeasedNow {
			state += ", static"
		}
		if !l.Since.IsZero() {
			since = lasting(time.Since(l.Since))
		}
		if l.Session != 0 {
			session = fmt.Sprint(l.Session)
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\t%s\n", l.Tenant, cmp.Or(l.Pool, "-"), single(l.Address), plain(l.User), state, since, session)
	}
	return w.Flush()
}
