package netstack

import (
	"encoding/binary"
	"math/bits"

	"gvisor.dev/gvisor/pkg/buffer"
	"gvisor.dev/gvisor/pkg/tcpip/header"
	"gvisor.dev/gvisor/pkg/tcpip/stack"

	"github.com/culvert-vpn/culvert/tenant/ipkt"
)

const (
	maxJoined = 65535 // bytes of a packet
	lookBack  = 16    // runs among which that of a flow is looked for
	portsLen  = 4
)

// run is one packet of a batch, or several of one TCP connection that follow
// each other and become one for the stack.
//
// The checksum of what is joined follows from those of the parts: each states
// what its payload sums up to. So the stack's one look at the whole verifies
// all of them, and nothing is summed twice.
type run struct {
	first, last int // in the batch
	count       int
	tcp         bool   // has a TCP header
	data        bool   // TCP data that may be joined
	flow        []byte // of the first packet: addresses and ports
	transport   int    // offset of the TCP header
	headerLen   int    // of IP and TCP headers
	total       int    // payload bytes
	sum         uint16 // of the payload, as the packets state it
	push        byte   // PSH of any
}

// begin looks at packet i and makes it a run of its own.
func begin(i int, b []byte) run {
	r := run{first: i, last: i, count: 1}
	p, err := ipkt.Parse(b)
	if err != nil || p.Fragment() || p.Protocol != ipkt.ProtocolTCP || len(p.Bytes) != len(b) {
		return r
	}
	tcp := p.Payload()
	if len(tcp) < header.TCPMinimumSize || p.HeaderLen != plainHeader(b) {
		return r
	}
	dataAt := int(tcp[header.TCPDataOffset]>>4) * 4
	if dataAt < header.TCPMinimumSize || dataAt > len(tcp) {
		return r
	}
	r.tcp, r.transport, r.headerLen = true, p.HeaderLen, p.HeaderLen+dataAt
	r.flow = b[addressesAt(b) : p.HeaderLen+portsLen]
	r.total = len(b) - r.headerLen
	r.push = tcp[tcpFlagsAt] & byte(header.TCPFlagPsh)
	r.data = r.total > 0 && tcp[tcpFlagsAt]&^byte(header.TCPFlagPsh) == byte(header.TCPFlagAck)
	if r.data {
		r.sum = ^ipkt.Checksum(tcp[:dataAt], p.PseudoChecksum(len(tcp)))
	}
	return r
}

// plainHeader is the length of an IP header without options or extensions.
func plainHeader(b []byte) int {
	if b[0]>>4 == 4 {
		return header.IPv4MinimumSize
	}
	return header.IPv6MinimumSize
}

// addressesAt is the offset of the addresses in an IP header.
func addressesAt(b []byte) int {
	if b[0]>>4 == 4 {
		return 12
	}
	return 8
}

// continues reports whether next carries what follows r. a and b are the first
// packet of r and that of next, of one flow.
func (r *run) continues(next *run, a, b []byte) bool {
	if !r.data || !next.data || next.headerLen != r.headerLen || r.headerLen+r.total+next.total > maxJoined {
		return false
	}
	if a[0]>>4 == 4 { // TOS, flags, TTL
		if a[1] != b[1] || [4]byte(a[6:]) != [4]byte(b[6:]) {
			return false
		}
	} else if [4]byte(a) != [4]byte(b) || [2]byte(a[6:]) != [2]byte(b[6:]) { // class, label, hop limit
		return false
	}
	s, t := a[r.transport:r.headerLen], b[r.transport:r.headerLen]
	return binary.BigEndian.Uint32(s[tcpSeqAt:])+uint32(r.total) == binary.BigEndian.Uint32(t[tcpSeqAt:]) &&
		[4]byte(s[8:]) == [4]byte(t[8:]) && // acknowledgement
		[2]byte(s[14:]) == [2]byte(t[14:]) && // window
		string(s[header.TCPMinimumSize:]) == string(t[header.TCPMinimumSize:])
}

// add makes next a part of r.
func (r *run) add(next *run) {
	sum := next.sum
	if r.total%2 != 0 {
		sum = bits.ReverseBytes16(sum)
	}
	r.sum = addSums(r.sum, sum)
	r.last = next.first
	r.count++
	r.total += next.total
	r.push |= next.push
}

// addSums adds in the Internet checksum's arithmetic.
func addSums(a, b uint16) uint16 {
	sum, carry := bits.Add32(uint32(a), uint32(b), 0)
	return uint16(sum) + uint16(sum>>16) + uint16(carry)
}

// place finds packet i its run: that of its flow, if it follows it, or a new
// one. The packets of a flow keep their order.
func (w *writer) place(i int) {
	next := begin(i, w.batch[i])
	w.after[i] = -1
	if next.tcp {
		for at := len(w.runs) - 1; at >= max(0, len(w.runs)-lookBack); at-- {
			r := &w.runs[at]
			if string(r.flow) != string(next.flow) {
				continue
			}
			if !r.continues(&next, w.batch[r.first], w.batch[i]) {
				break
			}
			w.after[r.last] = i
			r.add(&next)
			return
		}
	}
	w.runs = append(w.runs, next)
}

// build copies a run into memory of the stack.
func (w *writer) build(r *run) *stack.PacketBuffer {
	first := w.batch[r.first]
	v := buffer.NewView(r.size(first))
	v.Write(first)
	for i := w.after[r.first]; i >= 0; i = w.after[i] {
		v.Write(w.batch[i][r.headerLen:])
	}
	if r.count > 1 {
		r.finish(v.AsSlice())
	}
	pkt := stack.NewPacketBuffer(stack.PacketBufferOptions{Payload: buffer.MakeWithView(v)})
	pkt.NetworkProtocolNumber = protocolOf(first)
	return pkt
}

func (r *run) size(first []byte) int {
	if r.count == 1 {
		return len(first)
	}
	return r.headerLen + r.total
}

// finish makes the header of the first packet that of the whole.
func (r *run) finish(pkt []byte) {
	if pkt[0]>>4 == 4 {
		binary.BigEndian.PutUint16(pkt[ipv4LengthAt:], uint16(len(pkt)))
		ipkt.SetHeaderChecksum(pkt[:r.transport])
	} else {
		binary.BigEndian.PutUint16(pkt[ipv6LengthAt:], uint16(len(pkt)-header.IPv6MinimumSize))
	}
	tcp := pkt[r.transport:]
	tcp[tcpFlagsAt] |= r.push
	binary.BigEndian.PutUint16(tcp[tcpSumAt:], 0)
	ip := ipkt.Packet{Bytes: pkt, Protocol: ipkt.ProtocolTCP}
	sum := ip.PseudoChecksum(len(tcp))
	sum = addSums(ipkt.Checksum(tcp[:r.headerLen-r.transport], sum), r.sum)
	binary.BigEndian.PutUint16(tcp[tcpSumAt:], ^sum)
}
