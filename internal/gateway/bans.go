package gateway

import (
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/gaissmai/bart"
	"golang.org/x/time/rate"

	"github.com/culvert-vpn/culvert/dataplane"
	"github.com/culvert-vpn/culvert/ike"
	"github.com/culvert-vpn/culvert/internal/access"
	"github.com/culvert-vpn/culvert/internal/bans"
	"github.com/culvert-vpn/culvert/internal/engine"
	"github.com/culvert-vpn/culvert/internal/event"
	"github.com/culvert-vpn/culvert/internal/store"
	"github.com/culvert-vpn/culvert/l2tp"
)

// Who is banned. Bans of the server, and of its tenant if there is one only, hold in the
// workers, before anything is done for a message; those of one tenant among several hold once it
// is known whose client it is: at the login.

// barred is who is not to dial in. It belongs to the control loop.
type barred struct {
	list    *bans.List
	feeds   map[string][]*bart.Lite // by tenant; "": the server's
	files   []*feed                 // that feeds are of
	refused *dataplane.Refused      // as the workers have it

	lines        *rate.Limiter // of what is said of bans of the program's own
	untold, over int           // bans that came, and that are over, without a line

	saving sync.Mutex // who writes to the state store
}

func newBarred() *barred {
	return &barred{list: bans.NewList(nil), lines: rate.NewLimiter(1, 50)}
}

// loadBans reads who was banned when the server ran last, and the files of addresses.
func (g *Gateway) loadBans() error {
	if g.server.config.Store != nil {
		kept, err := g.server.config.Store.Bans()
		if err != nil {
			g.server.emit(event.BansLost{Err: err, Hint: "nobody is banned until `culvert bans add` says so: look at the state directory"})
		}
		g.server.bans.list = bans.NewList(kept)
	}
	c := g.server.config.Config
	for _, f := range g.applier.readFeeds(c) {
		g.server.sayFeed(f, 0)
	}
	g.server.bans.feeds, g.server.bans.files = g.applier.feedTables(c), slices.Clone(g.applier.feeds)
	g.server.refuse()
	return nil
}

// refuse has the workers know who is banned.
func (g *server) refuse() {
	r := &dataplane.Refused{}
	owners := []string{""}
	if len(g.tenants) == 1 {
		owners = append(owners, g.tenants[0].Name)
	}
	for _, name := range owners {
		r.Feeds = append(r.Feeds, g.bans.feeds[name]...)
		if t := g.bans.list.Table(name); t != nil {
			r.Bans = append(r.Bans, t)
		}
	}
	if len(r.Bans)+len(r.Feeds) == 0 {
		r = nil
	}
	g.bans.refused = r
	g.engine.Plane.Refuse(r)
}

// refusedAt reports whether nobody dials in from an address: for IKE.
func (g *server) refusedAt(remote netip.Addr) bool {
	refused, _ := g.bans.refused.Has(remote)
	return refused
}

// against reports whether an address is banned for a tenant, or with "" for all, and whether
// who is in from there stays.
func (b *barred) against(tenant string, addr netip.Addr) (banned, stay bool) {
	addr = addr.Unmap().WithZone("")
	for _, name := range []string{"", tenant} {
		for _, t := range b.feeds[name] {
			if t.Lookup(addr) {
				return true, false
			}
		}
	}
	ban, banned := b.list.Of(tenant, addr)
	return banned, ban.Keep
}

// ban bans somebody from now on, ends the sessions that are to end, and says so.
func (g *logins) ban(now time.Time, b store.Ban) (replaced bool, overlaps []store.Ban, ended int, err error) {
	replaced, overlaps, err = g.server.bans.list.Add(b)
	if err != nil {
		return replaced, overlaps, 0, err
	}
	if !b.Login() {
		g.server.refuse()
		if !b.Keep {
			ended = g.endBanned(now, "the address was banned", b.Prefix.Contains)
		}
	}
	switch {
	case replaced && b.By == bans.ByLockout:
	case b.By == bans.ByLockout && !g.server.bans.lines.AllowN(now, 1):
		g.server.bans.untold++
	default:
		g.server.emit(event.Banned{Ban: banOf(b), For: lasts(b), Ended: ended})
	}
	return replaced, overlaps, ended, nil
}

// lasts is how long a ban is in force; 0: for ever.
func lasts(b store.Ban) time.Duration {
	if b.Until.IsZero() {
		return 0
	}
	return b.Until.Sub(b.Made)
}

// banOf is a ban as events have it.
func banOf(b store.Ban) event.Ban {
	return event.Ban{Tenant: b.Tenant, Prefix: b.Prefix, User: b.User, Device: b.Device, Strangers: b.Strangers, By: b.By, Reason: b.Reason}
}

// unban takes bans back, and says so. Guessers begin anew.
func (g *logins) unban(p netip.Prefix, tenant string) []store.Ban {
	gone := g.server.bans.list.Remove(p, tenant)
	for _, b := range gone {
		g.server.emit(event.Unbanned{Ban: banOf(b)})
		if b.By == bans.ByLockout {
			g.throttle.Forgive(access.Lock{Source: b.Prefix, Tenant: b.Tenant, User: b.User, Device: b.Device})
		}
	}
	g.server.refuse()
	return gone
}

// expireBans takes out what is over.
func (g *server) expireBans(now time.Time) {
	gone := g.bans.list.Expire(now)
	for _, b := range gone {
		if b.By == bans.ByLockout && !g.bans.lines.AllowN(now, 1) {
			g.bans.over++
			continue
		}
		g.emit(event.BanExpired{Ban: banOf(b)})
	}
	if len(gone) > 0 {
		g.refuse()
	}
}

// tellBans says how many bans came and went without a line.
func (g *server) tellBans() {
	if g.bans.untold+g.bans.over > 0 {
		g.emit(event.BansUntold{Bans: g.bans.untold, Ended: g.bans.over})
		g.bans.untold, g.bans.over = 0, 0
	}
}

// endBanned ends what is up from addresses that are banned by now, of those that where has, and
// tells the clients. It returns how many sessions that were.
func (g *logins) endBanned(now time.Time, why string, where func(netip.Addr) bool) (ended int) {
	var leaving []*engine.Peer
	var left []*session
	for _, p := range g.server.peers {
		addr := p.Path.Remote.Addr().Unmap()
		if !where(addr) {
			continue
		}
		whole, stay := g.server.bans.against("", addr)
		if whole && stay {
			continue
		}
		for _, s := range p.own() {
			if whole || g.expels(s, addr) {
				s.Because(why)
				left = append(left, s)
			}
			if !whole && s.Reason == why {
				g.server.engine.Kick(now, s.Session, why)
			}
		}
		if whole {
			leaving = append(leaving, p.Peer)
		}
	}
	for _, s := range left {
		if s.leased {
			ended++
		}
	}
	g.server.engine.ClosePeers(now, leaving, l2tp.Result{Code: l2tp.ClearAdministrative, Message: why}, ike.ReasonLocal)
	g.server.engine.DrainAll(now)
	for _, s := range left { // whatever is left: nobody answers our goodbye from there
		if g.server.sessions[s.ID] == s {
			g.end(now, s)
		}
	}
	return ended
}

// moved ends sessions of a client that has come to an address that was banned meanwhile.
func (g *logins) moved(now time.Time, p *engine.Peer) {
	own := g.server.peers[p.ID]
	if own == nil {
		return
	}
	for _, s := range own.own() {
		if g.expels(s, p.Path.Remote.Addr()) {
			g.cut(now, s, "the address is banned", ike.ReasonLocal)
		}
	}
}

// expels reports whether a ban of an address, for all or for its tenant, ends a session from there.
func (g *logins) expels(s *session, addr netip.Addr) bool {
	if s.tenant == nil {
		return false
	}
	banned, stay := g.server.bans.against(s.tenant.Name, addr)
	return banned && !stay
}

// saveBans writes down who is banned. It waits for the disk.
func (g *server) saveBans(changes func() map[string]*store.Ban) error {
	g.bans.saving.Lock()
	defer g.bans.saving.Unlock()
	changed := changes()
	if g.config.Store == nil {
		return nil
	}
	err := g.config.Store.ChangeBans(changed)
	if err != nil {
		g.emit(event.BansNotSaved{Err: err, Hint: "they are in force, and will not be after a restart, unless it can be written: it is tried again"})
		g.engine.Work.Post(func(time.Time) { g.bans.list.Restore(changed) })
	}
	return err
}

// saveBansLater has them be written down in the pool of what waits.
func (g *Gateway) saveBansLater(now time.Time) {
	g.nextBans = now.Add(saveInterval)
	g.server.engine.Work.Later(ofOurs, func() { _ = g.server.saveBans(g.server.changedBans) }) // or later, when there is room
}

// changedBans takes what has changed, from outside of the control loop.
func (g *server) changedBans() (changes map[string]*store.Ban) {
	_ = g.engine.Work.Do(g.asking, func(time.Time) { changes = g.bans.list.Changes() }) // or the server ends, and does it then
	return changes
}
