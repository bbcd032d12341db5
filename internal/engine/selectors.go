package engine

import (
	"cmp"
	"maps"
	"net/netip"
	"slices"
	"time"

	"github.com/culvert-vpn/culvert/dataplane"
	"github.com/culvert-vpn/culvert/ike"
)

// selectors are what a child SA of tunnel mode is for; nil: for all that its client may
// send and be sent, as most are, for the source of each packet is looked at anyway.
func selectors(c *ike.ChildTerms, dialled bool) *dataplane.Selectors {
	network, client := c.LocalTraffic, c.RemoteTraffic
	if dialled {
		network, client = client, network
	}
	if c.Transport || len(network) == 0 || len(client) == 0 || !slices.ContainsFunc(c.Inner, func(a netip.Addr) bool {
		return !everywhere(network, a) || !covers(client, a, a)
	}) {
		return nil
	}
	return &dataplane.Selectors{Local: ranges(c.LocalTraffic), Remote: ranges(c.RemoteTraffic)}
}

// everywhere reports whether the ranges are all of the family of a.
func everywhere(list []ike.Range, a netip.Addr) bool {
	from, to := netip.IPv4Unspecified(), netip.AddrFrom4([4]byte{255, 255, 255, 255})
	if !a.Is4() {
		last := [16]byte{}
		for i := range last {
			last[i] = 0xff
		}
		from, to = netip.IPv6Unspecified(), netip.AddrFrom16(last)
	}
	return covers(list, from, to)
}

// covers reports whether one of the ranges has all traffic of those addresses.
func covers(list []ike.Range, from, to netip.Addr) bool {
	return slices.ContainsFunc(list, func(r ike.Range) bool {
		return r.Protocol == 0 && r.FromPort == 0 && r.ToPort == 0xffff && r.From.BitLen() == from.BitLen() &&
			r.From.Compare(from) <= 0 && to.Compare(r.To) <= 0
	})
}

func ranges(list []ike.Range) []dataplane.Range {
	out := make([]dataplane.Range, 0, len(list))
	for _, r := range list {
		out = append(out, dataplane.Range(r))
	}
	return out
}

// Ways are the child SAs of a client in tunnel mode if one of them is not for
// everything: the newest for the same traffic, those for the smallest networks first.
// Each side takes only what an SA is for.
func (p *Peer) Ways() []dataplane.Way {
	if p.TunnelMode == nil {
		return nil
	}
	list := make([]*Child, 0, len(p.Children))
	for _, c := range p.Children {
		if c.active && !c.Transport {
			list = append(list, c)
		}
	}
	// What is being replaced still receives, for networks that need not be those of what replaces it: a
	// peer may answer a renewal with others. Nothing is sent in it.
	list = slices.DeleteFunc(list, func(c *Child) bool {
		return c != p.Current && slices.ContainsFunc(slices.Collect(maps.Values(p.Children)), func(o *Child) bool { return o.active && o.Replaces == c.In })
	})
	if !slices.ContainsFunc(list, func(c *Child) bool { return c.Only != nil }) {
		return nil
	}
	slices.SortFunc(list, func(a, b *Child) int {
		small := cmp.Compare(b.Local.Addr.Bits()+b.Remote.Addr.Bits(), a.Local.Addr.Bits()+a.Remote.Addr.Bits())
		return cmp.Or(small, cmp.Compare(b.used, a.used))
	})
	ways := make([]dataplane.Way, 0, len(list))
	for n, c := range list {
		if !slices.ContainsFunc(list[:n], c.sameTraffic) {
			ways = append(ways, dataplane.Way{Selectors: c.Only, Out: c.Out})
		}
	}
	return ways
}

// sameTraffic reports whether two child SAs are for the same packets.
func (c *Child) sameTraffic(o *Child) bool {
	return slices.Equal(c.LocalTraffic, o.LocalTraffic) && slices.Equal(c.RemoteTraffic, o.RemoteTraffic)
}

// Until a client that has moved has answered from where it is, it may be somebody else
// who gets what the client has us send: no more than trialBytes, and as much again only
// after trialTime, however often it moves.
const (
	trialBytes = 4 << 20
	trialTime  = time.Minute
)

// trial is what may be sent on trial, and when that was filled.
type trial struct {
	dataplane.Trial
	at time.Time
}

// tried is what may be sent to a peer where it has not answered yet; nil: everything.
func (p *Peer) tried() *dataplane.Trial {
	if !p.unproven {
		return nil
	}
	return &p.trial.Trial
}

// onTrial notes whether a peer has answered where it is.
func (p *Peer) onTrial(now time.Time, unproven bool) {
	if unproven && p.trial == nil {
		p.trial = &trial{}
	}
	if unproven && now.Sub(p.trial.at) >= trialTime {
		p.trial.at = now
		p.trial.Fill(trialBytes)
	}
	p.unproven = unproven
}
