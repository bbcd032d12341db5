package ike

import (
	"errors"
	"net/netip"
	"slices"
	"time"

	"github.com/culvert-vpn/culvert/ike/suite"
	"github.com/culvert-vpn/culvert/ike/v1"
	"github.com/culvert-vpn/culvert/ike/wire"
)

// Tunnel mode in IKEv1: after extended authentication and mode config, quick modes
// for the address that was given, one for each network behind the server.

var errNotGiven = errors.New("the traffic asked for is not between the address given and a network")

// tunnelled reports whether phase 2 may be about tunnel mode: the user is known,
// and has an address.
func (i *isakmp) tunnelled() bool {
	known := i.user != "" || i.peer.dial != nil && i.peer.dial.config.XAUTH != nil
	return known && i.peer.assignment != nil
}

// tunnelModes are the modes that fit the path.
func (i *isakmp) tunnelModes() []suite.Encapsulation {
	if i.s.config.RawESP && !i.peer.path.NATT {
		return []suite.Encapsulation{suite.Tunnel}
	}
	return []suite.Encapsulation{suite.UDPTunnel, suite.UDPTunnelDraft}
}

// wantsTunnel reports whether an offer is for tunnel mode, whatever else it says.
func (q *quick) wantsTunnel(policy suite.ESPPolicy) bool {
	policy.Encapsulations = []suite.Encapsulation{suite.Tunnel, suite.UDPTunnel, suite.UDPTunnelDraft}
	return q.machine.Choose(policy) == nil
}

// chooseTunnel decides on a request for tunnel mode.
func (q *quick) chooseTunnel(policy suite.ESPPolicy) (v1.Outcome, Cause, error) {
	if !q.i.tunnelled() {
		return v1.Outcome{}, CauseTunnelMode, v1.ErrTunnel
	}
	if !q.i.peer.given(q.machine.Request()) {
		return v1.Outcome{}, CauseTraffic, errNotGiven
	}
	policy.Encapsulations = q.i.tunnelModes()
	if err := q.machine.Choose(policy); err != nil {
		return v1.Outcome{}, CauseNoESPProposal, err
	}
	out, err := q.machine.Reply(q.i.s.allocateSPI().bytes(), nil)
	return out, CauseInternal, err
}

// given reports whether a request is for what the client may have: all traffic
// between its own address and a network of IPv4. IKEv1 cannot narrow it. Where we
// are the client it must be of what we have with the server already: a server that
// narrowed what we asked for names less when it renews it.
func (p *peer) given(r v1.Request) bool {
	own, ok := r.IDci.Addr()
	_, network := r.IDcr.Prefix()
	if p.dial != nil {
		return r.HasIDs && slices.ContainsFunc(p.children, func(c *child) bool {
			return c.tunnel() && c.local.Covers(r.IDcr) && c.remote.Covers(r.IDci)
		})
	}
	whole := r.IDci.Protocol == 0 && r.IDci.Port == 0 && r.IDcr.Protocol == 0 && r.IDcr.Port == 0
	return r.HasIDs && ok && own == p.assignment.IPv4 && network && whole && len(r.IDcr.Data) <= 8
}

// tunnel reports whether the child SA carries whole IP packets.
func (c *child) tunnel() bool { return !c.esp.Encapsulation.IsTransport() }

func sameID(a, b wire.ID) bool {
	x, ok := a.Prefix()
	y, ok2 := b.Prefix()
	return ok && ok2 && x == y && a.Protocol == b.Protocol && a.Port == b.Port
}

// describeTunnel fills in what a user of tunnel mode has to know.
func (c *child) describeTunnel(d *ChildTerms) {
	local, _ := c.local.Prefix()
	remote, _ := c.remote.Prefix()
	d.Local, d.Remote = Selector{Addr: local}, Selector{Addr: remote}
	d.LocalTraffic, d.RemoteTraffic = networkRange(local), networkRange(remote)
	d.Inner = []netip.Addr{c.p.assignment.IPv4}
	d.LocalOriginal, d.RemoteOriginal = netip.Addr{}, netip.Addr{}
}

// networkRange is a network as a traffic selector.
func networkRange(n netip.Prefix) []Range {
	last := n.Addr().AsSlice()
	for bit := n.Bits(); bit < n.Addr().BitLen(); bit++ {
		last[bit/8] |= 0x80 >> (bit % 8)
	}
	to, _ := netip.AddrFromSlice(last)
	return []Range{{From: n.Addr(), To: to, ToPort: 0xffff}}
}

// requestTunnel is the quick mode of the persona for what the IDs say.
func (d *dialler) requestTunnel(spi SPI, own, network wire.ID) v1.QuickConfig {
	persona := d.persona
	persona.ESP = slices.Clone(d.persona.ESP)
	for n := range persona.ESP {
		persona.ESP[n].Group = d.habits.PFS
	}
	return v1.QuickConfig{SPI: spi.bytes(), NonceLen: persona.NonceLen, PFS: d.habits.PFS,
		Offer: persona.OfferESP(spi.bytes(), d.encapsulation(suite.Tunnel, suite.UDPTunnel, suite.UDPTunnelDraft)), IDci: own, IDcr: network}
}

// continueTunnels starts the quick mode for the next of the server's networks.
func (p *peer) continueTunnels(now time.Time) {
	cur := p.current()
	if cur == nil || p.assignment == nil || len(p.dial.networks) == 0 || p.quickUnderWay() {
		return
	}
	next := p.dial.networks[0]
	p.dial.networks = p.dial.networks[1:]
	own := wire.AddrID(p.assignment.IPv4, 0, 0)
	p.launchQuick(now, cur, p.dial.requestTunnel(p.s.allocateSPI(), own, wire.PrefixID(next, 0, 0)), nil)
}
