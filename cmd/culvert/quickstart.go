package main

import (
	"context"
	"crypto/rand"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/culvert-vpn/culvert/internal/config"
	"github.com/culvert-vpn/culvert/internal/quickstart"
)

// newQuickstart returns the command of a first run.
func newQuickstart(s streams) *cobra.Command {
	var state, user string
	c := &cobra.Command{
		Use:   "quickstart",
		Short: "Make a configuration, say what to type into clients, and serve",
		Long: `Makes a configuration with a random pre-shared key and a user with a random
password, says what to type into Windows, macOS, iOS, Android and Linux, and
serves until ^C. A second run uses the same configuration again.

Traffic leaves through culvert's own network stack, from this host's sockets:
no forwarding, no firewall rule and no sysctl is needed. A firewall in front has
to let UDP ports 500 and 4500 in.`,
		Args: arguments(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return runQuickstart(cmd.Context(), s, state, user)
		},
	}
	c.Flags().StringVar(&state, "state", config.DefaultState, "state `DIRECTORY`, where the configuration is kept")
	c.Flags().StringVar(&user, "user", "vpn", "`NAME` of the user, when the configuration is made")
	return c
}

// runQuickstart finds or makes a configuration, explains it and serves it.
func runQuickstart(ctx context.Context, s streams, state, user string) error {
	at, err := quickstart.FindAddresses()
	if err != nil {
		return err
	}
	if state, err = filepath.Abs(state); err != nil {
		return err
	}
	setup, err := quickstart.Prepare(quickstart.Options{State: state, User: user, Networks: at.Networks, Rand: rand.Reader})
	if err != nil {
		return err
	}
	defer setup.Config.Zero()
	if err := setup.Guide(s.out, at); err != nil {
		return err
	}
	return serve(ctx, s, setup.Config, filepath.Join(state, quickstart.FileName), nil)
}
