package main

import (
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/culvert-vpn/culvert/internal/bans"
	"github.com/culvert-vpn/culvert/internal/config"
	"github.com/culvert-vpn/culvert/internal/quickstart"
)

// defaultConfig is where a configuration is looked for when none is named.
const defaultConfig = "/etc/culvert/culvert.yaml"

// newConfig returns the commands about configuration files.
func newConfig(s streams) *cobra.Command {
	check := &cobra.Command{
		Use:   "check FILE",
		Short: "Check a configuration and what it refers to",
		Long: `Reads a configuration as serve would, with the secrets it refers to, and opens
no socket. Every fault is shown with its line and what to write instead, and
the exit code is 3. Warnings go to standard error and change nothing.`,
		Args: arguments("a FILE"),
		RunE: func(_ *cobra.Command, args []string) error { return checkConfig(s, args[0]) },
	}
	example := &cobra.Command{
		Use:   "example",
		Short: "Print a configuration that has every key, explained",
		Long: `Prints a configuration that has every key, each explained, to start from:

  culvert config example > /etc/culvert/culvert.yaml`,
		Args: arguments(),
		RunE: func(*cobra.Command, []string) error {
			_, err := s.out.Write(config.Example())
			return err
		},
	}
	return newGroup("config", "Check and explain configuration files", "Checks and explains configuration files.", check, example)
}

// checkConfig checks one file and says what is in it.
func checkConfig(s streams, path string) error {
	c, err := config.Load(path)
	if err != nil {
		return err
	}
	defer c.Zero()
	warn(s, c)
	warnOfFeeds(s, c)
	fmt.Fprintf(s.out, "%s is right: it listens on %s, and has %d tenant(s)\n", path, addresses(c.Listen), len(c.Tenants))
	for i := range c.Tenants {
		describe(s, &c.Tenants[i])
	}
	return nil
}

// warn shows what is unwise in a configuration.
func warn(s streams, c *config.Config) {
	for _, w := range c.Warnings {
		fmt.Fprintln(s.err, "warning:", w.Headline())
	}
}

// warnOfFeeds shows what is wrong with the files of addresses that a configuration names, as a
// server that reads them says it in its log.
func warnOfFeeds(s streams, c *config.Config) {
	files := slices.Clone(c.Block)
	for i := range c.Tenants {
		files = append(files, c.Tenants[i].Block...)
	}
	slices.Sort(files)
	for _, file := range slices.Compact(files) {
		if _, err := os.Stat(file); err != nil {
			continue // the configuration's own warnings say so
		}
		f, err := bans.ReadFeed(file, bans.MaxFeeds)
		if err != nil {
			fmt.Fprintln(s.err, "warning:", strings.TrimPrefix(err.Error(), "bans: "))
			continue
		}
		for _, line := range f.Told {
			fmt.Fprintf(s.err, "warning: %s: %s\n", file, line)
		}
		if more := f.Skipped - len(f.Told); more > 0 {
			fmt.Fprintf(s.err, "warning: %s: %d more lines make no sense\n", file, more)
		}
	}
}

// describe writes a line on a tenant.
func describe(s streams, t *config.Tenant) {
	var what []string
	if len(t.Match.Realms) > 0 {
		what = append(what, "realms "+strings.Join(t.Match.Realms, ", "))
	}
	if len(t.Match.Local) > 0 {
		what = append(what, "on "+addresses(t.Match.Local))
	}
	what = append(what, fmt.Sprintf("%d key(s)", len(t.PSKs)), fmt.Sprintf("%d user(s) in the file", len(t.Auth.Users)))
	for _, p := range append(slices.Clone(t.Pool), t.Pool6...) {
		what = append(what, "pool "+p.String())
	}
	if tun := t.Egress.TUN; tun != nil {
		what = append(what, "egress "+strings.TrimSpace(tun.Device+" "+tun.NetNS))
	} else {
		what = append(what, "egress netstack")
	}
	fmt.Fprintf(s.out, "  %s: %s\n", t.Name, strings.Join(what, "; "))
}

// addresses writes addresses with commas.
func addresses(all []netip.Addr) string {
	words := make([]string, len(all))
	for i, a := range all {
		words[i] = a.String()
	}
	return strings.Join(words, ", ")
}

// findConfig returns the file a command was given, or else the usual one, or
// else that of quickstart.
func findConfig(given string) string {
	if given != "" {
		return given
	}
	first := filepath.Join(config.DefaultState, quickstart.FileName)
	if !exists(defaultConfig) && exists(first) {
		return first
	}
	return defaultConfig
}

// exists reports whether there is a file.
func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}
