package dataplane

import (
	"encoding/binary"
	"net/netip"

	"github.com/culvert-vpn/culvert/tenant"
	"github.com/culvert-vpn/culvert/tenant/ipkt"
)

// This is the one place that says where a packet goes: from a client, into its
// tenant's network, to another client of the tenant, or nowhere; and from the
// network to a client, or nowhere.
//
// Clients of one tenant are closed to each other unless the tenant opens them.
// That takes two looks: at the destination of what a client sends, and at the
// source of what the network sends, for a network with routes of its own, as the
// kernel has them, would turn such a packet round. Either is closed by the range
// and not by the session, so that nobody finds out who is there.

// prefix4 is an IPv4 prefix as numbers.
type prefix4 struct{ base, mask uint32 }

// addressRange is which addresses are of clients.
type addressRange struct {
	four []prefix4
	six  []netip.Prefix
}

func newRange(prefixes []netip.Prefix) (r addressRange) {
	for _, p := range prefixes {
		if p.Addr().Is6() {
			r.six = append(r.six, p.Masked())
			continue
		}
		mask := ^uint32(0) << (32 - p.Bits())
		r.four = append(r.four, prefix4{ipv4Of(p.Addr()) & mask, mask})
	}
	return r
}

// source and destination report whether an address of a packet is a client's.
func (r *addressRange) source(ip *ipkt.Packet) bool { return r.has(ip, 12, 8) }

func (r *addressRange) destination(ip *ipkt.Packet) bool { return r.has(ip, 16, 24) }

// has looks at the address that is at one offset in IPv4, at another in IPv6.
func (r *addressRange) has(ip *ipkt.Packet, at4, at6 int) bool {
	if ip.Is4() {
		addr := binary.BigEndian.Uint32(ip.Bytes[at4:])
		for _, p := range r.four {
			if addr&p.mask == p.base {
				return true
			}
		}
		return false
	}
	for _, p := range r.six {
		if p.Contains(netip.AddrFrom16([16]byte(ip.Bytes[at6:]))) {
			return true
		}
	}
	return false
}

// ClientToClient lets the clients of the port reach each other, or no longer.
func (p *Port) ClientToClient(open bool) { p.open.Store(open) }

// isOurs reports whether an address is the gateway's own.
func (p *Port) isOurs(a netip.Addr) bool { return a == p.gateway || a == p.gateway6 }

// up says where a packet of a client goes: to another one, or into the network if
// that is nil; not ok: nowhere. The caller holds no lock.
func (p *Port) up(from *Session, ip *ipkt.Packet) (to *Session, ok bool) {
	if !p.clients.destination(ip) || p.isOurs(ip.Destination()) {
		return nil, true
	}
	if !p.open.Load() {
		return nil, false
	}
	p.routes.mu.RLock()
	defer p.routes.mu.RUnlock()
	to = p.routes.exact(ip.Destination())
	return to, to != from // to itself: it would come back for as long as it lives
}

// down reports whether a packet of the network may go to a client.
func (p *Port) down(ip *ipkt.Packet) bool {
	return p.open.Load() || !p.clients.source(ip) || p.isOurs(ip.Source())
}

// hop carries a packet of a client on.
func (w *worker) hop(s *Session, p *Port, ip *ipkt.Packet) {
	to, ok := p.up(s, ip)
	switch {
	case !ok:
		w.count.drop(DropNeighbour)
	case to != nil:
		w.down.hairpin(s, to, p, ip)
	case p.denied != nil && p.denied.Denies(ip.Destination()):
		w.count.drop(DropDenied)
	default:
		w.given = append(w.given, given{s, p, ip.Bytes})
		w.commit(p, ip.Bytes)
	}
}

// hairpin turns a packet round, from one client of a tenant to another. What does
// not fit is fragmented, or answered: see downlink.tooBig.
func (s *sender) hairpin(from, to *Session, p *Port, ip *ipkt.Packet) {
	st := to.send.Load()
	if st == nil {
		s.count.drop(DropNoRoute)
		return
	}
	if len(ip.Bytes) > int(st.mtu) && ip.DontFragment() {
		s.count.drop(DropTooBig)
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
		s.count.drop(DropTooBig)
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
