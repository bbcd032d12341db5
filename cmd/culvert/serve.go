package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/signal"
	"runtime/debug"
	"syscall"
	"time"

	"github.com/spf13/cobra"
	"go.uber.org/zap"

	"github.com/culvert-vpn/culvert/internal/admin"
	"github.com/culvert-vpn/culvert/internal/config"
	"github.com/culvert-vpn/culvert/internal/gateway"
	"github.com/culvert-vpn/culvert/internal/store"
	"github.com/culvert-vpn/culvert/internal/x/aside"
)

// newServe returns the command that serves a configuration.
func newServe(s streams) *cobra.Command {
	var path string
	c := &cobra.Command{
		Use:   "serve",
		Short: "Serve a configuration until SIGTERM or ^C",
		Long: `Serves a configuration. It is checked whole first: a fault is shown with its
line, and no socket is opened. SIGTERM and ^C tell every client goodbye, which
takes two seconds at most. SIGHUP and culvert reload have it read the
configuration again: what cannot be applied without a restart is named in the
log, and a file with a fault changes nothing. Certificates, keys and secrets in
files of their own are followed by themselves.

Ports below 1024 need root or CAP_NET_BIND_SERVICE; a tenant with a TUN device
needs CAP_NET_ADMIN. Nothing else needs privilege. The log goes to standard
error.`,
		Args: arguments(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			hangups := make(chan os.Signal, 1)
			signal.Notify(hangups, syscall.SIGHUP) // one that comes before the server runs counts then
			defer signal.Stop(hangups)
			path := findConfig(path)
			c, err := config.Load(path)
			if err != nil {
				return err
			}
			defer c.Zero()
			return serve(cmd.Context(), s, c, path, hangups)
		},
	}
	c.Flags().StringVar(&path, "config", "", "configuration `FILE` (default "+defaultConfig+", or the one quickstart made)")
	return c
}

// serve runs a gateway until the context ends. path is where its configuration is read again
// at each of hangups, and whenever an operator says so.
func serve(ctx context.Context, s streams, c *config.Config, path string, hangups <-chan os.Signal) error {
	log, err := newServerLog(s.err, c.Log)
	if err != nil {
		return err
	}
	late, tooLate := after(ctx, stopPatience), after(ctx, stopPatience+flushPatience)
	var fault error
	if inTime(late, func() { fault = serveWith(ctx, log, c, path, hangups) }) {
		err = fault
	} else {
		err = errLate
	}
	inTime(tooLate, func() { log.Sync() })
	return err
}

// The end of a server takes no longer, from the signal on, whatever it waits for: the
// gateway gives up what does not end before the first of these is over.
const (
	stopPatience  = 1600 * time.Millisecond
	flushPatience = 300 * time.Millisecond // for whoever reads the log
)

// errLate is a fault of the program: what the gateway waits for is bounded.
var errLate = errors.New("the server did not come to its end in time, and clients may not have been told; please report it, with the last lines of the log")

// after returns a channel that is closed when so much time has gone by since ctx was done.
func after(ctx context.Context, d time.Duration) <-chan struct{} {
	over := make(chan struct{})
	context.AfterFunc(ctx, func() { time.AfterFunc(d, func() { close(over) }) })
	return over
}

// inTime calls f, and reports whether it has ended before over is closed. Otherwise f is
// left behind.
func inTime(over <-chan struct{}, f func()) bool {
	select {
	case <-aside.Run(f):
		return true
	case <-over:
		return false
	}
}

// serveWith is serve with a log.
func serveWith(ctx context.Context, log *zap.Logger, c *config.Config, path string, hangups <-chan os.Signal) error {
	for _, w := range c.Warnings {
		log.Warn("config", zap.String("warning", w.Headline()))
	}
	kept, err := store.Open(c.State)
	if err != nil {
		return err
	}
	socket, err := admin.Listen(c.State)
	if err != nil {
		return errors.Join(err, kept.Close())
	}
	defer socket.Close()
	info, _ := debug.ReadBuildInfo()
	g, err := gateway.New(gateway.Config{Config: c, Store: kept, Log: log, Version: versionOf(info)})
	if err != nil {
		return errors.Join(explainStart(err), kept.Close())
	}
	running := &server{g, log, path}
	defer running.reloadAtHangup(hangups)()
	return errors.Join(runBoth(ctx, running, socket), kept.Close())
}

// runBoth runs a gateway and the socket for operators until the context ends.
func runBoth(ctx context.Context, g *server, socket net.Listener) error {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	answered := make(chan error, 1)
	go func() { answered <- admin.Serve(ctx, socket, g) }()
	err := g.Run(ctx)
	stop()
	return errors.Join(err, <-answered)
}

// explainStart says what to do about what a server most often fails to start
// for.
func explainStart(err error) error {
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		return fmt.Errorf("%w; another culvert or IPsec daemon is running: sudo ss -ulpn 'sport = :500 or sport = :4500' shows which", err)
	case errors.Is(err, syscall.EADDRNOTAVAIL):
		return fmt.Errorf("%w; this host does not have the address: see listen in the configuration", err)
	case errors.Is(err, os.ErrPermission):
		return fmt.Errorf("%w; run it with sudo, or give it CAP_NET_BIND_SERVICE, for TUN devices CAP_NET_ADMIN, and for those in a network namespace CAP_SYS_ADMIN, too", err)
	}
	return err
}
