package tun

import (
	"encoding/binary"

	"golang.org/x/sys/unix"

	"github.com/culvert-vpn/culvert/tenant"
	"github.com/culvert-vpn/culvert/tenant/ipkt"
)

const (
	maxHeaders   = 128 // IPv4 with options, or IPv6, and TCP with options
	tcpHeaderMin = 20
	udpHeaderLen = 8
	tcpFIN       = 0x01
	tcpSYN       = 0x02
	tcpRST       = 0x04
	tcpPSH       = 0x08
	tcpACK       = 0x10
	tcpURG       = 0x20
	tcpECE       = 0x40
	tcpCWR       = 0x80
)

// segmenter cuts what the kernel handed over into packets, one at a time:
//
//	| headroom | headers | payload 0 | payload 1 | payload 2 | tailroom |
//	           `- packet 0 ---------'
//	                       `- headers of 1, over the end of payload 0
//
// Whoever borrows packet i may write over the bytes before it, which are
// consumed, and Tailroom bytes behind it, which begin payload i+1: those are
// saved before the loan and put back after it.
type segmenter struct {
	buf  []byte // whole buffer of the source
	at   int    // of the next payload byte
	end  int    // of the payload
	size int    // payload bytes of a segment

	header    [maxHeaders]byte // as the kernel wrote it
	headerLen int
	transport int // offset of the transport header
	udp       bool
	is6       bool
	index     int // of the next segment
	first     bool

	saved   [tenant.Tailroom]byte
	savedAt int
	nSaved  int
}

// start takes the packet in buf[off:end] with its vnet header.
func (s *segmenter) start(buf []byte, off, end int, h vnetHeader) error {
	s.buf, s.at, s.end, s.nSaved, s.index, s.first = buf, 0, 0, 0, 0, false
	pkt := buf[off:end]
	if len(pkt) < tcpHeaderMin || pkt[0]>>4 != 4 && pkt[0]>>4 != 6 {
		return errVnet
	}
	if h.gso() == unix.VIRTIO_NET_HDR_GSO_NONE {
		return s.startSingle(pkt, off, end, h)
	}
	return s.startMany(pkt, off, end, h)
}

// startSingle takes a packet that is to be lent whole.
func (s *segmenter) startSingle(pkt []byte, off, end int, h vnetHeader) error {
	if h.needsChecksum() {
		at := h.csumStart + h.csumOffset
		if at+2 > len(pkt) {
			return errVnet
		}
		// The field holds the pseudo header's sum already.
		sum := ^ipkt.Checksum(pkt[h.csumStart:], 0)
		if sum == 0 && h.csumOffset == 6 { // UDP: zero means none, RFC 768
			sum = 0xffff
		}
		binary.BigEndian.PutUint16(pkt[at:], sum)
	}
	s.at, s.end, s.size, s.headerLen, s.first = off, end, end-off, 0, true
	return nil
}

// startMany takes a packet that is to be cut.
func (s *segmenter) startMany(pkt []byte, off, end int, h vnetHeader) error {
	s.is6 = pkt[0]>>4 == 6
	switch kind := h.gso(); {
	case kind == unix.VIRTIO_NET_HDR_GSO_UDP_L4:
		s.udp = true
	case kind == unix.VIRTIO_NET_HDR_GSO_TCPV4 && !s.is6, kind == unix.VIRTIO_NET_HDR_GSO_TCPV6 && s.is6:
		s.udp = false
	default:
		return errVnet
	}
	s.transport = h.csumStart
	least := 40
	if !s.is6 {
		least = max(20, int(pkt[0]&15)*4)
	}
	if s.transport < least || s.transport+tcpHeaderMin > min(maxHeaders, len(pkt)) {
		return errVnet
	}
	// The header length that the kernel states may be that of the whole first
	// packet, when it forwards: the headers say it themselves.
	s.headerLen = s.transport + udpHeaderLen
	if !s.udp {
		s.headerLen = s.transport + int(pkt[s.transport+12]>>4)*4
	}
	if s.headerLen > maxHeaders || s.headerLen > len(pkt) || h.gsoSize == 0 || !s.udp && s.headerLen < s.transport+tcpHeaderMin {
		return errVnet
	}
	copy(s.header[:], pkt[:s.headerLen])
	s.at, s.end, s.size, s.first = off+s.headerLen, end, h.gsoSize, true
	return nil
}

// next lends the next packet.
func (s *segmenter) next() (buf []byte, off int, ok bool) {
	copy(s.buf[s.savedAt:], s.saved[:s.nSaved])
	s.nSaved = 0
	if s.at >= s.end && !s.first {
		return nil, 0, false
	}
	s.first = false
	n := min(s.size, s.end-s.at)
	off, behind := s.at-s.headerLen, s.at+n
	if s.headerLen > 0 {
		s.writeHeaders(s.buf[off:behind], behind == s.end)
	}
	if behind < s.end {
		s.savedAt = behind
		s.nSaved = copy(s.saved[:], s.buf[behind:s.end])
	}
	s.at = behind
	s.index++
	return s.buf[:behind], off, true
}

// writeHeaders makes pkt, of which only the payload is there, a packet.
func (s *segmenter) writeHeaders(pkt []byte, last bool) {
	copy(pkt, s.header[:s.headerLen])
	transport := pkt[s.transport:]
	sum := s.pseudoChecksum(len(transport))
	if s.is6 {
		binary.BigEndian.PutUint16(pkt[4:], uint16(len(pkt)-40))
	} else {
		binary.BigEndian.PutUint16(pkt[2:], uint16(len(pkt)))
		id := binary.BigEndian.Uint16(s.header[4:])
		binary.BigEndian.PutUint16(pkt[4:], id+uint16(s.index))
		ipkt.SetHeaderChecksum(pkt[:int(pkt[0]&15)*4])
	}
	if s.udp {
		finishUDP(transport, sum)
		return
	}
	s.finishTCP(transport, sum, last)
}

func (s *segmenter) pseudoChecksum(length int) uint16 {
	proto := uint8(ipkt.ProtocolTCP)
	if s.udp {
		proto = ipkt.ProtocolUDP
	}
	ip := ipkt.Packet{Bytes: s.header[:s.headerLen], Protocol: proto}
	return ip.PseudoChecksum(length)
}

// finishTCP sets what differs from segment to segment: the sequence number,
// and flags that only the first or the last one carries.
func (s *segmenter) finishTCP(tcp []byte, sum uint16, last bool) {
	seq := binary.BigEndian.Uint32(s.header[s.transport+4:])
	binary.BigEndian.PutUint32(tcp[4:], seq+uint32(s.index*s.size))
	if !last {
		tcp[13] &^= tcpFIN | tcpPSH
	}
	if s.index > 0 {
		tcp[13] &^= tcpCWR
	}
	tcp[16], tcp[17] = 0, 0
	binary.BigEndian.PutUint16(tcp[16:], ^ipkt.Checksum(tcp, sum))
}

func finishUDP(udp []byte, sum uint16) {
	binary.BigEndian.PutUint16(udp[4:], uint16(len(udp)))
	udp[6], udp[7] = 0, 0
	sum = ^ipkt.Checksum(udp, sum)
	if sum == 0 {
		sum = 0xffff
	}
	binary.BigEndian.PutUint16(udp[6:], sum)
}
