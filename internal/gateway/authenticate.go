package gateway

import (
	"crypto/x509"
	"fmt"
	"slices"
	"time"

	"github.com/culvert-vpn/culvert/ike"
	"github.com/culvert-vpn/culvert/ike/auth"
	"github.com/culvert-vpn/culvert/internal/access"
	"github.com/culvert-vpn/culvert/internal/event"
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
	case grant.Missing != "":
		return access.NoFilter
	}
	if why := g.lease(now, s, t, grant); why != access.None {
		return why
	}
	g.server.apply(s, grant)
	return access.None
}

// grant changes what a session is granted that is up, or ends it: who has a group or a filter
// that the tenant does not have would not get in.
func (g *logins) grant(now time.Time, s *session, grant *access.Grant) {
	if grant.Missing == "" {
		g.server.apply(s, grant)
		return
	}
	why := fmt.Sprintf("its user has the %s, which the tenant does not have any more", grant.Missing)
	g.server.emit(event.RulesMissing{Session: s.about(), Missing: grant.Missing, Hint: access.NoFilter.Hint()})
	g.cut(now, s, why, ike.ReasonLocal)
}

// fits has who has a group or a filter that his tenant does not have stay out, whoever says
// that he has it.
func (a *attempt) fits(j access.Judgement) access.Judgement {
	if a.own = j.Own; j.Refusal != access.None || a.tenant == nil {
		return j
	}
	if missing := a.tenant.grants(a.key(), a.own).Missing; missing != "" {
		clear(j.MSK)
		return access.Judgement{Refusal: access.NoFilter, Err: fmt.Errorf("gateway: the tenant has no %s, which the user has", missing)}
	}
	return j
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
