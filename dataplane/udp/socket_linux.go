package udp

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"sync/atomic"
	"syscall"

	"golang.org/x/sys/unix"
)

// Socket is a UDP socket of the operating system. It implements Conn.
type Socket struct {
	conn     *net.UDPConn
	raw      syscall.RawConn
	local    netip.AddrPort
	wildcard bool // bound to all addresses: every datagram's own one is asked for
	gro      bool
	gso      atomic.Bool
	calls    syscalls
	counters counters

	sendBuffer int           // in what the kernel counts
	neighbours *neighbours   // nil: nobody can be asked
	questions  atomic.Uint64 // about hosts that may not answer
	filling    atomic.Bool   // the send buffer, when it was looked at last
}

// syscalls are the two that move datagrams, the one that asks the kernel to join and
// split them, and the one that has it drop some, so that tests can have them fail.
type syscalls struct {
	receive, send func(fd uintptr, hdrs []unix.Mmsghdr) (int, syscall.Errno)
	option        func(fd, level, option, value int) error
	filter        func(fd int, program *unix.SockFprog) error
}

type counters struct {
	received, truncated, sent, refused, calls atomic.Uint64
}

var (
	_ Conn     = (*Socket)(nil)
	_ Resolver = (*Socket)(nil)
)

// Listen binds a socket. An error wraps ErrConfig or is the system's.
func Listen(c Config) (*Socket, error) {
	return listen(c, syscalls{recvmmsg, sendmmsg, unix.SetsockoptInt, attachFilter})
}

func listen(c Config, calls syscalls) (*Socket, error) {
	if err := c.check(); err != nil {
		return nil, err
	}
	s := &Socket{wildcard: c.Addr.Addr().IsUnspecified(), calls: calls}
	lc := net.ListenConfig{Control: func(_, _ string, raw syscall.RawConn) error {
		var err error
		if e := raw.Control(func(fd uintptr) { err = s.setup(int(fd), &c) }); e != nil {
			return e
		}
		return err
	}}
	conn, err := lc.ListenPacket(context.Background(), c.network(), c.Addr.String())
	if err != nil {
		return nil, fmt.Errorf("udp: %w", err)
	}
	s.conn = conn.(*net.UDPConn)
	if s.raw, err = s.conn.SyscallConn(); err != nil {
		s.conn.Close()
		return nil, fmt.Errorf("udp: %w", err)
	}
	local := s.conn.LocalAddr().(*net.UDPAddr).AddrPort()
	s.local = netip.AddrPortFrom(local.Addr().Unmap(), local.Port())
	s.sendBuffer = 2 * s.Granted().SendBuffer
	s.neighbours, _ = newNeighbours(s.local.Addr().Is4()) // without netlink, all goes into the buffer
	return s, nil
}

// setup sets the options of a socket that is not bound yet, so that nothing
// arrives without them. What only makes it faster may fail.
func (s *Socket) setup(fd int, c *Config) error {
	if c.ReusePort {
		if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEPORT, 1); err != nil {
			return os.NewSyscallError("setsockopt SO_REUSEPORT", err)
		}
	}
	// The net package allows broadcasts; nobody here has a reason to send one.
	if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_BROADCAST, 0); err != nil {
		return os.NewSyscallError("setsockopt SO_BROADCAST", err)
	}
	setBuffer(fd, c.ReceiveBuffer, unix.SO_RCVBUFFORCE, unix.SO_RCVBUF)
	setBuffer(fd, c.SendBuffer, unix.SO_SNDBUFFORCE, unix.SO_SNDBUF)
	if err := setFragments(fd, c.Addr.Addr().Is4()); err != nil {
		return os.NewSyscallError("setsockopt MTU_DISCOVER", err)
	}
	if s.wildcard {
		if err := setPktinfo(fd, c.Addr.Addr().Is4()); err != nil {
			return os.NewSyscallError("setsockopt PKTINFO", err)
		}
	}
	s.gro = s.calls.option(fd, unix.SOL_UDP, unix.UDP_GRO, 1) == nil
	s.gso.Store(s.calls.option(fd, unix.SOL_UDP, unix.UDP_SEGMENT, 0) == nil)
	return nil
}

// setBuffer asks for a buffer beyond the system's limit, which takes privilege,
// and then for what the limit allows.
func setBuffer(fd, size, force, ask int) {
	if size == 0 {
		return
	}
	if unix.SetsockoptInt(fd, unix.SOL_SOCKET, force, size) != nil {
		_ = unix.SetsockoptInt(fd, unix.SOL_SOCKET, ask, size) // Granted tells
	}
}

// setFragments lets long datagrams be fragmented. IP_PMTUDISC_OMIT sends with DF
// clear and ignores claims about the path's MTU; IPV6_PMTUDISC_DONT fragments to
// the MTU that routers report, since they do not fragment themselves.
func setFragments(fd int, v4 bool) error {
	if !v4 {
		return unix.SetsockoptInt(fd, unix.IPPROTO_IPV6, unix.IPV6_MTU_DISCOVER, unix.IPV6_PMTUDISC_DONT)
	}
	if unix.SetsockoptInt(fd, unix.IPPROTO_IP, unix.IP_MTU_DISCOVER, unix.IP_PMTUDISC_OMIT) == nil {
		return nil
	}
	return unix.SetsockoptInt(fd, unix.IPPROTO_IP, unix.IP_MTU_DISCOVER, unix.IP_PMTUDISC_DONT)
}

func setPktinfo(fd int, v4 bool) error {
	if v4 {
		return unix.SetsockoptInt(fd, unix.IPPROTO_IP, unix.IP_PKTINFO, 1)
	}
	return unix.SetsockoptInt(fd, unix.IPPROTO_IPV6, unix.IPV6_RECVPKTINFO, 1)
}

// LocalAddr is the address bound to, with the port that the system chose.
func (s *Socket) LocalAddr() netip.AddrPort { return s.local }

// Close ends all reading and writing.
func (s *Socket) Close() error {
	if s.neighbours != nil {
		s.neighbours.close()
	}
	if err := s.conn.Close(); err != nil && !errors.Is(err, net.ErrClosed) {
		return fmt.Errorf("udp: %w", err)
	}
	return nil
}

// Granted tells what the system gave; all zero after Close.
func (s *Socket) Granted() Granted {
	var g Granted
	err := s.raw.Control(func(fd uintptr) {
		g.ReceiveBuffer = granted(int(fd), unix.SO_RCVBUF)
		g.SendBuffer = granted(int(fd), unix.SO_SNDBUF)
	})
	if err == nil {
		g.GRO, g.GSO = s.gro, s.gso.Load()
	}
	return g
}

// granted halves what the kernel reports: it doubles what it is asked for, to
// have room for its own notes.
func granted(fd, option int) int {
	n, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, option)
	if err != nil {
		return 0
	}
	return n / 2
}

// Stats counts datagrams since Listen.
func (s *Socket) Stats() Stats {
	c := &s.counters
	return Stats{
		Received: c.received.Load(), Truncated: c.truncated.Load(),
		Sent: c.sent.Load(), Refused: c.refused.Load(), Calls: c.calls.Load(),
	}
}

// wantClosed turns the error of a RawConn, which fails only when the socket was
// closed, into the one that was promised.
func wantClosed(err error) error {
	if errors.Is(err, net.ErrClosed) {
		return net.ErrClosed
	}
	return fmt.Errorf("udp: %w", err)
}
