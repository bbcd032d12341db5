package gateway

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/culvert-vpn/culvert/internal/access"
	"github.com/culvert-vpn/culvert/internal/config"
	"github.com/culvert-vpn/culvert/internal/event"
	"github.com/culvert-vpn/culvert/tenant"
)

// watchInterval is how often the files that a configuration names are looked at.
const watchInterval = 10 * time.Second

// Reload puts another configuration in the place of the one that runs, as far as that is
// possible without a restart: what tenants that stay prove themselves with, whom they
// trust, their keys, users, ways to log in, limits, and what clients are told. Who is
// connected stays so. Tenants that come or go, addresses, devices and sockets need a
// restart; they stay as they are, and the log names them. If the error is not nil,
// nothing has changed. Otherwise next is the gateway's, which clears it when Run returns.
func (g *Gateway) Reload(ctx context.Context, next *config.Config) error {
	err := errReload // unless it comes to an end
	if ended := g.do(ctx, func(now time.Time) { err = g.reload(now, next) }); ended != nil {
		return ended
	}
	return err
}

// errReload is what a panic leaves.
var errReload = errors.New("gateway: a fault of the server; see the log")

func (g *Gateway) reload(now time.Time, next *config.Config) error {
	running := g.config.Config
	later := needRestart(running, next)
	tenants, changed := make([]*tenantState, 0, len(g.tenants)), []string{}
	for _, old := range g.tenants {
		conf, stays := next.Tenant(old.Name)
		if !stays {
			tenants = append(tenants, old)
			continue
		}
		later = append(later, keepFixed(conf, old.Tenant)...)
		if reflect.DeepEqual(conf, old.Tenant) {
			tenants = append(tenants, old)
			continue
		}
		t, err := g.renewed(old, conf)
		if err != nil {
			return fmt.Errorf("gateway: tenant %s: %w", conf.Name, err)
		}
		tenants, changed = append(tenants, t), append(changed, t.Name)
	}
	selector, err := newSelector(tenants)
	if err != nil {
		return fmt.Errorf("gateway: beside the tenants that need a restart to change: %w", err)
	}
	next.Listen, next.Ports, next.Workers, next.State = running.Listen, running.Ports, running.Workers, running.State
	g.config.Config, g.superseded = next, append(g.superseded, next)
	g.adopt(now, tenants, selector)
	if len(later) > 0 {
		g.emit(event.RestartNeeded{What: later, Hint: "these stay as they were until culvert is started anew"})
	}
	g.emit(event.ConfigurationApplied{Tenants: changed})
	return nil
}

// needRestart names what a reload cannot change, outside of the tenants that stay.
func needRestart(running, next *config.Config) (what []string) {
	if !slices.Equal(running.Listen, next.Listen) || running.Ports != next.Ports {
		what = append(what, "listen, ports")
	}
	if running.State != next.State || running.Workers != next.Workers || running.Redirect.Always != next.Redirect.Always || running.Log != next.Log {
		what = append(what, "state, workers, log, redirect")
	}
	for i := range next.Tenants {
		if _, known := running.Tenant(next.Tenants[i].Name); !known {
			what = append(what, "new tenant "+next.Tenants[i].Name)
		}
	}
	for i := range running.Tenants {
		if _, stays := next.Tenant(running.Tenants[i].Name); !stays {
			what = append(what, "removed tenant "+running.Tenants[i].Name)
		}
	}
	return what
}

// keepFixed puts what only a restart changes back to what runs, and names it.
func keepFixed(next, running *config.Tenant) (what []string) {
	pool := !reflect.DeepEqual(next.Pool, running.Pool) || !reflect.DeepEqual(next.Pool6, running.Pool6) || next.Delegate != running.Delegate
	if pool || !reflect.DeepEqual(next.Leases, running.Leases) {
		what = append(what, next.Name+": pool, delegate, leases")
	}
	if !reflect.DeepEqual(next.Egress, running.Egress) {
		what = append(what, next.Name+": egress")
	}
	next.Pool, next.Pool6, next.Delegate, next.Leases, next.Egress = running.Pool, running.Pool6, running.Delegate, running.Leases, running.Egress
	return what
}

// renewed is a tenant with another configuration: its addresses, device and sessions
// outlive it. The old one is not touched, for others may be reading it.
func (g *Gateway) renewed(old *tenantState, conf *config.Tenant) (*tenantState, error) {
	t := *old
	t.Tenant, t.trust, t.grant = conf, g.newTrust(conf), access.GrantOf(conf)
	var err error
	t.tells, err = t.newResponder()
	return &t, err
}

// adopt lets other tenants take the place of those that run, in the same order.
func (g *Gateway) adopt(now time.Time, tenants []*tenantState, selector *tenant.Selector) {
	keys := newKeyring(tenants)
	keys.follow(g.keys)
	g.tenants, g.selector, g.keys = tenants, selector, keys
	for _, t := range tenants {
		t.port.SetRules(t.rules())
		if d, ok := t.device.(interface{ Hairpin(open bool) }); ok {
			d.Hairpin(t.Tenant.ClientToClient)
		}
	}
	for _, p := range g.peers {
		for _, s := range p.sessions() {
			if s.tenant != nil {
				s.tenant = g.current(s.tenant)
				g.apply(now, s, s.tenant.grant)
			}
		}
	}
	for _, t := range tenants {
		g.warnOfCertificates(t.Tenant)
		g.expel(now, t, t.CRL)
	}
}

// current is a tenant as it is now: a login may have begun before a reload.
func (g *Gateway) current(t *tenantState) *tenantState {
	if now := g.keys.named[t.Name]; now != nil {
		return now
	}
	return t
}

// watch follows the files that the configuration names, until ctx is done: lists of
// revoked certificates one by one, all the others together.
func (g *Gateway) watch(ctx context.Context) {
	defer g.running.Done()
	seen := sight{lists: map[string]string{}}
	ticker := time.NewTicker(watchInterval)
	defer ticker.Stop()
	for {
		g.look(ctx, &seen)
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}

// sight is what files were when they were looked at last.
type sight struct {
	lists         map[string]string // of revoked certificates, by tenant
	conf          *config.Config    // that named the others
	stamp, failed string            // of the others, and when they could not be applied
}

// look looks at the files once.
func (g *Gateway) look(ctx context.Context, seen *sight) {
	defer g.faults.Recover("files that the configuration names")
	var tenants []*tenantState
	var running *config.Config
	if g.do(ctx, func(time.Time) { tenants, running = g.tenants, g.config.Config }) != nil || running == nil {
		return
	}
	g.watchLists(tenants, seen.lists)
	if running != seen.conf {
		seen.conf, seen.stamp, seen.failed = running, strings.Join(running.Stamps, "\n"), ""
	}
	if stamp := stampOf(running.Files); stamp != seen.stamp {
		seen.failed = g.reread(ctx, running, stamp, seen.failed)
	}
}

// reread applies the running configuration with its files as they are now. What cannot be
// applied, such as a new certificate whose key is still to come, is tried again; the log
// says so once for each state of the files, of which failed is the last.
func (g *Gateway) reread(ctx context.Context, running *config.Config, stamp, failed string) string {
	next, err := running.Again()
	if err == nil {
		err = g.Reload(ctx, next)
	}
	if err != nil && stamp != failed && ctx.Err() == nil {
		g.emit(event.FilesRefused{Err: err, Hint: "what was read before stays in force"})
	}
	return stamp
}

// stampOf changes when one of the files does.
func stampOf(files []string) string {
	stamps := make([]string, len(files))
	for i, name := range files {
		stamps[i] = config.Stamp(name)
	}
	return strings.Join(stamps, "\n")
}
