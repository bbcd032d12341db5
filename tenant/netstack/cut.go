package netstack

import (
	"encoding/binary"

	"gvisor.dev/gvisor/pkg/buffer"
	"gvisor.dev/gvisor/pkg/tcpip/header"
	"gvisor.dev/gvisor/pkg/tcpip/stack"

	"github.com/culvert-vpn/culvert/tenant"
	"github.com/culvert-vpn/culvert/tenant/ipkt"
)

const (
	maxHeaders   = header.IPv4MaximumHeaderSize + header.TCPHeaderMaximumSize // IPv6's have 40 bytes
	lastOnly     = uint8(header.TCPFlagFin | header.TCPFlagPsh)               // flags of the last segment
	tcpSeqAt     = header.TCPSeqNumOffset
	tcpFlagsAt   = header.TCPFlagsOffset
	tcpSumAt     = header.TCPChecksumOffset
	ipv4LengthAt = 2
	ipv4IDAt     = 4
	ipv6LengthAt = 4
)

// cutter turns what the stack sent into packets: TCP data comes in pieces of
// up to 64 KB under one header, whose checksum is to be completed. A packet is
// copied once, into room, and its header is fixed there.
type cutter struct {
	room []byte // for one packet

	pkt  *stack.PacketBuffer // nil: nothing to cut
	view *buffer.View        // where payload is read next
	skip int                 // bytes of view that are consumed
	left int                 // payload bytes

	headers   [maxHeaders]byte // as the stack wrote them
	headerLen int              // 0: the packet is lent as it is
	transport int              // offset of the transport header
	size      int              // payload bytes of a packet
	index     int              // of the next packet
	partial   bool             // the checksum is the pseudo header's only
}

func newCutter(mtu int) cutter {
	return cutter{room: make([]byte, tenant.Headroom+mtu+tenant.Tailroom)}
}

// start takes a packet with the caller's reference to it.
func (c *cutter) start(pkt *stack.PacketBuffer) {
	c.release()
	views, skip := pkt.AsViewList()
	c.pkt, c.view, c.skip = pkt, views.Front(), skip
	c.left, c.headerLen, c.index = pkt.Size(), 0, 0
	limit := len(c.room) - tenant.Headroom - tenant.Tailroom
	c.size = limit
	gso := pkt.GSOOptions
	c.partial = gso.Type != stack.GSONone && gso.NeedsCsum
	if !c.partial {
		if c.left > limit {
			c.release() // no packet for this device
		}
		return
	}
	c.transport = len(pkt.NetworkHeader().Slice())
	c.headerLen = c.transport + len(pkt.TransportHeader().Slice())
	if c.headerLen > min(maxHeaders, c.left, limit-1) {
		c.release()
		return
	}
	c.read(c.headers[:c.headerLen])
	c.size = limit - c.headerLen
	if gso.MSS > 0 {
		c.size = min(c.size, int(gso.MSS))
	}
}

// release gives the packet back.
func (c *cutter) release() {
	if c.pkt != nil {
		c.pkt.DecRef()
		c.pkt, c.view = nil, nil
	}
}

// read copies from what is left.
func (c *cutter) read(b []byte) {
	c.left -= len(b)
	for len(b) > 0 {
		n := copy(b, c.view.AsSlice()[c.skip:])
		b, c.skip = b[n:], c.skip+n
		if c.skip == c.view.Size() {
			c.view, c.skip = c.view.Next(), 0
		}
	}
}

// next lends the next packet; ok is false when there is none left.
func (c *cutter) next() (buf []byte, off int, ok bool) {
	if c.pkt == nil {
		return nil, 0, false
	}
	n := min(c.size, c.left)
	end := tenant.Headroom + c.headerLen + n
	pkt := c.room[tenant.Headroom:end]
	copy(pkt, c.headers[:c.headerLen])
	c.read(pkt[c.headerLen:])
	if c.partial {
		c.finish(pkt)
	}
	c.index++
	if c.left == 0 {
		c.release()
	}
	return c.room[:end], tenant.Headroom, true
}

// finish sets what differs from packet to packet: lengths, the id of IPv4, the
// sequence number, flags that only the last one carries, and the checksums.
func (c *cutter) finish(pkt []byte) {
	if pkt[0]>>4 == 4 {
		binary.BigEndian.PutUint16(pkt[ipv4LengthAt:], uint16(len(pkt)))
		id := binary.BigEndian.Uint16(c.headers[ipv4IDAt:])
		binary.BigEndian.PutUint16(pkt[ipv4IDAt:], id+uint16(c.index))
		ipkt.SetHeaderChecksum(pkt[:c.transport])
	} else {
		binary.BigEndian.PutUint16(pkt[ipv6LengthAt:], uint16(len(pkt)-header.IPv6MinimumSize))
	}
	tcp := pkt[c.transport:]
	seq := binary.BigEndian.Uint32(tcp[tcpSeqAt:])
	binary.BigEndian.PutUint32(tcp[tcpSeqAt:], seq+uint32(c.index*c.size))
	if c.left > 0 {
		tcp[tcpFlagsAt] &^= lastOnly
	}
	ip := ipkt.Packet{Bytes: pkt, Protocol: ipkt.ProtocolTCP}
	sum := ip.PseudoChecksum(len(tcp))
	binary.BigEndian.PutUint16(tcp[tcpSumAt:], 0)
	binary.BigEndian.PutUint16(tcp[tcpSumAt:], ^ipkt.Checksum(tcp, sum))
}
