package gateway

import (
	"context"
	"slices"
	"time"

	"github.com/culvert-vpn/culvert/internal/admin"
)

// slice is how many sessions are described at a time: the control loop does other
// things between two slices, however many sessions there are.
const slice = 256

// Sessions lists the clients that are logged in. It implements admin.Gateway.
func (g *Gateway) Sessions(ctx context.Context) ([]admin.Session, error) {
	var all []*session
	err := g.server.engine.Work.Do(ctx, func(time.Time) {
		all = make([]*session, 0, len(g.server.sessions))
		for _, s := range g.server.sessions {
			all = append(all, s)
		}
	})
	if err != nil {
		return nil, err
	}
	list := make([]admin.Session, 0, len(all))
	for some := range slices.Chunk(all, slice) {
		err := g.server.engine.Work.Do(ctx, func(now time.Time) {
			for _, s := range some {
				if !s.Ended && !s.Up.IsZero() && s.tenant != nil {
					list = append(list, s.describe(now))
				}
			}
		})
		if err != nil {
			return nil, err
		}
	}
	return list, nil
}

// describe is the session as operators see it.
func (s *session) describe(now time.Time) admin.Session {
	p := s.peer
	d := admin.Session{
		ID: s.ID, Tenant: s.tenant.Name, User: s.user, Family: string(p.Family), System: s.System, Host: p.Host,
		Protocol: s.Protocol(), Client: p.Path.Remote, Address: s.addr, Prefix: s.prefix, IKE: p.Suite,
		Since: s.Up, Outside: s.outside, ESP: p.ESP(), Idle: int(now.Sub(latest(s.Up, s.UsedAt)).Seconds()), Rekeys: int(p.Rekeys),
		Up:   admin.Traffic{Packets: s.Plane.Up.Packets(), Bytes: s.Plane.Up.Bytes()},
		Down: admin.Traffic{Packets: s.Plane.Down.Packets(), Bytes: s.Plane.Down.Bytes()},
	}
	for _, said := range s.grant.Said() {
		d.Granted = append(d.Granted, admin.Granted{Name: said.Name, Value: said.Value, From: string(said.From)})
	}
	return d
}

func latest(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}

// CloseSession ends a session and says goodbye to its client: CDN, StopCCN,
// DELETE. It implements admin.Gateway.
func (g *Gateway) CloseSession(ctx context.Context, id uint64) error {
	found := false
	err := g.server.engine.Work.Do(ctx, func(now time.Time) {
		if s := g.server.sessions[id]; s != nil {
			found = true
			g.server.engine.Kick(now, s.Session, "closed by the operator")
		}
	})
	if err == nil && !found {
		return admin.ErrNoSession
	}
	return err
}
