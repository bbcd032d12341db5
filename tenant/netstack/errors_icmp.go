package netstack

import (
	"encoding/binary"
	"net/netip"

	"gvisor.dev/gvisor/pkg/buffer"
	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/header"
	"gvisor.dev/gvisor/pkg/tcpip/stack"

	"github.com/culvert-vpn/culvert/tenant/ipkt"
)

// sendError tells a flow's client why it cannot be carried. The packet that is
// quoted is made of what names the flow: ports, and TCP's sequence number.
func (d *Device) sendError(f *flow, reason ipkt.Reason) {
	id := f.key.id
	transport := make([]byte, 8, header.TCPMinimumSize)
	putWord(transport, id.RemotePort)
	putWord(transport[2:], id.LocalPort)
	proto := uint8(ipkt.ProtocolUDP)
	if f.key.tcp {
		proto = ipkt.ProtocolTCP
		transport = transport[:header.TCPMinimumSize]
		binary.BigEndian.PutUint32(transport[4:], f.sequence)
		transport[12], transport[13] = header.TCPMinimumSize/4<<4, uint8(header.TCPFlagSyn)
	} else {
		putWord(transport[4:], uint16(len(transport)))
	}
	d.sendErrorPacket(quote(addrOf(id.RemoteAddress), addrOf(id.LocalAddress), proto, transport), reason)
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

// sendErrorAbout tells a client why its packet is not carried.
func (d *Device) sendErrorAbout(pkt *stack.PacketBuffer, reason ipkt.Reason) {
	whole := pkt.ToView()
	defer whole.Release()
	d.sendErrorPacket(append([]byte(nil), whole.AsSlice()...), reason)
}

func (d *Device) sendErrorPacket(about []byte, reason ipkt.Reason) {
	p, err := ipkt.Parse(about)
	if err != nil {
		return
	}
	b := ipkt.AppendError(nil, &p, reason, 0, d.ownAddr(p.Is4(), p.Destination()))
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
