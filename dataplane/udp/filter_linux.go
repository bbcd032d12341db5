package udp

import (
	"cmp"
	"errors"
	"net"
	"os"
	"slices"
	"time"

	"golang.org/x/sys/unix"
)

// socketFilter is the filter on the socket: a program of classic BPF, which the kernel
// runs for each datagram, or each run that it has joined, on the CPU that received it.
// That takes no privilege.
type socketFilter struct {
	program program
	code    []unix.SockFilter // of the program, for the kernel
	control func(fd uintptr)  // built once
	err     error             // of control
	on      bool
	// unreliable: the kernel may have counted what a filter dropped among what the
	// socket lost since it was last asked.
	unreliable bool
}

// SetFilter implements Filter.
func (r *reader) SetFilter(streams []Stream, lease time.Duration) error {
	streams = streams[:min(len(streams), MaxStreams)]
	slices.SortFunc(streams, func(a, b Stream) int { return cmp.Compare(a.Head, b.Head) })
	until := time.Now().Add(lease)
	r.filter.program.thin(streams)
	if len(streams) == 0 {
		until = time.Time{}
	}
	err := r.applyFilter()
	if err != nil && len(streams) > 0 {
		r.endFilter()
		return err
	}
	return errors.Join(err, r.s.conn.SetReadDeadline(until))
}

// endFilter has everything come through.
func (r *reader) endFilter() { _ = r.SetFilter(nil, 0) }

// applyFilter attaches the program, or detaches what is attached when there is none.
func (r *reader) applyFilter() error {
	f := &r.filter
	if len(f.program) == 0 && !f.on {
		return nil
	}
	f.on, f.unreliable = len(f.program) > 0, true
	if err := r.s.raw.Control(f.control); err != nil {
		return wantClosed(err)
	}
	return f.err
}

// attach is the system call of applyFilter.
func (r *reader) attach(fd uintptr) {
	f := &r.filter
	if len(f.program) == 0 {
		f.err = r.s.calls.option(int(fd), unix.SOL_SOCKET, unix.SO_DETACH_FILTER, 0)
		return
	}
	f.code = f.code[:0]
	for _, i := range f.program {
		f.code = append(f.code, unix.SockFilter{Code: i.Op, Jt: i.Jt, Jf: i.Jf, K: i.K})
	}
	f.err = r.s.calls.filter(int(fd), &unix.SockFprog{Len: uint16(len(f.code)), Filter: &f.code[0]})
}

// attachFilter is the system call that attaches a program to a socket.
func attachFilter(fd int, program *unix.SockFprog) error {
	return unix.SetsockoptSockFprog(fd, unix.SOL_SOCKET, unix.SO_ATTACH_FILTER, program)
}

// readError handles an error of a RawConn: the end of a lease, or of the socket.
func (r *reader) readError(err error) error {
	if errors.Is(err, os.ErrDeadlineExceeded) && !errors.Is(err, net.ErrClosed) {
		r.endFilter()
		return nil
	}
	return wantClosed(err)
}
