package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/culvert-vpn/culvert/internal/admin"
	"github.com/culvert-vpn/culvert/internal/bans"
	"github.com/culvert-vpn/culvert/internal/config"
	"github.com/culvert-vpn/culvert/internal/store"
)

// newBans returns the commands about who is not to dial in.
func newBans(s streams) *cobra.Command {
	b := &bansCommand{streams: s}
	add := &cobra.Command{
		Use:   "add CIDR",
		Short: "Ban an address or a network",
		Long: `Bans an address or a network: what begins a connection from there is dropped
unanswered, and nobody who is in moves there. Sessions from there end, and their
clients are told; --keep leaves them. --tenant bans it for one tenant: of
several, a login is refused as soon as it is known whose it is. The same again
takes the place of the former ban.

Without --for a ban is for ever. It is kept over restarts. Without a running
server it is in force from the next start on. 0.0.0.0/0 and ::/0 are refused
without --force.`,
		Args: arguments("an address or a network"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return b.add(cmd.Context(), args[0], cmd.Flags().Changed("for"))
		},
	}
	add.Flags().DurationVar(&b.lasts, "for", 0, "how long, as in 2h or 30m (default for ever)")
	add.Flags().StringVar(&b.reason, "reason", "", "`TEXT` to find again in the list")
	add.Flags().BoolVar(&b.keep, "keep", false, "leave the sessions that are up from there")
	add.Flags().BoolVar(&b.force, "force", false, "ban everybody")
	del := &cobra.Command{
		Use:   "del CIDR",
		Short: "Take the bans of an address or a network back",
		Long: `Takes back every ban of just that address or network, those of guessers among
them, of all tenants or, with --tenant, of one. Bans of other networks that hold
it stay; they are named.`,
		Args: arguments("an address or a network"),
		RunE: func(cmd *cobra.Command, args []string) error { return b.del(cmd.Context(), args[0]) },
	}
	list := &cobra.Command{
		Use:   "list",
		Short: "Show who is banned",
		Long: `Shows who is banned: by an operator, or because passwords were guessed at (see
limits.lockout), and what files of addresses are in force (see block). A ban of
a user or a device is about the logins of that, and of nobody else from there.
--json shows all there is to know, for programs.`,
		Args: arguments(),
		RunE: func(cmd *cobra.Command, _ []string) error { return b.list(cmd.Context()) },
	}
	list.Flags().BoolVar(&b.json, "json", false, "write JSON")
	group := newGroup("bans", "Show and change who may not dial in",
		"Shows and changes who may not dial in. A running server is asked through its\nsocket; without one the state store is read and changed.", add, del, list)
	flags := group.PersistentFlags()
	flags.StringVar(&b.config, "config", "", "configuration `FILE` (default "+defaultConfig+", or the one quickstart made)")
	flags.StringVar(&b.tenant, "tenant", "", "only for, or of, `TENANT`")
	return group
}

// bansCommand has the flags of the commands about bans.
type bansCommand struct {
	streams
	config, tenant, reason string
	lasts                  time.Duration
	keep, force, json      bool
}

// banKeeper is who has the bans: a server, or the state store of one that does not run.
type banKeeper interface {
	Bans(ctx context.Context) (admin.Bans, error)
	Ban(ctx context.Context, o admin.BanOrder) (admin.Banned, error)
	Unban(ctx context.Context, p netip.Prefix, tenant string) ([]admin.Ban, error)
}

// keeper finds out who has them.
func (b *bansCommand) keeper(ctx context.Context) (k banKeeper, running bool, c *config.Config, err error) {
	client, c, fault := serverOf(b.config)
	if fault == nil && b.tenant != "" {
		if _, err := chooseTenant(c, b.tenant); err != nil {
			return nil, false, nil, err
		}
	}
	switch err = client.Reach(ctx); {
	case err == nil:
		return client, true, c, nil
	case !errors.Is(err, admin.ErrNoServer):
		return nil, false, nil, err
	case fault != nil:
		return nil, false, nil, fault
	}
	return storedBans{c}, false, c, nil
}

// add bans a network; timed: not for ever.
func (b *bansCommand) add(ctx context.Context, text string, timed bool) error {
	p, err := bans.ParsePrefix(text)
	if err == nil {
		err = bans.Check(p, b.force)
	}
	if err == nil && timed && b.lasts < time.Second {
		err = fmt.Errorf("--for %s is over already: write as in 2h or 30m, or leave it out for ever", b.lasts)
	}
	if err != nil {
		return usageError{err}
	}
	k, running, c, err := b.keeper(ctx)
	if err != nil {
		return err
	}
	done, err := k.Ban(ctx, admin.BanOrder{Prefix: p, Tenant: b.tenant, For: b.lasts, Reason: b.reason, Keep: b.keep, Force: b.force})
	if err != nil {
		return err
	}
	b.warnOf(p, c)
	fmt.Fprintf(b.out, "%s is banned%s %s%s\n", p, ofTenant(b.tenant), until(done.Ban.Until), map[bool]string{true: ", in the place of an earlier ban"}[done.Replaced])
	if running {
		fmt.Fprintf(b.out, "%d session(s) from there ended\n", done.Ended)
	} else {
		fmt.Fprintln(b.out, "no server is running: it is in force from the next start on")
	}
	for _, other := range done.Overlaps {
		fmt.Fprintf(b.out, "it overlaps with the ban of %s%s, %s\n", other.Prefix, ofTenant(other.Tenant), until(other.Until))
	}
	return nil
}

// warnOf warns of a ban that is hardly meant so.
func (b *bansCommand) warnOf(p netip.Prefix, c *config.Config) {
	var own []netip.Addr
	if c != nil {
		own = append(own, c.Listen...)
	}
	if list, err := net.InterfaceAddrs(); err == nil {
		for _, a := range list {
			if n, ok := a.(*net.IPNet); ok {
				if ip, ok := netip.AddrFromSlice(n.IP); ok {
					own = append(own, ip.Unmap())
				}
			}
		}
	}
	for _, a := range bans.Own(p, own) {
		if !a.IsUnspecified() {
			fmt.Fprintf(b.err, "warning: %s holds %s, an address of this host\n", p, a)
			break
		}
	}
	if bans.Wide(p) {
		fmt.Fprintf(b.err, "warning: %s is a large part of all addresses there are\n", p)
	}
}

// del takes bans back.
func (b *bansCommand) del(ctx context.Context, text string) error {
	p, err := bans.ParsePrefix(text)
	if err != nil {
		return usageError{err}
	}
	k, _, _, err := b.keeper(ctx)
	if err != nil {
		return err
	}
	gone, err := k.Unban(ctx, p, b.tenant)
	if err != nil {
		return err
	}
	for _, ban := range gone {
		fmt.Fprintf(b.out, "%s%s is not banned any more%s\n", ban.Prefix, ofTenant(ban.Tenant), whom(ban, ": "))
	}
	all, err := k.Bans(ctx)
	if err != nil {
		return err
	}
	for _, ban := range all.Bans {
		if ban.Prefix.Overlaps(p) && ban.Prefix.Bits() <= p.Bits() && (ban.Tenant == "" || b.tenant == "" || ban.Tenant == b.tenant) {
			fmt.Fprintf(b.out, "the ban of %s%s holds it still%s\n", ban.Prefix, ofTenant(ban.Tenant), whom(ban, ": "))
		}
	}
	if len(gone) == 0 {
		return fmt.Errorf("there is no ban of just %s%s; culvert bans list shows all", p, ofTenant(b.tenant))
	}
	return nil
}

// list shows who is banned.
func (b *bansCommand) list(ctx context.Context) error {
	k, running, _, err := b.keeper(ctx)
	if err != nil {
		return err
	}
	all, err := k.Bans(ctx)
	if err != nil {
		return err
	}
	shown := admin.Bans{Bans: make([]admin.Ban, 0, len(all.Bans)), Feeds: all.Feeds}
	for _, ban := range all.Bans {
		if b.tenant == "" || ban.Tenant == b.tenant {
			shown.Bans = append(shown.Bans, ban)
		}
	}
	if b.json {
		e := json.NewEncoder(b.out)
		e.SetIndent("", "  ")
		return e.Encode(shown)
	}
	return b.table(shown, running)
}

// table writes a ban a line, and a file a line.
func (b *bansCommand) table(all admin.Bans, running bool) error {
	w := tabwriter.NewWriter(b.out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "FROM\tTENANT\tWHO\tBY\tSINCE\tLEFT\tREASON")
	for _, ban := range all.Bans {
		left := "for ever"
		if !ban.Until.IsZero() {
			left = lasting(max(0, time.Until(ban.Until)))
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\t%s\n", ban.Prefix, cmp.Or(ban.Tenant, "all"), cmp.Or(whom(ban, ""), "everybody"), ban.By,
			ban.Made.Local().Format(time.DateTime), left, plain(ban.Reason))
	}
	if len(all.Feeds) > 0 {
		fmt.Fprintln(w, "\nFILE\tNETWORKS\tSKIPPED\tREAD\tSTATE")
	}
	for _, f := range all.Feeds {
		fmt.Fprintf(w, "%s\t%d\t%d\t%s\t%s\n", plain(f.File), f.Networks, f.Skipped, f.At.Local().Format(time.DateTime), cmp.Or(plain(f.Error), "in force"))
	}
	if err := w.Flush(); err != nil || running {
		return err
	}
	_, err := io.WriteString(b.err, "no server is running: files of addresses are not shown\n")
	return err
}

// whom says in words whom a ban is about, behind a text; empty: everybody.
func whom(b admin.Ban, behind string) string {
	var words []string
	if b.User != "" {
		words = append(words, "user "+plain(b.User))
	}
	if b.Device != "" {
		words = append(words, "device "+plain(b.Device))
	}
	if b.Strangers {
		words = append(words, "unknown devices")
	}
	if len(words) == 0 {
		return ""
	}
	return behind + strings.Join(words, ", ")
}

// ofTenant names a tenant, if there is one.
func ofTenant(name string) string {
	if name == "" {
		return ""
	}
	return " for tenant " + name
}

// until says in words until when.
func until(at time.Time) string {
	if at.IsZero() {
		return "for ever"
	}
	return "until " + at.Local().Format(time.DateTime)
}

// storedBans has the bans of a server that does not run.
type storedBans struct{ config *config.Config }

// with opens the state store around what is done with the bans in it.
func (s storedBans) with(do func(*bans.List) error) error {
	kept, err := store.Open(s.config.State)
	if err != nil {
		return err
	}
	all, err := kept.Bans()
	if err == nil {
		l := bans.NewList(all)
		l.Expire(time.Now())
		if err = do(l); err == nil {
			err = kept.ChangeBans(l.Changes())
		}
	}
	return errors.Join(err, kept.Close())
}

// Bans implements banKeeper.
func (s storedBans) Bans(context.Context) (all admin.Bans, err error) {
	all.Feeds = []admin.Feed{} // as programs want to read it
	err = s.with(func(l *bans.List) error {
		list := l.All()
		bans.Sort(list)
		all.Bans = shownBans(list)
		return nil
	})
	return all, err
}

// Ban implements banKeeper.
func (s storedBans) Ban(_ context.Context, o admin.BanOrder) (done admin.Banned, err error) {
	b := store.Ban{Prefix: o.Prefix, Tenant: o.Tenant, Keep: o.Keep, By: bans.ByOperator, Reason: o.Reason, Made: time.Now().UTC().Truncate(time.Second)}
	if o.For > 0 {
		b.Until = b.Made.Add(o.For)
	}
	err = s.with(func(l *bans.List) error {
		replaced, overlaps, err := l.Add(b)
		done = admin.Banned{Ban: admin.Ban(b), Replaced: replaced, Overlaps: shownBans(overlaps)}
		return err
	})
	return done, err
}

// Unban implements banKeeper.
func (s storedBans) Unban(_ context.Context, p netip.Prefix, tenant string) (gone []admin.Ban, err error) {
	err = s.with(func(l *bans.List) error {
		gone = shownBans(l.Remove(p, tenant))
		return nil
	})
	return gone, err
}

// shownBans are bans as operators see them.
func shownBans(list []store.Ban) []admin.Ban {
	out := make([]admin.Ban, 0, len(list))
	for _, b := range list {
		out = append(out, admin.Ban(b))
	}
	return out
}
