package tun

import (
	"fmt"
	"os"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/culvert-vpn/culvert/tenant"
)

const (
	maxPiece = 65535 // bytes of what the kernel hands over at once
	// enough is how many packets end a Read although there may be more. They are
	// sealed side by side and sent at once; more would only have the other end wait.
	enough = 32
)

// source reads one queue of the device.
type source struct {
	raw  syscall.RawConn
	vnet bool
	most int // bytes of a piece
	buf  []byte

	loads []load
	begun int // of the loads
	cut   segmenter

	try    func(fd uintptr) bool // built once: a closure a call would be an allocation
	errno  syscall.Errno
	failed error // of a piece; the next Read tells of it
}

// load is a piece as the kernel handed it over, in buf[off:end] of its source.
type load struct {
	off, end int
	header   vnetHeader // zeroes without vnet headers
}

// packets is how many it will be cut into, or one more.
func (l *load) packets() int {
	if l.header.gsoSize == 0 {
		return 1
	}
	return (l.end-l.off)/l.header.gsoSize + 1
}

func newSource(file *os.File, vnet bool, mtu int) (*source, error) {
	raw, err := file.SyscallConn()
	if err != nil {
		return nil, fmt.Errorf("tun: %w", err)
	}
	s := &source{raw: raw, vnet: vnet, most: mtu}
	room := enough * (tenant.Headroom + mtu + tenant.Tailroom)
	if vnet {
		// For one that is large behind many that are small.
		s.most, room = maxPiece, 2*(tenant.Headroom+maxPiece+tenant.Tailroom)
	}
	s.buf, s.try = make([]byte, room), s.tryRead
	return s, nil
}

// Read implements tenant.Source.
func (s *source) Read() error {
	s.loads, s.begun, s.cut = s.loads[:0], 0, segmenter{}
	if err := s.failed; err != nil {
		s.failed = nil
		return err
	}
	if err := s.raw.Read(s.try); err != nil {
		return fmt.Errorf("tun: %w: %w", os.ErrClosed, err)
	}
	switch {
	case len(s.loads) > 0:
		return nil
	case s.errno == unix.EBADFD: // the device is gone
		return os.ErrClosed
	case s.errno != 0:
		return os.NewSyscallError("read", s.errno)
	}
	return errVnet
}

// tryRead reads what there is, or enough. It reports false when there is nothing,
// and so has the runtime call it again when there is.
func (s *source) tryRead(fd uintptr) bool {
	at := 0
	for packets := 0; packets < enough && at+tenant.Headroom+s.most+tenant.Tailroom <= len(s.buf); {
		start := at + tenant.Headroom
		if s.vnet {
			start -= vnetLen
		}
		n, errno := read(fd, s.buf[start:at+tenant.Headroom+s.most])
		if s.errno = errno; errno != 0 {
			return errno != syscall.EAGAIN || len(s.loads) > 0
		}
		l := load{off: at + tenant.Headroom, end: start + n}
		if l.end <= l.off {
			return true
		}
		if s.vnet {
			l.header = parseVnet(s.buf[start:])
		}
		s.loads = append(s.loads, l)
		packets += l.packets()
		at = l.end + tenant.Tailroom
	}
	return true
}

// read reads without waiting, so the runtime is not told: see udp.
func read(fd uintptr, b []byte) (int, syscall.Errno) {
	for {
		n, _, errno := syscall.RawSyscall(unix.SYS_READ, fd, uintptr(unsafe.Pointer(&b[0])), uintptr(len(b)))
		if errno != syscall.EINTR {
			return int(n), errno
		}
	}
}

// Next implements tenant.Source.
func (s *source) Next() (buf []byte, off int, ok bool) {
	for {
		if s.cut.buf != nil {
			if buf, off, ok = s.cut.next(); ok {
				return buf, off, true
			}
		}
		if s.begun == len(s.loads) {
			return nil, 0, false
		}
		l := &s.loads[s.begun]
		s.begun++
		if err := s.cut.start(s.buf, l.off, l.end, l.header); err != nil {
			s.cut.buf, s.failed = nil, err
		}
	}
}

// Peek implements tenant.Peeker.
func (s *source) Peek(i int) []byte {
	if i >= len(s.loads) {
		return nil
	}
	return s.buf[s.loads[i].off:s.loads[i].end]
}
