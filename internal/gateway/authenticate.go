package gateway

import (
	"crypto/x509"
	"slices"
	"time"

	"github.com/culvert-vpn/culvert/ike/auth"
	"github.com/culvert-vpn/culvert/internal/access"
	"github.com/culvert-vpn/culvert/tenant"
)

// The one road of all logins: an attempt is judged (authority.go), and then admitted or
// refused, whatever protocol carries it.

// choose finds the tenant and the user that a login name means in a group.
func (g *server) choose(group []*tenantState, login string) somebody {
	names := make([]string, 0, len(group))
	for _, t := range group {
		names = append(names, t.Name)
	}
	l, err := g.selector.Select(login, names...)
	if err == nil {
		for _, t := range group {
			if t.Name == l.Tenant {
				return user(t, l.User)
			}
		}
		err = tenant.ErrNoTenant
	}
	return somebody{Who: access.Who{User: login, Refusal: access.UnknownUser, Err: err}}
}

// shows has an attempt be that of its user, who has proved himself without a secret that
// can be guessed, and who may still be locked out.
func (a *attempt) shows(g *logins, to taker) {
	a.who, a.proof, a.taker, a.tried = g.server.shown(a.tenant, a.user, a.chain), access.Shown{Account: a.known}, to, access.Attempt{}
}

// admit takes a session's user, who is who he says, into the tenant, with what he is
// granted there.
func (g *logins) admit(now time.Time, s *session, t *tenantState, grant *access.Grant) access.Refusal {
	switch {
	case t.gone:
		return access.UnknownUser
	case t.full():
		return access.TenantFull
	case t.crowded(s.key()):
		return access.UserFull
	case g.lease(now, s, t, grant.Address) != nil:
		return access.PoolEmpty
	}
	g.server.apply(s, grant)
	return access.None
}

// refuse is the end of a login that does not get in: whoever is to know is told, and the
// client.
func (g *logins) refuse(now time.Time, a *attempt, why access.Refusal, err error) {
	g.tellRefused(a, why, err)
	a.carrier.refused(g, now, a, why)
}

// shown is a user who has proved himself without a password.
func (g *server) shown(t *tenantState, name string, chain []*x509.Certificate) access.Who {
	who := user(t, name).Who
	who.Names = g.accountNames(t, name, chain)[1:]
	return who
}

// accountNames are those under which a user may have an account: the one that the
// client said, and the others of its certificate, of which it has the choice.
func (g *server) accountNames(t *tenantState, user string, chain []*x509.Certificate) []string {
	list := []string{user}
	if len(chain) == 0 {
		return list
	}
	for _, name := range auth.Names(chain[0]) {
		if l, err := g.selector.Select(name, t.Name); err == nil && !slices.Contains(list, l.User) {
			list = append(list, l.User)
		}
	}
	return list
}
