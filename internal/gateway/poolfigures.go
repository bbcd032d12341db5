package gateway

import (
	"context"
	"net/netip"
	"slices"
	"time"

	"github.com/culvert-vpn/culvert/internal/admin"
	"github.com/culvert-vpn/culvert/tenant"
)

// What operators see of pools. The control loop looks at some pools at a time, and at some
// leases of one, however many there are.

// Pools are the pools of all tenants. It implements admin.Gateway.
func (g *Gateway) Pools(ctx context.Context) (list admin.PoolList, err error) {
	var tenants []*tenantState
	if err := g.server.engine.Work.Do(ctx, func(time.Time) { tenants = g.server.tenants }); err != nil {
		return list, err
	}
	for some := range slices.Chunk(tenants, slice) {
		err := g.server.engine.Work.Do(ctx, func(time.Time) {
			for _, t := range some {
				list.Pools = append(list.Pools, t.describePools()...)
				if t.outside > 0 {
					list.Outside = append(list.Outside, admin.Outside{Tenant: t.Name, Sessions: t.outside})
				}
			}
		})
		if err != nil {
			return list, err
		}
	}
	return list, nil
}

// describePools are the pools of the tenant as operators see them.
func (t *tenantState) describePools() (list []admin.Pool) {
	for _, a := range t.all {
		p := admin.Pool{
			Tenant: t.Name, Name: a.Name, Ranges: a.Pool, Bits: 32, Size: a.four.Size(), Used: a.four.Leased(),
			Static: a.four.Static(), Idle: a.four.Idle(), Remembered: a.four.Remembered(),
		}
		if next, ok := a.four.NextFree(); ok {
			p.Next = netip.PrefixFrom(next, 32)
		}
		if list = append(list, p); a.six == nil {
			continue
		}
		p = admin.Pool{
			Tenant: t.Name, Name: a.Name, IPv6: true, Ranges: a.Pool6, Bits: a.six.Bits(), Size: a.six.Size(), Used: a.six.Leased(),
			Static: a.six.Static(), Idle: a.six.Idle(), Remembered: a.six.Remembered(),
		}
		p.Next, _ = a.six.NextFree()
		list = append(list, p)
	}
	return list
}

// countAddresses notes what of the tenant's pools is in use.
func (t *tenantState) countAddresses(f *admin.Tenant) {
	f.Pools, f.Outside = t.describePools(), t.outside
	for _, p := range f.Pools {
		of := &f.Addresses
		if p.IPv6 {
			if f.Prefixes == nil {
				f.Prefixes = new(admin.Addresses)
			}
			of = f.Prefixes
		}
		of.InUse += p.Used
		of.Free += p.Size - p.Used
	}
}

// Leases is a page of who has what of a pool. It implements admin.Gateway.
func (g *Gateway) Leases(ctx context.Context, q admin.LeasesQuery) (page admin.LeasesPage, err error) {
	found := false
	err = g.server.engine.Work.Do(ctx, func(time.Time) {
		t := g.server.named(q.Tenant)
		if t == nil {
			return
		}
		if a := t.named(q.Pool); a != nil && (!q.IPv6 || a.six != nil) {
			found, page = true, t.page(a, q)
		}
	})
	if err == nil && !found {
		err = admin.ErrNoPool
	}
	return page, err
}

// page is a page of the leases of a pool.
func (t *tenantState) page(a *addressPool, q admin.LeasesQuery) admin.LeasesPage {
	var held []tenant.Held
	page, bits := admin.LeasesPage{Epoch: t.epoch}, 32
	if q.IPv6 {
		held, page.Next = a.six.Held(q.From, slice)
		bits = a.six.Bits()
	} else {
		held, page.Next = a.four.Held(q.From, slice)
	}
	for _, h := range held {
		l := admin.Lease{
			Tenant: t.Name, Pool: a.Name, Address: netip.PrefixFrom(h.Addr, bits), User: h.Owner, State: admin.LeasedOnce, Static: h.Static, Since: h.Since,
		}
		switch {
		case h.Leased:
			l.State = admin.LeasedNow
			if s := t.sessions[h.Addr]; s != nil {
				l.User, l.Session = s.user, s.ID
			}
		case h.Static:
			l.State = admin.LeasedIdle
		}
		page.Leases = append(page.Leases, l)
	}
	return page
}
