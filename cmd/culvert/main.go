package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"
	_ "time/tzdata" // for schedules of rules, on hosts without

	"github.com/spf13/cobra"

	"github.com/culvert-vpn/culvert/internal/config"
)

// What the process ends with, as scripts see it.
const (
	exitOK      = 0
	exitFailed  = 1 // the command did not do what it was asked to
	exitUsage   = 2 // the command line makes no sense
	exitInvalid = 3 // the configuration file is at fault
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := run(ctx, os.Args[1:], streams{os.Stdin, os.Stdout, os.Stderr})
	stop()
	os.Exit(code)
}

// streams are where a command reads and writes.
type streams struct {
	in       io.Reader
	out, err io.Writer
}

// usageError is a fault of the command line.
type usageError struct{ error }

// Unwrap returns the fault.
func (e usageError) Unwrap() error { return e.error }

// run runs one command line and returns the exit code.
func run(ctx context.Context, args []string, s streams) int {
	root := newRoot(s)
	root.SetArgs(args)
	command, err := root.ExecuteContextC(ctx)
	if err == nil {
		return exitOK
	}
	report(s.err, err)
	switch {
	case errors.As(err, &usageError{}), strings.HasPrefix(err.Error(), "unknown command"):
		fmt.Fprintf(s.err, "culvert: try %s --help\n", command.CommandPath())
		return exitUsage
	case errors.Is(err, config.ErrInvalid):
		return exitInvalid
	}
	return exitFailed
}

// report writes an error: the faults of a configuration as they are, anything
// else in one line.
func report(w io.Writer, err error) {
	if errors.Is(err, config.ErrInvalid) {
		fmt.Fprintln(plainWriter{w}, err)
		return
	}
	fmt.Fprintln(plainWriter{w}, "culvert:", strings.Join(strings.Fields(err.Error()), " "))
}

// newRoot returns the tree of commands.
func newRoot(s streams) *cobra.Command {
	root := &cobra.Command{
		Use:   "culvert",
		Short: "A VPN concentrator for the clients that every device has built in",
		Long: `culvert lets the clients that Windows, macOS, iOS, Android and Linux have built
in dial in, by L2TP/IPsec and by IKEv2. It is one program: IKE, ESP, L2TP and
PPP are its own and run in user space, and traffic leaves through its own
network stack or a TUN device.

  culvert quickstart       a configuration, a user, and what to type where
  culvert serve            serves a configuration
  culvert bench            measures this machine

Exit codes: 0 done, 1 failed, 2 the command line makes no sense, 3 the
configuration is at fault.`,
		SilenceErrors: true,
		SilenceUsage:  true,
	}
	root.SetIn(s.in)
	root.SetOut(s.out)
	root.SetErr(s.err)
	root.CompletionOptions.HiddenDefaultCmd = true
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return usageError{err} })
	root.PersistentPreRun = endAtHangup
	root.AddCommand(newQuickstart(s), newServe(s), newConfig(s), newPolicy(s), newUser(s), newReload(s), newStatus(s), newSessions(s), newFlows(s), newPools(s), newBans(s), newCA(s), newConnect(s), newBench(s), newVersion(s))
	return root
}

// endAtHangup has a command end as by ^C when its terminal goes, goodbyes and all; a
// server takes that signal as the wish to read its configuration again. Who was started
// by nohup goes on.
func endAtHangup(cmd *cobra.Command, _ []string) {
	if cmd.Name() == "serve" || signal.Ignored(syscall.SIGHUP) {
		return
	}
	ctx, stop := signal.NotifyContext(cmd.Context(), syscall.SIGHUP)
	cmd.SetContext(ctx)
	cmd.PostRun = func(*cobra.Command, []string) { stop() }
}

// newGroup returns a command that only has others under it.
func newGroup(use, short, long string, under ...*cobra.Command) *cobra.Command {
	group := &cobra.Command{
		Use: use, Short: short, Long: long,
		RunE: func(c *cobra.Command, args []string) error {
			if len(args) > 0 {
				return usageError{fmt.Errorf("unknown command %q for %q", args[0], c.CommandPath())}
			}
			return c.Help()
		},
	}
	group.AddCommand(under...)
	return group
}

// arguments makes the rule that a command has exactly the arguments named.
func arguments(names ...string) cobra.PositionalArgs {
	return func(c *cobra.Command, args []string) error {
		if len(args) == len(names) {
			return nil
		}
		if len(names) == 0 {
			return usageError{fmt.Errorf("%s takes no arguments, and has %q", c.CommandPath(), args[0])}
		}
		return usageError{fmt.Errorf("%s takes %s", c.CommandPath(), strings.Join(names, " and "))}
	}
}
