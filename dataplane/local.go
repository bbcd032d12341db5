package dataplane

import (
	"encoding/binary"
	"net/netip"

	"github.com/culvert-vpn/culvert/ppp"
	"github.com/culvert-vpn/culvert/tenant"
	"github.com/culvert-vpn/culvert/tenant/ipkt"
	"github.com/culvert-vpn/culvert/tenant/policy"
)

// Some packets of a client are for the other end of its link and not for the
// tenant's network: DHCPINFORM, router and neighbour solicitations, DHCPv6.
// They go to the control loop, which answers with SendIP.

// The ports of DHCP servers (RFC 2131 section 4.1, RFC 8415 section 7.2), and
// the ICMPv6 messages of a host to its router.
const (
	portDHCP  = 67
	portDHCP6 = 547

	echoRequest6          = 128
	routerSolicitation    = 133
	routerAdvertisement   = 134
	neighbourSolicitation = 135
)

// carries reports whether the session is open for packets of that protocol.
func (b *binding) carries(proto ppp.Protocol) bool {
	switch proto {
	case ppp.ProtocolIPv4:
		return b.subject.Has4()
	case ppp.ProtocolIPv6:
		return b.subject.Has6()
	}
	return false
}

// forLink reports whether a packet is for our end of the link.
func (b *binding) forLink(ip *ipkt.Packet) bool {
	if !ip.Is4() {
		return policy.IsLink(ip.Bytes[8:24]) || isLinkDestination(ip.Bytes[24:40])
	}
	if ip.Protocol != ipkt.ProtocolUDP || ip.Offset != 0 || destinationPort(ip) != portDHCP {
		return false
	}
	dst := ip.Destination()
	return dst == b.port.gateway || dst == netip.AddrFrom4([4]byte{255, 255, 255, 255})
}

// isLinkDestination: link-local, or a group of the link's or the interface's
// scope (RFC 4291 section 2.7).
func isLinkDestination(a []byte) bool {
	return a[0] == 0xfe && a[1]&0xc0 == 0x80 || a[0] == 0xff && a[1]&0x0f <= 2
}

func destinationPort(ip *ipkt.Packet) uint16 {
	if b := ip.Payload(); len(b) >= udpHeaderLen {
		return binary.BigEndian.Uint16(b[2:])
	}
	return 0
}

// isQuestion reports whether the control loop may have an answer to a packet
// for our end of the link. Hosts send much else there, as mDNS, that nobody
// listens to.
func isQuestion(ip *ipkt.Packet) bool {
	switch b := ip.Payload(); {
	case ip.Fragment():
		return false
	case ip.Protocol == ipkt.ProtocolUDP:
		return ip.Is4() || destinationPort(ip) == portDHCP6
	case ip.Protocol == ipkt.ProtocolICMPv6 && len(b) > 0:
		return b[0] == routerSolicitation || b[0] == neighbourSolicitation || b[0] == echoRequest6
	}
	return false
}

// isAdvertisement reports whether a packet is a router's advertisement.
func isAdvertisement(ip *ipkt.Packet) bool {
	b := ip.Payload()
	return !ip.Is4() && ip.Protocol == ipkt.ProtocolICMPv6 && !ip.Fragment() && len(b) > 0 && b[0] == routerAdvertisement
}

// question hands a packet for our end of the link to the control loop.
func (w *worker) question(s *Session, ip *ipkt.Packet) {
	if !isQuestion(ip) {
		w.count.dropOf(s.place(), DropLink)
		return
	}
	w.toControl(s, ip)
}

// toControl hands a packet of a session to the control loop.
func (w *worker) toControl(s *Session, ip *ipkt.Packet) {
	if why, ok := w.plane.inbox.fromPeer(Message{Kind: Link, Peer: s.peer, Session: s}, ip.Bytes); !ok {
		w.count.dropOf(s.place(), why)
	}
}

// SendIP sends an IP packet of ours in the session. It leaves at the next Flush.
func (p *Plane) SendIP(s *Session, packet []byte) error {
	st := s.send.Load()
	if st == nil || len(packet) == 0 {
		return ErrNoRoute
	}
	if len(packet) > min(int(st.mtu), sealedLimit-tenant.Headroom) {
		return ErrTooLong
	}
	p.plain = append(append(p.plain[:0], make([]byte, tenant.Headroom)...), packet...)
	p.control.session(s, st, p.plain, tenant.Headroom)
	return nil
}
