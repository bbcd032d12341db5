package policy

import (
	"encoding/binary"
	"net/netip"
	"sync/atomic"

	"github.com/culvert-vpn/culvert/tenant/ipkt"
)

// Subject is a session as the rules see it. One goroutine sets its addresses while
// others ask.
type Subject struct {
	prefix atomic.Pointer[netip.Prefix] // of IPv6; nil: none
	addr4  atomic.Uint32                // 0: none
	any    bool
}

// Anybody has the session take packets of every source: the client's own end of a
// connection. It must be called before anybody asks.
func (s *Subject) Anybody(is bool) { s.any = is }

// IsAnybody reports whether the session takes packets of every source.
func (s *Subject) IsAnybody() bool { return s.any }

// SetAddress makes addr the session's own IPv4 address; one that is none takes it away.
func (s *Subject) SetAddress(addr netip.Addr) {
	n := uint32(0)
	if addr.Is4() {
		b := addr.As4()
		n = binary.BigEndian.Uint32(b[:])
	}
	s.addr4.Store(n)
}

// SetPrefix makes a prefix of IPv6 the session's own; nil takes it away. It is borrowed
// as long as the Subject has it.
func (s *Subject) SetPrefix(p *netip.Prefix) { s.prefix.Store(p) }

// Has4 and Has6 report whether the session has an address of the family.
func (s *Subject) Has4() bool { return s.any || s.addr4.Load() != 0 }

// Has6 is Has4 for IPv6.
func (s *Subject) Has6() bool { return s.any || s.prefix.Load() != nil }

// Owns reports whether the session may send with that packet's source. What has a
// link-local one, or none yet, is the session's own too, and does not leave the link.
func (s *Subject) Owns(ip *ipkt.Packet) bool {
	if s.any {
		return true
	}
	if ip.Is4() {
		addr := s.addr4.Load()
		return addr != 0 && binary.BigEndian.Uint32(ip.Bytes[12:]) == addr
	}
	prefix := s.prefix.Load()
	return prefix != nil && (prefix.Contains(ip.Source()) || IsLink(ip.Bytes[8:24]))
}

// ownsAddress reports whether an address is the session's own.
func (s *Subject) ownsAddress(a netip.Addr) bool {
	if s.any {
		return true
	}
	if a.Is4() {
		b := a.As4()
		addr := s.addr4.Load()
		return addr != 0 && binary.BigEndian.Uint32(b[:]) == addr
	}
	prefix := s.prefix.Load()
	return prefix != nil && prefix.Contains(a)
}

// IsLink reports whether a source of IPv6, of 16 bytes, is one of the link: link-local, or
// unspecified (RFC 4291 sections 2.5.6 and 2.5.2).
func IsLink(a []byte) bool {
	return a[0] == 0xfe && a[1]&0xc0 == 0x80 || netip.AddrFrom16([16]byte(a)) == netip.IPv6Unspecified()
}
