package main

import (
	"errors"
	"fmt"
	"io/fs"
	"time"

	"github.com/spf13/cobra"

	"github.com/culvert-vpn/culvert/internal/config"
	"github.com/culvert-vpn/culvert/internal/store"
)

// newPolicy returns the commands about what flows of clients may do.
func newPolicy(s streams) *cobra.Command {
	p := &policyCommand{streams: s}
	test := &cobra.Command{
		Use:   "test",
		Short: "Say what becomes of a flow, and why",
		Long: `Says what would become of a flow that the client of a user begins, and which
rule decides, by the code that packets are judged with. The configuration is
asked, and the state store for the groups and filters of a user who is kept
there, and no server. The exit code is 0 if the flow is allowed and 1 if it is
denied.

  culvert policy test --tenant acme --user ann --to 10.20.0.5:tcp/445
  culvert policy test --user ann --to '[2001:db8::5]:icmp'`,
		Args: arguments(),
		RunE: func(*cobra.Command, []string) error { return p.test() },
	}
	flags := test.Flags()
	flags.StringVar(&p.config, "config", "", "configuration `FILE` (default "+defaultConfig+", or the one quickstart made)")
	flags.StringVar(&p.tenant, "tenant", "", "`TENANT` of the user (default the configuration's default tenant)")
	flags.StringVar(&p.user, "user", "", "`NAME` of the user")
	flags.StringVar(&p.to, "to", "", "where the flow leads: `ADDRESS:PROTOCOL/PORT`")
	flags.StringVar(&p.at, "at", "", "`TIME` to ask for, as in 2026-01-05T09:00:00+01:00 (default now)")
	return newGroup("policy", "Ask what a tenant's rules say", "Asks what a tenant's rules say.", test, newPolicyShow(s))
}

// policyCommand has the flags of the commands about policies.
type policyCommand struct {
	streams
	config, tenant, user, to, at string
}

// test asks about one flow.
func (p *policyCommand) test() error {
	ask := config.PolicyTest{User: p.user}
	var ok bool
	if ask.To, ask.Protocol, ok = config.ParseFlow(p.to); !ok {
		return usageError{fmt.Errorf("--to is not where a flow leads: write 10.20.0.5:tcp/80, [2001:db8::5]:udp/53 or 10.20.0.5:icmp")}
	}
	if err := config.CheckUserName(p.user); err != nil {
		return usageError{fmt.Errorf("--user: %w", err)}
	}
	var err error
	if p.at != "" {
		if ask.At, err = time.Parse(time.RFC3339, p.at); err != nil {
			return usageError{fmt.Errorf("--at is not a time: write 2026-01-05T09:00:00+01:00")}
		}
	}
	c, err := config.LoadOutline(findConfig(p.config))
	if err != nil {
		return err
	}
	defer c.Zero()
	t, ok := c.DefaultTenant()
	if p.tenant != "" {
		t, ok = c.Tenant(p.tenant)
	}
	if !ok {
		return fmt.Errorf("there is no tenant %q; --tenant names one of the configuration", p.tenant)
	}
	p.kept(c, t, &ask)
	return p.answer(c, t, ask)
}

// kept has a user of the state store have the groups and filters that he has there. Where the
// store cannot be asked, that is said.
func (p *policyCommand) kept(c *config.Config, t *config.Tenant, ask *config.PolicyTest) {
	if _, written := t.Policy.Own(p.user); written {
		return
	}
	s, err := store.Look(c.State)
	if err == nil {
		defer s.Close()
		var u store.User
		if u, err = s.User(t.Name, p.user); err == nil {
			ask.Groups, ask.Filters, ask.Pool = u.Groups, u.Filters, u.Pool
			return
		}
	}
	switch {
	case errors.Is(err, store.ErrNotFound):
		fmt.Fprintf(p.err, "user %s is neither in the configuration nor in the state store\n", p.user)
	case errors.Is(err, fs.ErrNotExist):
		fmt.Fprintf(p.err, "there is no state store in %s: groups and filters are those of the configuration\n", c.State)
	default:
		fmt.Fprintf(p.err, "groups and filters are those of the configuration alone: %v\n", err)
	}
}

// answer says what becomes of a flow; one that is denied is an error.
func (p *policyCommand) answer(c *config.Config, t *config.Tenant, ask config.PolicyTest) error {
	a, err := c.AskPolicy(t, ask)
	if err != nil {
		return err
	}
	if !a.Allow {
		return fmt.Errorf("denied by %s: tenant %s, user %s, to %s", a.Reason(), t.Name, p.user, p.to)
	}
	fmt.Fprintf(p.out, "allowed by %s: tenant %s, user %s, to %s\n", a.Reason(), t.Name, p.user, p.to)
	return nil
}
