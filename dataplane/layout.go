package dataplane

import (
	"encoding/binary"

	"github.com/culvert-vpn/culvert/l2tp"
	"github.com/culvert-vpn/culvert/ppp"
	"github.com/culvert-vpn/culvert/tenant"
)

// A packet to a client, as it lies in memory. The headers are laid backwards
// from the IP packet into its headroom; sealing adds the ESP header in front
// and the trailer behind.
//
//	|<------------- template ------------->|
//	| UDP 8 | L2TP 6..14 | FF 03 00 21 0..4 | IP packet | padding ICV |
//	^ plain                                 ^ off
//
// In tunnel mode there is no template: the IP packet is what is sealed.
const (
	udpHeaderLen  = 8
	maxTemplate   = udpHeaderLen + l2tp.MaxDataHeader + 4
	ipv4HeaderLen = 20
	ipv6HeaderLen = 40
	protoUDP      = 17
	protoIPv4     = 4
	protoIPv6     = 41
	minMTU        = 576
)

// The headers of the largest template fit the headroom that devices leave;
// this does not compile otherwise.
const _ = uint(tenant.Headroom - maxTemplate)

// sendState is what a packet needs on its way out of a session, beside the SA:
// immutable, made anew when the way or the link changes.
type sendState struct {
	// This is all of it what every packet needs: two lines of the cache.
	mtu        int32 // the largest IP packet that goes in one piece
	templateAt uint8 // the template is template[templateAt:]
	nsAt       uint8 // where Ns stands; 0: nowhere
	template   [maxTemplate]byte
	wayOut     // a copy of the peer's: what a packet needs lies together
}

// update makes the session's sendState from its peer's route and its own link
// options. Another SA alone changes nothing of it.
func (s *Session) update() {
	r := s.peer.route.Load()
	if r == nil {
		return
	}
	st := sendState{wayOut: r.wayOut, templateAt: maxTemplate}
	if s.call != 0 {
		s.layTemplate(&st)
	}
	st.mtu = int32(s.innerMTU(&st, r))
	s.out.Store(r.Out)
	if now := s.send.Load(); now == nil || *now != st {
		s.send.Store(s.keepSend(st))
	}
}

// keepSend gives a sendState its place: in the session if it is the first since
// the session has a port, which is the last one of most sessions. One that was left
// is not used again: a downlink may still have it. What has keys goes when it is
// left.
func (s *Session) keepSend(st sendState) *sendState {
	if s.marks&markSending != 0 || s.port == nil || st.divided || st.tried {
		return &st
	}
	s.marks |= markSending
	s.firstSend = st
	return &s.firstSend
}

// layTemplate writes the UDP, L2TP and PPP headers of this session's IP packets.
func (s *Session) layTemplate(st *sendState) {
	b := make([]byte, 0, maxTemplate)
	b = binary.BigEndian.AppendUint16(b, st.localPort)
	b = binary.BigEndian.AppendUint16(b, st.remotePort)
	b = append(b, 0, 0, 0, 0) // length: patched; checksum: none over IPv4
	h := l2tp.DataHeader{Tunnel: s.remoteTunnel, Call: s.remoteCall, HasSequence: s.sequencing}
	b = l2tp.AppendDataHeader(b, h, 0)
	nsFromEnd := len(b) - 4
	b = ppp.AppendHeader(b, ppp.ProtocolIPv4, s.link.ACFC, s.link.PFC)
	st.templateAt = uint8(maxTemplate - len(b))
	copy(st.template[st.templateAt:], b)
	if s.sequencing {
		st.nsAt = st.templateAt + uint8(nsFromEnd)
	}
}

// innerMTU returns the size of the largest IP packet that the session carries:
// what the encapsulation leaves of the outer MTU, but not more than the MRU
// the client asked for, nor than the device's own MTU.
func (s *Session) innerMTU(st *sendState, r *route) int {
	outer := ipv4HeaderLen
	if st.path.Remote.Addr().Is6() {
		outer = ipv6HeaderLen
	}
	mtu := r.Out.MaxPayload(r.OuterMTU-outer-udpHeaderLen) - (maxTemplate - int(st.templateAt))
	if s.link.MTU > 0 {
		mtu = min(mtu, int(s.link.MTU))
	}
	if s.port != nil {
		mtu = min(mtu, s.port.device.MTU())
	}
	return max(mtu, minMTU)
}

// lay writes the session's headers in front of the IP packet buf[off:] and
// returns where they begin.
func (st *sendState) lay(s *Session, buf []byte, off int) int {
	n := maxTemplate - int(st.templateAt)
	if n == 0 {
		return off
	}
	at := off - n
	copy(buf[at:off], st.template[st.templateAt:])
	if st.nsAt > 0 {
		ns := uint16(s.ns.Add(1) - 1)
		binary.BigEndian.PutUint16(buf[at+int(st.nsAt-st.templateAt):], ns)
	}
	if buf[off]>>4 == 6 { // the template ends with the protocol of IPv4, in one octet or two
		buf[off-1] = byte(ppp.ProtocolIPv6)
	}
	st.finishUDP(buf[at:])
	return at
}

// finishUDP fills in the length and, where the outer path is IPv6, the
// checksum of the datagram that datagram is.
func (r *wayOut) finishUDP(datagram []byte) {
	binary.BigEndian.PutUint16(datagram[4:], uint16(len(datagram)))
	datagram[6], datagram[7] = 0, 0
	if r.checksum {
		sum := udpChecksum(datagram, r.local.As16(), r.remote.As16())
		binary.BigEndian.PutUint16(datagram[6:], sum)
	}
}

// appendHeaders appends the UDP and L2TP headers of a PPP control frame.
func (s *Session) appendHeaders(st *sendState, b []byte) []byte {
	h := l2tp.DataHeader{Tunnel: s.remoteTunnel, Call: s.remoteCall, HasSequence: s.sequencing}
	if s.sequencing {
		h.Ns = uint16(s.ns.Add(1) - 1)
	}
	return l2tp.AppendDataHeader(st.appendUDP(b), h, 0)
}

// appendUDP appends the UDP header of a datagram; finishUDP completes it.
func (r *wayOut) appendUDP(b []byte) []byte {
	b = binary.BigEndian.AppendUint16(b, r.localPort)
	b = binary.BigEndian.AppendUint16(b, r.remotePort)
	return append(b, 0, 0, 0, 0)
}

// udpChecksum is the checksum of RFC 768 over the pseudo header of RFC 8200 section 8.1.
func udpChecksum(datagram []byte, src, dst [16]byte) uint16 {
	sum := uint64(len(datagram)) + protoUDP
	sum += sumWords(src[:]) + sumWords(dst[:]) + sumWords(datagram)
	for sum > 0xffff {
		sum = sum>>16 + sum&0xffff
	}
	if c := ^uint16(sum); c != 0 {
		return c
	}
	return 0xffff
}

func sumWords(b []byte) uint64 {
	var sum uint64
	for ; len(b) >= 2; b = b[2:] {
		sum += uint64(binary.BigEndian.Uint16(b))
	}
	if len(b) == 1 {
		sum += uint64(b[0]) << 8
	}
	return sum
}

// sealedLimit is the size of the buffers packets are sealed into: a full
// Ethernet jumbo frame would not pass a path that UDP encapsulation is made for.
const sealedLimit = 2048
