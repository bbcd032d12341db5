package gateway

import (
	"context"
	"slices"
	"time"

	"github.com/culvert-vpn/culvert/ike"
	"github.com/culvert-vpn/culvert/internal/admin"
	"github.com/culvert-vpn/culvert/l2tp"
)

// slice is how many sessions are described at a time: the control loop does other
// things between two slices, however many sessions there are.
const slice = 256

// Sessions lists the clients that are logged in. It implements admin.Gateway.
func (g *Gateway) Sessions(ctx context.Context) ([]admin.Session, error) {
	var all []*session
	err := g.do(ctx, func(time.Time) {
		all = make([]*session, 0, len(g.sessions))
		for _, s := range g.sessions {
			all = append(all, s)
		}
	})
	if err != nil {
		return nil, err
	}
	list := make([]admin.Session, 0, len(all))
	for some := range slices.Chunk(all, slice) {
		err := g.do(ctx, func(now time.Time) {
			for _, s := range some {
				if !s.ended && !s.up.IsZero() && s.tenant != nil {
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
		ID: s.id, Tenant: s.tenant.Name, User: s.user, Family: string(p.family), System: s.clientOS, Host: p.host,
		Protocol: s.protocol(), Client: p.path.Remote, Address: s.addr, Prefix: s.prefix, IKE: p.suite,
		Since: s.up, Idle: int(now.Sub(latest(s.up, s.trafficAt)).Seconds()), Rekeys: int(p.rekeys),
		Up:   admin.Traffic{Packets: s.plane.Up.Packets(), Bytes: s.plane.Up.Bytes()},
		Down: admin.Traffic{Packets: s.plane.Down.Packets(), Bytes: s.plane.Down.Bytes()},
	}
	for _, said := range s.grant.Said() {
		d.Granted = append(d.Granted, admin.Granted{Name: said.Name, Value: said.Value, From: string(said.From)})
	}
	if p.current != nil {
		d.ESP = p.current.out.Transform().String()
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
	err := g.do(ctx, func(now time.Time) {
		for _, s := range g.sessions {
			if s.id == id && !s.ended {
				found = true
				g.kick(now, s, "closed by the operator")
				return
			}
		}
	})
	if err == nil && !found {
		return admin.ErrNoSession
	}
	return err
}

// kick ends a session in good order, because an operator wants it or it met a fault.
func (g *Gateway) kick(now time.Time, s *session, reason string) {
	p := s.peer
	s.because(reason)
	why := l2tp.Result{Code: l2tp.ClearAdministrative, Message: reason}
	if s.link != nil && len(p.sessions()) > 1 {
		g.l2tp.CloseCall(now, s.call, why)
		g.end(now, s)
		return
	}
	g.l2tp.ClosePeer(now, l2tp.Peer(p.id), why)
	g.settle(now)
	g.ike.Close(now, ike.Peer(p.id), ike.ReasonLocal)
}
