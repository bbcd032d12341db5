package gateway

import (
	"errors"
	"slices"
	"time"

	"github.com/culvert-vpn/culvert/ike"
	"github.com/culvert-vpn/culvert/ike/auth"
	"github.com/culvert-vpn/culvert/internal/access"
)

// Remote access by IKEv1 with extended authentication: "Cisco IPSec" of macOS and
// iOS, "IPSec Xauth" of Android. What such a client is given, and its session, are
// those of IKEv2 (ikev2.go); the login is by name and password, and there may be
// several child SAs at a time, one a network.

// xauth finds out whether the password of a client is right. Where it has proved itself
// by a certificate, and several tenants show the one of ours that it was shown, the
// users that it may be are those of the tenants that trust its authority.
func (g *Gateway) xauth(now time.Time, e ike.Login) {
	p := g.peerOf(e.Peer)
	if p.suite == "" { // or we renew phase 1 ourselves
		p.label, p.path, p.identity, p.family = e.Tenant, e.Path, e.Identity, e.Family
	}
	group := g.keys.relatives(e.Tenant, e.Path.Local.Addr())
	if len(group) < 2 || len(e.Certificates) == 0 {
		g.xauthAmong(now, p, e, group)
		return
	}
	if !g.later(group[0], func() {
		group := slices.DeleteFunc(slices.Clone(group), func(t *tenantState) bool { return t.certifies(now, e) != nil })
		g.post(func(now time.Time) { g.xauthAmong(now, p, e, group) })
	}) {
		clear(e.Password)
		g.xauthDone(now, p, &eapLogin{user: e.User, password: true, why: access.Busy})
	}
}

// certifies says what is against a client's certificate in a tenant. It runs in the pool.
func (t *tenantState) certifies(now time.Time, e ike.Login) error {
	if !t.conf.Load().Auth.Allow.Certificate {
		return errNoCertificates
	}
	_, err := t.trust.Verify(now, e.Certificates, auth.PurposeClient)
	return err
}

var errNoCertificates = errors.New("gateway: the tenant takes no certificates of clients")

// xauthAmong is xauth where it is known whose user the client may be.
func (g *Gateway) xauthAmong(now time.Time, p *peer, e ike.Login, group []*tenantState) {
	who := g.choose(group, e.User)
	a := p.attemptOf(now, who)
	a.alive, a.zero = func() bool { return g.peers[p.id] == p }, func() { clear(e.Password) }
	g.judge(now, a, who, access.XAUTH{User: who.User, Password: e.Password}, func(now time.Time, j access.Judgement) {
		g.xauthDone(now, p, &eapLogin{tenant: who.tenant, user: who.User, password: true, why: j.Refusal, err: j.Err})
	})
}

// xauthDone answers IKE. Who it was stays with the peer: Assign asks for it. A peer
// that has a session renews phase 1, and is who it was, or the session ends.
func (g *Gateway) xauthDone(now time.Time, p *peer, l *eapLogin) {
	s := p.tunnel
	if s != nil && l.why == access.None && !s.is(login{tenant: l.tenant, user: l.user}) {
		l.why = access.OtherUser
	}
	if l.why == access.None {
		p.login = l
		g.ike.LoggedIn(now, ike.Peer(p.id), ike.LoginReply{OK: true, User: l.user + "@" + l.tenant.Name, Policy: policyOf(l.tenant.Tenant)})
		return
	}
	g.tellRefused(p, p.refusedLogin(l.user, "XAUTH", l.why, l.err))
	g.ike.LoggedIn(now, ike.Peer(p.id), ike.LoginReply{Detail: l.why.String()})
	if s != nil && l.why == access.OtherUser {
		g.cut(now, s, access.OtherUser.String(), ike.ReasonLocal)
	}
}
