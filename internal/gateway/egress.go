package gateway

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"reflect"
	"slices"
	"time"

	"github.com/culvert-vpn/culvert/dataplane"
	"github.com/culvert-vpn/culvert/internal/config"
	"github.com/culvert-vpn/culvert/tenant"
	"github.com/culvert-vpn/culvert/tenant/netstack"
	"github.com/culvert-vpn/culvert/tenant/tun"
)

// What another configuration makes of tenants' devices. One that can be told what is new is
// told, and nothing that goes through it is cut. Otherwise another one is opened before the
// former is closed, and sessions move over. Two devices of the kernel cannot have one name,
// nor one pool in one namespace: there the former is closed first, and opened again if the
// other one cannot be had.

// newLeaving asks the kernel about a device of its own.
func newLeaving(t *tenantState, was *config.Tenant) leaving {
	l := leaving{tenant: t, conf: was}
	if d, ok := t.way.Load().device.(*tun.Device); ok && !t.cut {
		l.away = d.Away()
		l.lost = l.away || d.Removed()
	}
	return l
}

// renewDevice notes what becomes of the device of a tenant that stays.
func (p *plan) renewDevice(r *renewal, was *config.Tenant) {
	leaves := newLeaving(r.tenant, was)
	if leaves.lost && !r.changed {
		p.changes.Changed = append(p.changes.Changed, r.conf.Name)
	}
	if r.tenant.cut || leaves.lost || madeWith(was) != madeWith(r.conf) {
		r.opening = &opening{tenant: r.tenant, conf: r.conf}
		p.openings = append(p.openings, r.opening)
		p.leaving = append(p.leaving, leaves)
		return
	}
	if r.pools != nil || !reflect.DeepEqual(was.Egress, r.conf.Egress) {
		p.told = append(p.told, &told{tenant: r.tenant, was: was, conf: r.conf})
	}
}

// openDevices opens and tells what the plan says: first what stands in nobody's way.
func (g *applier) openDevices(p *plan) error {
	var last []*opening
	inTheWay := make(map[*tenantState]leaving)
	for _, o := range p.openings {
		if !p.clears(o.conf, inTheWay) {
			last = append(last, o)
		} else if err := g.openDevice(p, o); err != nil {
			return err
		}
	}
	for _, d := range p.told {
		p.clears(d.conf, inTheWay)
	}
	for _, o := range last { // before anything is closed for it
		if err := o.possible(); err != nil {
			return faultAt(p.next, o.conf.Name, err, placeOf(err, "egress", "tun", "device")...)
		}
	}
	for _, l := range inTheWay {
		p.closed = append(p.closed, l)
		l.tenant.way.Load().device.Close()
	}
	for _, o := range last {
		if err := g.openDevice(p, o); err != nil {
			return err
		}
	}
	for _, d := range p.told {
		if err := g.tell(d); err != nil {
			return faultAt(p.next, d.conf.Name, err, placeOf(err, "pool")...)
		}
	}
	return nil
}

func (g *applier) openDevice(p *plan, o *opening) error {
	device, err := g.server.config.OpenDevice(o.conf)
	if err != nil {
		return faultAt(p.next, o.conf.Name, err, placeOf(err, "egress", "tun", "device")...)
	}
	o.device = device
	return nil
}

// possible reports what is sure to keep a device of the kernel from being made.
func (o *opening) possible() error {
	if e := o.conf.Egress.TUN; e != nil {
		return tun.Possible(e.Device, e.NetNS)
	}
	return nil
}

// placeOf is where the configuration says what an error of a device is about, which is at
// keys if the namespace is not missing.
func placeOf(err error, keys ...string) []string {
	if errors.Is(err, tun.ErrNamespace) {
		return []string{"egress", "tun", "netns"}
	}
	return keys
}

// clears reports whether nothing that leaves is in the way of the device of a tenant, and
// notes what is.
func (p *plan) clears(conf *config.Tenant, inTheWay map[*tenantState]leaving) bool {
	clear := true
	for _, l := range p.leaving {
		a, b := conf.Egress.TUN, l.conf.Egress.TUN
		if l.away || a == nil || b == nil || a.Device != b.Device && (a.NetNS != b.NetNS || !overlap(conf, l.conf)) {
			continue
		}
		inTheWay[l.tenant], clear = l, false
	}
	return clear
}

// overlap reports whether two tenants have addresses in common.
func overlap(a, b *config.Tenant) bool {
	return slices.ContainsFunc(a.Ranges(), func(p netip.Prefix) bool {
		return slices.ContainsFunc(b.Ranges(), p.Overlaps)
	})
}

// tell has a device that stays be ready for what is new, beside what it has.
func (g *applier) tell(d *told) (err error) {
	switch device := d.tenant.way.Load().device.(type) {
	case *tun.Device:
		return device.Extend(addressesOf(d.conf))
	case *netstack.Device:
		c := g.server.devices.netstack(d.conf)
		c.Addresses, _ = addressesOf(d.conf)
		d.reach, err = device.Reaching(c)
	}
	return err
}

// hold has what a device was told hold. It does not wait.
func (d *told) hold() {
	if device, ok := d.tenant.way.Load().device.(*netstack.Device); ok && d.reach != nil {
		device.SetReach(d.reach)
	}
}

// restrict leaves a device what a configuration says, and what sessions have besides.
func (d *told) restrict(to *config.Tenant) error {
	device, ok := d.tenant.way.Load().device.(*tun.Device)
	if !ok {
		return nil
	}
	addresses, routes := addressesOf(to)
	return errors.Join(device.Extend(nil, d.unpooled), device.Restrict(addresses, slices.Concat(routes, d.unpooled)))
}

// use has a tenant's packets go by another device from now on, and returns the port that
// they went by.
func (g *applier) use(t *tenantState, d tenant.Device) *dataplane.Port {
	former := t.port
	t.device = d
	g.server.connect(t)
	join, _ := d.(interface {
		Join(addr netip.Addr, prefix netip.Prefix)
	})
	for _, s := range g.server.sessions {
		if s.tenant != t {
			continue
		}
		if join != nil && s.prefix.IsValid() {
			join.Join(s.addr, s.prefix)
		}
		g.server.engine.Plane.Move(s.Plane, t.port)
	}
	return former
}

// giveUp closes what a plan has opened that does not come to run, and opens again what it
// has closed. The error is what could not be had again.
func (g *applier) giveUp(p *plan) error {
	var failed []error
	for _, o := range p.openings {
		if o.device != nil {
			o.device.Close()
		}
	}
	for _, d := range p.told {
		failed = append(failed, unlessMissing(d.restrict(d.was)))
	}
	for _, d := range p.told {
		if device, ok := d.tenant.way.Load().device.(*tun.Device); ok {
			failed = append(failed, unlessMissing(device.Extend(addressesOf(d.was))))
		}
	}
	for _, l := range p.closed {
		failed = append(failed, g.openAgain(l))
	}
	return errors.Join(failed...)
}

// unlessMissing is an error of a device, unless it is that its namespace is not there, where
// nothing was done that could be taken back.
func unlessMissing(err error) error {
	if errors.Is(err, tun.ErrNamespace) {
		return nil
	}
	return err
}

// openAgain opens a device that was closed for another one.
func (g *applier) openAgain(l leaving) error {
	d, err := g.server.config.OpenDevice(l.conf)
	if l.tenant.cut = err != nil; err != nil {
		return fmt.Errorf("gateway: tenant %s: its device was closed and cannot be opened again: %w; its clients have no network until a configuration is applied by which it can be", l.conf.Name, err)
	}
	var former *dataplane.Port
	if g.server.engine.Work.Do(context.Background(), func(time.Time) { former = g.use(l.tenant, d) }) != nil {
		return d.Close() // the server has ended
	}
	g.server.engine.Plane.RemovePort(former)
	return nil
}
