package udp

import (
	"fmt"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

const (
	// bufferLen holds the longest datagram, and the longest run of GRO.
	bufferLen = 1 << 16
	// bufferStride keeps the beginnings of buffers, where headers are, out of
	// each other's cache lines.
	bufferStride = bufferLen + 5*64
	// batchBytes is about how much is read at once, so that it is still in the
	// nearer caches when it is worked on, and batchPart at most which part of the
	// receive buffer, so that who reads sees how full that is.
	batchBytes = 512 << 10
	batchPart  = 4
	leastRoom  = 2 // headers
)

// reader owns the buffers that recvmmsg fills.
type reader struct {
	s        *Socket
	hdrs     []unix.Mmsghdr
	iovs     []unix.Iovec
	names    []sockaddr
	controls []control
	memory   []byte
	messages []Message

	receive func(fd uintptr) bool // built once: a closure a call would be an allocation
	n       int                   // headers filled by the last call
	room    int                   // headers offered to the next one
	most    int                   // bytes that it should bring
	errno   syscall.Errno
	backlog float64
	drops   uint32 // as the kernel last counted them
	filter  socketFilter
}

// NewReader makes a reader of batch receive buffers of 64 KiB each; at least
// one.
func (s *Socket) NewReader(batch int) Reader { return s.newReader(max(batch, 1), bufferLen) }

func (s *Socket) newReader(batch, length int) *reader {
	r := &reader{
		s:        s,
		hdrs:     make([]unix.Mmsghdr, batch),
		iovs:     make([]unix.Iovec, batch),
		names:    make([]sockaddr, batch),
		controls: make([]control, batch),
		memory:   make([]byte, batch*bufferStride),
		messages: make([]Message, 0, 8*batch),
	}
	for i := range r.hdrs {
		h := &r.hdrs[i].Hdr
		r.iovs[i].Base = &r.memory[i*bufferStride]
		r.iovs[i].SetLen(length)
		h.Iov = &r.iovs[i]
		h.SetIovlen(1)
		h.Name = (*byte)(unsafe.Pointer(&r.names[i]))
		h.Control = &r.controls[i].bytes()[0]
	}
	r.n, r.room = batch, batch
	r.most = min(batchBytes, s.Granted().ReceiveBuffer/batchPart)
	r.receive, r.filter.control = r.tryReceive, r.attach
	return r
}

// Read implements Reader.
func (r *reader) Read() ([]Message, error) {
	for {
		r.rearm()
		if err := r.s.raw.Read(r.receive); err != nil {
			if err = r.readError(err); err != nil {
				return nil, err
			}
			continue
		}
		if r.errno != 0 {
			if aboutPeer(r.errno) {
				continue
			}
			return nil, fmt.Errorf("udp: recvmmsg: %w", r.errno)
		}
		if r.collect(); len(r.messages) > 0 {
			r.s.counters.received.Add(uint64(len(r.messages)))
			return r.messages, nil
		}
	}
}

// rearm gives back to the headers what the kernel overwrote in the last call.
func (r *reader) rearm() {
	for i := range r.hdrs[:r.n] {
		h := &r.hdrs[i].Hdr
		h.Namelen = uint32(unsafe.Sizeof(r.names[i]))
		h.SetControllen(controlRoom)
	}
	r.n = 0
}

// tryReceive reports false when the socket is empty, and so has the runtime
// call it again when it is not.
func (r *reader) tryReceive(fd uintptr) bool {
	for {
		n, errno := r.s.calls.receive(fd, r.hdrs[:r.room])
		switch errno {
		case syscall.EINTR:
			continue
		case syscall.EAGAIN:
			return false
		case 0:
			r.n = n
			r.backlog = 0
			if n == r.room {
				r.backlog = r.measure(fd)
			}
			r.makeRoom()
		}
		r.s.counters.calls.Add(1)
		r.errno = errno
		return true
	}
}

// makeRoom decides how many headers the next call is offered: what the kernel has
// joined is long.
func (r *reader) makeRoom() {
	r.room = len(r.hdrs)
	if taken := r.taken(); taken > 0 {
		r.room = min(max(r.most*r.n/taken, leastRoom), r.room)
	}
}

// Backlog implements Pressed.
func (r *reader) Backlog() float64 { return r.backlog }

// Fields of what SO_MEMINFO reports, in linux/sock_diag.h.
const (
	memReceived = 0 // bytes of memory that wait to be read
	memReceive  = 1 // their bound
	memDrops    = 8 // datagrams lost, for want of room above all
	memFields   = 9
)

// measure asks the kernel how full the receive buffer is, and whether it was
// too full since it was last asked.
func (r *reader) measure(fd uintptr) float64 {
	var info [memFields]uint32
	size := uint32(unsafe.Sizeof(info))
	_, _, errno := syscall.RawSyscall6(unix.SYS_GETSOCKOPT, fd, unix.SOL_SOCKET, unix.SO_MEMINFO,
		uintptr(unsafe.Pointer(&info)), uintptr(unsafe.Pointer(&size)), 0)
	if errno != 0 || info[memReceive] == 0 {
		return 0
	}
	full := float64(info[memReceived]) / float64(info[memReceive])
	lost := info[memDrops] != r.drops
	r.drops = info[memDrops]
	if r.filter.unreliable {
		lost = full+float64(r.taken())/float64(info[memReceive]) > brimful
		r.filter.unreliable = r.filter.on
	}
	if lost {
		return max(full, 1)
	}
	return full
}

// brimful is how full a socket is at least that loses what comes. One that is
// thinned does not tell otherwise.
const brimful = 0.95

// taken is how many bytes the last call brought.
func (r *reader) taken() (n int) {
	for i := range r.hdrs[:r.n] {
		n += int(r.hdrs[i].Len)
	}
	return n
}

// collect makes messages of the headers filled.
func (r *reader) collect() {
	r.messages = r.messages[:0]
	for i := range r.hdrs[:r.n] {
		h := &r.hdrs[i]
		if h.Hdr.Flags&(unix.MSG_TRUNC|unix.MSG_CTRUNC) != 0 {
			r.s.counters.truncated.Add(1)
			continue
		}
		notes := r.controls[i].readNotes(int(h.Hdr.Controllen))
		if !r.s.wildcard {
			notes.local = r.s.local.Addr()
		}
		start := i * bufferStride
		m := Message{Remote: getSockaddr(&r.names[i]), Local: notes.local}
		r.split(m, r.memory[start:start+int(h.Len)], notes.segment)
	}
}

// split cuts what GRO joined; the last datagram may be shorter than the others.
func (r *reader) split(m Message, data []byte, segment int) {
	if segment <= 0 {
		segment = len(data)
	}
	for len(data) > segment {
		m.Data, data = data[:segment:segment], data[segment:]
		r.messages = append(r.messages, m)
	}
	m.Data = data[:len(data):len(data)]
	r.messages = append(r.messages, m)
}

// aboutPeer reports errors that a socket passes on from some peer or path, or
// from a passing want of memory; they say nothing about the socket.
func aboutPeer(errno syscall.Errno) bool {
	switch errno {
	case syscall.EBADF, syscall.ENOTSOCK, syscall.EFAULT, syscall.EINVAL, syscall.ENOSYS, syscall.EOPNOTSUPP:
		return false
	}
	return true
}

// recvmmsg receives without waiting: see sendmmsg.
func recvmmsg(fd uintptr, hdrs []unix.Mmsghdr) (int, syscall.Errno) {
	n, _, errno := syscall.RawSyscall6(unix.SYS_RECVMMSG, fd, uintptr(unsafe.Pointer(&hdrs[0])),
		uintptr(len(hdrs)), unix.MSG_DONTWAIT, 0, 0)
	return int(n), errno
}
