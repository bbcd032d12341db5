package netstack

import (
	"errors"
	"net/netip"

	"gvisor.dev/gvisor/pkg/buffer"
	"gvisor.dev/gvisor/pkg/tcpip/checksum"
	"gvisor.dev/gvisor/pkg/tcpip/header"
	"gvisor.dev/gvisor/pkg/tcpip/stack"
)

const (
	replyTTL = 64
	dnsPort  = 53
)

// handleUDP takes the datagrams of clients. What it refuses, the stack answers
// with ICMP "port unreachable". It runs in the caller of Flush and does not
// block.
func (d *Device) handleUDP(id stack.TransportEndpointID, pkt *stack.PacketBuffer) bool {
	if d.expired(pkt) {
		return true
	}
	to := netip.AddrPortFrom(addrOf(id.LocalAddress), id.LocalPort)
	if d.reach.Load().Denies(to.Addr()) && !d.hairpinOpen(to) {
		return false
	}
	if !validUDP(id, pkt) {
		return true
	}
	payload, ok := pkt.Data().PullUp(pkt.Data().Size())
	if !ok && pkt.Data().Size() > 0 {
		return true
	}
	m := d.udp.open(netip.AddrPortFrom(addrOf(id.RemoteAddress), id.RemotePort))
	if m == nil {
		return true // one too many
	}
	h, now := heading{to: to, hops: hopsOf(pkt) - 1, whole: isWhole(pkt)}, d.flows.now()
	idle, known := m.filter.sent(to, now, &d.cfg, false)
	if !known {
		d.judge.ask(m, h, payload)
		return true
	}
	m.touch(now, idle)
	m.sender.send(h, payload)
	return true
}

// hairpinOpen reports whether an address is where a client of this device is
// seen from outside, and clients may reach each other (RFC 4787 REQ-9).
func (d *Device) hairpinOpen(to netip.AddrPort) bool {
	if !d.hairpin.Load() {
		return false
	}
	of, hairpin := d.cfg.Ports.hairpins(to)
	return hairpin && of == d.udp
}

// isWhole reports whether a packet is not to be cut on its way: by DF, or in
// IPv6 by having come in one piece.
func isWhole(pkt *stack.PacketBuffer) bool {
	b := pkt.NetworkHeader().Slice()
	if pkt.NetworkProtocolNumber == header.IPv4ProtocolNumber {
		return header.IPv4(b).Flags()&header.IPv4FlagDontFragment != 0
	}
	return header.IPv6(b).NextHeader() != uint8(header.IPv6FragmentExtHdrIdentifier)
}

// validUDP checks length and checksum of a datagram (RFC 768).
func validUDP(id stack.TransportEndpointID, pkt *stack.PacketBuffer) bool {
	hdr := header.UDP(pkt.TransportHeader().Slice())
	if len(hdr) < header.UDPMinimumSize {
		return false
	}
	lengthOK, sumOK := header.UDPValid(hdr, func() uint16 { return pkt.Data().Checksum() }, uint16(pkt.Data().Size()),
		pkt.NetworkProtocolNumber, id.RemoteAddress, id.LocalAddress, pkt.RXChecksumValidated)
	return lengthOK && sumOK
}

// copyAnswers carries datagrams to a mapping's client, and what the host's
// network says about those that the client sent, until the mapping ends.
func (d *Device) copyAnswers(m *mapping, host *receiver) {
	var way udpWay
	defer way.release()
	for {
		buf, n, size, err := host.read()
		switch {
		case errors.Is(err, errSaid):
			d.passOn(m, &host.said)
			continue
		case err != nil:
			return
		}
		now := d.flows.now()
		if idle, ok := m.filter.admits(host.from, now, &d.cfg); ok {
			m.touch(now, idle)
			if way.lead(d.stack, host.from, m.client) {
				d.sendDatagrams(&way, buf[:n], size)
			}
		}
		d.buffers.Put(buf)
	}
}

// udpWay is how datagrams get from a host to a client.
type udpWay struct {
	from, to netip.AddrPort
	route    *stack.Route // nil: none yet
}

// lead makes the way one from and to these, and reports whether there is one.
func (w *udpWay) lead(s *stack.Stack, from, to netip.AddrPort) bool {
	w.to = to
	if w.route != nil && w.from.Addr() == from.Addr() {
		w.from = from
		return true
	}
	w.release()
	route, err := s.FindRoute(nicID, addressOf(from.Addr()), addressOf(to.Addr()), protocolFor(to.Addr()), false)
	if err != nil {
		return false
	}
	w.from, w.route = from, route
	return true
}

func (w *udpWay) release() {
	if w.route != nil {
		w.route.Release()
		w.route = nil
	}
}

// sendDatagrams sends the client datagrams of one size, of which only the last
// may be shorter.
func (d *Device) sendDatagrams(way *udpWay, b []byte, size int) {
	for len(b) > size {
		d.sendDatagram(way, b[:size])
		b = b[size:]
	}
	d.sendDatagram(way, b)
}

// sendDatagram sends one datagram to the client, in fragments if need be.
func (d *Device) sendDatagram(way *udpWay, payload []byte) {
	route := way.route
	pkt := stack.NewPacketBuffer(stack.PacketBufferOptions{
		ReserveHeaderBytes: header.UDPMinimumSize + int(route.MaxHeaderLength()),
		Payload:            buffer.MakeWithData(payload),
	})
	defer pkt.DecRef()
	pkt.TransportProtocolNumber = header.UDPProtocolNumber
	length := uint16(header.UDPMinimumSize + len(payload))
	hdr := header.UDP(pkt.TransportHeader().Push(header.UDPMinimumSize))
	hdr.Encode(&header.UDPFields{SrcPort: way.from.Port(), DstPort: way.to.Port(), Length: length})
	sum := route.PseudoHeaderChecksum(header.UDPProtocolNumber, length)
	sum = ^hdr.CalculateChecksum(checksum.Checksum(payload, sum))
	if sum == 0 {
		sum = 0xffff
	}
	hdr.SetChecksum(sum)
	route.WritePacket(stack.NetworkHeaderParams{Protocol: header.UDPProtocolNumber, TTL: replyTTL}, pkt)
}
