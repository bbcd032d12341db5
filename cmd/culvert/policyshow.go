package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/culvert-vpn/culvert/internal/admin"
	"github.com/culvert-vpn/culvert/internal/config"
	"github.com/culvert-vpn/culvert/internal/gateway"
)

// newPolicyShow returns the command that shows the rules in force.
func newPolicyShow(s streams) *cobra.Command {
	p := &policyShow{streams: s}
	show := &cobra.Command{
		Use:   "show",
		Short: "Show the rules in force, and what they have decided",
		Long: `Shows the rules of a tenant that are in force in the running server, in the
words of the file and in their order: on how many flows each has decided since
the server runs, and when it did last. Every set of rules that is for a client
must allow a flow; in each the first rule that is about it decides, else the
default. Where no server runs, the rules of the configuration are shown.

The server is asked through a socket in its state directory, which only its own
user and root may open.`,
		Args: arguments(),
		RunE: func(cmd *cobra.Command, _ []string) error { return p.run(cmd.Context()) },
	}
	show.Flags().StringVar(&p.config, "config", "", "configuration `FILE` of the server (default "+defaultConfig+", or the one quickstart made)")
	show.Flags().StringVar(&p.tenant, "tenant", "", "`TENANT` whose rules they are (default the configuration's default tenant)")
	show.Flags().BoolVar(&p.json, "json", false, "write JSON")
	return show
}

// policyShow has the flags of policy show.
type policyShow struct {
	streams
	config, tenant string
	json           bool
}

// run shows the rules.
func (p *policyShow) run(ctx context.Context) error {
	rules, err := p.ask(ctx)
	if err != nil {
		return err
	}
	if p.json {
		e := json.NewEncoder(p.out)
		e.SetIndent("", "  ")
		return e.Encode(rules)
	}
	return p.show(&rules)
}

// ask asks the server, or the configuration where none runs.
func (p *policyShow) ask(ctx context.Context) (admin.Policy, error) {
	client, c, fault := serverOf(p.config)
	name, err := tenantOf(c, fault, p.tenant)
	if err != nil {
		return admin.Policy{}, err
	}
	rules, err := client.Policy(ctx, name)
	switch {
	case err == nil:
		return rules, nil
	case fault != nil && !errors.Is(err, admin.ErrNoTenant):
		return rules, fault
	case errors.Is(err, admin.ErrNoServer):
		t, err := chooseTenant(c, name)
		if err != nil {
			return rules, err
		}
		fmt.Fprintf(p.err, "no server is running with the state directory %s: these are the rules of the configuration, and nothing was counted\n", c.State)
		return gateway.WrittenPolicy(t, time.Now()), nil
	}
	return rules, explainTenant(err, name)
}

// tenantOf is the tenant that is meant: the one that is named, or the default one.
func tenantOf(c *config.Config, fault error, name string) (string, error) {
	switch {
	case name != "":
		return name, nil
	case fault != nil:
		return "", fault
	}
	if t, ok := c.DefaultTenant(); ok {
		return t.Name, nil
	}
	return "", usageError{errors.New("--tenant says whose: the configuration has no default tenant")}
}

// explainTenant names the tenant that a server does not have.
func explainTenant(err error, name string) error {
	if errors.Is(err, admin.ErrNoTenant) {
		return fmt.Errorf("the server has no tenant %s; culvert status shows which it has", plain(name))
	}
	return err
}

// show writes the rules as a table for each set.
func (p *policyShow) show(rules *admin.Policy) error {
	fmt.Fprintf(p.out, "tenant %s, clients: %s\n", rules.Tenant, rules.Clients)
	if len(rules.Sets) == 0 {
		fmt.Fprintln(p.out, "no rules of flows: what is not closed by design, or by egress, may be")
	}
	for _, set := range rules.Sets {
		w := tabwriter.NewWriter(p.out, 0, 0, 2, ' ', 0)
		fmt.Fprintf(w, "\n%s\n", headOf(set))
		fmt.Fprint(w, "RULE\tVERDICT\tFROM\tTO\tPORTS\tWHEN\tLOG")
		if rules.InForce {
			fmt.Fprint(w, "\tFLOWS\tLAST")
		}
		fmt.Fprintln(w)
		for _, r := range slices.Concat(set.Rules, []admin.Rule{set.Default}) {
			fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\t%s", r.Name, verdict(r.Allow), orAll(r.From), orAll(r.To), orAll(r.Ports), whenOf(r), r.Log)
			if rules.InForce {
				fmt.Fprintf(w, "\t%d\t%s", r.Flows, ago(rules.At, r.Last))
			}
			fmt.Fprintln(w)
		}
		if err := w.Flush(); err != nil {
			return err
		}
	}
	return nil
}

// headOf names a set, and whom it is for.
func headOf(set admin.RuleSet) string {
	if set.Name == "policy" {
		return "policy, for everybody"
	}
	if len(set.For) == 0 {
		return set.Name + ", for users of the state store who are under it"
	}
	return set.Name + ", for " + strings.Join(set.For, ", ") + " and users of the state store who are under it"
}

func verdict(allow bool) string {
	if allow {
		return "allow"
	}
	return "deny"
}

// orAll writes a list as the file has it.
func orAll(list []string) string {
	if len(list) == 0 {
		return "*"
	}
	return strings.Join(list, ",")
}

// whenOf writes when a rule decides, and whether that is now.
func whenOf(r admin.Rule) string {
	switch {
	case r.When == "":
		return "always"
	case r.Now:
		return r.When + " (now)"
	}
	return r.When + " (not now)"
}

// ago writes how long something is past.
func ago(now, then time.Time) string {
	if then.IsZero() {
		return "never"
	}
	return lasting(max(now.Sub(then), 0)) + " ago"
}
