package netstack

import (
	"encoding/binary"
	"net/netip"
	"sync"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/culvert-vpn/culvert/internal/x/gso"
)

// outbox is the senders that hold datagrams back until a batch of packets has
// been delivered.
type outbox struct {
	mu      sync.Mutex
	waiting []*sender
	spare   []*sender // memory of a list that was flushed
}

func (o *outbox) add(s *sender) {
	o.mu.Lock()
	o.waiting = append(o.waiting, s)
	o.mu.Unlock()
}

// flush sends what is held back.
func (o *outbox) flush() {
	o.mu.Lock()
	list := o.waiting
	o.waiting, o.spare = o.spare, nil
	o.mu.Unlock()
	if list == nil {
		return
	}
	for i, s := range list {
		s.flush()
		list[i] = nil
	}
	o.mu.Lock()
	o.spare = list[:0]
	o.mu.Unlock()
}

// heading is how a datagram is to travel.
type heading struct {
	to    netip.AddrPort
	hops  uint8 // TTL, or hop limit
	whole bool  // not in fragments
}

// sendTries is how often a send is tried: an error of the socket may be what
// the network said about earlier ones.
const sendTries = 3

// sender sends the datagrams of a mapping, without ever blocking: what the socket
// has no room for is lost, as on any link. Those of one size and heading that
// follow each other leave in one segmented send, of which only the last may be
// shorter.
type sender struct {
	host   *hostConn
	outbox *outbox
	failed func(to netip.AddrPort, err error) // the host has no way there; nil: nobody is told

	mu       sync.Mutex
	segments bool            // the kernel takes segmented sends
	listed   bool            // in the outbox
	buf      *[copySize]byte // nil: nothing is held
	held     int             // bytes in it
	count    int             // datagrams in it
	size     int             // of every one but the last
	heading  heading         // of all of them
	socket   heading         // as the socket is set

	try     func(fd uintptr) bool
	address unix.Sockaddr // where try sends to,
	in4     unix.SockaddrInet4
	in6     unix.SockaddrInet6
	b       []byte // what try sends,
	control []byte // with this control message,
	err     error  // and what came of it
	room    [3]uint64
}

func newSender(host *hostConn, o *outbox) *sender {
	s := &sender{host: host, outbox: o}
	s.try = s.trySend
	if s.host.raw != nil {
		s.host.raw.Control(func(fd uintptr) {
			s.segments = unix.SetsockoptInt(int(fd), unix.SOL_UDP, unix.UDP_SEGMENT, 0) == nil
		})
	}
	return s
}

// send takes a datagram, of which it keeps no reference. It leaves with the
// next flush, or now.
func (s *sender) send(h heading, b []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.host.raw == nil {
		return
	}
	if h != s.heading || !s.takes(len(b)) {
		s.leave()
		s.heading = h
	}
	if !s.segments || len(b) == 0 || len(b) > gso.MaxBytes {
		s.write(b, nil)
		return
	}
	if s.buf == nil {
		s.buf, s.size = s.host.buffers.Get().(*[copySize]byte), len(b)
		if !s.listed {
			s.listed = true
			s.outbox.add(s)
		}
	}
	s.held += copy(s.buf[s.held:], b)
	s.count++
}

// takes reports whether n bytes can be the next datagram of what is held.
func (s *sender) takes(n int) bool {
	return s.held == s.count*s.size && 0 < n && n <= s.size && s.count < gso.MaxDatagrams && s.held+n <= gso.MaxBytes
}

// flush sends what is held.
func (s *sender) flush() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.listed = false
	s.leave()
}

// leave sends what is held: in one piece, or one by one where the kernel, the
// device or the path does not take it so.
func (s *sender) leave() {
	if s.buf == nil {
		return
	}
	all := s.buf[:s.held]
	if s.count > 1 {
		s.write(all, s.segment())
	} else {
		s.write(all, nil)
	}
	if s.count > 1 && (s.err == unix.EIO || s.err == unix.EINVAL || s.err == unix.EMSGSIZE) {
		s.segments = false
		for len(all) > 0 {
			n := min(s.size, len(all))
			s.write(all[:n], nil)
			all = all[n:]
		}
	}
	s.host.buffers.Put(s.buf)
	s.buf, s.held, s.count, s.size = nil, 0, 0, 0
}

// segment is the control message that has the kernel cut what it is given.
func (s *sender) segment() []byte {
	b := unsafe.Slice((*byte)(unsafe.Pointer(&s.room)), unsafe.Sizeof(s.room))
	h := (*unix.Cmsghdr)(unsafe.Pointer(&s.room))
	h.Level, h.Type = unix.SOL_UDP, unix.UDP_SEGMENT
	h.SetLen(unix.CmsgLen(2))
	binary.NativeEndian.PutUint16(b[unix.CmsgLen(0):], uint16(s.size))
	return b[:unix.CmsgSpace(2)]
}

func (s *sender) write(b, control []byte) {
	s.b, s.control = b, control
	if err := s.host.raw.Write(s.try); err != nil {
		s.err = err
	}
	if s.err != nil && control == nil && s.failed != nil {
		s.failed(s.heading.to, s.err)
	}
	s.b, s.control = nil, nil
}

func (s *sender) trySend(fd uintptr) bool {
	s.prepare(int(fd))
	for range sendTries {
		_, s.err = unix.SendmsgN(int(fd), s.b, s.control, s.address, unix.MSG_DONTWAIT|unix.MSG_NOSIGNAL)
		if s.err == nil || s.err == unix.EAGAIN || s.err == unix.ENOBUFS {
			break // else it may be about an earlier one, and nothing was sent
		}
		s.host.told.Store(true)
	}
	return true
}

// prepare sets what the heading says that the socket has not.
func (s *sender) prepare(fd int) {
	to := s.heading.to
	if s.socket.to != to {
		s.socket.to = to
		if to.Addr().Is4() {
			s.in4 = unix.SockaddrInet4{Port: int(to.Port()), Addr: to.Addr().As4()}
			s.address = &s.in4
		} else {
			s.in6 = unix.SockaddrInet6{Port: int(to.Port()), Addr: to.Addr().As16()}
			s.address = &s.in6
		}
	}
	if s.socket.hops != s.heading.hops {
		s.socket.hops = s.heading.hops
		setHops(fd, to.Addr().Is4(), s.heading.hops)
	}
	if s.socket.whole != s.heading.whole {
		s.socket.whole = s.heading.whole
		setWhole(fd, to.Addr().Is4(), s.heading.whole)
	}
}
