package gateway

import (
	"time"

	"go.uber.org/zap"

	"github.com/culvert-vpn/culvert/ike"
	"github.com/culvert-vpn/culvert/ppp"
)

// Remote access by IKEv1 with extended authentication: "Cisco IPSec" of macOS and
// iOS, "IPSec Xauth" of Android. What such a client is given, and its session, are
// those of IKEv2 (ikev2.go); the login is by name and password, and there may be
// several child SAs at a time, one a network.

// xauth finds out whether the password of a client is right, in the pool.
func (g *Gateway) xauth(now time.Time, e ike.Login) {
	p := g.peerOf(e.Peer)
	if p.suite == "" { // or we renew phase 1 ourselves
		p.label, p.path, p.identity, p.family = e.Tenant, e.Path, e.Identity, e.Family
	}
	t, user, why, err := g.choose(g.keys.relatives(e.Tenant, e.Path.Local.Addr()), e.User)
	if why != nil {
		user = e.User
	}
	if !g.later(t, func() {
		defer clear(e.Password)
		if why == nil {
			why, err = g.knows(t, user, e.Password)
		}
		g.post(func(now time.Time) {
			if g.peers[p.id] == p {
				g.xauthDone(now, p, &eapLogin{tenant: t, user: user, password: true, why: why, err: err})
			}
		})
	}) {
		clear(e.Password)
		g.xauthDone(now, p, &eapLogin{user: user, password: true, why: &refusedBusy})
	}
}

// knows says what is against a user with that password. It runs in the pool.
func (g *Gateway) knows(t *tenantState, user string, password []byte) (*refusal, error) {
	if !t.Auth.Allow.XAUTH {
		return &refusedMethod, nil
	}
	_, why, err := g.prove(t, user, ppp.Authenticate{Method: ppp.PAP, User: user, Response: password})
	return why, err
}

// xauthDone answers IKE. Who it was stays with the peer: Assign asks for it.
func (g *Gateway) xauthDone(now time.Time, p *peer, l *eapLogin) {
	if l.why == nil {
		p.login = l
		g.ike.LoggedIn(now, ike.Peer(p.id), ike.LoginReply{OK: true, User: l.user + "@" + l.tenant.Name, Policy: policyOf(l.tenant.Tenant)})
		return
	}
	fields := append(p.fields(), zap.String("user", l.user), zap.String("method", "XAUTH"),
		zap.String("cause", l.why.cause), zap.String("hint", l.why.hint))
	if l.err != nil {
		fields = append(fields, zap.Error(l.err))
	}
	g.log.Warn("login-refused", fields...)
	g.failures[l.why.cause]++
	g.ike.LoggedIn(now, ike.Peer(p.id), ike.LoginReply{Detail: l.why.cause})
}
