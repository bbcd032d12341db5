package gateway

import (
	"context"
	"fmt"
	"net/netip"
	"time"

	"github.com/culvert-vpn/culvert/internal/admin"
	"github.com/culvert-vpn/culvert/internal/bans"
	"github.com/culvert-vpn/culvert/internal/store"
)

// What operators ask and say about bans. It is called by the goroutines of the socket.

// Bans lists who is banned, and the files of addresses. It implements admin.Gateway.
func (g *Gateway) Bans(ctx context.Context) (admin.Bans, error) {
	var list []store.Ban
	var files []*feed
	if err := g.server.engine.Work.Do(ctx, func(time.Time) { list, files = g.server.bans.list.All(), g.server.bans.files }); err != nil {
		return admin.Bans{}, err
	}
	bans.Sort(list)
	out := admin.Bans{Bans: asked(list), Feeds: make([]admin.Feed, 0, len(files))}
	for _, f := range files {
		said := admin.Feed{File: f.path, Networks: f.said.Networks, Skipped: f.said.Skipped, At: f.at}
		if f.err != nil {
			said.Error = f.err.Error()
		}
		out.Feeds = append(out.Feeds, said)
	}
	return out, nil
}

// asked are bans as operators see them.
func asked(list []store.Ban) []admin.Ban {
	out := make([]admin.Ban, 0, len(list))
	for _, b := range list {
		out = append(out, admin.Ban(b))
	}
	return out
}

// Ban bans an address or a network. It implements admin.Gateway. When it returns the ban is in
// force, and kept, or the error says that it is not.
func (g *Gateway) Ban(ctx context.Context, o admin.BanOrder) (admin.Banned, error) {
	if err := bans.Check(o.Prefix, o.Force); err != nil {
		return admin.Banned{}, admin.Refused(err.Error())
	}
	answer, unknown := admin.Banned{}, false
	var fault error
	err := g.server.engine.Work.Do(ctx, func(now time.Time) {
		if unknown = o.Tenant != "" && g.server.named(o.Tenant) == nil; unknown {
			return
		}
		b := store.Ban{Prefix: o.Prefix, Tenant: o.Tenant, Keep: o.Keep, By: bans.ByOperator, Reason: o.Reason, Made: now.UTC().Truncate(time.Second)}
		if o.For > 0 {
			b.Until = b.Made.Add(o.For)
		}
		var overlaps []store.Ban
		answer.Replaced, overlaps, answer.Ended, fault = g.logins.ban(now, b)
		answer.Ban, answer.Overlaps = admin.Ban(b), asked(overlaps)
	})
	switch {
	case err != nil:
		return admin.Banned{}, err
	case unknown:
		return admin.Banned{}, admin.Refused(fmt.Sprintf("there is no tenant %s", o.Tenant))
	case fault != nil:
		return admin.Banned{}, admin.Refused(fault.Error())
	}
	if err := g.server.saveBans(g.server.changedBans); err != nil {
		return answer, fmt.Errorf("the ban is in force, and not kept: %w", err)
	}
	return answer, nil
}

// Unban takes every ban of just that network back, of all tenants or of one, and returns them.
// It implements admin.Gateway.
func (g *Gateway) Unban(ctx context.Context, p netip.Prefix, tenant string) ([]admin.Ban, error) {
	var gone []store.Ban
	if err := g.server.engine.Work.Do(ctx, func(time.Time) { gone = g.logins.unban(p, tenant) }); err != nil {
		return nil, err
	}
	if err := g.server.saveBans(g.server.changedBans); err != nil {
		return asked(gone), fmt.Errorf("it is taken back, and would be in force again after a restart: %w", err)
	}
	return asked(gone), nil
}
