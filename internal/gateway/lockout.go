package gateway

import (
	"fmt"
	"time"

	"github.com/culvert-vpn/culvert/internal/access"
	"github.com/culvert-vpn/culvert/internal/bans"
	"github.com/culvert-vpn/culvert/internal/config"
	"github.com/culvert-vpn/culvert/internal/event"
	"github.com/culvert-vpn/culvert/internal/store"
)

// against is what is against a login before its proof is looked at: a ban of where it comes from,
// or one that a guesser has earned.
func (g *logins) against(now time.Time, a *attempt) access.Refusal {
	tenant := ""
	if a.tenant != nil {
		tenant = a.tenant.Name
	}
	p, s := a.carrier.peer(), a.carrier.session()
	in := p.tunnelMode != nil || s != nil && s.leased // and logs in again
	if banned, stay := g.server.bans.against(tenant, p.Path.Remote.Addr()); banned && !(stay && in) {
		return access.Banned
	}
	t := &a.tried
	if !t.Client.IsValid() || g.throttle.Known(now, t) {
		return access.None
	}
	if _, banned := g.server.bans.list.Against(t.Tenant, config.UserKey(t.User), t.Device, t.Source()); banned {
		return access.Throttled
	}
	return access.None
}

// found carries out what the throttle has found out.
func (g *logins) found(now time.Time) {
	for {
		f, ok := g.throttle.Next()
		if !ok {
			return
		}
		switch f := f.(type) {
		case access.Lock:
			_, _, _, _ = g.ban(now, store.Ban{ // there is always room for these
				Prefix: f.Source, Tenant: f.Tenant, User: f.User, Device: f.Device, Strangers: f.Strangers, Keep: true,
				By: bans.ByLockout, Reason: f.Reason, Made: now.UTC(), Until: now.Add(f.For).UTC(),
			})
		case access.Sign:
			g.server.tellSign(f)
		}
	}
}

// tellSign says that passwords are guessed at.
func (g *server) tellSign(s access.Sign) {
	follows := "no ban follows, as limits.lockout or limits.login_failures is off"
	if l := g.lockoutOf(s.Tenant); l > 0 {
		follows = fmt.Sprintf("who guesses is refused unseen and banned for %s where he is clear, see `culvert bans list`", l)
	}
	if s.Spraying {
		g.emit(event.SprayingSeen{
			Tenant: s.Tenant, State: s.State, Users: s.Users, Tries: s.Tries, Sources: s.Sources, Sample: s.Sample,
			Hint: "somebody tries a few passwords of many users: " + follows + "; ban his networks with `culvert bans add`, and see that no password is a common one",
		})
		return
	}
	g.emit(event.BruteForceSeen{
		Tenant: s.Tenant, User: s.User, State: s.State, Tries: s.Tries, Sources: s.Sources, Sample: s.Sample, Untold: s.Untold,
		Hint: "somebody tries many passwords of this user, or a device has an old one: " + follows + "; whoever was in before from his device is not held up",
	})
}

// lockoutOf is for how long who guesses at a tenant is banned; 0: not at all.
func (g *server) lockoutOf(tenant string) time.Duration {
	t := g.named(tenant)
	switch {
	case t == nil:
		return config.DefaultLockout().For
	case t.Limits.LoginFailures == 0:
		return 0
	}
	return t.Limits.Lockout.For
}
