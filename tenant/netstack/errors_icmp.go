package netstack

import (
	"encoding/binary"
	"errors"
	"net/netip"
	"sync"
	"time"

	"golang.org/x/sys/unix"
	"gvisor.dev/gvisor/pkg/buffer"
	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/header"
	"gvisor.dev/gvisor/pkg/tcpip/stack"

	"github.com/culvert-vpn/culvert/tenant/ipkt"
)

// sendError tells a TCP flow's client why it cannot be carried. The packet that
// is quoted is made of what names the flow: ports and sequence number.
func (d *Device) sendError(f *flow, reason ipkt.Reason) {
	id := f.key.id
	transport := make([]byte, header.TCPMinimumSize)
	putWord(transport, id.RemotePort)
	putWord(transport[2:], id.LocalPort)
	binary.BigEndian.PutUint32(transport[4:], f.sequence)
	transport[12], transport[13] = header.TCPMinimumSize/4<<4, uint8(header.TCPFlagSyn)
	d.sendErrorPacket(quote(addrOf(id.RemoteAddress), addrOf(id.LocalAddress), ipkt.ProtocolTCP, transport), reason)
}

// quote makes the IP packet that a client sent around its transport header.
func quote(src, dst netip.Addr, proto uint8, transport []byte) []byte {
	if src.Is4() {
		b := make([]byte, header.IPv4MinimumSize, header.IPv4MinimumSize+len(transport))
		header.IPv4(b).Encode(&header.IPv4Fields{
			TotalLength: uint16(header.IPv4MinimumSize + len(transport)), TTL: replyTTL, Protocol: proto,
			SrcAddr: addressOf(src), DstAddr: addressOf(dst),
		})
		ipkt.SetHeaderChecksum(b)
		return append(b, transport...)
	}
	b := make([]byte, header.IPv6MinimumSize, header.IPv6MinimumSize+len(transport))
	header.IPv6(b).Encode(&header.IPv6Fields{
		PayloadLength: uint16(len(transport)), TransportProtocol: tcpip.TransportProtocolNumber(proto),
		HopLimit: replyTTL, SrcAddr: addressOf(src), DstAddr: addressOf(dst),
	})
	return append(b, transport...)
}

// hopsOf is the TTL or hop limit of a packet.
func hopsOf(pkt *stack.PacketBuffer) uint8 {
	b := pkt.NetworkHeader().Slice()
	if pkt.NetworkProtocolNumber == header.IPv4ProtocolNumber {
		return header.IPv4(b).TTL()
	}
	return header.IPv6(b).HopLimit()
}

// expired reports whether a packet may go no further than here, and tells its
// sender (RFC 1812 section 5.3.1, RFC 8200 section 3): so traceroute sees this
// gateway.
func (d *Device) expired(pkt *stack.PacketBuffer) bool {
	if hopsOf(pkt) > 1 {
		return false
	}
	d.sendErrorAbout(pkt, ipkt.ReasonTTL)
	return true
}

// sendFailed tells a client that this host has no way for a datagram.
func (d *Device) sendFailed(m *mapping, to netip.AddrPort, err error) {
	d.sendRefused(m.holder.client, to.Addr(), err, func() []byte { return quoteUDP(m.client, to, nil) })
}

// sendEchoFailed is sendFailed for an echo.
func (d *Device) sendEchoFailed(e echo, data []byte, err error) {
	d.sendRefused(e.source, e.target, err, func() []byte { return e.packet(data[:min(len(data), maxQuoted)]) })
}

// sendRefused tells a client what stands behind an error of this host, about a
// packet that is made if it is needed.
func (d *Device) sendRefused(client, to netip.Addr, err error, about func() []byte) {
	reason, ok := reasonOf(err)
	mtu := 0
	if errors.Is(err, unix.EMSGSIZE) {
		reason, ok = ipkt.ReasonTooBig, true
	}
	if !ok || !d.errors.admit(client) {
		return
	}
	if reason == ipkt.ReasonTooBig {
		if mtu = pathMTU(to); mtu == 0 {
			return
		}
	}
	p, perr := ipkt.Parse(about())
	if perr == nil {
		d.put(ipkt.AppendError(nil, &p, reason, mtu, d.ownAddr(p.Is4(), to)))
	}
}

// passOn tells a mapping's client what somebody on the way said about a datagram
// of its, in his name. What is about nothing that was sent is not passed on
// (RFC 5508 section 4.2).
func (d *Device) passOn(m *mapping, s *said) {
	if !m.filter.knows(s.about, d.flows.now(), &d.cfg) || !d.errors.admit(m.holder.client) {
		return
	}
	d.sayAs(quoteUDP(m.client, s.about, s.quoted[:s.length]), s)
}

// sayAs sends a client an ICMP error in the words, and in the name, of who said it.
func (d *Device) sayAs(about []byte, s *said) {
	p, err := ipkt.Parse(about)
	if err != nil {
		return
	}
	if s.message.Type == timeExceeded(p.Is4()) {
		setHopsLeft(about, 1)
	}
	by := s.by.Unmap()
	if by.IsLoopback() || by.IsUnspecified() || by.Is4() != p.Is4() {
		by = d.ownAddr(p.Is4(), s.about.Addr())
	}
	d.put(ipkt.AppendMessage(nil, &p, s.message, by))
}

func timeExceeded(is4 bool) uint8 {
	if is4 {
		return uint8(header.ICMPv4TimeExceeded)
	}
	return uint8(header.ICMPv6TimeExceeded)
}

// setHopsLeft sets the TTL or hop limit of a packet that is quoted.
func setHopsLeft(b []byte, hops uint8) {
	if b[0]>>4 == 4 {
		b[8] = hops
		ipkt.SetHeaderChecksum(b[:header.IPv4MinimumSize])
		return
	}
	b[7] = hops
}

// quoteUDP makes the packet of a datagram that a client sent, of which quoted is
// the beginning of the payload.
func quoteUDP(client, to netip.AddrPort, quoted []byte) []byte {
	b := make([]byte, header.UDPMinimumSize, header.UDPMinimumSize+len(quoted))
	putWord(b, client.Port())
	putWord(b[2:], to.Port())
	putWord(b[4:], uint16(len(b)+len(quoted)))
	return quote(client.Addr(), to.Addr(), ipkt.ProtocolUDP, append(b, quoted...))
}

// errorRate bounds the ICMP errors a second that clients are told.
type errorRate struct {
	mu   sync.Mutex
	rate echoRate
}

func (r *errorRate) admit(client netip.Addr) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.rate.admit(client, 0, time.Now())
}

// sendErrorAbout tells a client why its packet is not carried.
func (d *Device) sendErrorAbout(pkt *stack.PacketBuffer, reason ipkt.Reason) {
	if !d.errors.admit(d.clients.of(addrOf(pkt.Network().SourceAddress()))) {
		return
	}
	whole := pkt.ToView()
	defer whole.Release()
	d.sendErrorPacket(append([]byte(nil), whole.AsSlice()...), reason)
}

// sendLate tells a client that the rest of a packet did not come in time.
func (d *Device) sendLate(client netip.Addr, first []byte) {
	p, err := ipkt.Parse(first)
	if err != nil || !d.errors.admit(client) {
		return
	}
	const reassembly = 1 // RFC 792, RFC 4443 section 3.3
	m := ipkt.Message{Type: timeExceeded(p.Is4()), Code: reassembly}
	d.put(ipkt.AppendMessage(nil, &p, m, d.ownAddr(p.Is4(), p.Destination())))
}

func (d *Device) sendErrorPacket(about []byte, reason ipkt.Reason) {
	p, err := ipkt.Parse(about)
	if err != nil {
		return
	}
	d.put(ipkt.AppendError(nil, &p, reason, 0, d.ownAddr(p.Is4(), p.Destination())))
}

// put sends a client a packet; none is none.
func (d *Device) put(b []byte) {
	if len(b) == 0 {
		return
	}
	pkt := stack.NewPacketBuffer(stack.PacketBufferOptions{Payload: buffer.MakeWithData(b)})
	defer pkt.DecRef()
	d.link.queue.put([]*stack.PacketBuffer{pkt})
}

// ownAddr is the gateway address of a family, or other when there is none.
func (d *Device) ownAddr(is4 bool, other netip.Addr) netip.Addr {
	for _, a := range d.cfg.Addresses {
		if a.Addr().Is4() == is4 {
			return a.Addr()
		}
	}
	return other
}

// isOwn reports whether addr is one of the gateway addresses.
func (d *Device) isOwn(addr netip.Addr) bool {
	for _, a := range d.cfg.Addresses {
		if a.Addr() == addr {
			return true
		}
	}
	return false
}

func addressOf(a netip.Addr) tcpip.Address { return tcpip.AddrFromSlice(a.AsSlice()) }
