package main

import (
	"context"
	"fmt"
	"net/netip"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/culvert-vpn/culvert/bench"
	"github.com/culvert-vpn/culvert/internal/config"
)

// targetFlags say which server clients dial.
type targetFlags struct {
	bench.Target
	server, psk, password string
}

// add adds the flags.
func (t *targetFlags) add(f *pflag.FlagSet) {
	f.StringVar(&t.server, "server", "", "`ADDRESS` of a server that is up already (default culvert, started for the purpose)")
	f.StringVar(&t.psk, "psk", "", "pre-shared `KEY` of that server, as file:PATH or env:NAME")
	f.StringVar(&t.User, "user", "", "`NAME` of a user there, who may dial in many times")
	f.StringVar(&t.password, "password", "", "`PASSWORD` of the user, as file:PATH or env:NAME")
	f.StringVar(&t.Persona, "persona", "", "native `CLIENT` to speak like")
}

// target turns the flags into what bench takes.
func (t *targetFlags) target() (bench.Target, error) {
	out := t.Target
	out.Program = ownFile()
	if t.server != "" {
		addr, err := netip.ParseAddr(t.server)
		if err != nil {
			return out, usageError{fmt.Errorf("--server is not an address: %s", t.server)}
		}
		out.Server = addr
	}
	for flag, into := range map[string]struct {
		text string
		to   *string
	}{"--psk": {t.psk, &out.Secret}, "--password": {t.password, &out.Password}} {
		if into.text == "" {
			continue
		}
		secret, err := config.ResolveSecret(into.text)
		if err != nil {
			return out, fmt.Errorf("%s: %w", flag, err)
		}
		*into.to = string(secret.Bytes())
	}
	return out, nil
}

// fleetLong says what sub-commands with many clients have in common.
const fleetLong = `
The server is culvert, in a process of its own on the loopback device, where
every client has an address of its own; it needs no privilege. --server names
another L2TP/IPsec server instead, of which only the clients' side is measured.`

func (b *benchCommand) newLogins() *cobra.Command {
	var c bench.LoginsConfig
	var t targetFlags
	return b.command("logins", "Dial-ins a second, and what they cost", `Clients dial in, IKE, L2TP and PPP, until they have an address, and hang up.
Says how many do so in a second, how many a second of the server's own CPU time
is enough for, and which share that is of what the Diffie-Hellman alone allows.
`+fleetLong, func(f *pflag.FlagSet) {
		t.add(f)
		f.StringSliceVar(&c.Groups, "groups", nil, "Diffie-Hellman `GROUPS` (default modp2048,ecp256)")
		f.IntVar(&c.Parallel, "parallel", 0, "how `MANY` dial at once (default 64)")
		times(f, &c.Duration, &c.Rounds, "5s")
	}, func(ctx context.Context, p *bench.Progress) (s bench.Section, err error) {
		if c.Target, err = t.target(); err != nil {
			return s, err
		}
		return bench.Logins(ctx, c, p)
	})
}

func (b *benchCommand) newSessions() *cobra.Command {
	var c bench.SessionsConfig
	var t targetFlags
	return b.command("sessions", "Many idle sessions: memory, and echoes", `Clients dial in and stay. Says how much memory of the server each takes, how
fast echo requests through each are answered, and what idle sessions cost.
`+fleetLong, func(f *pflag.FlagSet) {
		t.add(f)
		f.IntVar(&c.Sessions, "sessions", 0, "how `MANY` (default 10000)")
		f.IntVar(&c.Steps, "steps", 0, "how often memory and echoes are looked at on the way (default 4)")
		f.DurationVar(&c.Hold, "hold", 0, "`TIME` for which all of them are held (default 1m)")
		f.StringVar(&c.Group, "group", "", "Diffie-Hellman `GROUP` (default ecp256)")
	}, func(ctx context.Context, p *bench.Progress) (s bench.Section, err error) {
		if c.Target, err = t.target(); err != nil {
			return s, err
		}
		return bench.Sessions(ctx, c, p)
	})
}

func (b *benchCommand) newStorm() *cobra.Command {
	c := bench.StormConfig{Program: ownFile()}
	return b.command("storm", "Everybody redials when the server was killed", `Clients dial in; the server is killed and started again; all clients redial at
once. Says how long it takes until all are back, and how often each had to dial.
`+fleetLong, func(f *pflag.FlagSet) {
		f.IntVar(&c.Clients, "clients", 0, "how `MANY` (default 5000)")
		f.StringVar(&c.Group, "group", "", "Diffie-Hellman `GROUP` (default modp2048)")
		f.StringVar(&c.Persona, "persona", "", "native `CLIENT` to speak like")
		f.DurationVar(&c.Limit, "limit", 0, "`TIME` after which those not back are given up (default 3m)")
	}, func(ctx context.Context, p *bench.Progress) (bench.Section, error) { return bench.Storm(ctx, c, p) })
}
