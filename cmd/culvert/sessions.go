package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"
	"unicode"

	"github.com/spf13/cobra"

	"github.com/culvert-vpn/culvert/internal/admin"
	"github.com/culvert-vpn/culvert/internal/config"
)

// newSessions returns the commands about the clients that are logged in.
func newSessions(s streams) *cobra.Command {
	l := &sessionsCommand{streams: s}
	list := &cobra.Command{
		Use:     "sessions",
		Aliases: []string{"ls"},
		Short:   "Show who is logged in",
		Long: `Shows who is logged in to the running server: user, kind of client, where it
calls from, its addresses in the tunnel, how long, how much. IDLE is the time
since its last packet. --json shows all there is to know, for programs.

The server is asked through a socket in its state directory, which only its own
user and root may open.`,
		Args: arguments(),
		RunE: func(cmd *cobra.Command, _ []string) error { return l.list(cmd.Context()) },
	}
	list.PersistentFlags().StringVar(&l.config, "config", "", "configuration `FILE` of the server (default "+defaultConfig+", or the one quickstart made)")
	list.PersistentFlags().StringVar(&l.tenant, "tenant", "", "only sessions of `TENANT`")
	list.Flags().BoolVar(&l.json, "json", false, "write JSON")
	list.AddCommand(&cobra.Command{
		Use:   "close ID|USER",
		Short: "End a session, or all of a user",
		Long: `Ends the session of that number, or all of a user, and tells the client.
Nothing keeps it from dialling again: for that, see culvert user disable.`,
		Args: arguments("the number of a session or a user"),
		RunE: func(cmd *cobra.Command, args []string) error { return l.close(cmd.Context(), args[0]) },
	})
	return list
}

// sessionsCommand has the flags of the commands about sessions.
type sessionsCommand struct {
	streams
	config, tenant string
	json           bool
}

// sessions asks the server.
func (l *sessionsCommand) sessions(ctx context.Context) (*admin.Client, []admin.Session, error) {
	client, c, fault := serverOf(l.config)
	if l.tenant != "" && fault == nil {
		if _, err := chooseTenant(c, l.tenant); err != nil {
			return nil, nil, err
		}
	}
	all, err := client.Sessions(ctx)
	if err != nil && fault != nil {
		err = fault
	}
	list := make([]admin.Session, 0, len(all))
	for _, s := range all {
		if l.tenant == "" || s.Tenant == l.tenant {
			list = append(list, s)
		}
	}
	return client, list, err
}

// serverOf is the server of a configuration, and that. If it has a fault by now, which a
// server that runs has refused or was not told of, the server is still to be asked.
func serverOf(path string) (client *admin.Client, c *config.Config, fault error) {
	path = findConfig(path)
	if c, fault = config.LoadOutline(path); fault != nil {
		return admin.NewClient(config.StateOf(path)), nil, fault
	}
	return admin.NewClient(c.State), c, nil
}

// list shows who is logged in.
func (l *sessionsCommand) list(ctx context.Context) error {
	_, list, err := l.sessions(ctx)
	if err != nil {
		return err
	}
	if l.json {
		e := json.NewEncoder(l.out)
		e.SetIndent("", "  ")
		return e.Encode(list)
	}
	w := tabwriter.NewWriter(l.out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "ID\tTENANT\tUSER\tFAMILY\tPROTOCOL\tCLIENT\tADDRESS\tESP\tFOR\tIDLE\tUP\tDOWN\tREKEYS")
	for _, s := range list {
		fmt.Fprintf(w, "%d\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%d\n", s.ID, s.Tenant, plain(s.User), s.Family, s.Protocol,
			s.Client, inside(s), s.ESP, lasting(time.Since(s.Since)), lasting(time.Duration(s.Idle)*time.Second),
			size(s.Up.Bytes), size(s.Down.Bytes), s.Rekeys)
	}
	return w.Flush()
}

// inside writes a client's addresses in the tunnel.
func inside(s admin.Session) string {
	var words []string
	if s.Address.IsValid() {
		words = append(words, s.Address.String())
	}
	if s.Prefix.IsValid() {
		words = append(words, s.Prefix.String())
	}
	return strings.Join(words, ",")
}

// plain writes what a client chose so that it cannot write over the terminal.
func plain(s string) string {
	if strings.ContainsFunc(s, func(r rune) bool { return !unicode.IsPrint(r) || r == unicode.ReplacementChar }) {
		return strconv.Quote(s)
	}
	return s
}

// lasting writes a time in its two largest units.
func lasting(d time.Duration) string {
	switch d = d.Round(time.Second); {
	case d < time.Minute:
		return fmt.Sprintf("%ds", d/time.Second)
	case d < time.Hour:
		return fmt.Sprintf("%dm%02ds", d/time.Minute, d%time.Minute/time.Second)
	case d < 24*time.Hour:
		return fmt.Sprintf("%dh%02dm", d/time.Hour, d%time.Hour/time.Minute)
	}
	return fmt.Sprintf("%dd%02dh", d/(24*time.Hour), d%(24*time.Hour)/time.Hour)
}

// size writes a number of bytes with three digits or so.
func size(n uint64) string {
	const units = "KMGTPE"
	if n < 1024 {
		return fmt.Sprintf("%dB", n)
	}
	v, unit := float64(n)/1024, 0
	for v >= 1024 && unit < len(units)-1 {
		v, unit = v/1024, unit+1
	}
	return fmt.Sprintf("%.1f%ciB", v, units[unit])
}

// close ends the session of that number, or those of that user.
func (l *sessionsCommand) close(ctx context.Context, which string) error {
	client, list, err := l.sessions(ctx)
	if err != nil {
		return err
	}
	chosen, err := choose(list, which)
	if err != nil {
		return err
	}
	for _, s := range chosen {
		if err := client.CloseSession(ctx, s.ID); err != nil && !errors.Is(err, admin.ErrNoSession) {
			return err
		}
		fmt.Fprintf(l.out, "session %d of %s, tenant %s, closed\n", s.ID, plain(s.User), s.Tenant)
	}
	return nil
}

// choose returns the session of that number, or those of that user of one tenant.
func choose(list []admin.Session, which string) (chosen []admin.Session, err error) {
	id, _ := strconv.ParseUint(which, 10, 64)
	for _, s := range list {
		if id != 0 && s.ID == id {
			return []admin.Session{s}, nil
		}
		if config.UserKey(s.User) == config.UserKey(which) {
			chosen = append(chosen, s)
		}
	}
	switch {
	case len(chosen) == 0:
		return nil, fmt.Errorf("no session has the number or the user %s; culvert sessions shows all", plain(which))
	case chosen[0].Tenant != chosen[len(chosen)-1].Tenant:
		return nil, fmt.Errorf("%s is logged in to %s and to %s: say --tenant", plain(which), chosen[0].Tenant, chosen[len(chosen)-1].Tenant)
	}
	return chosen, nil
}
