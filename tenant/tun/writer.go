package tun

import (
	"fmt"
	"os"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// writer writes to one queue of the device.
type writer struct {
	raw   syscall.RawConn
	vnet  bool
	uso   bool
	batch [][]byte

	headers []byte // of the piece being written
	iov     []unix.Iovec
	try     func(fd uintptr) bool
	errno   syscall.Errno
}

func newWriter(file *os.File, vnet, uso bool) (*writer, error) {
	raw, err := file.SyscallConn()
	if err != nil {
		return nil, fmt.Errorf("tun: %w", err)
	}
	w := &writer{raw: raw, vnet: vnet, uso: uso, headers: make([]byte, 0, vnetLen+maxHeaders)}
	w.try = w.tryWrite
	return w, nil
}

// Commit implements tenant.Writer.
func (w *writer) Commit(pkt []byte) {
	if len(pkt) > 0 {
		w.batch = append(w.batch, pkt)
	}
}

// Flush implements tenant.Writer. The error is that of the first packet that
// the kernel refused; the others were written.
func (w *writer) Flush() error {
	var first error
	for rest := w.batch; len(rest) > 0; {
		n, err := w.writePiece(rest)
		if err != nil && first == nil {
			first = fmt.Errorf("tun: write: %w", err)
		}
		rest = rest[n:]
	}
	clear(w.batch)
	w.batch = w.batch[:0]
	return first
}

// writePiece writes the first of packets, and those that continue it, and
// returns how many that were.
func (w *writer) writePiece(packets [][]byte) (int, error) {
	if !w.vnet {
		w.addIovec(packets[0])
		return 1, w.write()
	}
	run := join(packets, w.uso)
	if len(run.packets) == 1 {
		w.headers = append(w.headers[:0], make([]byte, vnetLen)...)
		w.addIovec(w.headers)
		w.addIovec(packets[0])
		return 1, w.write()
	}
	w.headers = run.appendHeaders(w.headers[:0])
	w.addIovec(w.headers)
	for _, p := range run.packets {
		w.addIovec(p[run.headerLen:])
	}
	return len(run.packets), w.write()
}

func (w *writer) addIovec(b []byte) {
	v := unix.Iovec{Base: &b[0]}
	v.SetLen(len(b))
	w.iov = append(w.iov, v)
}

// write hands the vectors to the kernel as one packet.
func (w *writer) write() error {
	err := w.raw.Write(w.try)
	clear(w.iov)
	w.iov = w.iov[:0]
	if err != nil {
		return err
	}
	if w.errno != 0 {
		return w.errno
	}
	return nil
}

// tryWrite never waits: what the kernel has no room for is lost, as on any
// link.
func (w *writer) tryWrite(fd uintptr) bool {
	for {
		_, _, w.errno = unix.Syscall(unix.SYS_WRITEV, fd, uintptr(unsafe.Pointer(&w.iov[0])), uintptr(len(w.iov)))
		if w.errno != unix.EINTR {
			return true
		}
	}
}
