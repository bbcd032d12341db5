package netstack

import (
	"io"
	"net"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// hostConn is the host's end of a flow.
type hostConn struct {
	conn    net.Conn
	raw     syscall.RawConn // nil: not a socket
	buffers *sync.Pool
	told    atomic.Bool // a send has met an error that may be about an earlier one
}

func newHostConn(conn net.Conn, buffers *sync.Pool) *hostConn {
	h := &hostConn{conn: conn, buffers: buffers}
	if sc, ok := conn.(syscall.Conn); ok {
		if raw, err := sc.SyscallConn(); err == nil {
			h.raw = raw
		}
	}
	return h
}

// read reads what is no socket, and so holds a buffer while it waits; inlet and
// receiver read sockets. It returns a buffer that the caller gives back, unless
// there is an error. No bytes are the end of a stream, or an empty datagram.
func (h *hostConn) read() (*[copySize]byte, int, error) {
	buf := h.buffers.Get().(*[copySize]byte)
	n, err := h.conn.Read(buf[:])
	if err == io.EOF {
		return buf, 0, nil
	}
	if err != nil {
		h.buffers.Put(buf)
		return nil, 0, err
	}
	return buf, n, nil
}

// closeWrite says that no more data follows.
func (h *hostConn) closeWrite() error {
	if c, ok := h.conn.(interface{ CloseWrite() error }); ok {
		return c.CloseWrite()
	}
	return nil
}

// reset makes Close send RST.
func (h *hostConn) reset() {
	if c, ok := h.conn.(*net.TCPConn); ok {
		c.SetLinger(0)
	}
}

// interrupt unblocks every call on the host's end.
func (h *hostConn) interrupt() { h.conn.SetDeadline(time.Unix(1, 0)) }
