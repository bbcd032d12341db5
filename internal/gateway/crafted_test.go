package gateway

import (
	"bytes"
	"context"
	"encoding/binary"
	"net/netip"
	"sync"
	"time"

	"github.com/culvert-vpn/culvert/tenant/ipkt"
)

// Packets that are known again wherever they come out: each has a mark with its number.

var markBegins = []byte("culvert-mark")

// mark is a payload with a number.
func mark(n uint32) []byte {
	return append(binary.BigEndian.AppendUint32(bytes.Clone(markBegins), n), 0, 0, 0, 0)
}

// marksIn are the numbers of all that is in a packet.
func marksIn(pkt []byte) (all []uint32) {
	for {
		_, rest, found := bytes.Cut(pkt, markBegins)
		if !found || len(rest) < 4 {
			return all
		}
		all, pkt = append(all, binary.BigEndian.Uint32(rest)), rest
	}
}

// ipOf is an IP packet of either family; its checksums are right.
func ipOf(src, dst netip.Addr, proto uint8, body []byte) []byte {
	b, at := make([]byte, 40, 40+len(body)), 40
	b[0], b[6], b[7] = 0x60, proto, 64
	binary.BigEndian.PutUint16(b[4:], uint16(len(body)))
	if src.Is4() {
		b, at = b[:20], 20
		b[0], b[4], b[6], b[7], b[8], b[9] = 0x45, 0, 0, 0, 64, proto
		binary.BigEndian.PutUint16(b[2:], uint16(20+len(body)))
	}
	copy(b[at-2*src.BitLen()/8:], src.AsSlice())
	copy(b[at-dst.BitLen()/8:], dst.AsSlice())
	if src.Is4() {
		ipkt.SetHeaderChecksum(b[:20])
	}
	b = append(b, body...)
	sum(b, at, proto)
	return b
}

// tcpOf is a TCP segment whose sequence number is n.
func tcpOf(from, to uint16, flags byte, n uint32, payload []byte) []byte {
	b := make([]byte, 20, 20+len(payload))
	binary.BigEndian.PutUint16(b, from)
	binary.BigEndian.PutUint16(b[2:], to)
	binary.BigEndian.PutUint32(b[4:], n)
	b[12], b[13], b[14] = 5<<4, flags, 0xff
	if flags&0x10 != 0 {
		b[11] = 1
	}
	return append(b, payload...)
}

// udpOf is a UDP datagram.
func udpOf(from, to uint16, payload []byte) []byte {
	b := binary.BigEndian.AppendUint16(nil, from)
	b = binary.BigEndian.AppendUint16(b, to)
	b = binary.BigEndian.AppendUint16(b, uint16(8+len(payload)))
	return append(append(b, 0, 0), payload...)
}

// echoOf is an echo request, or with reply what answers it.
func echoOf(six, reply bool, id uint16, payload []byte) (proto uint8, body []byte) {
	kind, proto := byte(8), uint8(ipkt.ProtocolICMP)
	switch {
	case six:
		kind, proto = 128, ipkt.ProtocolICMPv6
		if reply {
			kind = 129
		}
	case reply:
		kind = 0
	}
	b := []byte{kind, 0, 0, 0, byte(id >> 8), byte(id), 0, 1}
	return proto, append(b, payload...)
}

// says sends IP packets into the connections of a client, under their ESP.
func (c *client) says(pkts ...[]byte) {
	c.g.Engine.Work.Do(context.Background(), func(time.Time) {
		for _, s := range c.g.Engine.Table.Sessions {
			for _, pkt := range pkts {
				switch {
				case s.Link == nil:
					c.g.Engine.Plane.SendIP(s.Plane, pkt)
				case pkt[0]>>4 == 6:
					c.g.Engine.Plane.SendPPP(s.Plane, append([]byte{0x00, 0x57}, pkt...))
				default:
					c.g.Engine.Plane.SendPPP(s.Plane, append([]byte{0x00, 0x21}, pkt...))
				}
			}
		}
		c.g.Engine.Plane.Flush()
	})
}

// marks are the numbers of the marked packets that have come somewhere.
type marks struct {
	mu       sync.Mutex
	seen     map[uint32]int
	answered map[uint32]bool // SYNs, by their sequence numbers
}

// saw notes what is in a packet; it may be the first hook of a device.
func (m *marks) saw(pkt []byte) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.seen == nil {
		m.seen, m.answered = make(map[uint32]int), make(map[uint32]bool)
	}
	if ip, err := ipkt.Parse(pkt); err == nil && ip.Protocol == ipkt.ProtocolTCP && len(ip.Payload()) >= 20 && ip.Payload()[13]&0x12 == 0x12 {
		m.answered[binary.BigEndian.Uint32(ip.Payload()[8:])-1] = true
	}
	all := marksIn(pkt)
	for _, n := range all {
		m.seen[n]++
	}
	return len(all) > 0
}

// has reports whether a number has come.
func (m *marks) has(n uint32) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.seen[n] > 0
}

// hasAnswered reports whether a SYN with that sequence number was answered by another.
func (m *marks) hasAnswered(n uint32) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.answered[n]
}

// watch has marked packets that come out of a device noted, and not answered.
func (d *echoDevice) watch(m *marks) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.first = m.saw
}
