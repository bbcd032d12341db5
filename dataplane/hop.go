package dataplane

import (
	"net/netip"

	"github.com/culvert-vpn/culvert/tenant"
	"github.com/culvert-vpn/culvert/tenant/ipkt"
	"github.com/culvert-vpn/culvert/tenant/policy"
)

// This is the one place that says where a packet goes: from a client, into its
// tenant's network, to another client of the tenant, to the control loop, or nowhere;
// and from the network to a client, or nowhere. What the tenant allows is said by its
// policy.Rules, which are asked here and nowhere else.

// hopKind is a place that a packet may go to.
type hopKind uint8

const (
	hopDrop    hopKind = iota // nowhere
	hopDevice                 // into the tenant's network
	hopClient                 // to a client
	hopControl                // to the control loop: it is for our end of the link
)

// hop is where a packet goes.
type hop struct {
	kind    hopKind
	cause   Cause    // why it is dropped
	session *Session // whose client it goes to
}

// SetRules has the packets of the port judged by other rules from now on.
func (p *Port) SetRules(r *policy.Rules) {
	p.flows.SetRules(r)
	p.rules.Store(r)
}

// SetFlows has a session have at most so many flows from now on, where there are rules of
// them.
func (p *Port) SetFlows(most int) { p.flows.SetMost(most) }

// Notes returns the flows to tell of since it was last called; see policy.Flows.
func (p *Port) Notes(room bool) (told []policy.Note, untold uint64) { return p.flows.Notes(room) }

// up says where a packet of a client goes. The caller holds no lock; its sender knows the
// time.
func (p *Port) up(s *sender, from *Session, b *binding, ip *ipkt.Packet) hop {
	rules := p.rules.Load()
	verdict := rules.Judge(policy.Up, &b.subject, ip)
	switch {
	case verdict == policy.Source:
		return hop{cause: DropSource}
	case !b.subject.IsAnybody() && b.forLink(ip):
		return hop{kind: hopControl}
	case verdict == policy.Network:
		return p.flow(rules, s, from.party, nil, ip, hop{kind: hopDevice})
	case verdict == policy.Client:
		return p.across(rules, s, from, ip)
	}
	return hop{cause: causeOf(verdict)}
}

// flow says whether a packet goes where it may, as far as the policy of flows is asked. from
// and to are the sessions at its ends; nil: the tenant's network.
func (p *Port) flow(rules *policy.Rules, s *sender, from, to *policy.Party, ip *ipkt.Packet, there hop) hop {
	if !rules.Asks() {
		return there
	}
	d := p.flows.Judge(s.time(), from, to, ip)
	switch {
	case d.Allow:
		return there
	case d.Why == policy.NoFlow:
		return hop{cause: DropNoFlow}
	case d.Why == policy.Crafted:
		return hop{cause: DropCrafted}
	}
	return hop{cause: DropDenied}
}

// across says where a packet of a client goes that is for another: into the network
// where nobody has the address.
func (p *Port) across(rules *policy.Rules, s *sender, from *Session, ip *ipkt.Packet) hop {
	p.routes.mu.RLock()
	to := p.routes.exact(ip.Destination())
	p.routes.mu.RUnlock()
	switch to {
	case nil:
		return p.flow(rules, s, from.party, nil, ip, hop{kind: hopDevice})
	case from:
		return hop{cause: DropNeighbour} // to itself: it would come back for as long as it lives
	}
	return p.toward(rules, s, from.party, to, ip)
}

// down says where a packet of the network goes that has an address of a session; to may
// be nil.
func (p *Port) down(s *sender, to *Session, ip *ipkt.Packet) hop {
	if to == nil {
		return hop{cause: DropNoRoute}
	}
	rules := p.rules.Load()
	if rules.OfClients(ip) && p.routes.exact(ip.Source()) != nil {
		return hop{cause: DropSource} // its client sends by us, and not from there
	}
	return p.toward(rules, s, nil, to, ip)
}

// toward says whether a packet goes to a client; from is whose it is, nil: of the network.
func (p *Port) toward(rules *policy.Rules, s *sender, from *policy.Party, to *Session, ip *ipkt.Packet) hop {
	var who *policy.Subject
	b := to.bound.Load()
	if b != nil {
		who = &b.subject
	}
	if verdict := rules.Judge(policy.Down, who, ip); verdict != policy.Deliver {
		return hop{cause: causeOf(verdict)}
	}
	there := hop{kind: hopClient, session: to}
	if b == nil {
		if rules.Asks() {
			return hop{cause: DropNoRoute} // it is not open yet, or no more
		}
		return there
	}
	return p.flow(rules, s, from, to.party, ip, there)
}

// causeOf is why a packet is dropped that the rules let go nowhere.
func causeOf(v policy.Verdict) Cause {
	switch v {
	case policy.Source:
		return DropSource
	case policy.Neighbour:
		return DropNeighbour
	}
	return DropDenied
}

// hairpin turns a packet round, from one client of a tenant to another. What does
// not fit is fragmented, or answered: see downlink.tooBig.
func (s *sender) hairpin(from, to *Session, p *Port, ip *ipkt.Packet) {
	st := to.send.Load()
	if st == nil {
		s.count.dropOf(p, DropNoRoute)
		return
	}
	if len(ip.Bytes) > int(st.mtu) && ip.DontFragment() {
		s.count.dropOf(p, DropTooBig)
		s.answer(from, p, ip, int(st.mtu))
		return
	}
	ip.ClampMSS(int(st.mtu))
	mark(&to.active)
	buf := s.room(len(ip.Bytes))
	copy(buf[tenant.Headroom:], ip.Bytes)
	if len(ip.Bytes) <= int(st.mtu) {
		s.down.add(&to.Down, len(ip.Bytes))
		s.session(to, st, buf, tenant.Headroom)
		return
	}
	cut := ipkt.Fragment(buf, tenant.Headroom, int(st.mtu), func(buf []byte, off int) {
		s.down.add(&to.Down, len(buf)-off)
		s.session(to, st, buf, off)
	})
	if !cut {
		s.count.dropOf(p, DropTooBig)
	}
}

// room returns the sender's buffer for a packet of n bytes that is its own, with
// what the way down needs around it.
func (s *sender) room(n int) []byte {
	if all := tenant.Headroom + n + tenant.Tailroom; len(s.turn) < all {
		s.turn = make([]byte, max(all, tenant.Headroom+sealedLimit+tenant.Tailroom))
	}
	return s.turn[:tenant.Headroom+n]
}

// answer tells a client that its packet is larger than what another one's path
// carries.
func (s *sender) answer(to *Session, p *Port, ip *ipkt.Packet, mtu int) {
	st, from := to.send.Load(), p.own(ip)
	if st == nil || !from.IsValid() {
		return
	}
	buf := s.room(ipkt.ErrorLen)[:tenant.Headroom]
	if buf = ipkt.AppendError(buf, ip, ipkt.ReasonTooBig, mtu, from); len(buf) > tenant.Headroom {
		s.session(to, st, buf, tenant.Headroom)
	}
}

// own is the gateway's address of a packet's family; invalid: there is none.
func (p *Port) own(ip *ipkt.Packet) netip.Addr {
	if ip.Is4() {
		return p.gateway
	}
	return p.gateway6
}
