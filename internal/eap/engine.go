package eap

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"iter"
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// engine runs a TLS handshake in memory, one flight at a time. The handshake of
// crypto/tls wants a connection on which it can wait; here it is a coroutine that
// is left when it would wait, and entered again when bytes have come. Nothing runs
// beside the caller of step.
type engine struct {
	open  func(net.Conn) *tls.Conn // what is made with the first step
	run   func(*tls.Conn) error    // what comes behind the handshake
	conn  *tls.Conn
	in    bytes.Buffer // for the handshake to read
	out   bytes.Buffer // what it has written
	hello []byte       // the first flight of the server, for its random

	entered sync.Mutex  // held while the coroutine runs
	closed  atomic.Bool // close was called

	next  func() (struct{}, bool)
	stop  func()
	yield func(struct{}) bool
	over  bool
	err   error
}

var errStopped = errors.New("eap: handshake given up")

// newEngine returns an engine that does run after the connection's handshake.
func newEngine(open func(net.Conn) *tls.Conn, run func(*tls.Conn) error) *engine {
	return &engine{open: open, run: run}
}

// begin makes the connection: not before there is something for it to read, since it holds
// as much memory as all else of a client.
func (e *engine) begin() {
	e.conn = e.open(memory{e})
	e.next, e.stop = iter.Pull(func(yield func(struct{}) bool) {
		e.yield = yield
		if e.err = e.conn.HandshakeContext(context.Background()); e.err == nil {
			e.err = e.run(e.conn)
		}
		e.over = true
	})
}

// step gives bytes to the handshake, lets it work until it wants more, and returns
// what it wrote.
func (e *engine) step(in []byte) []byte {
	e.entered.Lock()
	e.in.Write(in)
	switch {
	case e.over, e.closed.Load():
	case e.conn == nil:
		e.begin()
		fallthrough
	default:
		e.next()
	}
	out := bytes.Clone(e.out.Bytes())
	e.out.Reset()
	e.entered.Unlock()
	if e.closed.Load() {
		e.close()
	}
	return out
}

// close ends the coroutine: at once, or, if it is at work on another goroutine, when
// that comes back.
func (e *engine) close() {
	e.closed.Store(true)
	if e.entered.TryLock() {
		if e.stop != nil {
			e.stop()
		}
		e.entered.Unlock()
	}
}

// memory is the connection that the handshake sees.
type memory struct{ e *engine }

// Read leaves the coroutine until there is something to read.
func (m memory) Read(b []byte) (int, error) {
	for m.e.in.Len() == 0 {
		if !m.e.yield(struct{}{}) {
			return 0, errStopped
		}
	}
	return m.e.in.Read(b)
}

// Write keeps what the other side is to get.
func (m memory) Write(b []byte) (int, error) { return m.e.out.Write(b) }

func (memory) Close() error                     { return nil }
func (memory) LocalAddr() net.Addr              { return nil }
func (memory) RemoteAddr() net.Addr             { return nil }
func (memory) SetDeadline(time.Time) error      { return nil }
func (memory) SetReadDeadline(time.Time) error  { return nil }
func (memory) SetWriteDeadline(time.Time) error { return nil }

// readSuccess reads the byte with which a server of TLS 1.3 says that it is content
// (RFC 9190, section 2.5).
func readSuccess(c *tls.Conn) error {
	var b [1]byte
	_, err := io.ReadFull(c, b[:])
	return err
}
