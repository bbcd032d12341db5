package netstack

import (
	"encoding/binary"
	"unsafe"

	"golang.org/x/sys/unix"
)

// receiver reads the datagrams of a flow from a host's socket: several of one
// size at once where the kernel joined them (UDP_GRO). It holds no buffer while
// there is nothing to read. One goroutine has it.
type receiver struct {
	host *hostConn

	try     func(fd uintptr) bool
	buf     *[copySize]byte // what try read into
	n       int
	segment int // size of every datagram but the last
	err     error
	msg     unix.Msghdr
	iov     unix.Iovec
	control [4]uint64 // room for one control message, aligned
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
// may be shorter. No bytes are an empty datagram.
func (r *receiver) read() (buf *[copySize]byte, n, segment int, err error) {
	if r.host.raw == nil {
		buf, n, err = r.host.read()
		return buf, n, n, err
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
	for {
		n, errno := r.receive(fd, buf)
		switch errno {
		case unix.EINTR:
			continue
		case unix.EAGAIN:
			r.host.buffers.Put(buf)
			return false
		}
		r.buf, r.n, r.segment, r.err = buf, n, n, nil
		if errno != 0 {
			r.err = errno
		} else if s := r.joined(); s > 0 {
			r.segment = s
		}
		return true
	}
}

// receive calls recvmsg(2).
func (r *receiver) receive(fd uintptr, buf *[copySize]byte) (int, unix.Errno) {
	r.iov.Base = &buf[0]
	r.iov.SetLen(len(buf))
	r.msg.Iov = &r.iov
	r.msg.SetIovlen(1)
	r.msg.Control = (*byte)(unsafe.Pointer(&r.control))
	r.msg.SetControllen(int(unsafe.Sizeof(r.control)))
	n, _, errno := unix.Syscall(unix.SYS_RECVMSG, fd, uintptr(unsafe.Pointer(&r.msg)), unix.MSG_DONTWAIT)
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
