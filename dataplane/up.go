package dataplane

import (
	"encoding/binary"
	"errors"
	"net/netip"
	"time"

	"github.com/culvert-vpn/culvert/dataplane/shed"
	"github.com/culvert-vpn/culvert/dataplane/udp"
	"github.com/culvert-vpn/culvert/esp"
	"github.com/culvert-vpn/culvert/l2tp"
	"github.com/culvert-vpn/culvert/ppp"
	"github.com/culvert-vpn/culvert/tenant/ipkt"
)

// The way up, from a client to its tenant's network:
//
//	datagram -> Classify -> SA by SPI -> Open, at once or with others: see
//	opening.go -> UDP 1701 -> L2TP header
//	-> the session under its own SA -> PPP protocol -> hop.go: policy -> device,
//	another client, or the control loop: see local.go

// datagram takes one datagram of the NAT-T port; sa is the SA that ESP names.
func (w *worker) datagram(m *udp.Message, kind esp.Kind, sa *SA) {
	switch kind {
	case esp.ESP:
		w.sealed(m, sa)
	case esp.IKE:
		w.ike(m, m.Data[4:], true)
	case esp.Keepalive:
	default:
		w.count.drop(DropMalformed)
	}
}

// ike hands an IKE message to the control loop.
func (w *worker) ike(m *udp.Message, data []byte, natt bool) {
	if w.plane.refused.Load().refuses(m.Remote.Addr(), data) {
		w.count.drop(DropBanned)
		return
	}
	w.plane.lastIKE.Store(&shed.Source{Addr: m.Remote.Addr(), At: time.Now()})
	if !w.plane.inbox.fromStranger(w.path(m), natt, data) {
		w.count.drop(DropInboxFull)
	}
}

func (w *worker) path(m *udp.Message) Path {
	return Path{Local: netip.AddrPortFrom(m.Local, w.port), Remote: m.Remote}
}

// sealed opens an ESP packet, or has it wait for others when its SA gains by
// that. Nothing of it is looked at before its ICV is verified.
func (w *worker) sealed(m *udp.Message, sa *SA) {
	if sa == nil {
		w.count.drop(DropUnknownSPI)
		return
	}
	if w.waiting.alone > 0 || !sa.In.SideBySide() {
		w.waiting.alone = max(w.waiting.alone-1, 0)
		job := esp.OpenJob{SA: &sa.In, Packet: m.Data}
		w.waiting.batch.OpenOne(&job)
		w.opened(sa, m, &job)
		return
	}
	w.waiting.add(sa, m)
	if w.waiting.full() {
		w.openWaiting()
	}
}

// opened takes what was in an ESP packet.
func (w *worker) opened(sa *SA, m *udp.Message, j *esp.OpenJob) {
	if j.Err != nil {
		w.count.dropOf(sa.Peer.place(), openCause(j.Err))
		return
	}
	if !w.follow(sa.Peer, m) {
		w.count.dropOf(sa.Peer.place(), DropBanned)
		return
	}
	mark(&sa.Peer.active)
	switch j.NextHeader {
	case protoUDP:
		w.transport(sa, j.Payload)
	case protoIPv4, protoIPv6:
		w.tunnelled(sa, j.Payload)
	case esp.NextHeaderNone:
		w.count.dropOf(sa.Peer.place(), DropDummy)
	default:
		w.count.dropOf(sa.Peer.place(), DropInner)
	}
}

// tunnelled takes an IP packet of a tunnel mode SA. The first may be here before
// the control loop has seen the message that opens the session: it goes the slow
// way, which opens it.
func (w *worker) tunnelled(sa *SA, pkt []byte) {
	if sa.TunnelMode == nil {
		w.count.dropOf(sa.Peer.place(), DropInner)
		return
	}
	b := sa.TunnelMode.bound.Load()
	if (b == nil || b.narrow) && !w.table.takes(sa, pkt) {
		w.count.dropOf(sa.Peer.place(), DropSelector)
		return
	}
	if b != nil {
		w.packet(sa.TunnelMode, pkt)
		return
	}
	if why, ok := w.plane.inbox.fromPeer(Message{Kind: Early, Peer: sa.Peer, Session: sa.TunnelMode}, pkt); !ok {
		w.count.dropOf(sa.Peer.place(), why)
	}
}

func openCause(err error) Cause {
	switch {
	case errors.Is(err, esp.ErrReplay):
		return DropReplay
	case errors.Is(err, esp.ErrAuth):
		return DropAuth
	}
	return DropMalformed
}

// follow tells the control loop when an authenticated packet came from another
// address than the peer's packets go to: its NAT has a new mapping, or it has
// a new network. One such message is on its way at a time. It reports false if
// nobody moves there: the packet does not count.
func (w *worker) follow(p *Peer, m *udp.Message) bool {
	if at := p.at.Load(); at != 0 && at == endpoint64(m.Remote) {
		return true
	}
	r := p.route.Load()
	if r == nil || r.path.Remote == m.Remote {
		return true
	}
	if refused, _ := w.plane.refused.Load().Has(m.Remote.Addr()); refused && r.path.Remote.Addr() != m.Remote.Addr() {
		return false
	}
	if !p.moving.CompareAndSwap(false, true) {
		return true
	}
	if why, ok := w.plane.inbox.fromPeer(Message{Kind: Moved, Peer: p, Path: w.path(m)}, nil); !ok {
		p.moving.Store(false)
		w.count.dropOf(p.place(), why)
	}
	return true
}

// transport takes a UDP datagram of a transport mode SA: L2TP.
func (w *worker) transport(sa *SA, datagram []byte) {
	if len(datagram) < udpHeaderLen {
		w.count.dropOf(sa.Peer.place(), DropInner)
		return
	}
	n := int(binary.BigEndian.Uint16(datagram[4:]))
	if n < udpHeaderLen || n > len(datagram) {
		w.count.dropOf(sa.Peer.place(), DropInner)
		return
	}
	port, payload := binary.BigEndian.Uint16(datagram), datagram[udpHeaderLen:n]
	if !l2tp.IsControl(payload) {
		w.call(sa.Peer, payload)
		return
	}
	if why, ok := w.plane.inbox.fromPeer(Message{Kind: L2TP, Peer: sa.Peer, Port: port}, payload); !ok {
		w.count.dropOf(sa.Peer.place(), why)
	}
}

// call takes an L2TP data message. The session is looked up under the peer
// whose SA the message came in: nobody can name another's call. IP packets
// that overtake the end of the negotiation go the slow way, behind the message
// that opens the link: see Plane.Late.
func (w *worker) call(p *Peer, message []byte) {
	h, frame, err := l2tp.ParseData(message)
	if err != nil {
		w.count.dropOf(p.place(), DropL2TP)
		return
	}
	proto, payload, ok := ppp.ParseFrame(frame)
	if !ok {
		w.count.dropOf(p.place(), DropPPP)
		return
	}
	s := p.session(h.Tunnel, h.Call)
	if s != nil {
		if b := s.bound.Load(); b != nil && b.carries(proto) {
			w.packet(s, payload)
			return
		}
	}
	// A call's first LCP frame may come in the batch of the message that makes
	// the call: the control loop will know it.
	if s == nil && proto != ppp.ProtocolLCP {
		w.count.dropOf(p.place(), DropNoSession)
		return
	}
	m := Message{Kind: PPP, Peer: p, Session: s, Tunnel: h.Tunnel, Call: h.Call}
	if why, ok := w.plane.inbox.fromPeer(m, frame); !ok {
		w.count.dropOf(p.place(), why)
	}
}

// packet takes an IP packet from a session into its tenant's network.
func (w *worker) packet(s *Session, pkt []byte) {
	b, st := s.bound.Load(), s.send.Load()
	if b == nil || st == nil {
		w.count.dropOf(s.place(), DropNoSession)
		return
	}
	ip, err := ipkt.Parse(pkt)
	if err != nil {
		w.count.dropOf(b.port, DropIP)
		return
	}
	if b.host && isAdvertisement(&ip) {
		w.toControl(s, &ip)
		return
	}
	to := b.port.up(w.down, s, b, &ip)
	switch {
	case to.kind == hopControl:
		w.question(s, &ip)
	case to.kind == hopDrop && to.cause == DropSource: // not the session's traffic
		w.count.dropOf(b.port, DropSource)
	default:
		w.forward(s, b.port, to, int(st.mtu), &ip)
	}
}

// forward takes a packet of a session on to where it goes.
func (w *worker) forward(s *Session, p *Port, to hop, mtu int, ip *ipkt.Packet) {
	if ip.Opens() {
		ip.ClampMSS(mtu)
	}
	mark(&s.active)
	w.up.add(&s.Up, len(ip.Bytes))
	switch to.kind {
	case hopDrop:
		w.count.dropOf(p, to.cause)
	case hopClient:
		w.down.hairpin(s, to.session, p, ip)
	default:
		w.given = append(w.given, given{s, p, ip.Bytes})
		w.commit(p, ip.Bytes)
	}
}

// commit hands a packet to the device; it is written at the end of the batch.
func (w *worker) commit(p *Port, pkt []byte) {
	p.writers[w.id].Commit(pkt)
	for _, t := range w.touched {
		if t == p {
			return
		}
	}
	w.touched = append(w.touched, p)
}
