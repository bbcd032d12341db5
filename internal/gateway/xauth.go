package gateway

import (
	"slices"
	"time"

	"github.com/culvert-vpn/culvert/ike"
	"github.com/culvert-vpn/culvert/internal/access"
)

// Remote access by IKEv1 with extended authentication: "Cisco IPSec" of macOS and
// iOS, "IPSec Xauth" of Android. What such a client is given, and its session, are
// those of IKEv2 (ikev2.go); the login is by name and password, and there may be
// several child SAs at a time, one a network.

// xauthLogin carries a login by extended authentication. Who it was stays with the peer:
// Assign asks for it.
type xauthLogin struct{ p *peer }

func (c xauthLogin) peer() *peer { return c.p }

func (c xauthLogin) session() *session { return nil }

func (c xauthLogin) holds(g *logins, _ *attempt) bool { return g.server.peers[c.p.ID] == c.p }

// xauth finds out whether the password of a client is right. Where it has proved itself
// by a certificate, and several tenants show the one of ours that it was shown, the
// users that it may be are those of the tenants that trust its authority.
func (g *logins) xauth(now time.Time, p *peer, e ike.Login) {
	a := &attempt{carrier: xauthLogin{p}, method: "XAUTH"}
	group := g.server.keys.relatives(e.Tenant, e.Path.Local.Addr())
	if len(group) < 2 || len(e.Certificates) == 0 {
		g.xauthAmong(now, a, e, group)
		return
	}
	if !g.server.later(group[0], func() {
		group := slices.DeleteFunc(slices.Clone(group), func(t *tenantState) bool { return t.certifies(now, e) != nil })
		g.server.engine.Work.Post(func(now time.Time) { g.xauthAmong(now, a, e, group) })
	}) {
		clear(e.Password)
		who := g.server.choose(group, e.User)
		a.tenant, a.user = who.tenant, who.User
		g.refuse(now, a, access.Busy, nil)
	}
}

// xauthAmong is xauth where it is known whose user the client may be.
func (g *logins) xauthAmong(now time.Time, a *attempt, e ike.Login, group []*tenantState) {
	who, c := g.server.choose(group, e.User), a.carrier.(xauthLogin)
	g.forget(now, c.p.asking)
	c.p.asking = a
	a.proves(now, who, access.XAUTH{User: who.User, Password: e.Password}, c)
	g.judge(now, a)
}

// judged answers IKE. A peer that has a session renews phase 1, and is who it was, or the
// session ends.
func (c xauthLogin) judged(g *logins, now time.Time, a *attempt, j access.Judgement) {
	if j.Refusal == access.None && c.p.tunnelMode != nil && !c.p.tunnelMode.is(a.login) {
		j.Refusal = access.OtherUser
	}
	if j.Refusal != access.None {
		g.refuse(now, a, j.Refusal, j.Err)
		return
	}
	c.p.login, a.known = a, true
	g.server.engine.IKE.LoggedIn(now, ike.Peer(c.p.ID), ike.LoginReply{OK: true, User: a.user + "@" + a.tenant.Name, Policy: policyOf(a.tenant.Tenant)})
}

func (c xauthLogin) refused(g *logins, now time.Time, _ *attempt, why access.Refusal) {
	g.server.engine.IKE.LoggedIn(now, ike.Peer(c.p.ID), ike.LoginReply{Detail: why.String()})
	if c.p.tunnelMode != nil && why == access.OtherUser {
		g.cut(now, c.p.tunnelMode, why.String(), ike.ReasonLocal)
	}
}
