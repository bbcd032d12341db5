package udp

import (
	"fmt"
	"net/netip"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/culvert-vpn/culvert/internal/x/gso"
)

// writer owns the headers that sendmmsg reads. Datagrams stay where their owners
// have them: iovecs point at them.
type writer struct {
	s        *Socket
	gather   gather
	hdrs     []unix.Mmsghdr // one a run
	iovs     []unix.Iovec   // one a datagram, a run's next to each other
	names    []sockaddr
	controls []control
	singles  []unix.Mmsghdr // for a run that must leave without segmentation
	lone     control        // their control message

	now     func(fd uintptr) // see attempt; built once: a closure a call would be an allocation
	pending []unix.Mmsghdr   // what attempt is to send
	n       int              // what it sent of it
	errno   syscall.Errno
	err     error // of a Flush that Commit did
	full    int   // datagrams that the socket had no room for, since the last Flush
}

// NewWriter makes a writer that holds up to batch datagrams; at least one.
func (s *Socket) NewWriter(batch int) Writer { return s.newWriter(max(batch, 1)) }

func (s *Socket) newWriter(batch int) *writer {
	w := &writer{
		s:        s,
		gather:   newGather(batch),
		hdrs:     make([]unix.Mmsghdr, batch),
		iovs:     make([]unix.Iovec, batch),
		names:    make([]sockaddr, batch),
		controls: make([]control, batch),
		singles:  make([]unix.Mmsghdr, min(batch, gso.MaxDatagrams)),
	}
	w.now = func(fd uintptr) { w.n, w.errno = s.calls.send(fd, w.pending) }
	return w
}

// Commit implements Writer.
func (w *writer) Commit(data []byte, remote netip.AddrPort, local netip.Addr) {
	if remote.Addr().Is4In6() {
		remote = netip.AddrPortFrom(remote.Addr().Unmap(), remote.Port())
	}
	v4 := w.s.local.Addr().Is4()
	if !remote.IsValid() || remote.Addr().Is4() != v4 {
		w.s.counters.refused.Add(1)
		return
	}
	local = local.Unmap()
	if !w.s.wildcard || local.Is4() != v4 {
		local = netip.Addr{}
	}
	if w.gather.full() {
		w.flush()
	}
	w.gather.add(data, remote, local, w.s.gso.Load())
}

// Flush implements Writer.
func (w *writer) Flush() error {
	w.flush()
	err, full := w.err, w.full
	w.err, w.full = nil, 0
	if err == nil && full > 0 {
		return Full(full)
	}
	return err
}

// flush sends the batch, and notes what came of it.
func (w *writer) flush() {
	if len(w.gather.runs) == 0 {
		return
	}
	w.layout()
	if err := w.send(w.hdrs[:len(w.gather.runs)]); err != nil {
		w.err = err
	}
	clear(w.iovs[:len(w.gather.datagrams)])
	w.gather.reset()
}

// layout fills headers and iovecs from the batch.
func (w *writer) layout() {
	iov := 0
	for i := range w.gather.runs {
		r := &w.gather.runs[i]
		first := iov
		for d := r.first; d >= 0; d = w.gather.datagrams[d].next {
			setIovec(&w.iovs[iov], w.gather.datagrams[d].data)
			iov++
		}
		segment := 0
		if r.count > 1 {
			segment = r.size
		}
		h := &w.hdrs[i].Hdr
		h.Name = (*byte)(unsafe.Pointer(&w.names[i]))
		h.Namelen = putSockaddr(&w.names[i], r.remote)
		h.Iov = &w.iovs[first]
		h.SetIovlen(r.count)
		setControl(h, &w.controls[i], w.controls[i].write(r.local, segment))
	}
}

func setIovec(iov *unix.Iovec, data []byte) {
	iov.Base = unsafe.SliceData(data)
	iov.SetLen(len(data))
}

// setControl points a header at n bytes of control messages.
func setControl(h *unix.Msghdr, c *control, n int) {
	h.Control = nil
	if n > 0 {
		h.Control = &c.bytes()[0]
	}
	h.SetControllen(n)
}

// send sends what it can of hdrs. sendmmsg stops at the first header that
// fails: that one is dropped, or tried in another way, and the next are sent.
// When the socket's buffer is full, no other header would fit either: the rest
// is dropped. Nobody waits for room, since a peer can keep it from coming: what
// goes to an address that nobody answers for stays in the buffer for seconds.
func (w *writer) send(hdrs []unix.Mmsghdr) error {
	for len(hdrs) > 0 {
		if err := w.attempt(hdrs); err != nil {
			return err
		}
		if w.errno == 0 {
			w.s.counters.sent.Add(datagramsOf(hdrs[:w.n]))
			hdrs = hdrs[w.n:]
			continue
		}
		if w.errno == syscall.EAGAIN {
			w.drop(hdrs)
			return nil
		}
		if err := w.recover(&hdrs[0], w.errno); err != nil {
			return err
		}
		hdrs = hdrs[1:]
	}
	return nil
}

// drop counts what the socket had no room for.
func (w *writer) drop(hdrs []unix.Mmsghdr) {
	n := datagramsOf(hdrs)
	w.s.counters.refused.Add(n)
	w.full += int(n)
}

// attempt calls sendmmsg, without the lock that the runtime holds for writers,
// so that writers of one socket do not wait for each other.
func (w *writer) attempt(hdrs []unix.Mmsghdr) error {
	w.pending = hdrs
	for {
		if err := w.s.raw.Control(w.now); err != nil {
			return wantClosed(err)
		}
		w.s.counters.calls.Add(1)
		if w.errno != syscall.EINTR {
			return nil
		}
	}
}

// recover deals with a header that the kernel refused. A run is tried again as
// single datagrams: EIO says that the device cannot compute the checksums, for
// which segmentation is given up on this socket; EMSGSIZE and EINVAL that its
// datagrams would have to be fragmented, which a run's cannot be.
func (w *writer) recover(h *unix.Mmsghdr, errno syscall.Errno) error {
	segmented := h.Hdr.Iovlen > 1
	switch {
	case segmented && errno == syscall.EIO:
		w.s.gso.Store(false)
		return w.spread(&h.Hdr)
	case segmented && (errno == syscall.EMSGSIZE || errno == syscall.EINVAL):
		return w.spread(&h.Hdr)
	case !segmented && errno == syscall.EINVAL, aboutPeer(errno):
		w.s.counters.refused.Add(uint64(h.Hdr.Iovlen))
		return nil
	}
	return fmt.Errorf("udp: sendmmsg: %w", errno)
}

// spread sends the datagrams of a run one by one.
func (w *writer) spread(h *unix.Msghdr) error {
	singles := w.singles[:h.Iovlen]
	iovs := unsafe.Slice(h.Iov, int(h.Iovlen))
	n := w.lone.write(w.localOf(h), 0)
	for i := range singles {
		s := &singles[i].Hdr
		s.Name, s.Namelen = h.Name, h.Namelen
		s.Iov = &iovs[i]
		s.SetIovlen(1)
		setControl(s, &w.lone, n)
	}
	return w.send(singles)
}

// localOf is the source address that a run's control message asks for.
func (w *writer) localOf(h *unix.Msghdr) netip.Addr {
	if h.Control == nil {
		return netip.Addr{}
	}
	return (*control)(unsafe.Pointer(h.Control)).readNotes(int(h.Controllen)).local
}

func datagramsOf(hdrs []unix.Mmsghdr) uint64 {
	var n uint64
	for i := range hdrs {
		n += uint64(hdrs[i].Hdr.Iovlen)
	}
	return n
}

// sendmmsg sends without waiting, so the runtime is not told: it would take a
// call that the kernel works through for one that waits, and wake another thread
// for a processor that this one needs.
func sendmmsg(fd uintptr, hdrs []unix.Mmsghdr) (int, syscall.Errno) {
	n, _, errno := syscall.RawSyscall6(unix.SYS_SENDMMSG, fd, uintptr(unsafe.Pointer(&hdrs[0])),
		uintptr(len(hdrs)), unix.MSG_DONTWAIT, 0, 0)
	return int(n), errno
}
