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
)

// replace is Apply, and with end ApplyNow.
func (g *applier) replace(ctx context.Context, next *config.Config, end bool) (Changes, error) {
	select {
	case g.applying <- struct{}{}: // one at a time
		defer func() { <-g.applying }()
	case <-ctx.Done():
		return Changes{}, ctx.Err()
	}
	p := &plan{next: next, end: end}
	ctx = context.WithoutCancel(ctx) // a plan that is under way is made or not made, and both are known
	if err := g.server.engine.Work.Do(ctx, func(time.Time) { p.running, p.before = g.server.config.Config, g.server.roster }); err != nil {
		return Changes{}, err
	}
	if err := g.prepared(p); err != nil {
		return Changes{}, errors.Join(err, g.giveUp(p))
	}
	err := errApply // unless it comes to an end
	if ended := g.server.engine.Work.Do(ctx, func(now time.Time) { g.commit(now, p); err = nil }); ended != nil {
		err = ended
	}
	if !p.made.Load() {
		return Changes{}, errors.Join(err, g.giveUp(p))
	}
	g.closeGone(p)
	return p.changes, nil
}

// prepared is prepare; a panic of it leaves what runs as it is.
func (g *applier) prepared(p *plan) (err error) {
	err = errApply
	defer g.server.faults.Recover("another configuration")
	return g.prepare(p)
}

// prepare makes all that the next configuration needs, so that nothing is left that may
// fail; what runs is not touched. It may wait.
func (g *applier) prepare(p *plan) (err error) {
	p.changes.RestartNeeded = keepServer(p.running, p.next)
	if p.selector, err = newSelector(p.next.Tenants); err != nil {
		return fmt.Errorf("gateway: %w", err)
	}
	if p.pools, err = poolsOf(p.next); err != nil {
		return fmt.Errorf("gateway: %w", err)
	}
	for i := range p.next.Tenants {
		if err := g.prepareTenant(p, &p.next.Tenants[i]); err != nil {
			return faultAt(p.next, p.next.Tenants[i].Name, err, "pool")
		}
	}
	for _, t := range p.before.tenants {
		if _, stays := p.next.Tenant(t.Name); !stays {
			p.gone, p.leaving = append(p.gone, t), append(p.leaving, newLeaving(t, t.conf.Load()))
			p.changes.Removed = append(p.changes.Removed, t.Name)
		}
	}
	return g.openDevices(p)
}

func (g *applier) prepareTenant(p *plan, conf *config.Tenant) error {
	if old := p.before.named(conf.Name); old != nil {
		return g.renewTenant(p, old, conf)
	}
	t, err := g.server.newTenant(p.next, conf, p.before)
	if err != nil {
		return err
	}
	p.opened, p.tenants = append(p.opened, t), append(p.tenants, t)
	p.openings = append(p.openings, &opening{tenant: t, conf: conf})
	p.changes.Added = append(p.changes.Added, t.Name)
	return nil
}

func (g *applier) renewTenant(p *plan, old *tenantState, conf *config.Tenant) (err error) {
	r := renewal{tenant: old, conf: conf}
	was := old.conf.Load()
	if r.closed, err = besideTUN(p.next, conf, p.before); err != nil {
		return err
	}
	r.rules = rulesOf(conf, r.closed, nil)
	if r.changed = !reflect.DeepEqual(conf, was); r.changed {
		r.rekeyed = !slices.EqualFunc(conf.PSKs, was.PSKs, config.Secret.Equal)
		r.trust = g.server.newTrust(conf)
		if r.tells, err = (&tenantState{Name: conf.Name, Tenant: conf, grant: access.GrantOf(conf)}).newResponder(); err != nil {
			return err
		}
		p.changes.Changed = append(p.changes.Changed, conf.Name)
	}
	if !samePools(was, conf) {
		other, err := newPools(conf)
		if err != nil {
			return err
		}
		r.pools = &other
	}
	p.renewDevice(&r, was)
	p.renewed, p.tenants = append(p.renewed, r), append(p.tenants, old)
	return nil
}

// keepServer puts what only a restart changes back to what runs, and names it.
func keepServer(running, next *config.Config) (what []string) {
	keep := func(same bool, keys ...string) {
		if same {
			return
		}
		name := strings.Join(keys, ".")
		if place := next.Place("", keys...); place != "" {
			name += " (" + place + ")"
		}
		what = append(what, name)
	}
	keep(slices.Equal(running.Listen, next.Listen), "listen")
	keep(running.Ports == next.Ports, "ports")
	keep(running.State == next.State, "state")
	keep(running.Workers == next.Workers, "workers")
	keep(running.Log == next.Log, "log")
	keep(running.Redirect.Always == next.Redirect.Always, "redirect", "when")
	next.Listen, next.Ports, next.State, next.Workers = running.Listen, running.Ports, running.State, running.Workers
	next.Log, next.Redirect.Always = running.Log, running.Redirect.Always
	return what
}

// commit has the next configuration run. Nothing in it can fail.
func (g *applier) commit(now time.Time, p *plan) {
	for _, r := range p.renewed {
		if r.pools != nil {
			g.repool(now, r)
		}
		r.tenant.become(r)
		g.findOutside(now, p, r)
	}
	g.regrant(now)
	for _, r := range p.renewed {
		g.server.police(r.tenant)
		if r.opening != nil {
			p.former = append(p.former, g.use(r.tenant, r.opening.device))
			r.tenant.cut = false
		}
	}
	p.tellUnpooled()
	for _, d := range p.told {
		d.hold()
	}
	if g.server.devices != nil {
		g.server.devices.pools.now.Store(p.pools)
	}
	for _, o := range p.openings {
		if o.tenant.device == nil {
			o.tenant.device = o.device
			g.server.connect(o.tenant)
		}
	}
	g.supersede(now, p.next)
	g.server.roster = g.follow(p)
	g.server.refuse()
	g.closeUnpooled(p.tenants)
	p.made.Store(true)
	g.distrust(now, p.renewed)
	g.dismiss(now, p.gone)
	for _, t := range p.gone {
		g.server.counter.Forget(t.Name)
	}
	p.leases = g.server.collectLeases(p.gone)
	g.server.emit(event.ConfigurationApplied{Added: p.changes.Added, Changed: p.changes.Changed, Removed: p.changes.Removed})
	g.tellOutside(p)
}

// regrant has what tenants grant by now hold for whoever is connected to them, with the rules
// that follow. Who has a group or a filter that is gone is out.
func (g *applier) regrant(now time.Time) {
	for _, peer := range g.server.peers {
		for _, s := range peer.own() {
			if s.tenant == nil {
				continue
			}
			if grant := s.tenant.grants(s.key(), s.own); s.grant != grant || s.tenant.policy.Asks() {
				g.logins.grant(now, s, grant)
			}
		}
	}
}

// distrust ends the sessions whose certificates the new lists have taken back.
func (g *applier) distrust(now time.Time, renewed []renewal) {
	for _, r := range renewed {
		if r.changed {
			g.server.warnOfCertificates(r.conf)
			g.logins.expel(now, r.tenant, r.conf.CRL)
		}
	}
}

// become has the tenant be what a configuration says. What is under way sees either.
func (t *tenantState) become(r renewal) {
	t.Tenant, t.closed, t.policy = r.conf, r.closed, r.rules
	t.conf.Store(r.conf)
	if r.changed {
		t.tells, t.grant = r.tells, access.GrantOf(r.conf)
		clear(t.personal)
		t.trust.now.Store(r.trust.now.Load())
	}
	if d, ok := t.device.(interface{ Hairpin(open bool) }); ok {
		d.Hairpin(t.ClientToClient)
	}
}

// follow is the roster after the one that runs. Peers keep the labels that they have.
func (g *applier) follow(p *plan) *roster {
	labels := make(map[string]bool)
	for _, peer := range g.server.peers {
		labels[peer.Label] = true
	}
	stays := make(map[*tenantState]bool, len(p.renewed))
	for _, r := range p.renewed {
		stays[r.tenant] = !r.rekeyed
	}
	next := newRoster(p.tenants, p.selector)
	next.keys.follow(g.server.keys, labels, stays)
	return next
}

// borrowed is how long secrets of a configuration are kept that another has replaced: a
// login that is under way may still have borrowed them. It takes less.
const borrowed = 10 * time.Minute

// supersede notes which configuration runs.
func (g *applier) supersede(now time.Time, next *config.Config) {
	if g.applied != nil {
		g.superseded = append(g.superseded, superseded{g.applied, now})
	}
	g.applied, g.server.config.Config = next, next
}

// zeroSuperseded clears the configurations that nobody can need any more.
func (g *applier) zeroSuperseded(now time.Time) {
	g.superseded = slices.DeleteFunc(g.superseded, func(old superseded) bool {
		if now.Sub(old.since) < borrowed {
			return false
		}
		old.conf.Zero()
		return true
	})
}

// zeroApplied clears every configuration that came by Apply.
func (g *applier) zeroApplied() {
	for _, old := range g.superseded {
		old.conf.Zero()
	}
	if g.applied != nil {
		g.applied.Zero()
	}
}

// closeGone frees what tenants held that are gone. Their clients were told. It may wait.
func (g *applier) closeGone(p *plan) {
	if p.leases != nil {
		g.server.storeLeases(p.gone, p.leases)
	}
	for _, t := range p.gone {
		g.server.engine.Plane.RemovePort(t.way.Load().port)
	}
	for _, port := range p.former {
		g.server.engine.Plane.RemovePort(port)
	}
	for _, d := range p.told {
		if err := d.restrict(d.conf); err != nil { // the device has more than it should, or not all
			p.changes.RestartNeeded = append(p.changes.RestartNeeded, d.conf.Name+": "+err.Error())
		}
	}
	if len(p.changes.RestartNeeded) > 0 {
		g.server.emit(event.RestartNeeded{What: p.changes.RestartNeeded, Hint: "these stay as they were until culvert is started anew"})
	}
}
