package gateway

import (
	"crypto/x509"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/culvert-vpn/culvert/ike"
	"github.com/culvert-vpn/culvert/ike/auth"
	"github.com/culvert-vpn/culvert/ike/family"
	"github.com/culvert-vpn/culvert/ike/wire"
	"github.com/culvert-vpn/culvert/internal/access"
	"github.com/culvert-vpn/culvert/internal/config"
	"github.com/culvert-vpn/culvert/internal/event"
)

// Remote access by IKEv2 in tunnel mode: who gets in, and what it is given. The
// session of such a client has no call and no link; its child SAs carry IP.

// byCertificate ends the labels of tenants that prove themselves by certificate,
// among ike's candidates; the others are those of pre-shared keys.
const byCertificate = "+certificate"

// tenantsOf is what the log says of a label.
func tenantsOf(label string) string { return strings.TrimSuffix(label, byCertificate) }

// certificateCandidate is the way into a tenant that has a certificate.
func (k *keyring) certificateCandidate(t *tenantState) ike.Candidate {
	label := t.Name + byCertificate
	k.groups[label] = []*tenantState{t}
	c := ike.Candidate{
		Tenant: label, Policy: policyOf(t.Tenant), Identity: t.Identity,
		Certificate: certificateOf(t.Certificate),
		EAP:         t.Auth.Allow.EAP || t.Auth.Allow.EAPTLS,
		XAUTH:       t.Auth.Allow.XAUTH,
	}
	setPPK(&c, []*tenantState{t})
	if t.Auth.Allow.Certificate {
		c.Verify, c.Authorities = t.verifyClient, t.CA
	}
	return c
}

// relatives are the tenants whose users may log in to a client that was shown that
// one's certificate: those that have the same one and are dialled at the same address.
// A key opens the tenants that have it, whatever certificates they have beside it.
func (k *keyring) relatives(label string, local netip.Addr) []*tenantState {
	group, _ := k.group(label)
	if !strings.HasSuffix(label, byCertificate) || len(group) != 1 {
		return group
	}
	key := relation{group[0], local}
	if found, ok := k.related.Get(key); ok {
		return found
	}
	found := []*tenantState{group[0]}
	for _, t := range k.tenants {
		if t != group[0] && t.dialledAt(local) && t.Certificate != nil && t.Certificate.Chain[0].Equal(group[0].Certificate.Chain[0]) {
			found = append(found, t)
		}
	}
	k.related.Add(key, found)
	return found
}

// dialledAt reports whether the tenant's clients dial that address of ours.
func (t *tenantState) dialledAt(local netip.Addr) bool {
	return len(t.Match.Local) == 0 || slices.Contains(t.Match.Local, local)
}

// verifyClient decides on the certificate of a client. It runs in the pool.
func (t *tenantState) verifyClient(now time.Time, chain []*x509.Certificate, id wire.ID2) error {
	if _, err := t.trust.Verify(now, chain, auth.PurposeClient); err != nil {
		return err
	}
	if !t.conf.Load().Match.StrictIdentity {
		return nil // who it is, the certificate says
	}
	if err := auth.MatchID(chain[0], id, auth.PurposeClient); err != nil {
		return fmt.Errorf("%w; match.certificate_identity: strict wants one of these", err)
	}
	return nil
}

// assignLogin carries a login of tunnel mode to its end, where IKE asks what the client
// gets: one by certificate or key, and one that EAP or extended authentication has carried
// until there.
type assignLogin struct {
	p *peer
	e ike.Assign
}

func (c *assignLogin) peer() *peer { return c.p }

func (c *assignLogin) session() *session { return nil }

func (c *assignLogin) holds(g *logins, a *attempt) bool {
	return g.peers[c.p.ID] == c.p && c.p.asking == a
}

// assign decides what a client of tunnel mode that has proved who it is gets.
func (g *logins) assign(now time.Time, p *peer, e ike.Assign) {
	if e.Wants.Transport { // L2TP: PPP asks who it is
		g.engine.IKE.Assigned(now, e.Peer, ike.Assignment{OK: true, Transport: true})
		return
	}
	c := &assignLogin{p, e}
	a, why := g.userOf(c)
	g.forget(now, p.asking)
	p.asking = a
	if why != access.None {
		g.refuse(now, a, why, nil)
		return
	}
	a.shows(g, c)
	g.judge(now, a)
}

// judged has who is right find his place.
func (c *assignLogin) judged(g *logins, now time.Time, a *attempt, j access.Judgement) {
	if j.Refusal != access.None {
		g.refuse(now, a, j.Refusal, j.Err)
		return
	}
	g.findPlace(now, c.p, 0, a.login, func(now time.Time) {
		switch {
		case !c.holds(g, a):
		case !c.p.asked && g.askRivals(now, c.p, a.tenant, a.key(), c.e.Wants):
			c.p.resume = a
		default:
			g.assigned(now, a)
		}
	})
}

// assigned admits who has found his place, and tells IKE what he gets.
func (g *logins) assigned(now time.Time, a *attempt) {
	c := a.carrier.(*assignLogin)
	given, why := c.admit(g, now, a)
	if why != access.None {
		g.refuse(now, a, why, nil)
		return
	}
	g.engine.IKE.Assigned(now, c.e.Peer, given)
}

func (c *assignLogin) refused(g *logins, now time.Time, _ *attempt, why access.Refusal) {
	none := why.IsRoom()
	g.engine.IKE.Assigned(now, c.e.Peer, ike.Assignment{OK: none, NoAddress: none, Detail: why.String()})
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

// admit makes the session of who has found his place.
func (c *assignLogin) admit(g *logins, now time.Time, a *attempt) (ike.Assignment, access.Refusal) {
	p, t, wants := c.p, a.tenant, c.e.Wants
	if elsewhere, ok := g.sentAway(p, t, c.e); ok {
		return elsewhere, access.None
	}
	if !wants.IPv4 && !wants.IPv6 {
		return ike.Assignment{}, access.NoAddress
	}
	s := &session{Session: g.engine.NewSession(p.Peer), peer: p, user: a.user, chain: a.chain}
	t.pool.Prefer(s.key(), wants.Addr4)
	if old := t.predecessor(p, s.key(), wants); old != nil {
		s.inherit(old)
	} else if why := g.admit(now, s, t, t.grants(s.key())); why != access.None {
		return ike.Assignment{}, why
	}
	g.engine.OpenTunnelMode(s.Session)
	p.tunnelMode = s
	g.add(s)
	return s.assignment(c.e), access.None
}

// userOf finds out whose session a client of tunnel mode has. One who has come by EAP
// or extended authentication is on his way already.
func (g *logins) userOf(c *assignLogin) (*attempt, access.Refusal) {
	if a := c.p.login; a != nil && a.tenant != nil {
		a.carrier = c
		return a, access.None
	}
	name := c.e.Identity
	a := &attempt{carrier: c, method: "certificate", login: login{user: name, chain: c.e.Certificates}}
	group, _ := g.keys.group(c.e.Tenant)
	switch {
	case len(group) == 0:
		return a, access.UnknownUser
	case !strings.HasSuffix(c.e.Tenant, byCertificate):
		a.method = "key"
		for _, t := range group {
			if t.Auth.Allow.PSK {
				// Never the name of a user: who has the key can call himself anything.
				a.tenant, a.user = t, "psk:"+name
				return a, access.None
			}
		}
		return a, access.KeyAlone
	}
	if l, err := g.selector.Select(name, group[0].Name); err == nil { // a name of the certificate
		a.user = l.User
	}
	a.tenant = group[0]
	return a, access.None
}

// assignment is what a client that is welcome gets.
func (s *session) assignment(e ike.Assign) ike.Assignment {
	a := ike.Assignment{OK: true, IPv4: s.addr, DNS: s.grant.DNS, NBNS: s.grant.NBNS, Domains: s.grant.Domains}
	if s.prefix.IsValid() {
		a.IPv6 = netip.PrefixFrom(s.prefix.Addr().Next(), 128)
	}
	if len(s.grant.Routes) == 0 {
		return a
	}
	a.Subnets = s.grant.Routes
	a.Local = slices.Clone(s.grant.Routes)
	for _, addr := range slices.Concat(a.DNS, s.tenant.Gateways()) {
		a.Local = append(a.Local, netip.PrefixFrom(addr, addr.BitLen()))
	}
	if e.Family.Has(family.BroadcastSelector) { // its DHCPINFORM goes there
		a.Local = append(a.Local, netip.PrefixFrom(netip.AddrFrom4([4]byte{255, 255, 255, 255}), 32))
	}
	return a
}

// openTunnelMode opens the session of tunnel mode for packets, once there is an SA.
func (g *server) openTunnelMode(now time.Time, p *peer) {
	s := p.tunnelMode
	if s == nil || !s.Openable() || s.waits(now) {
		return
	}
	g.engine.Bind(s.Session, s.place())
	if s.prefix.IsValid() {
		g.engine.Bind6(s.Session, s.place())
	}
	g.opened(now, s)
}

// displace ends a session whose user is back with another.
func (g *logins) displace(now time.Time, s *session) {
	g.cut(now, s, "the user logged in again", ike.ReasonReplaced)
}

// warnOfCertificates says what is wrong with the tenant's own certificate.
func (g *server) warnOfCertificates(t *config.Tenant) {
	if t.Certificate == nil {
		return
	}
	if leaf := t.Certificate.Chain[0]; time.Now().After(leaf.NotAfter) {
		g.emit(event.CertificateExpired{
			Tenant: t.Name, Certificate: fmt.Sprint(leaf.Subject), At: leaf.NotAfter,
			Hint: "clients of IKEv2 will refuse it: issue another with `culvert ca server`",
		})
	}
}
