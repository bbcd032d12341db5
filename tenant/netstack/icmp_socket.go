package netstack

import (
	"cmp"
	"crypto/rand"
	"net"
	"net/netip"
	"os"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
	"gvisor.dev/gvisor/pkg/tcpip/header"

	"github.com/culvert-vpn/culvert/tenant/ipkt"
)

// listenICMP opens an ICMP socket of the host.
func listenICMP(network, address string) (net.PacketConn, error) {
	switch network {
	case family4.unprivileged:
		return listenPing(unix.AF_INET, unix.IPPROTO_ICMP)
	case family6.unprivileged:
		return listenPing(unix.AF_INET6, unix.IPPROTO_ICMPV6)
	}
	return net.ListenPacket(network, address)
}

// listenPing opens an unprivileged ICMP socket, which the net package cannot.
func listenPing(domain, protocol int) (net.PacketConn, error) {
	fd, err := unix.Socket(domain, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, protocol)
	if err != nil {
		return nil, os.NewSyscallError("socket", err)
	}
	f := os.NewFile(uintptr(fd), "ping")
	defer f.Close()
	return net.FilePacketConn(f)
}

// family is what differs between ICMP and ICMPv6 sockets.
type family struct {
	unprivileged, privileged, any string
	request, reply                uint8
}

var (
	family4 = family{"udp4", "ip4:icmp", "0.0.0.0", uint8(header.ICMPv4Echo), uint8(header.ICMPv4EchoReply)}
	family6 = family{"udp6", "ip6:ipv6-icmp", "::", uint8(header.ICMPv6EchoRequest), uint8(header.ICMPv6EchoReply)}
)

// echoSocket is a host socket for echoes and what they wait for. Our sequence
// numbers stand for the clients' ids and sequence numbers.
type echoSocket struct {
	family  family
	conn    net.PacketConn  // nil until needed
	direct  syscall.RawConn // of conn; nil: it is no socket of the system
	raw     bool            // sees everybody's answers, and ids are ours
	id      uint16          // of a raw socket
	oldest  uint16          // sequence number that may be pending,
	next    uint16          // and the last one
	pending map[uint16]echo
	failed  time.Time
	buf     []byte
	hops    uint8 // as the socket is set,
	whole   bool  // likewise
}

func newEchoSocket(f family) *echoSocket {
	return &echoSocket{family: f, pending: make(map[uint16]echo)}
}

// open takes an unprivileged socket where net.ipv4.ping_group_range allows it,
// else a raw one.
func (s *echoSocket) open(listen func(network, address string) (net.PacketConn, error)) error {
	conn, err := listen(s.family.unprivileged, s.family.any)
	s.raw = err != nil
	if s.raw {
		if conn, err = listen(s.family.privileged, s.family.any); err != nil {
			return err
		}
	}
	var random [4]byte
	rand.Read(random[:])
	s.id, s.next = word(random[:]), word(random[2:])
	s.oldest = s.next + 1
	s.conn, s.direct = conn, nil
	s.hops, s.whole = 0, false
	sc, ok := conn.(syscall.Conn)
	if !ok {
		return nil
	}
	if s.direct, err = sc.SyscallConn(); err != nil {
		return err
	}
	is4 := s.family == family4
	return s.direct.Control(func(fd uintptr) {
		hearErrors(int(fd), is4)
		setWhole(int(fd), is4, false)
	})
}

func (s *echoSocket) close() {
	if s.conn != nil {
		s.conn.Close()
		s.conn = nil
	}
	clear(s.pending)
}

// keep remembers an echo under a sequence number of ours, for as long as an answer
// is waited for. There are as many as there are numbers; what has waited longest
// is looked at first.
func (s *echoSocket) keep(e echo, patience time.Duration) (seq uint16, ok bool) {
	for range 4 {
		if s.oldest == s.next+1 {
			break
		}
		if old, waits := s.pending[s.oldest]; waits && e.sent.Sub(old.sent) <= patience {
			break
		}
		delete(s.pending, s.oldest)
		s.oldest++
	}
	if s.oldest == s.next+2 {
		return 0, false
	}
	s.next++
	s.pending[s.next] = e
	return s.next, true
}

// write sends an echo. It never waits: what the socket has no room for is lost,
// as on any link.
func (s *echoSocket) write(seq uint16, e echo, data []byte) error {
	target := e.target
	s.buf = append(s.buf[:0], s.family.request, 0, 0, 0, 0, 0, 0, 0)
	putWord(s.buf[4:], s.id)
	putWord(s.buf[6:], seq)
	s.buf = append(s.buf, data...)
	if target.Is4() { // the kernel sums up ICMPv6
		putWord(s.buf[2:], ^ipkt.Checksum(s.buf, 0))
	}
	if s.direct != nil {
		return s.writeDirect(e)
	}
	var to net.Addr = &net.UDPAddr{IP: target.AsSlice()}
	if s.raw {
		to = &net.IPAddr{IP: target.AsSlice()}
	}
	_, err := s.conn.WriteTo(s.buf, to)
	return err
}

// writeDirect gives buf to the system. The connection's own WriteTo would wait
// for room in the socket, which what goes to addresses that nobody has keeps full
// for seconds.
func (s *echoSocket) writeDirect(e echo) error {
	_, to := sockaddr(netip.AddrPortFrom(e.target, 0))
	is4 := e.target.Is4()
	var err error
	closed := s.direct.Control(func(fd uintptr) {
		if s.hops != e.hops {
			s.hops = e.hops
			setHops(int(fd), is4, e.hops)
		}
		if s.whole != e.whole {
			s.whole = e.whole
			setWhole(int(fd), is4, e.whole)
		}
		for range sendTries {
			err = unix.Sendto(int(fd), s.buf, unix.MSG_DONTWAIT|unix.MSG_NOSIGNAL, to)
			if err == nil || err == unix.EAGAIN || err == unix.ENOBUFS {
				break // else it may be about an earlier one, and nothing was sent
			}
		}
	})
	return cmp.Or(closed, err)
}

// strip leaves out the IP header, which raw sockets of IPv4 have before messages.
func (s *echoSocket) strip(b []byte) []byte {
	if !s.raw || s.family != family4 || len(b) == 0 {
		return b
	}
	return b[min(len(b), int(b[0]&0xf)*4):]
}

// match finds the echo that an ICMP message answers.
func (s *echoSocket) match(b []byte, from netip.Addr) (echo, bool) {
	if len(b) < echoHeaderLen || b[0] != s.family.reply || s.raw && word(b[4:]) != s.id {
		return echo{}, false
	}
	e, ok := s.pending[word(b[6:])]
	if !ok || e.target != from {
		return echo{}, false
	}
	delete(s.pending, word(b[6:]))
	return e, true
}

// matchError finds the echo that somebody has said something about.
func (s *echoSocket) matchError(about *said) (echo, bool) {
	b := about.quoted[:about.length]
	if len(b) < echoHeaderLen || b[0] != s.family.request || s.raw && word(b[4:]) != s.id {
		return echo{}, false
	}
	e, ok := s.pending[word(b[6:])]
	if !ok || e.target != about.about.Addr() {
		return echo{}, false
	}
	delete(s.pending, word(b[6:]))
	return e, true
}

// packet is an echo as its client sent it, of which data is the beginning of the
// payload.
func (e *echo) packet(data []byte) []byte {
	b := append(make([]byte, 0, echoHeaderLen+len(data)), echoRequestType(e.target), 0, 0, 0, 0, 0, 0, 0)
	putWord(b[4:], e.id)
	putWord(b[6:], e.seq)
	proto := uint8(ipkt.ProtocolICMP)
	if e.target.Is6() {
		proto = ipkt.ProtocolICMPv6
	}
	return quote(e.client, e.target, proto, append(b, data...))
}

func (s *echoSocket) forget(client netip.Addr) {
	for seq, e := range s.pending {
		if e.source == client {
			delete(s.pending, seq)
		}
	}
}

// hostAddr is the address that a host socket reports.
func hostAddr(a net.Addr) netip.Addr {
	var ip net.IP
	switch a := a.(type) {
	case *net.UDPAddr:
		ip = a.IP
	case *net.IPAddr:
		ip = a.IP
	}
	addr, _ := netip.AddrFromSlice(ip)
	return addr.Unmap()
}

func word(b []byte) uint16 { return uint16(b[0])<<8 | uint16(b[1]) }

func putWord(b []byte, v uint16) { b[0], b[1] = uint8(v>>8), uint8(v) }
