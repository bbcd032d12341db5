package dataplane

import (
	"encoding/binary"
	"net/netip"
	"sync/atomic"

	"github.com/culvert-vpn/culvert/esp"
	"github.com/culvert-vpn/culvert/tenant/ipkt"
)

// Range is one traffic selector (RFC 7296, section 3.13.1).
type Range struct {
	From, To         netip.Addr // both included, of one family
	Protocol         uint8      // IP protocol; 0: any
	FromPort, ToPort uint16     // both included; 0 to 65535: any
}

// Selectors are the traffic that an SA in tunnel mode was negotiated for: packets
// between a range of ours and one of the peer's. They never change.
type Selectors struct{ Local, Remote []Range }

// lets reports whether the SA is for a packet to the peer, or, with arrives, for one
// from it. What is no IP packet is not.
func (s *Selectors) lets(pkt []byte, arrives bool) bool {
	ip, err := ipkt.Parse(pkt)
	if err != nil {
		return false
	}
	from, to := ports(&ip)
	if arrives {
		return holds(s.Remote, ip.Source(), ip.Protocol, from) && holds(s.Local, ip.Destination(), ip.Protocol, to)
	}
	return holds(s.Local, ip.Source(), ip.Protocol, from) && holds(s.Remote, ip.Destination(), ip.Protocol, to)
}

// anyPort is the port of a packet that has none, or does not show it, as a fragment
// does not: without the first one it is worth nothing.
const anyPort = -1

// ports are those of the source and the destination; of ICMP the type and the code
// stand for both (RFC 4301, section 4.4.1.1).
func ports(ip *ipkt.Packet) (from, to int) {
	const udp, tcp, icmp, sctp, icmp6 = 17, 6, 1, 132, 58
	b := ip.Payload()
	switch {
	case ip.Offset != 0 || len(b) < 4:
	case ip.Protocol == udp || ip.Protocol == tcp || ip.Protocol == sctp:
		return int(binary.BigEndian.Uint16(b)), int(binary.BigEndian.Uint16(b[2:]))
	case ip.Protocol == icmp || ip.Protocol == icmp6:
		n := int(binary.BigEndian.Uint16(b))
		return n, n
	}
	return anyPort, anyPort
}

// holds reports whether one of the ranges has the address, the protocol and the port.
func holds(list []Range, a netip.Addr, protocol uint8, port int) bool {
	for i := range list {
		r := &list[i]
		if (r.Protocol == 0 || r.Protocol == protocol) && a.BitLen() == r.From.BitLen() && r.From.Compare(a) <= 0 && a.Compare(r.To) <= 0 &&
			(port == anyPort || int(r.FromPort) <= port && port <= int(r.ToPort)) {
			return true
		}
	}
	return false
}

// takes reports whether a packet that came in an SA may have come in it. The caller
// holds the table's lock.
func (t *saTable) takes(sa *SA, pkt []byte) bool {
	only := t.narrow[sa]
	return only == nil || only.lets(pkt, true)
}

// limit notes what an SA is for, until it is forgotten.
func (t *saTable) limit(sa *SA, only *Selectors) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.narrow == nil {
		t.narrow = make(map[*SA]*Selectors)
	}
	t.narrow[sa] = only
}

// AddNarrowSA is AddSA of an SA of tunnel mode that is for some packets only. From then
// on each packet of its session costs a look whether its SA is for it; those of other
// sessions cost nothing.
func (p *Plane) AddNarrowSA(spi esp.SPI, sa *SA, only *Selectors) {
	if s := sa.TunnelMode; s != nil && s.marks&markNarrow == 0 {
		s.marks |= markNarrow
		if s.port != nil {
			s.attach(s.port, s.link, s.isAny())
		}
	}
	for _, w := range p.workers {
		if w.natt {
			w.table.limit(sa, only)
		}
	}
	p.AddSA(spi, sa)
}

// toward is the SA of a packet in tunnel mode: usual, or, where SAs are for some
// packets only, the first that is for this one; nil: none.
func (r *wayOut) toward(pkt []byte, usual *esp.Outbound) *esp.Outbound {
	if !r.divided {
		return usual
	}
	for i := range r.ways {
		if w := &r.ways[i]; w.Selectors == nil || w.Selectors.lets(pkt, false) {
			return w.Out
		}
	}
	return nil
}

// Trial is how many bytes may still be sent to a peer on paths on which it has not
// shown that it receives. One belongs to a peer, whatever path it is on: whoever moves
// to and fro gets no more by that. The control loop fills it, senders take from it.
type Trial struct{ left atomic.Int64 }

// Fill makes it that many bytes.
func (t *Trial) Fill(bytes int64) { t.left.Store(bytes) }

// take reports whether n bytes more may be sent.
func (t *Trial) take(n int) bool {
	return t.left.Load() > 0 && t.left.Add(-int64(n)) > -int64(n)
}
