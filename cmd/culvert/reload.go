package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"
	"go.uber.org/zap"

	"github.com/culvert-vpn/culvert/internal/admin"
	"github.com/culvert-vpn/culvert/internal/config"
	"github.com/culvert-vpn/culvert/internal/gateway"
	"github.com/culvert-vpn/culvert/internal/x/aside"
	"github.com/culvert-vpn/culvert/internal/x/fault"
)

// newReload returns the command that has a server read its configuration anew.
func newReload(s streams) *cobra.Command {
	var path string
	var now bool
	c := &cobra.Command{
		Use:   "reload",
		Short: "Have the server read its configuration again",
		Long: `Has the running server read its configuration again, as SIGHUP does, waits until
that is done, and says what has changed. If the file has a fault, nothing
changes, the fault is shown with its line, and the exit code is 1.

Sessions go on, also those whose users would be given other addresses by now,
since their pool has shrunk or they are of another one: they get those when they
log in again. --now ends them at once.`,
		Args: arguments(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			client, _, _ := serverOf(path)
			done, err := client.Reload(cmd.Context(), now)
			if err != nil {
				return refusedBy(s, err)
			}
			showReloaded(s.out, done, now)
			return nil
		},
	}
	c.Flags().StringVar(&path, "config", "", "configuration `FILE` of the server (default "+defaultConfig+", or the one quickstart made)")
	c.Flags().BoolVar(&now, "now", false, "end sessions whose users would be given other addresses by now")
	return c
}

// refusedBy shows what a server says of a configuration that it refuses, line by line.
func refusedBy(s streams, err error) error {
	refused := admin.Refused("")
	if !errors.As(err, &refused) {
		return err
	}
	fmt.Fprintln(plainWriter{s.err}, refused)
	return errors.New("nothing has changed: what ran before goes on")
}

// showReloaded says what has changed.
func showReloaded(out io.Writer, done admin.Reloaded, now bool) {
	w := plainWriter{out}
	for _, warning := range done.Warnings {
		fmt.Fprintln(w, "warning:", warning)
	}
	for _, of := range []struct {
		names []string
		what  string
	}{{done.Added, "added"}, {done.Changed, "changed"}, {done.Removed, "removed"}} {
		for _, name := range of.names {
			fmt.Fprintf(w, "tenant %s %s\n", name, of.what)
		}
	}
	if len(done.Added)+len(done.Changed)+len(done.Removed) == 0 {
		fmt.Fprintln(w, "no tenant has changed")
	}
	for _, what := range done.RestartNeeded {
		fmt.Fprintln(w, "as it was until culvert is started anew:", what)
	}
	for _, o := range done.Outside {
		what := "go on until they log in again (--now ends them)"
		if now {
			what = "were ended"
		}
		fmt.Fprintf(w, "tenant %s: %d session(s) with other addresses than they would be given now %s\n", o.Tenant, o.Sessions, what)
	}
}

// server is a gateway that can read its configuration again.
type server struct {
	*gateway.Gateway
	log  *zap.Logger
	path string
}

// Reload reads the configuration again, and applies it; one with a fault changes nothing. It
// implements admin.Gateway.
func (s *server) Reload(ctx context.Context, now bool) (done admin.Reloaded, err error) {
	c, err := config.Load(s.path)
	if err == nil {
		for _, w := range c.Warnings {
			s.log.Warn("config", zap.String("warning", w.Headline()))
			done.Warnings = append(done.Warnings, w.Headline())
		}
		err = s.apply(ctx, c, now, &done)
	}
	if err != nil && !errors.Is(err, gateway.ErrEnded) { // the server has ended: nothing is at fault
		s.log.Error("reload-refused", zap.Error(err), zap.String("hint", "what ran before goes on: mend the file, and have it read again"))
	}
	return done, err
}

func (s *server) apply(ctx context.Context, c *config.Config, now bool, done *admin.Reloaded) error {
	apply := s.Apply
	if now {
		apply = s.ApplyNow
	}
	changes, err := apply(ctx, c)
	if err != nil {
		c.Zero()
		return err
	}
	done.Added, done.Changed, done.Removed, done.RestartNeeded, done.Outside = changes.Added, changes.Changed, changes.Removed, changes.RestartNeeded, changes.Outside
	return nil
}

// reloadAtHangup has a server read its configuration anew at every hangup, until stop is
// called.
func (s *server) reloadAtHangup(hangups <-chan os.Signal) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	faults := fault.New(func(r fault.Report) {
		s.log.Error("fault", zap.String("where", r.Where), zap.String("what", r.What), zap.String("stack", r.Stack),
			zap.String("hint", "what ran before goes on; please report it, with this line"))
	})
	ended := aside.Run(func() {
		for {
			select {
			case <-hangups:
				func() {
					defer faults.Recover("reading the configuration again")
					_, _ = s.Reload(ctx, false) // the log has why not
				}()
			case <-ctx.Done():
				return
			}
		}
	})
	return func() { cancel(); <-ended }
}
