package netstack

import (
	"io"
	"sync"

	"golang.org/x/sys/unix"
)

// direct is how many bytes in one piece are written where they lie; fewer are
// put together in a buffer, since a call of the kernel costs more than a copy.
const direct = 16 << 10

// outlet takes what a client sent out of the stack to a host's socket. It
// never blocks in Write, which the stack calls under a connection's lock.
type outlet struct {
	host    *hostConn
	buffers *sync.Pool
	holding *holding
	buf     *[copySize]byte // nil: nothing is held
	held    int
	err     error // of the host's socket

	b   []byte // what try writes
	n   int
	try func(fd uintptr) bool
}

func newOutlet(host *hostConn, buffers *sync.Pool, h *holding) *outlet {
	o := &outlet{host: host, buffers: buffers, holding: h}
	o.try = o.tryWrite
	return o
}

// Write implements io.Writer. It takes less than b when the socket is full and
// so is the buffer.
func (o *outlet) Write(b []byte) (int, error) {
	sent := 0
	if o.held == 0 && len(b) >= direct && o.host.raw != nil {
		sent = o.write(b)
	}
	if o.err != nil {
		return sent, o.err
	}
	if sent < len(b) {
		if o.buf == nil {
			o.buf = o.buffers.Get().(*[copySize]byte)
		}
		n := copy(o.buf[o.held:], b[sent:])
		o.held += n
		sent += n
	}
	if sent < len(b) {
		return sent, io.ErrShortWrite
	}
	return sent, nil
}

// write writes what the socket has room for.
func (o *outlet) write(b []byte) int {
	o.b, o.n = b, 0
	err := o.host.raw.Write(o.try)
	o.b = nil
	if o.err == nil {
		o.err = err
	}
	return o.n
}

func (o *outlet) tryWrite(fd uintptr) bool {
	for {
		n, err := unix.SendmsgN(int(fd), o.b, nil, nil, unix.MSG_DONTWAIT|unix.MSG_NOSIGNAL)
		switch err {
		case unix.EINTR:
			continue
		case unix.EAGAIN:
			return true
		}
		o.n, o.err = max(n, 0), err
		return true
	}
}

// flush writes what is held and blocks until it is written.
func (o *outlet) flush() error {
	if o.buf == nil {
		return o.err
	}
	rest := o.buf[:o.held]
	if o.err == nil && o.host.raw != nil {
		rest = rest[o.write(rest):]
	}
	if o.err == nil && len(rest) > 0 {
		o.wait(rest)
	}
	o.giveBack()
	return o.err
}

// wait writes what the socket has no room for yet. Little of it does not keep a
// whole buffer meanwhile.
func (o *outlet) wait(rest []byte) {
	held := copySize
	if len(rest) <= copySize/4 {
		rest = append([]byte(nil), rest...)
		held = len(rest)
		o.giveBack()
	}
	o.holding.block(held)
	_, o.err = o.host.conn.Write(rest)
	o.holding.block(0)
}

func (o *outlet) giveBack() {
	if o.buf != nil {
		o.buffers.Put(o.buf)
		o.buf, o.held = nil, 0
	}
}
