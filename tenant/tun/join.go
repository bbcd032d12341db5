package tun

import (
	"encoding/binary"

	"golang.org/x/sys/unix"

	"github.com/culvert-vpn/culvert/tenant/ipkt"
)

const (
	maxJoined = 64 // packets in one piece; the kernel takes 64 UDP segments
	ipv4DF    = 0x40
)

// piece is a run of packets of one flow that the kernel takes as one.
type piece struct {
	packets   [][]byte // of the batch
	headerLen int      // of IP and transport headers
	transport int      // offset of the transport header
	size      int      // payload of every packet but the last, which may have less
	total     int      // payload of all
	udp       bool
	closed    bool // nothing may follow
}

// joinable looks whether a packet may be part of a piece: TCP data with no flag
// but ACK and PSH, or a UDP datagram with a checksum when uso is granted.
func joinable(b []byte, uso bool) (piece, bool) {
	p, err := ipkt.Parse(b)
	if err != nil || p.Fragment() || len(p.Bytes) != len(b) || p.Is4() && p.HeaderLen != 20 {
		return piece{}, false
	}
	run := piece{transport: p.HeaderLen}
	t := p.Payload()
	switch {
	case p.Protocol == ipkt.ProtocolTCP && len(t) >= tcpHeaderMin && t[13]&^tcpPSH == tcpACK:
		run.headerLen = p.HeaderLen + int(t[12]>>4)*4
		run.closed = t[13]&tcpPSH != 0
	case p.Protocol == ipkt.ProtocolUDP && uso && len(t) >= udpHeaderLen && int(binary.BigEndian.Uint16(t[4:])) == len(t) && t[6]|t[7] != 0:
		run.headerLen, run.udp = p.HeaderLen+udpHeaderLen, true
	default:
		return piece{}, false
	}
	run.size = len(b) - run.headerLen
	run.total = run.size
	return run, run.headerLen <= maxHeaders && run.size > 0 && run.headerLen >= run.transport+udpHeaderLen
}

// join returns the piece that begins with the first of packets. It is one
// packet long when the next one does not continue it.
func join(packets [][]byte, uso bool) piece {
	run, ok := joinable(packets[0], uso)
	run.packets = packets[:1]
	if !ok {
		return run
	}
	for i := 1; i < len(packets) && i < maxJoined && !run.closed; i++ {
		next, ok := joinable(packets[i], uso)
		if !ok || !run.continues(packets, i, next) {
			break
		}
		run.packets = packets[:i+1]
		run.total += next.size
		run.closed = next.closed || next.size < run.size
	}
	return run
}

// continues reports whether packet i carries what follows packet i-1. A packet
// with a wrong checksum stays alone: the kernel computes that of a piece anew.
func (r *piece) continues(packets [][]byte, i int, next piece) bool {
	a, b := packets[0], packets[i]
	if next.udp != r.udp || next.headerLen != r.headerLen || next.size > r.size || r.headerLen+r.total+next.size > maxPiece {
		return false
	}
	if !sameIP(a, packets[i-1], b) {
		return false
	}
	if r.udp {
		if [4]byte(a[r.transport:]) != [4]byte(b[r.transport:]) {
			return false
		}
	} else if !r.continuesTCP(a[r.transport:r.headerLen], b[r.transport:r.headerLen]) {
		return false
	}
	return intact(b, next) && (i > 1 || intact(a, next))
}

// sameIP compares what routers look at. The ids of IPv4 packets that may be
// fragmented count up, as those of the kernel's segments will.
func sameIP(first, before, b []byte) bool {
	if b[0]>>4 == 6 {
		return [4]byte(first) == [4]byte(b) && [34]byte(first[6:]) == [34]byte(b[6:])
	}
	if [2]byte(first) != [2]byte(b) || [4]byte(first[6:]) != [4]byte(b[6:]) || [8]byte(first[12:]) != [8]byte(b[12:]) {
		return false
	}
	return b[6]&ipv4DF != 0 || binary.BigEndian.Uint16(before[4:])+1 == binary.BigEndian.Uint16(b[4:])
}

// continuesTCP compares TCP headers: all but sequence number, PSH and checksum
// are the same.
func (r *piece) continuesTCP(a, b []byte) bool {
	seq := binary.BigEndian.Uint32(a[4:]) + uint32(r.total)
	return [4]byte(a) == [4]byte(b) &&
		seq == binary.BigEndian.Uint32(b[4:]) &&
		[5]byte(a[8:]) == [5]byte(b[8:]) &&
		[2]byte(a[14:]) == [2]byte(b[14:]) &&
		string(a[18:]) == string(b[18:])
}

// intact verifies the transport checksum.
func intact(b []byte, r piece) bool {
	p := ipkt.Packet{Bytes: b, HeaderLen: r.transport, Protocol: ipkt.ProtocolTCP}
	if r.udp {
		p.Protocol = ipkt.ProtocolUDP
	}
	t := p.Payload()
	return ipkt.Checksum(t, p.PseudoChecksum(len(t))) == 0xffff
}

// appendHeaders appends the vnet header and the headers of the whole piece.
func (r *piece) appendHeaders(b []byte) []byte {
	first, last := r.packets[0], r.packets[len(r.packets)-1]
	h := vnetHeader{flags: unix.VIRTIO_NET_HDR_F_NEEDS_CSUM, headerLen: r.headerLen, gsoSize: r.size, csumStart: r.transport, csumOffset: 16}
	proto := uint8(ipkt.ProtocolTCP)
	switch {
	case r.udp:
		h.gsoType, h.csumOffset, proto = unix.VIRTIO_NET_HDR_GSO_UDP_L4, 6, ipkt.ProtocolUDP
	case first[0]>>4 == 4:
		h.gsoType = unix.VIRTIO_NET_HDR_GSO_TCPV4
	default:
		h.gsoType = unix.VIRTIO_NET_HDR_GSO_TCPV6
	}
	b = appendVnet(b, h)
	start := len(b)
	b = append(b, first[:r.headerLen]...)
	ip, transport := b[start:], b[start+r.transport:]
	length := len(transport) + r.total
	if first[0]>>4 == 4 {
		binary.BigEndian.PutUint16(ip[2:], uint16(r.headerLen+r.total))
		ipkt.SetHeaderChecksum(ip[:r.transport])
	} else {
		binary.BigEndian.PutUint16(ip[4:], uint16(r.headerLen+r.total-40))
	}
	if r.udp {
		binary.BigEndian.PutUint16(transport[4:], uint16(length))
	} else {
		transport[13] |= last[r.transport+13] & tcpPSH
	}
	whole := ipkt.Packet{Bytes: ip, Protocol: proto}
	binary.BigEndian.PutUint16(transport[h.csumOffset:], whole.PseudoChecksum(length))
	return b
}
