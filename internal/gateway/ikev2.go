package gateway

import (
	"crypto/x509"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/culvert-vpn/culvert/dataplane"
	"github.com/culvert-vpn/culvert/ike"
	"github.com/culvert-vpn/culvert/ike/auth"
	"github.com/culvert-vpn/culvert/ike/family"
	"github.com/culvert-vpn/culvert/ike/wire"
	"github.com/culvert-vpn/culvert/internal/access"
	"github.com/culvert-vpn/culvert/internal/config"
	"github.com/culvert-vpn/culvert/internal/event"
	"github.com/culvert-vpn/culvert/l2tp"
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

// assign decides what a client of IKEv2 that has proved who it is gets.
func (g *Gateway) assign(now time.Time, e ike.Assign) {
	p := g.peerOf(e.Peer)
	t, user, why := g.tunnelUser(p, e)
	if why != access.None || e.Wants.Transport {
		g.grant(now, p, e, why)
		return
	}
	chain := e.Certificates
	if p.login != nil {
		chain = p.login.chain
	}
	who := g.shown(t, user, chain)
	if !g.later(t, func() {
		why := g.local.Judge(who, access.Shown{}).Refusal
		g.post(func(now time.Time) {
			switch {
			case g.peers[p.id] != p:
			case why != access.None:
				g.grant(now, p, e, why)
			default:
				g.findPlace(now, p, 0, login{tenant: t, user: user}, func(now time.Time) {
					if g.peers[p.id] == p {
						g.grant(now, p, e, access.None)
					}
				})
			}
		})
	}) {
		g.grant(now, p, e, access.Busy)
	}
}

// shown is a user who has proved himself without a password.
func (g *Gateway) shown(t *tenantState, name string, chain []*x509.Certificate) access.Who {
	who := user(t, name).Who
	who.Names = g.accountNames(t, name, chain)[1:]
	return who
}

// accountNames are those under which a user may have an account: the one that the
// client said, and the others of its certificate, of which it has the choice.
func (g *Gateway) accountNames(t *tenantState, user string, chain []*x509.Certificate) []string {
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

// grant answers Assign, unless something is against it already.
func (g *Gateway) grant(now time.Time, p *peer, e ike.Assign, why access.Refusal) {
	var a ike.Assignment
	if t, user, no := g.tunnelUser(p, e); why == access.None && no == access.None && !e.Wants.Transport && !p.asked && g.askRivals(now, p, t, config.UserKey(user), e.Wants) {
		p.resume = &e
		return
	}
	if why == access.None || e.Wants.Transport {
		a, why = g.assignment(now, p, e)
	}
	if why != access.None {
		g.tellRefused(p, p.refusedLogin(e.Identity, "", why, nil))
		a.Detail = why.String()
	}
	g.ike.Assigned(now, e.Peer, a)
}

// assignment is what the client gets, or why not.
func (g *Gateway) assignment(now time.Time, p *peer, e ike.Assign) (ike.Assignment, access.Refusal) {
	if e.Wants.Transport { // L2TP: PPP asks who it is
		return ike.Assignment{OK: true, Transport: true}, access.None
	}
	t, user, why := g.tunnelUser(p, e)
	if why != access.None {
		return ike.Assignment{}, why
	}
	if a, ok := g.sentAway(p, t, e); ok {
		return a, access.None
	}
	if !e.Wants.IPv4 && !e.Wants.IPv6 {
		return ike.Assignment{OK: true, NoAddress: true}, access.NoAddress
	}
	s := g.newSession(p)
	s.user = user
	t.pool.Prefer(s.key(), e.Wants.Addr4)
	if p.login != nil {
		s.chain = p.login.chain
	}
	if old := t.predecessor(p, s.key(), e.Wants); old != nil {
		s.inherit(old)
	} else if why := g.admit(now, s, t); why != access.None {
		return ike.Assignment{OK: true, NoAddress: true}, why
	}
	s.plane = g.plane.NewSession(dataplane.SessionConfig{Peer: p.plane})
	p.tunnel = s
	g.sessions[s.plane] = s
	return s.assignment(e), access.None
}

// tunnelUser finds out whose session a client of tunnel mode has.
func (g *Gateway) tunnelUser(p *peer, e ike.Assign) (*tenantState, string, access.Refusal) {
	group, _ := g.keys.group(e.Tenant)
	switch {
	case p.login != nil && p.login.tenant != nil: // EAP or XAUTH
		return p.login.tenant, p.login.user, access.None
	case len(group) == 0:
		return nil, "", access.UnknownUser
	case !strings.HasSuffix(e.Tenant, byCertificate):
		for _, t := range group {
			if t.Auth.Allow.PSK {
				// Never the name of a user: who has the key can call himself anything.
				return t, "psk:" + e.Identity, access.None
			}
		}
		return nil, "", access.KeyAlone
	}
	name := e.Identity // a name of the certificate
	if l, err := g.selector.Select(name, group[0].Name); err == nil {
		name = l.User
	}
	return group[0], name, access.None
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

// tunnelReady opens the session of tunnel mode for packets, once there is an SA.
func (g *Gateway) tunnelReady(now time.Time, p *peer) {
	s := p.tunnel
	if s == nil || !s.up.IsZero() || p.current == nil || p.current.Transport {
		return
	}
	if s.waits(now) {
		return
	}
	if p.dial != nil {
		s.up = now
		g.dialTunnelUp(s)
		return
	}
	s.linkOptions.MTU = uint16(s.grant.MTU)
	g.plane.Bind(s.plane, s.tenant.port, s.addr, s.linkOptions)
	if s.prefix.IsValid() {
		g.plane.Bind6(s.plane, s.tenant.port, s.prefix, s.linkOptions)
	}
	g.opened(now, s)
}

// tunnelSession is what a child SA of tunnel mode carries packets of.
func (p *peer) tunnelSession(c *child) *dataplane.Session {
	if c.Transport || p.tunnel == nil {
		return nil
	}
	return p.tunnel.plane
}

// displace ends a session whose user is back with another.
func (g *Gateway) displace(now time.Time, s *session) {
	g.cut(now, s, "the user logged in again", ike.ReasonReplaced)
}

// cut ends a session at once, and tells its client.
func (g *Gateway) cut(now time.Time, s *session, why string, reason ike.Reason) {
	s.because(why)
	if s.link == nil {
		g.end(now, s)
		g.ike.Close(now, ike.Peer(s.peer.id), reason)
		return
	}
	g.l2tp.CloseCall(now, s.call, l2tp.Result{Code: l2tp.ClearAdministrative})
	g.end(now, s)
}

// warnOfCertificates says what is wrong with the tenant's own certificate.
func (g *Gateway) warnOfCertificates(t *config.Tenant) {
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
