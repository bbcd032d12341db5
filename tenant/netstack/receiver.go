package netstack

import (
	"encoding/binary"
	"errors"
	"net/netip"
	"os"
	"unsafe"

	"golang.org/x/sys/unix"
)

// receiveTries is how many errors in a row are taken for what the network said,
// each of which is told once.
const receiveTries = 1000

// errSaid says that the host's network has said something about a datagram.
var errSaid = errors.New("netstack: an ICMP error")

// receiver reads the datagrams of a mapping from a host's socket: several of one
// size at once where the kernel joined them (UDP_GRO). It holds no buffer while
// there is nothing to read. One goroutine has it.
type receiver struct {
	host *hostConn

	try     func(fd uintptr) bool
	buf     *[copySize]byte // what try read into
	n       int
	segment int // size of every datagram but the last
	err     error
	listens bool           // looks for errors whenever there is nothing to read
	data    bool           // something was read since the last wait
	from    netip.AddrPort // whose datagrams they are
	said    said           // with errSaid
	msg     unix.Msghdr
	iov     unix.Iovec
	name    unix.RawSockaddrInet6 // has room for IPv4's
	control [controlWords]uint64  // of control messages, aligned
}

func newReceiver(host *hostConn) *receiver {
	r := &receiver{host: host}
	r.try = r.tryRead
	if r.host.raw != nil {
		r.host.raw.Control(func(fd uintptr) { // a kernel without it joins nothing
			unix.SetsockoptInt(int(fd), unix.SOL_UDP, unix.UDP_GRO, 1)
		})
	}
	return r
}

// read returns a buffer that the caller gives back, unless there is an error,
// with n bytes of datagrams, each segment bytes long but for the last, which
// may be shorter. No bytes are an empty datagram. They are from one source, which
// is left in r.from. With errSaid r.said tells what the network said.
func (r *receiver) read() (buf *[copySize]byte, n, segment int, err error) {
	if r.host.raw == nil {
		return nil, 0, 0, os.ErrInvalid
	}
	if err := r.host.raw.Read(r.try); err != nil {
		return nil, 0, 0, err
	}
	if r.err != nil {
		r.host.buffers.Put(r.buf)
		return nil, 0, 0, r.err
	}
	return r.buf, r.n, r.segment, nil
}

// tryRead reports false, for the runtime to wait, when there is nothing to read.
func (r *receiver) tryRead(fd uintptr) bool {
	buf := r.host.buffers.Get().(*[copySize]byte)
	for tries := 0; ; tries++ {
		n, errno := r.receive(fd, buf[:], 0)
		if errno != 0 && errno != unix.EAGAIN && tries > receiveTries {
			r.buf, r.err = buf, errno
			return true
		}
		switch errno {
		case 0:
			r.buf, r.n, r.segment, r.err, r.data = buf, n, n, nil, true
			r.from = addrPortOf(&r.name)
			if s := r.joined(); s > 0 {
				r.segment = s
			}
			return true
		case unix.EAGAIN:
			// An error that is not seen here has met a send, or there is nothing else
			// for which this was woken.
			if told := r.host.told.Swap(false); r.data && !told && !r.listens {
				r.data = false
				r.host.buffers.Put(buf)
				return false
			}
			heard, ok := r.hear(fd, buf)
			if heard {
				r.buf, r.err = buf, errSaid
				return true
			}
			if ok {
				continue
			}
			r.host.buffers.Put(buf)
			return false
		}
		r.data = false // EINTR, or the error of a message that waits to be heard
	}
}

// receive calls recvmsg(2).
func (r *receiver) receive(fd uintptr, b []byte, flags uintptr) (int, unix.Errno) {
	r.iov.Base = &b[0]
	r.iov.SetLen(len(b))
	r.msg.Iov = &r.iov
	r.msg.SetIovlen(1)
	r.msg.Name, r.msg.Namelen = (*byte)(unsafe.Pointer(&r.name)), unix.SizeofSockaddrInet6
	r.msg.Control = (*byte)(unsafe.Pointer(&r.control))
	r.msg.SetControllen(int(unsafe.Sizeof(r.control)))
	n, _, errno := unix.Syscall(unix.SYS_RECVMSG, fd, uintptr(unsafe.Pointer(&r.msg)), unix.MSG_DONTWAIT|flags)
	r.iov.Base = nil
	return int(n), errno
}

// joined is the size of the datagrams that the kernel joined; 0: it did not.
func (r *receiver) joined() int {
	h := (*unix.Cmsghdr)(unsafe.Pointer(&r.control))
	if r.msg.Controllen < uint64(unix.CmsgLen(4)) || h.Level != unix.SOL_UDP || h.Type != unix.UDP_GRO {
		return 0
	}
	b := unsafe.Slice((*byte)(unsafe.Pointer(&r.control)), unsafe.Sizeof(r.control))
	return int(int32(binary.NativeEndian.Uint32(b[unix.CmsgLen(0):])))
}
