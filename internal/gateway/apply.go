package gateway

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"time"

	"github.com/culvert-vpn/culvert/internal/access"
	"github.com/culvert-vpn/culvert/internal/config"
	"github.com/culvert-vpn/culvert/internal/event"
	"github.com/culvert-vpn/culvert/tenant/autoconf"
	"github.com/culvert-vpn/culvert/tenant/policy"
)

// Changes are what Apply has done: tenants by name, in the order of the configuration.
type Changes struct {
	Added, Changed, Removed []string
	// RestartNeeded is what stays as it was until the server is started anew.
	RestartNeeded []string
}

// errApply is what a panic leaves.
var errApply = errors.New("gateway: a fault of the server; see the log")

// Apply puts another configuration in the place of the one that runs. Tenants that are new
// are opened, those that stay get what it says of them, and those that are gone are closed:
// their clients are told. Whoever is connected to a tenant that stays, stays connected.
// Addresses and the way out of such a tenant, and sockets, need a restart; they stay as
// they are, and the log names them. If the error is not nil, nothing has changed; it names
// the tenant that stood in the way. Otherwise next is the gateway's, which clears it when
// nothing needs it any more. Apply waits for Run to have begun.
func (g *Gateway) Apply(ctx context.Context, next *config.Config) (Changes, error) {
	select {
	case g.applying <- struct{}{}: // one at a time
		defer func() { <-g.applying }()
	case <-ctx.Done():
		return Changes{}, ctx.Err()
	}
	p := &plan{next: next}
	ctx = context.WithoutCancel(ctx) // a plan that is under way is made or not made, and both are known
	if err := g.do(ctx, func(time.Time) { p.running, p.before = g.config.Config, g.roster }); err != nil {
		return Changes{}, err
	}
	if err := g.prepared(p); err != nil {
		p.giveUp()
		return Changes{}, err
	}
	err := errApply // unless it comes to an end
	if ended := g.do(ctx, func(now time.Time) { g.commit(now, p); err = nil }); ended != nil {
		err = ended
	}
	if !p.made.Load() {
		p.giveUp()
		return Changes{}, err
	}
	g.closeGone(p)
	return p.changes, nil
}

// prepared is prepare; a panic of it leaves what runs as it is.
func (g *Gateway) prepared(p *plan) (err error) {
	err = errApply
	defer g.faults.Recover("another configuration")
	return g.prepare(p)
}

// renewal is what a tenant that stays is to be.
type renewal struct {
	tenant  *tenantState
	conf    *config.Tenant
	changed bool
	rekeyed bool // other keys open it
	tells   *autoconf.Responder
	trust   *trust        // nil: the one it has
	closed  *policy.Reach // see tenantState
}

// prepare makes all that the next configuration needs, so that nothing is left that may
// fail; what runs is not touched. It may wait.
func (g *Gateway) prepare(p *plan) (err error) {
	p.changes.RestartNeeded = keepServer(p.running, p.next)
	for i := range p.next.Tenants {
		if old := p.before.named(p.next.Tenants[i].Name); old != nil {
			p.changes.RestartNeeded = append(p.changes.RestartNeeded, keepFixed(&p.next.Tenants[i], old.conf.Load())...)
		}
	}
	if p.selector, err = newSelector(p.next.Tenants); err != nil {
		return fmt.Errorf("gateway: %w", err)
	}
	if p.pools, err = poolsOf(p.next); err != nil {
		return fmt.Errorf("gateway: %w", err)
	}
	for i := range p.next.Tenants {
		if err := g.prepareTenant(p, &p.next.Tenants[i]); err != nil {
			return fmt.Errorf("gateway: tenant %s: %w", p.next.Tenants[i].Name, err)
		}
	}
	for _, t := range p.before.tenants {
		if _, stays := p.next.Tenant(t.Name); !stays {
			p.gone = append(p.gone, t)
			p.changes.Removed = append(p.changes.Removed, t.Name)
		}
	}
	return nil
}

func (g *Gateway) prepareTenant(p *plan, conf *config.Tenant) error {
	old := p.before.named(conf.Name)
	if old == nil {
		t, err := g.openTenant(p.next, conf)
		if err != nil {
			return err
		}
		p.opened, p.tenants = append(p.opened, t), append(p.tenants, t)
		p.changes.Added = append(p.changes.Added, t.Name)
		return nil
	}
	r := renewal{tenant: old, conf: conf}
	was := old.conf.Load()
	var err error
	if r.closed, err = besideTUN(p.next, conf); err != nil {
		return err
	}
	if r.changed = !reflect.DeepEqual(conf, was); r.changed {
		r.rekeyed = !slices.EqualFunc(conf.PSKs, was.PSKs, config.Secret.Equal)
		r.trust = g.newTrust(conf)
		if r.tells, err = (&tenantState{Name: conf.Name, Tenant: conf, grant: access.GrantOf(conf)}).newResponder(); err != nil {
			return err
		}
		p.changes.Changed = append(p.changes.Changed, conf.Name)
	}
	p.renewed, p.tenants = append(p.renewed, r), append(p.tenants, old)
	return nil
}

// keepServer puts what only a restart changes, outside of tenants, back to what runs, and
// names it.
func keepServer(running, next *config.Config) (what []string) {
	if !slices.Equal(running.Listen, next.Listen) || running.Ports != next.Ports {
		what = append(what, "listen, ports")
	}
	if running.State != next.State || running.Workers != next.Workers || running.Redirect.Always != next.Redirect.Always || running.Log != next.Log {
		what = append(what, "state, workers, log, redirect")
	}
	next.Listen, next.Ports, next.Workers, next.State = running.Listen, running.Ports, running.Workers, running.State
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

// commit has the next configuration run. Nothing in it can fail.
func (g *Gateway) commit(now time.Time, p *plan) {
	for _, r := range p.renewed {
		r.tenant.become(r)
	}
	if g.devices != nil {
		g.devices.pools.now.Store(p.pools)
	}
	for _, t := range p.opened {
		g.connect(t)
	}
	g.supersede(now, p.next)
	g.roster = g.follow(p)
	p.made.Store(true)
	g.regrant(now, p.renewed)
	g.dismiss(now, p.gone)
	for _, t := range p.gone {
		g.counter.Forget(t.Name)
	}
	p.leases = g.collectLeases(p.gone)
	if len(p.changes.RestartNeeded) > 0 {
		g.emit(event.RestartNeeded{What: p.changes.RestartNeeded, Hint: "these stay as they were until culvert is started anew"})
	}
	g.emit(event.ConfigurationApplied{Added: p.changes.Added, Changed: p.changes.Changed, Removed: p.changes.Removed})
}

// regrant has what tenants grant by now hold for whoever is connected to them.
func (g *Gateway) regrant(now time.Time, renewed []renewal) {
	for _, peer := range g.peers {
		for _, s := range peer.sessions() {
			if s.tenant != nil && s.grant != s.tenant.grant {
				g.apply(now, s, s.tenant.grant)
			}
		}
	}
	for _, r := range renewed {
		if r.changed {
			g.warnOfCertificates(r.conf)
			g.expel(now, r.tenant, r.conf.CRL)
		}
	}
}

// become has the tenant be what a configuration says. What is under way sees either.
func (t *tenantState) become(r renewal) {
	t.Tenant, t.closed = r.conf, r.closed
	t.conf.Store(r.conf)
	if r.changed {
		t.tells, t.grant = r.tells, access.GrantOf(r.conf)
		t.trust.now.Store(r.trust.now.Load())
	}
	t.port.SetRules(t.rules())
	if d, ok := t.device.(interface{ Hairpin(open bool) }); ok {
		d.Hairpin(t.ClientToClient)
	}
}

// follow is the roster after the one that runs. Peers keep the labels that they have.
func (g *Gateway) follow(p *plan) *roster {
	labels := make(map[string]bool)
	for _, peer := range g.peers {
		labels[peer.label] = true
	}
	stays := make(map[*tenantState]bool, len(p.renewed))
	for _, r := range p.renewed {
		stays[r.tenant] = !r.rekeyed
	}
	next := newRoster(p.tenants, p.selector)
	next.keys.follow(g.keys, labels, stays)
	return next
}

// borrowed is how long secrets of a configuration are kept that another has replaced: a
// login that is under way may still have borrowed them. It takes less.
const borrowed = 10 * time.Minute

// superseded is a configuration that came by Apply and does not run any more.
type superseded struct {
	conf  *config.Config
	since time.Time
}

// supersede notes which configuration runs, and clears those that nobody can need.
func (g *Gateway) supersede(now time.Time, next *config.Config) {
	if g.applied != nil {
		g.superseded = append(g.superseded, superseded{g.applied, now})
	}
	g.applied, g.config.Config = next, next
	g.superseded = slices.DeleteFunc(g.superseded, func(old superseded) bool {
		if now.Sub(old.since) < borrowed {
			return false
		}
		old.conf.Zero()
		return true
	})
}

// zeroApplied clears every configuration that came by Apply.
func (g *Gateway) zeroApplied() {
	for _, old := range g.superseded {
		old.conf.Zero()
	}
	if g.applied != nil {
		g.applied.Zero()
	}
}

// closeGone frees what tenants held that are gone. Their clients were told. It may wait.
func (g *Gateway) closeGone(p *plan) {
	if p.leases != nil {
		g.storeLeases(p.gone, p.leases)
	}
	for _, t := range p.gone {
		g.plane.RemovePort(t.port)
	}
}
