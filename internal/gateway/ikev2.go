package gateway

import (
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/culvert-vpn/culvert/ike"
	"github.com/culvert-vpn/culvert/ike/family"
	"github.com/culvert-vpn/culvert/internal/access"
)

// Remote access by IKEv2 in tunnel mode: who gets in, and what it is given. The
// session of such a client has no call and no link; its child SAs carry IP.

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
	return g.server.peers[c.p.ID] == c.p && c.p.asking == a
}

// assign decides what a client of tunnel mode that has proved who it is gets.
func (g *logins) assign(now time.Time, p *peer, e ike.Assign) {
	if e.Wants.Transport { // L2TP: PPP asks who it is
		g.server.engine.IKE.Assigned(now, e.Peer, ike.Assignment{OK: true, Transport: true})
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
	g.server.engine.IKE.Assigned(now, c.e.Peer, given)
}

func (c *assignLogin) refused(g *logins, now time.Time, _ *attempt, why access.Refusal) {
	none := why.IsRoom()
	g.server.engine.IKE.Assigned(now, c.e.Peer, ike.Assignment{OK: none, NoAddress: none, Detail: why.String()})
}

// admit makes the session of who has found his place.
func (c *assignLogin) admit(g *logins, now time.Time, a *attempt) (ike.Assignment, access.Refusal) {
	p, t, wants := c.p, a.tenant, c.e.Wants
	if elsewhere, ok := g.server.sentAway(p, t, c.e); ok {
		return elsewhere, access.None
	}
	if !wants.IPv4 && !wants.IPv6 {
		return ike.Assignment{}, access.NoAddress
	}
	s := &session{Session: g.server.engine.Table.NewSession(p.Peer), peer: p, user: a.user, chain: a.chain, own: a.own}
	t.prefer(s.key(), wants.Addr4)
	if old := t.predecessor(p, s.key(), wants); old != nil {
		s.inherit(old)
	} else if why := g.admit(now, s, t, t.grants(s.key(), s.own)); why != access.None {
		return ike.Assignment{}, why
	}
	g.server.engine.OpenTunnelMode(s.Session)
	p.tunnelMode = s
	g.server.add(s)
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
	group, _ := g.server.keys.group(c.e.Tenant)
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
	if l, err := g.server.selector.Select(name, group[0].Name); err == nil { // a name of the certificate
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
