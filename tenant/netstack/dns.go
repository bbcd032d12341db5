package netstack

import (
	"context"
	"net"
	"net/netip"
	"sync"
	"time"

	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/adapters/gonet"
	"gvisor.dev/gvisor/pkg/tcpip/stack"
	"gvisor.dev/gvisor/pkg/tcpip/transport/tcp"
	"gvisor.dev/gvisor/pkg/waiter"
)

// dnsGoodbye is how long a client may take to acknowledge the end of a connection
// to the gateway's DNS.
const dnsGoodbye = 10 * time.Second

// dnsConns are the connections of clients to the gateway's DNS, as a listener. They are
// flows like others and no socket of the stack listens for them, so that
// they count until they are gone, and end with their session.
type dnsConns struct {
	at     netip.AddrPort
	ready  chan net.Conn
	closed chan struct{}
	once   sync.Once
}

func newDNSConns(at netip.AddrPort) *dnsConns {
	return &dnsConns{at: at, ready: make(chan net.Conn), closed: make(chan struct{})}
}

// Accept implements net.Listener.
func (l *dnsConns) Accept() (net.Conn, error) {
	select {
	case conn := <-l.ready:
		return conn, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

// Close implements net.Listener.
func (l *dnsConns) Close() error {
	l.once.Do(func() { close(l.closed) })
	return nil
}

// Addr implements net.Listener.
func (l *dnsConns) Addr() net.Addr { return net.TCPAddrFromAddrPort(l.at) }

// dnsConn is a connection that the forwarder has. Closing it says goodbye; the
// flow frees it when the client has said so, too.
type dnsConn struct {
	*gonet.TCPConn
	ep tcpip.Endpoint
	f  *flow
}

// Read implements net.Conn.
func (c *dnsConn) Read(b []byte) (int, error) {
	n, err := c.TCPConn.Read(b)
	if n > 0 {
		c.f.touch()
	}
	return n, err
}

// Close implements net.Conn.
func (c *dnsConn) Close() error {
	c.f.touch()
	c.f.setIdle(dnsGoodbye)
	if err := c.ep.Shutdown(tcpip.ShutdownRead | tcpip.ShutdownWrite); err != nil {
		return tcpipError{err}
	}
	return nil
}

// dnsAt returns where connections to an address of the gateway go; nil: it is
// none that answers DNS.
func (d *Device) dnsAt(id stack.TransportEndpointID) *dnsConns {
	if id.LocalPort != dnsPort {
		return nil
	}
	to := addrOf(id.LocalAddress)
	for _, l := range d.dnsTCP {
		if l.at.Addr() == to {
			return l
		}
	}
	return nil
}

// acceptDNS completes a client's handshake and gives the connection to the
// forwarder, until both sides are through with it or the flow is to end.
func (d *Device) acceptDNS(req *tcp.ForwarderRequest, f *flow, to *dnsConns) {
	var wq waiter.Queue
	ep, err := req.CreateEndpoint(&wq)
	req.Complete(false)
	if err != nil {
		return // the client gave up
	}
	defer func() {
		ep.Close()
		d.goodbyes.keep(f.source, ep)
	}()
	timeout := tcpip.TCPUserTimeoutOption(userTimeout)
	ep.SetSockOpt(&timeout)
	held := newHolding(ep, f.purse, &d.allowance, f.epoch)
	defer held.release()
	held.block(int(ep.SocketOptions().GetSendBufferSize())) // whatever the forwarder writes
	d.flows.established(f, nil, held)
	gone := context.AfterFunc(f.ctx, ep.Abort)
	defer gone()
	select {
	case to.ready <- &dnsConn{gonet.NewTCPConn(&wq, ep), ep, f}:
	case <-to.closed:
	case <-f.ctx.Done():
	}
	if !lingers(f.ctx, ep, &wq) {
		ep.Abort()
	}
}
