package netstack

import (
	"context"
	"encoding/binary"
	"net"
	"net/netip"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/culvert-vpn/culvert/tenant/ipkt"
)

const (
	// controlWords are the 8-byte words that hold what the kernel adds to a
	// message of the error queue: cmsghdr, sock_extended_err and an address.
	controlWords = 16
	extendedLen  = 16 // of sock_extended_err
	maxQuoted    = 512
)

// said is what somebody on the way said about a datagram (ICMP, ICMPv6).
type said struct {
	about   netip.AddrPort // whom the datagram was sent to
	by      netip.Addr
	message ipkt.Message
	quoted  [maxQuoted]byte // the beginning of its payload,
	length  int             // of so many bytes
}

// listenUDP opens an unconnected UDP socket of the host on a port of its own.
// It says what the network says (IP_RECVERR), and sends no broadcasts: the
// directed ones of the host's networks look like anybody's address.
func listenUDP(is4 bool) (*net.UDPConn, error) {
	lc := net.ListenConfig{Control: func(_, _ string, raw syscall.RawConn) error {
		var err error
		if cerr := raw.Control(func(fd uintptr) { err = prepareUDP(int(fd), is4) }); cerr != nil {
			return cerr
		}
		return err
	}}
	network, any := "udp6", "[::]:0"
	if is4 {
		network, any = "udp4", "0.0.0.0:0"
	}
	pc, err := lc.ListenPacket(context.Background(), network, any)
	if err != nil {
		return nil, err
	}
	return pc.(*net.UDPConn), nil
}

func prepareUDP(fd int, is4 bool) error {
	if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_BROADCAST, 0); err != nil {
		return err
	}
	setWhole(fd, is4, false)
	return hearErrors(fd, is4)
}

// hearErrors has the kernel keep ICMP errors for a socket.
func hearErrors(fd int, is4 bool) error {
	if is4 {
		return unix.SetsockoptInt(fd, unix.SOL_IP, unix.IP_RECVERR, 1)
	}
	return unix.SetsockoptInt(fd, unix.SOL_IPV6, unix.IPV6_RECVERR, 1)
}

// setHops sets the TTL or hop limit of what a socket sends.
func setHops(fd int, is4 bool, hops uint8) error {
	if is4 {
		return unix.SetsockoptInt(fd, unix.SOL_IP, unix.IP_TTL, int(hops))
	}
	return unix.SetsockoptInt(fd, unix.SOL_IPV6, unix.IPV6_UNICAST_HOPS, int(hops))
}

// setWhole says whether what a socket sends is never to be cut, or as need be.
func setWhole(fd int, is4, whole bool) error {
	how := unix.IP_PMTUDISC_DONT
	switch {
	case whole:
		how = unix.IP_PMTUDISC_DO
	case !is4:
		how = unix.IPV6_PMTUDISC_WANT // routers do not cut: the host has to know
	}
	if is4 {
		return unix.SetsockoptInt(fd, unix.SOL_IP, unix.IP_MTU_DISCOVER, how)
	}
	return unix.SetsockoptInt(fd, unix.SOL_IPV6, unix.IPV6_MTU_DISCOVER, how)
}

// hear reads the socket's error queue. heard says that r.said is what somebody
// on the way said; ok, that there was something at all.
func (r *receiver) hear(fd uintptr, buf *[copySize]byte) (heard, ok bool) {
	n, errno := r.receive(fd, buf[:], unix.MSG_ERRQUEUE)
	if errno != 0 {
		return false, errno == unix.EINTR
	}
	room := unsafe.Slice((*byte)(unsafe.Pointer(&r.control)), unsafe.Sizeof(r.control))
	var message ipkt.Message
	by, is := offender(room[:min(uint64(len(room)), r.msg.Controllen)], &message)
	if !is {
		return false, true
	}
	r.said.about, r.said.by, r.said.message = addrPortOf(&r.name), by, message
	r.said.length = copy(r.said.quoted[:], buf[:n])
	return true, true
}

// offender reads a control message of the error queue: who said it, and what.
// What the host itself says is left to who sends.
func offender(b []byte, message *ipkt.Message) (by netip.Addr, ok bool) {
	const addressAt4, addressAt6 = 4, 8 // in sockaddr_in and sockaddr_in6
	if len(b) < unix.CmsgSpace(0)+extendedLen {
		return by, false
	}
	h := (*unix.Cmsghdr)(unsafe.Pointer(&b[0]))
	e := b[unix.CmsgLen(0):min(uint64(len(b)), max(h.Len, uint64(unix.CmsgLen(extendedLen))))]
	origin, info := e[4], binary.NativeEndian.Uint32(e[8:])
	message.Type, message.Code, message.MTU = e[5], e[6], 0
	at := e[extendedLen:]
	switch {
	case h.Level == unix.SOL_IP && h.Type == unix.IP_RECVERR && origin == unix.SO_EE_ORIGIN_ICMP && len(at) >= addressAt4+4:
		if message.Type == 3 && message.Code == 4 {
			message.MTU = int(info)
		}
		return netip.AddrFrom4([4]byte(at[addressAt4:])), message.Type == 3 || message.Type == 11
	case h.Level == unix.SOL_IPV6 && h.Type == unix.IPV6_RECVERR && origin == unix.SO_EE_ORIGIN_ICMP6 && len(at) >= addressAt6+16:
		if message.Type == 2 {
			message.MTU = int(info)
		}
		return netip.AddrFrom16([16]byte(at[addressAt6:])), message.Type >= 1 && message.Type <= 3
	}
	return by, false
}

// addrPortOf is an address that the kernel wrote.
func addrPortOf(name *unix.RawSockaddrInet6) netip.AddrPort {
	port := binary.BigEndian.Uint16((*[2]byte)(unsafe.Pointer(&name.Port))[:])
	if name.Family == unix.AF_INET {
		in := (*unix.RawSockaddrInet4)(unsafe.Pointer(name))
		return netip.AddrPortFrom(netip.AddrFrom4(in.Addr), port)
	}
	return netip.AddrPortFrom(netip.AddrFrom16(name.Addr), port)
}

// sockaddr is an address as the kernel takes it, and its family.
func sockaddr(at netip.AddrPort) (family int, sa unix.Sockaddr) {
	if at.Addr().Is4() {
		return unix.AF_INET, &unix.SockaddrInet4{Port: int(at.Port()), Addr: at.Addr().As4()}
	}
	return unix.AF_INET6, &unix.SockaddrInet6{Port: int(at.Port()), Addr: at.Addr().As16()}
}

// pathMTU is what the host knows of the MTU towards an address; 0: nothing.
func pathMTU(to netip.Addr) int {
	family, at := sockaddr(netip.AddrPortFrom(to, dnsPort))
	level, option := unix.SOL_IP, unix.IP_MTU
	if to.Is6() {
		level, option = unix.SOL_IPV6, unix.IPV6_MTU
	}
	fd, err := unix.Socket(family, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return 0
	}
	defer unix.Close(fd)
	if unix.Connect(fd, at) != nil {
		return 0
	}
	mtu, err := unix.GetsockoptInt(fd, level, option)
	if err != nil {
		return 0
	}
	return mtu
}
