package netstack

import (
	"context"
	"errors"
	"sync"
	"time"

	"golang.org/x/sys/unix"
	"gvisor.dev/gvisor/pkg/buffer"
	"gvisor.dev/gvisor/pkg/tcpip/checksum"
	"gvisor.dev/gvisor/pkg/tcpip/header"
	"gvisor.dev/gvisor/pkg/tcpip/stack"

	"github.com/culvert-vpn/culvert/tenant/ipkt"
)

const (
	// maxPending is how many datagrams wait while a flow's socket is made.
	maxPending = 16
	replyTTL   = 64
	dnsPort    = 53
)

// udpFlow is a UDP flow: the host's socket, connected to the destination.
type udpFlow struct {
	mu      sync.Mutex
	pending [][]byte // before there is a socket
	sender  *sender  // nil before
}

// handleUDP takes the datagrams of clients. What it refuses, the stack answers
// with ICMP "port unreachable". It runs in the caller of Flush and does not
// block.
func (d *Device) handleUDP(id stack.TransportEndpointID, pkt *stack.PacketBuffer) bool {
	if d.reach.Denies(addrOf(id.LocalAddress)) {
		return false
	}
	if !validUDP(pkt) {
		return true
	}
	payload, ok := pkt.Data().PullUp(pkt.Data().Size())
	if !ok && pkt.Data().Size() > 0 {
		return true
	}
	idle := d.cfg.UDPIdle
	if id.LocalPort == dnsPort {
		idle = d.cfg.DNSIdle
	}
	f, fresh := d.flows.open(flowKey{id: id}, idle)
	if f == nil {
		return true // one too many
	}
	if fresh {
		go d.runUDP(f)
	}
	f.touch()
	f.udp.send(payload)
	return true
}

// validUDP checks length and checksum of a datagram (RFC 768).
func validUDP(pkt *stack.PacketBuffer) bool {
	hdr := header.UDP(pkt.TransportHeader().Slice())
	if len(hdr) < header.UDPMinimumSize {
		return false
	}
	ip := pkt.Network()
	lengthOK, sumOK := header.UDPValid(hdr, func() uint16 { return pkt.Data().Checksum() }, uint16(pkt.Data().Size()),
		pkt.NetworkProtocolNumber, ip.SourceAddress(), ip.DestinationAddress(), pkt.RXChecksumValidated)
	return lengthOK && sumOK
}

// send sends a datagram, or keeps a copy of it until there is a socket.
func (u *udpFlow) send(b []byte) {
	u.mu.Lock()
	defer u.mu.Unlock()
	switch {
	case u.sender != nil:
		u.sender.send(b)
	case len(u.pending) < maxPending:
		u.pending = append(u.pending, append([]byte(nil), b...))
	}
}

// connected sends what waited for the socket.
func (u *udpFlow) connected(s *sender) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.sender = s
	for _, b := range u.pending {
		s.send(b)
	}
	s.flush()
	u.pending = nil
}

// runUDP makes the flow's socket and carries answers back until the flow ends.
// It is a goroutine a flow.
func (d *Device) runUDP(f *flow) {
	defer d.flows.end(f)
	ctx, cancel := context.WithTimeout(f.ctx, d.cfg.HandshakeTimeout)
	conn, err := d.cfg.DialContext(ctx, "udp", destination(f.key.id))
	cancel()
	if err != nil {
		if reason, ok := reasonOf(err); ok {
			d.sendError(f, reason)
		}
		return
	}
	defer conn.Close()
	defer context.AfterFunc(f.ctx, func() { conn.SetDeadline(time.Unix(1, 0)) })()
	host := newHostConn(conn, &d.buffers)
	f.udp.connected(newSender(host, &d.link.outbox))
	d.copyAnswers(f, newReceiver(host))
}

// copyAnswers carries datagrams to the client; ICMP errors that the host's
// socket reports are told the client and do not end the flow.
func (d *Device) copyAnswers(f *flow, host *receiver) {
	id := f.key.id
	route, terr := d.stack.FindRoute(nicID, id.LocalAddress, id.RemoteAddress, protocolFor(f.source), false)
	if terr != nil {
		return
	}
	defer route.Release()
	for f.ctx.Err() == nil {
		buf, n, size, err := host.read()
		switch {
		case err == nil:
			f.touch()
			d.sendDatagrams(route, id, buf[:n], size)
			d.buffers.Put(buf)
		case errors.Is(err, unix.ECONNREFUSED):
			d.sendError(f, ipkt.ReasonPort)
		case errors.Is(err, unix.EHOSTUNREACH):
			d.sendError(f, ipkt.ReasonHost)
		default:
			return
		}
	}
}

// sendDatagrams sends the client datagrams of one size, of which only the last
// may be shorter.
func (d *Device) sendDatagrams(route *stack.Route, id stack.TransportEndpointID, b []byte, size int) {
	for len(b) > size {
		d.sendDatagram(route, id, b[:size])
		b = b[size:]
	}
	d.sendDatagram(route, id, b)
}

// sendDatagram sends one datagram to the client, in fragments if need be.
func (d *Device) sendDatagram(route *stack.Route, id stack.TransportEndpointID, payload []byte) {
	pkt := stack.NewPacketBuffer(stack.PacketBufferOptions{
		ReserveHeaderBytes: header.UDPMinimumSize + int(route.MaxHeaderLength()),
		Payload:            buffer.MakeWithData(payload),
	})
	defer pkt.DecRef()
	pkt.TransportProtocolNumber = header.UDPProtocolNumber
	length := uint16(header.UDPMinimumSize + len(payload))
	hdr := header.UDP(pkt.TransportHeader().Push(header.UDPMinimumSize))
	hdr.Encode(&header.UDPFields{SrcPort: id.LocalPort, DstPort: id.RemotePort, Length: length})
	sum := route.PseudoHeaderChecksum(header.UDPProtocolNumber, length)
	sum = ^hdr.CalculateChecksum(checksum.Checksum(payload, sum))
	if sum == 0 {
		sum = 0xffff
	}
	hdr.SetChecksum(sum)
	route.WritePacket(stack.NetworkHeaderParams{Protocol: header.UDPProtocolNumber, TTL: replyTTL}, pkt)
}
