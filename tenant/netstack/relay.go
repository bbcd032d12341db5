package netstack

import (
	"bytes"
	"context"
	"errors"
	"io"
	"sync"
	"time"

	"gvisor.dev/gvisor/pkg/tcpip"
)

const (
	// copySize is the size in bytes of the buffers between sockets; a datagram
	// fits.
	copySize = 64 << 10
)

// errFault says that a direction ended in a panic.
var errFault = errors.New("netstack: a fault of the program")

// relay copies both ways until both have ended or the flow is to, and reports whether
// the host's port lingers, since the client has closed first.
func (d *Device) relay(f *flow, client *clientConn, host *hostConn) (lingers bool) {
	stop := context.AfterFunc(f.ctx, host.interrupt)
	var down sync.WaitGroup
	var downErr error
	down.Go(func() { downErr = d.oneWay("downwards", f, client, host, d.copyDown) })
	upErr := d.oneWay("upwards", f, client, host, d.copyUp)
	down.Wait()
	stop()
	failed := upErr != nil || downErr != nil
	if failed {
		host.reset()
	}
	host.conn.Close()
	lingers = !failed && f.ends.client.Load()
	if !failed {
		failed = !client.linger(f.ctx)
	}
	client.close(failed)
	d.goodbyes.keep(f.source, client.ep)
	return lingers
}

// oneWay copies one way. What fails, or panics, ends the other way, too.
func (d *Device) oneWay(which string, f *flow, client *clientConn, host *hostConn, run func(*flow, *clientConn, *hostConn) error) (err error) {
	defer func() {
		if err != nil {
			f.cancel()
		}
	}()
	defer d.cfg.Faults.Recover("netstack: a TCP connection, " + which)
	err = errFault // unless it returns
	err = run(f, client, host)
	return err
}

// copyUp copies from the client to the host until the client sends no more.
func (d *Device) copyUp(f *flow, client *clientConn, host *hostConn) error {
	out := newOutlet(host, &d.buffers, client.holding)
	for client.awaitRead(f.ctx) {
		n, err := client.read(out)
		if failed := out.flush(); failed != nil {
			return failed
		}
		if n > 0 {
			f.touch()
		}
		if err == io.EOF {
			f.ends.client.Store(!f.ends.host.Load())
			d.halfClose(f)
			return host.closeWrite()
		}
		if err != nil {
			return err
		}
	}
	return f.ctx.Err()
}

// copyDown copies from the host to the client until the host sends no more.
func (d *Device) copyDown(f *flow, client *clientConn, host *hostConn) error {
	if host.raw == nil {
		return d.copyDownPlain(f, client, host)
	}
	in := newInlet(host.raw, f.mss)
	for {
		n, err := in.await()
		if err != nil {
			return err
		}
		if n == 0 {
			f.ends.host.Store(true)
			d.halfClose(f)
			return client.closeWrite()
		}
		f.touch()
		if err := client.write(f.ctx, in); err != nil {
			return err
		}
	}
}

// copyDownPlain is copyDown for what is no socket.
func (d *Device) copyDownPlain(f *flow, client *clientConn, host *hostConn) error {
	for {
		buf, n, err := host.read()
		if err != nil {
			return err
		}
		if n > 0 {
			f.touch()
			err = client.write(f.ctx, bytes.NewReader(buf[:n]))
		}
		d.buffers.Put(buf)
		if err != nil {
			return err
		}
		if n == 0 {
			f.ends.host.Store(true)
			d.halfClose(f)
			return client.closeWrite()
		}
	}
}

func (d *Device) halfClose(f *flow) { f.setIdle(min(d.cfg.TCPIdle, d.cfg.TCPHalfClosed)) }

// read takes what is there: no bytes and no error when there is nothing. The
// receive buffer grows with what is read.
func (c *clientConn) read(out *outlet) (int, error) {
	result, err := c.ep.Read(out, tcpip.ReadOptions{})
	switch err.(type) {
	case nil:
		if c.holding.purse.filled() < crowded {
			c.ep.ModerateRecvBuf(result.Count)
		}
		c.holding.read(result.Count, int(c.ep.SocketOptions().GetReceiveBufferSize()))
		return result.Count, nil
	case *tcpip.ErrWouldBlock, *tcpip.ErrBadBuffer: // the latter: out took nothing
		return 0, nil
	case *tcpip.ErrClosedForReceive:
		return 0, io.EOF
	}
	return 0, tcpipError{err}
}

// write blocks until all of p is taken.
func (c *clientConn) write(ctx context.Context, p tcpip.Payloader) error {
	for p.Len() > 0 {
		if !c.gate.pass(ctx) || !c.gather(ctx) {
			return ctx.Err()
		}
		most := c.holding.purse.most()
		c.window.bound(most)
		n, err := c.holding.write(p, c.window.size)
		c.window.written += uint64(n)
		if _, full := err.(*tcpip.ErrWouldBlock); full {
			if n > 0 {
				continue
			}
			c.window.full(time.Now(), most)
			if !c.awaitWrite(ctx, c.window.pause()) {
				return ctx.Err()
			}
			continue
		}
		if err != nil {
			return tcpipError{err}
		}
	}
	return nil
}

// gather waits while the stack holds too many small pieces, and reports whether ctx
// is not done.
func (c *clientConn) gather(ctx context.Context) bool {
	const look = 20 * time.Millisecond
	for c.holding.scattered() {
		select {
		case <-time.After(look):
		case <-ctx.Done():
			return false
		}
	}
	return true
}

func (c *clientConn) closeWrite() error {
	c.holding.shutWrite()
	if err := c.ep.Shutdown(tcpip.ShutdownWrite); err != nil {
		return tcpipError{err}
	}
	return nil
}

// tcpipError is an error of the stack as a Go error.
type tcpipError struct{ err tcpip.Error }

func (e tcpipError) Error() string { return "netstack: " + e.err.String() }
