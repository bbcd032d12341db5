package gateway

import (
	"context"
	"time"

	"github.com/culvert-vpn/culvert/internal/access"
)

// Who is connected has the groups and filters of his account as the store has them: a change
// of `culvert user set` holds for his sessions as for his next login.

// accountSight is what users of the store were when they were looked at last.
type accountSight struct {
	changes uint64 // of the store
	again   bool   // a login may have read what was before, and have come in since
}

// account is what a session's user has of his own by now.
type account struct {
	session *session
	who     access.Who
	own     *access.Own
	known   bool // else it has what it had: sessions of users who are gone stay up
}

// watchAccounts has what users of the store have by now hold for their sessions.
func (g *applier) watchAccounts(ctx context.Context, seen *accountSight) {
	kept := g.server.config.Store
	if kept == nil {
		return
	}
	changes, err := kept.Changes()
	if err != nil || changes == seen.changes && !seen.again {
		return // logins tell of a store that fails
	}
	var all []account
	if g.server.engine.Work.Do(ctx, func(time.Time) { all = g.server.accounts() }) != nil {
		return
	}
	for i := range all {
		a := &all[i]
		if a.own, a.known, err = access.OwnNow(kept, a.who); err != nil {
			return
		}
	}
	if g.server.engine.Work.Do(ctx, func(now time.Time) { g.followAccounts(now, all) }) == nil {
		seen.changes, seen.again = changes, changes != seen.changes
	}
}

// accounts are those of everybody who is connected.
func (g *server) accounts() (all []account) {
	for _, s := range g.sessions {
		if s.tenant != nil && s.grant != nil {
			all = append(all, account{session: s, who: g.shown(s.tenant, s.user, s.chain)})
		}
	}
	return all
}

// followAccounts changes the sessions whose users have something else by now.
func (g *applier) followAccounts(now time.Time, all []account) {
	changed := map[*tenantState]bool{}
	for _, a := range all {
		s := a.session
		if g.server.sessions[s.ID] != s || s.Ended || !a.known || s.own.Equal(a.own) {
			continue
		}
		s.own, changed[s.tenant] = a.own, true
		g.logins.grant(now, s, s.tenant.grants(s.key(), s.own))
	}
	for t := range changed {
		g.server.police(t) // flows that are under way, too
	}
}
