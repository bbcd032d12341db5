package bans

import (
	"cmp"
	"errors"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/gaissmai/bart"

	"github.com/culvert-vpn/culvert/internal/store"
	"github.com/culvert-vpn/culvert/internal/x/deadline"
)

// Who makes bans.
const (
	ByOperator = "operator"
	ByLockout  = "lockout"
)

// MaxBans is how many bans operators may have made at a time.
const MaxBans = 100_000

// maxAutomatic is how many the program may have made, beside them: of more, the one that would
// be over first makes room.
const maxAutomatic = 10_000

// maxOverlaps is how many others of which a ban is a part, or which are parts of it, are named.
const maxOverlaps = 16

// ErrFull: operators have banned as many as there is room for.
var ErrFull = errors.New("bans: there are 100,000 bans already: remove some, or put the addresses into a file and name it in `block` of the configuration")

// List is the bans that there are.
type List struct {
	bans      map[string]*entry
	owners    map[string]*owner // by tenant; "": the server
	expiring  deadline.Heap[*entry]
	automatic deadline.Heap[*made] // by when they are over
	changed   map[string]*store.Ban
}

// entry is one ban.
type entry struct {
	deadline.Alarm
	store.Ban
	made *made // nil: an operator has made it
}

// made is a ban of the program's own, among those that make room.
type made struct {
	deadline.Alarm
	of *entry
}

// owner has the bans of addresses of the server, or of one tenant.
type owner struct {
	entries *bart.Table[*entry]
	table   *bart.Table[bool] // whether sessions from there stay; it is replaced, not changed
}

// NewList returns a List of what was kept. What has expired meanwhile is in it until Expire.
// Bans of logins have ended with the process that made them.
func NewList(kept []store.Ban) *List {
	l := &List{bans: make(map[string]*entry), owners: make(map[string]*owner), changed: make(map[string]*store.Ban)}
	over := make(map[string]*store.Ban)
	for _, b := range kept {
		switch {
		case b.Login():
			over[b.Key()] = nil
		case b.Prefix.IsValid():
			l.insert(b, func(t *bart.Table[bool]) *bart.Table[bool] { t.Insert(b.Prefix, b.Keep); return t })
		}
	}
	l.changed = over
	return l
}

// Add bans somebody. A ban of the same takes the place of the former, which replaced says, but
// one of the program's own does not take that of an operator's. The overlaps are other bans of
// addresses that it is a part of, or that are parts of it.
func (l *List) Add(b store.Ban) (replaced bool, overlaps []store.Ban, err error) {
	old := l.bans[b.Key()]
	switch {
	case old != nil && old.made == nil && b.By == ByLockout:
		return true, nil, nil
	case b.By != ByLockout && l.operators() >= MaxBans && (old == nil || old.made != nil):
		return false, nil, ErrFull
	}
	if old != nil {
		l.remove(old)
	}
	overlaps = l.overlaps(b)
	l.insert(b, func(t *bart.Table[bool]) *bart.Table[bool] { return t.InsertPersist(b.Prefix, b.Keep) })
	for l.automatic.Len() > maxAutomatic {
		first, _ := l.automatic.Due(l.automatic.Next())
		l.remove(first.of)
	}
	return old != nil, overlaps, nil
}

// operators is how many bans operators have made.
func (l *List) operators() int { return len(l.bans) - l.automatic.Len() }

// insert adds a ban that is not there.
func (l *List) insert(b store.Ban, table func(*bart.Table[bool]) *bart.Table[bool]) {
	e := &entry{Ban: b}
	l.bans[b.Key()] = e
	l.note(e, &e.Ban)
	l.expiring.Set(e, b.Until)
	if b.By == ByLockout {
		e.made = &made{of: e}
		l.automatic.Set(e.made, b.Until)
	}
	if b.Login() {
		return
	}
	o := l.owners[b.Tenant]
	if o == nil {
		o = &owner{new(bart.Table[*entry]), new(bart.Table[bool])}
		l.owners[b.Tenant] = o
	}
	o.entries.Insert(b.Prefix, e)
	o.table = table(o.table)
}

// note has a change be kept. Bans of logins are not: they end with the process, as does what is
// known of who was in before, whom they do not hold up.
func (l *List) note(e *entry, b *store.Ban) {
	if !e.Login() {
		l.changed[e.Key()] = b
	}
}

// remove takes a ban out.
func (l *List) remove(e *entry) {
	delete(l.bans, e.Key())
	l.note(e, nil)
	l.expiring.Stop(e)
	if e.made != nil {
		l.automatic.Stop(e.made)
	}
	if o := l.owners[e.Tenant]; o != nil && !e.Login() {
		o.entries.Delete(e.Prefix)
		o.table = o.table.DeletePersist(e.Prefix)
		if o.entries.Size() == 0 {
			delete(l.owners, e.Tenant)
		}
	}
}

// overlaps are bans of addresses of the same owner, or of the server, that a ban meets.
func (l *List) overlaps(b store.Ban) (list []store.Ban) {
	if b.Login() {
		return nil
	}
	for _, name := range slices.Compact([]string{"", b.Tenant}) {
		o := l.owners[name]
		if o == nil {
			continue
		}
		for _, all := range []func(func(netip.Prefix, *entry) bool){o.entries.Supernets(b.Prefix), o.entries.Subnets(b.Prefix)} {
			for _, e := range all {
				if len(list) == maxOverlaps {
					return list
				}
				if !slices.ContainsFunc(list, func(known store.Ban) bool { return known.Key() == e.Key() }) {
					list = append(list, e.Ban)
				}
			}
		}
	}
	return list
}

// Remove takes out every ban of just that network, of all tenants or, with one, of that, and
// returns them.
func (l *List) Remove(p netip.Prefix, tenant string) (gone []store.Ban) {
	for _, e := range l.bans {
		if e.Prefix == p && (tenant == "" || e.Tenant == tenant) {
			gone = append(gone, e.Ban)
		}
	}
	for _, b := range gone {
		l.remove(l.bans[b.Key()])
	}
	Sort(gone)
	return gone
}

// Expire takes out what is over, and returns it.
func (l *List) Expire(now time.Time) (gone []store.Ban) {
	for {
		e, ok := l.expiring.Due(now)
		if !ok {
			return gone
		}
		gone = append(gone, e.Ban)
		l.remove(e)
	}
}

// Deadline is when Expire is wanted; zero: never.
func (l *List) Deadline() time.Time { return l.expiring.Next() }

// Len is how many bans there are.
func (l *List) Len() int { return len(l.bans) }

// All returns all bans, in no order: to Sort many takes longer than a control loop has.
func (l *List) All() []store.Ban {
	list := make([]store.Ban, 0, len(l.bans))
	for _, e := range l.bans {
		list = append(list, e.Ban)
	}
	return list
}

// Sort orders bans by tenant and address.
func Sort(list []store.Ban) {
	slices.SortFunc(list, func(a, b store.Ban) int {
		return cmp.Or(strings.Compare(a.Tenant, b.Tenant), a.Prefix.Addr().Compare(b.Prefix.Addr()), cmp.Compare(a.Prefix.Bits(), b.Prefix.Bits()),
			strings.Compare(a.User, b.User), strings.Compare(a.Device, b.Device))
	})
}

// Changes are the bans that have come since it was last called, and those of keys without one
// have gone.
func (l *List) Changes() map[string]*store.Ban {
	changed := l.changed
	l.changed = make(map[string]*store.Ban)
	return changed
}

// Restore has changes be among Changes again that could not be kept, but those that others
// have come after.
func (l *List) Restore(changes map[string]*store.Ban) {
	for key, b := range changes {
		if _, newer := l.changed[key]; !newer {
			l.changed[key] = b
		}
	}
}

// Changed reports whether there are Changes.
func (l *List) Changed() bool { return len(l.changed) > 0 }

// Table is which addresses are banned as a whole, for the server or for one tenant, and
// whether sessions from there stay; nil: none.
func (l *List) Table(tenant string) *bart.Table[bool] {
	if o := l.owners[tenant]; o != nil {
		return o.table
	}
	return nil
}

// Of is the ban of an address as a whole that decides for a tenant, or with "" for the server:
// of those that hold the address the narrowest of the server's, or else of the tenant's.
func (l *List) Of(tenant string, addr netip.Addr) (store.Ban, bool) {
	addr = addr.Unmap().WithZone("")
	for _, name := range []string{"", tenant} {
		if o := l.owners[name]; o != nil {
			if e, ok := o.entries.Lookup(addr); ok {
				return e.Ban, true
			}
		}
	}
	return store.Ban{}, false
}

// Against is the ban that keeps a login from being looked at, of a device that nobody was in
// from before: of the user from his source, of the device, or of all such devices from there.
// source is the network that logins are counted for.
func (l *List) Against(tenant, user, device string, source netip.Prefix) (store.Ban, bool) {
	for _, b := range []store.Ban{
		{Prefix: source, Tenant: tenant, User: user, Device: device}, {Prefix: source, Tenant: tenant, User: user},
		{Prefix: source, Tenant: tenant, Device: device}, {Prefix: source, Tenant: tenant},
	} {
		if e := l.bans[b.Key()]; e != nil && e.Login() {
			return e.Ban, true
		}
	}
	return store.Ban{}, false
}
