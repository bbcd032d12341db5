package netstack

import (
	"context"
	"errors"
	"net/netip"
	"time"

	"golang.org/x/sys/unix"
	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/header"
	"gvisor.dev/gvisor/pkg/tcpip/stack"
	"gvisor.dev/gvisor/pkg/tcpip/transport/tcp"
	"gvisor.dev/gvisor/pkg/waiter"

	"github.com/culvert-vpn/culvert/tenant/ipkt"
)

// handleTCP takes TCP segments that belong to no connection, before the stack
// has validated them. What it refuses, the stack answers with RST.
func (d *Device) handleTCP(id stack.TransportEndpointID, pkt *stack.PacketBuffer) bool {
	segment := header.TCP(pkt.TransportHeader().Slice())
	if !wholeHeader(segment) || segment.Flags()&(header.TCPFlagSyn|header.TCPFlagAck) != header.TCPFlagSyn {
		return false
	}
	if to := addrOf(id.LocalAddress); !d.isOwn(to) && d.expired(pkt) {
		return true
	} else if d.reach.Load().Denies(to) && d.dnsAt(id) == nil { // as if nothing listened there
		return false
	}
	f, fresh := d.flows.open(flowKey{tcp: true, id: id}, d.cfg.TCPIdle)
	if !fresh {
		return true // dialled already; or one too many, which the client tries again
	}
	f.sequence = segment.SequenceNumber()
	f.mss = payloadPerPacket(segment, d.cfg.MTU, len(pkt.NetworkHeader().Slice()))
	if !d.tcp.HandlePacket(id, pkt) {
		d.flows.end(f)
		return false
	}
	return true
}

// wholeHeader reports whether a segment has the header that its data offset
// says (RFC 9293 section 3.1): five words at least, options included.
func wholeHeader(segment header.TCP) bool {
	if len(segment) < header.TCPMinimumSize {
		return false
	}
	n := int(segment.DataOffset())
	return n >= header.TCPMinimumSize && n <= len(segment)
}

// acceptTCP carries a connection. It is a goroutine a connection.
func (d *Device) acceptTCP(req *tcp.ForwarderRequest) {
	defer d.cfg.Faults.Recover("netstack: a TCP connection")
	f := d.flows.find(flowKey{tcp: true, id: req.ID()})
	defer d.flows.end(f)
	if to := d.dnsAt(req.ID()); to != nil {
		d.acceptDNS(req, f, to)
		return
	}
	to, by := destination(req.ID()), portHolder{d, f.source}
	if !d.cfg.Ports.tcp.enter(time.Now(), to, by) {
		d.flows.refused.Add(1)
		req.Complete(false) // the client tries again
		return
	}
	lingers := true // unless it is known not to
	defer func() { d.cfg.Ports.tcp.leave(time.Now(), to, by, lingers) }()
	lingers = d.carry(req, f, to)
}

// carry dials the destination of a connection and completes the client's
// handshake when that worked. It reports whether the host's port lingers.
func (d *Device) carry(req *tcp.ForwarderRequest, f *flow, to netip.AddrPort) (lingers bool) {
	ctx, cancel := context.WithTimeout(f.ctx, d.cfg.HandshakeTimeout)
	host, err := d.cfg.DialContext(ctx, "tcp", to.String())
	cancel()
	if err != nil {
		d.refuse(req, f, err)
		return false
	}
	defer host.Close()
	var wq waiter.Queue
	ep, terr := req.CreateEndpoint(&wq)
	req.Complete(false)
	if terr != nil {
		return true // the client gave up
	}
	h, c := newHostConn(host, &d.buffers), d.newClientConn(ep, &wq, f)
	d.flows.established(f, newLiveness(ep, h.raw, time.Since(f.epoch)), c.holding)
	f.touch()
	return d.relay(f, c, h)
}

func destination(id stack.TransportEndpointID) netip.AddrPort {
	return netip.AddrPortFrom(addrOf(id.LocalAddress), id.LocalPort)
}

// refuse tells the client what the host's network said: RST for a refused
// port, an ICMP error where there is no way, nothing where nobody answered, so
// that the client's own patience decides.
func (d *Device) refuse(req *tcp.ForwarderRequest, f *flow, err error) {
	reason, unreachable := reasonOf(err)
	silent := unreachable || errors.Is(err, context.DeadlineExceeded) || errors.Is(err, unix.ETIMEDOUT) || f.ctx.Err() != nil
	if unreachable {
		d.sendError(f, reason)
	}
	req.Complete(!silent)
}

// reasonOf is the ICMP error that stands behind an error of the host.
func reasonOf(err error) (ipkt.Reason, bool) {
	switch {
	case errors.Is(err, unix.EHOSTUNREACH):
		return ipkt.ReasonHost, true
	case errors.Is(err, unix.ENETUNREACH), errors.Is(err, unix.EADDRNOTAVAIL):
		return ipkt.ReasonNoRoute, true
	case errors.Is(err, unix.EACCES), errors.Is(err, unix.EPERM):
		return ipkt.ReasonProhibited, true
	}
	return 0, false
}

// clientConn is a client's end of a connection, in the stack. One goroutine
// may read and another write.
type clientConn struct {
	ep       tcpip.Endpoint
	wq       *waiter.Queue
	readable waiter.Entry
	writable waiter.Entry
	mayRead  chan struct{}
	mayWrite chan struct{}
	holding  *holding
	window   window // the writer's
	gate     gate   // the writer's
}

const endEvents = waiter.EventHUp | waiter.EventErr

func (d *Device) newClientConn(ep tcpip.Endpoint, wq *waiter.Queue, f *flow) *clientConn {
	q := d.link.queue
	c := &clientConn{
		ep: ep, wq: wq, holding: newHolding(ep, f.purse, &d.allowance, f.epoch),
		window: newWindow(ep, f.mss, max(q.limit/nearShare, defaultBuffer)), gate: newGate(q, f.key.id),
	}
	c.readable, c.mayRead = waiter.NewChannelEntry(waiter.ReadableEvents | endEvents)
	c.writable, c.mayWrite = waiter.NewChannelEntry(waiter.WritableEvents | endEvents)
	wq.EventRegister(&c.readable)
	wq.EventRegister(&c.writable)
	ep.SocketOptions().SetDelayOption(false)
	timeout := tcpip.TCPUserTimeoutOption(userTimeout)
	ep.SetSockOpt(&timeout)
	return c
}

// awaitRead blocks until a read would not, or the flow ends.
func (c *clientConn) awaitRead(ctx context.Context) bool {
	for c.ep.Readiness(waiter.ReadableEvents)&waiter.ReadableEvents == 0 {
		select {
		case <-c.mayRead:
		case <-ctx.Done():
			return false
		}
	}
	return true
}

// awaitWrite blocks until a write may take something, for so long at most; 0:
// without limit. The stack says so when half of the buffer is free.
func (c *clientConn) awaitWrite(ctx context.Context, limit time.Duration) bool {
	var late <-chan time.Time
	if limit > 0 {
		late = time.After(limit)
	}
	select {
	case <-c.mayWrite:
		return true
	case <-late:
		return true
	case <-ctx.Done():
		return false
	}
}

// linger waits until both sides have acknowledged all that was sent, and reports
// whether that was before the flow is to end.
func (c *clientConn) linger(ctx context.Context) bool { return lingers(ctx, c.ep, c.wq) }

// lingers waits until a connection is over, and reports whether that was before the
// flow is to end. Until then the stack keeps what the client has not acknowledged,
// and the connection, so they count.
func lingers(ctx context.Context, ep tcpip.Endpoint, wq *waiter.Queue) bool {
	gone, ended := waiter.NewChannelEntry(waiter.EventHUp)
	wq.EventRegister(&gone)
	defer wq.EventUnregister(&gone)
	for {
		switch tcp.EndpointState(ep.State()) {
		case tcp.StateTimeWait, tcp.StateClose, tcp.StateError:
			return true
		}
		select {
		case <-ended:
		case <-ctx.Done():
			return false
		}
	}
}

// close ends the connection and frees it; in good order unless abort is set.
// Nobody reads or writes any more.
func (c *clientConn) close(abort bool) {
	c.wq.EventUnregister(&c.readable)
	c.wq.EventUnregister(&c.writable)
	if abort {
		c.ep.Abort()
	}
	c.ep.Close()
	c.holding.release()
}
