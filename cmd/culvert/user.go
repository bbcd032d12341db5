package main

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/culvert-vpn/culvert/internal/config"
	"github.com/culvert-vpn/culvert/internal/store"
)

// newUser returns the commands about users of the state store.
func newUser(s streams) *cobra.Command {
	u := &userCommand{streams: s}
	group := newGroup("user", "Add, change and remove users",
		`Adds, changes and removes the users of the state store. A running server knows
of each change at once; sessions that are up stay up, with other groups and
filters within some seconds, and with the addresses that they have. Of a
password only the NT
hash is kept.

Users written in the configuration are shown by list, and are changed there.`,
		u.attributed(u.command("add NAME", "Add a user",
			`Adds a user. The password is asked for without being shown; an empty answer, or
no terminal to ask on, makes a random one, which is printed this once.`, true, u.add)),
		u.attributed(u.command("set NAME", "Give a user other groups or filters, or another pool",
			`Changes the groups that a user is in, the filters that hold his sessions, and
the pool that he gets addresses of when he logs in. What is not named stays as
it is; --groups "" and --filters "" leave none, and with --pool "" the
configuration says which pool.
Sessions that are up have it within some seconds. Groups that the configuration
has the user in are changed there.`, false, u.set)),
		u.command("passwd NAME", "Give a user another password",
			`Changes a user's password. It is asked for without being shown; an empty answer,
or no terminal to ask on, makes a random one, which is printed this once.`, true, u.passwd),
		u.command("del NAME", "Remove a user",
			"Removes a user, and the memory of the addresses it had.", false, u.del),
		u.command("disable NAME", "Keep a user from logging in",
			"Keeps a user from logging in, until enable.", false, func(o opened, name string) error { return u.disable(o, name, true) }),
		u.command("enable NAME", "Let a disabled user log in again",
			"Lets a disabled user log in again.", false, func(o opened, name string) error { return u.disable(o, name, false) }),
		u.list(),
	)
	flags := group.PersistentFlags()
	flags.StringVar(&u.config, "config", "", "configuration `FILE` (default "+defaultConfig+", or the one quickstart made)")
	flags.StringVar(&u.tenant, "tenant", "", "`TENANT` the user belongs to (default the configuration's default tenant)")
	return group
}

// userCommand has the flags of the commands about users.
type userCommand struct {
	streams
	config, tenant  string
	stdin           bool
	groups, filters []string
	pool            string
	named           func(flag string) bool // the flag is written
}

// opened is the configuration and the store that a command works on.
type opened struct {
	config *config.Config
	store  *store.Store
	tenant *config.Tenant
}

// command returns a command about one user.
func (u *userCommand) command(use, short, long string, password bool, do func(opened, string) error) *cobra.Command {
	c := &cobra.Command{
		Use: use, Short: short, Long: long,
		Args: arguments("a NAME"),
		RunE: func(cmd *cobra.Command, args []string) error {
			u.named = cmd.Flags().Changed
			return u.with(func(o opened) error {
				if err := o.config.CheckUser(args[0]); err != nil {
					return err
				}
				return do(o, args[0])
			})
		},
	}
	if password {
		c.Flags().BoolVar(&u.stdin, "password-stdin", false, "read the password from the first line of standard input")
	}
	return c
}

// attributed gives a command the flags about what a user has beside the password.
func (u *userCommand) attributed(c *cobra.Command) *cobra.Command {
	c.Flags().StringSliceVar(&u.groups, "groups", nil, "`GROUPS` of the tenant that the user is in, with commas between them")
	c.Flags().StringSliceVar(&u.filters, "filters", nil, "`FILTERS` of the tenant, all of which must allow what the user does")
	c.Flags().StringVar(&u.pool, "pool", "", "`POOL` of the tenant that the user gets addresses of")
	return c
}

// attributes changes what a user has to what the flags say.
func (u *userCommand) attributes(a *store.Attributes) {
	if u.named("pool") {
		a.Pool = u.pool
	}
	for flag, into := range map[string]*[]string{"groups": &a.Groups, "filters": &a.Filters} {
		if u.named(flag) {
			names := map[string][]string{"groups": u.groups, "filters": u.filters}[flag]
			slices.Sort(names)
			*into = slices.Compact(names)
		}
	}
}

// missing is an error if a flag names what the tenant does not have.
func (u *userCommand) missing(o opened) error {
	if missing := o.tenant.Policy.Missing(u.groups, u.filters); missing != "" {
		return fmt.Errorf("tenant %s has no %s; write it into the configuration first", o.tenant.Name, missing)
	}
	if _, ok := o.tenant.PoolNamed(u.pool); !ok {
		return fmt.Errorf("tenant %s has no pool %s; write it into the configuration first", o.tenant.Name, u.pool)
	}
	return nil
}

// set changes a user's groups, filters and pool.
func (u *userCommand) set(o opened, name string) error {
	if !u.named("groups") && !u.named("filters") && !u.named("pool") {
		return usageError{errors.New("nothing to change: say --groups or --filters, or --pool")}
	}
	if err := u.missing(o); err != nil {
		return err
	}
	if err := o.store.SetAttributes(o.tenant.Name, name, u.attributes); err != nil {
		return u.explain(o, name, err)
	}
	kept, err := o.store.User(o.tenant.Name, name)
	if err != nil {
		return u.explain(o, name, err)
	}
	fmt.Fprintf(u.out, "user %s of tenant %s: groups %s, filters %s, pool %s\n", name, o.tenant.Name, listed(kept.Groups), listed(kept.Filters), cmp.Or(kept.Pool, "-"))
	return nil
}

// listed writes names with commas, and a dash for none.
func listed(names []string) string { return cmp.Or(strings.Join(names, ","), "-") }

// with opens the configuration and the store around a command.
func (u *userCommand) with(do func(opened) error) error {
	path := findConfig(u.config)
	c, err := config.LoadOutline(path)
	if err != nil {
		return err
	}
	t, err := chooseTenant(c, u.tenant)
	if err != nil {
		return err
	}
	s, err := store.Open(c.State)
	if err != nil {
		return err
	}
	return errors.Join(do(opened{c, s, t}), s.Close())
}

// chooseTenant returns the tenant of that name, or the default one.
func chooseTenant(c *config.Config, name string) (*config.Tenant, error) {
	if name == "" {
		if t, ok := c.DefaultTenant(); ok {
			return t, nil
		}
		return nil, usageError{fmt.Errorf("no tenant is the default: say --tenant, one of %s", tenantNames(c))}
	}
	if t, ok := c.Tenant(name); ok {
		return t, nil
	}
	return nil, fmt.Errorf("there is no tenant %s; there is %s", name, tenantNames(c))
}

// tenantNames writes the tenants' names with commas.
func tenantNames(c *config.Config) string {
	var names []string
	for i := range c.Tenants {
		names = append(names, c.Tenants[i].Name)
	}
	return strings.Join(names, ", ")
}

// add adds a user.
func (u *userCommand) add(o opened, name string) error {
	if written, ok := o.tenant.User(name); ok {
		return fmt.Errorf("user %s of tenant %s is written in the configuration, which comes first", written.Name, o.tenant.Name)
	}
	if _, err := o.store.User(o.tenant.Name, name); err == nil {
		return fmt.Errorf("tenant %s has a user %s; culvert user passwd %s changes the password", o.tenant.Name, name, name)
	}
	if err := u.missing(o); err != nil {
		return err
	}
	p, err := readPassword(u.streams, name, u.stdin)
	if err != nil {
		return err
	}
	user := store.User{Name: name, Hash: store.HashPassword(p.text)}
	u.attributes(&user.Attributes)
	if err := o.store.AddUser(o.tenant.Name, user); err != nil {
		return err
	}
	fmt.Fprintf(u.out, "user %s of tenant %s added\n", name, o.tenant.Name)
	p.show(u.streams)
	return nil
}

// passwd changes a user's password.
func (u *userCommand) passwd(o opened, name string) error {
	if _, err := o.store.User(o.tenant.Name, name); err != nil {
		return u.explain(o, name, err)
	}
	p, err := readPassword(u.streams, name, u.stdin)
	if err != nil {
		return err
	}
	if err := o.store.SetPassword(o.tenant.Name, name, store.HashPassword(p.text)); err != nil {
		return u.explain(o, name, err)
	}
	fmt.Fprintf(u.out, "user %s of tenant %s has another password\n", name, o.tenant.Name)
	p.show(u.streams)
	return nil
}

// del removes a user.
func (u *userCommand) del(o opened, name string) error {
	if err := o.store.DeleteUser(o.tenant.Name, name); err != nil {
		return u.explain(o, name, err)
	}
	fmt.Fprintf(u.out, "user %s of tenant %s removed\n", name, o.tenant.Name)
	return nil
}

// disable keeps a user from logging in, or lets it again.
func (u *userCommand) disable(o opened, name string, disabled bool) error {
	if err := o.store.SetDisabled(o.tenant.Name, name, disabled); err != nil {
		return u.explain(o, name, err)
	}
	state := "enabled"
	if disabled {
		state = "disabled"
	}
	fmt.Fprintf(u.out, "user %s of tenant %s %s\n", name, o.tenant.Name, state)
	return nil
}

// explain says where else a user may be.
func (u *userCommand) explain(o opened, name string, err error) error {
	if !errors.Is(err, store.ErrNotFound) {
		return err
	}
	if _, ok := o.tenant.User(name); ok {
		return fmt.Errorf("user %s of tenant %s is written in the configuration: change it there", name, o.tenant.Name)
	}
	for i := range o.config.Tenants {
		other := &o.config.Tenants[i]
		_, written := other.User(name)
		if _, err := o.store.User(other.Name, name); err == nil || written {
			return fmt.Errorf("tenant %s has no user %s, and tenant %s has: say --tenant %s", o.tenant.Name, name, other.Name, other.Name)
		}
	}
	return fmt.Errorf("tenant %s has no user %s; culvert user list shows all", o.tenant.Name, name)
}

// list returns the command that shows users.
func (u *userCommand) list() *cobra.Command {
	return &cobra.Command{
		Use:   "list",
		Short: "Show the users of all tenants, or of one",
		Long:  "Shows the users of all tenants, or with --tenant of one, and where each is kept.",
		Args:  arguments(),
		RunE: func(*cobra.Command, []string) error {
			c, err := config.LoadOutline(findConfig(u.config))
			if err != nil {
				return err
			}
			tenants := c.Tenants
			if u.tenant != "" {
				t, err := chooseTenant(c, u.tenant)
				if err != nil {
					return err
				}
				tenants = []config.Tenant{*t}
			}
			s, err := store.Open(c.State)
			if err != nil {
				return err
			}
			return errors.Join(u.table(tenants, s), s.Close())
		},
	}
}

// table writes the users of tenants, a line each.
func (u *userCommand) table(tenants []config.Tenant, s *store.Store) error {
	w := tabwriter.NewWriter(u.out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "TENANT\tUSER\tKEPT IN\tSTATE\tCHANGED\tGROUPS\tFILTERS")
	for i := range tenants {
		t := &tenants[i]
		for _, user := range t.Auth.Users {
			fmt.Fprintf(w, "%s\t%s\tconfiguration\tenabled\t\t%s\t%s\n", t.Name, user.Name, listed(t.Policy.GroupsOf(user.Name)), listed(user.Filters))
		}
		kept, err := s.Users(t.Name)
		if err != nil {
			return err
		}
		for _, user := range kept {
			state := "enabled"
			if user.Disabled {
				state = "disabled"
			}
			if missing := t.Policy.Missing(user.Groups, user.Filters); missing != "" {
				state = "refused: there is no " + missing
			}
			if _, hidden := t.User(user.Name); hidden {
				state = "hidden by the configuration"
			}
			groups := slices.Concat(t.Policy.GroupsOf(user.Name), user.Groups)
			slices.Sort(groups)
			fmt.Fprintf(w, "%s\t%s\tstore\t%s\t%s\t%s\t%s\n", t.Name, user.Name, state, user.Changed.Format("2006-01-02 15:04"), listed(slices.Compact(groups)), listed(user.Filters))
		}
	}
	return w.Flush()
}
