package dialer

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"time"

	"github.com/culvert-vpn/culvert/dataplane"
	"github.com/culvert-vpn/culvert/ike"
	"github.com/culvert-vpn/culvert/internal/engine"
	"github.com/culvert-vpn/culvert/l2tp"
	"github.com/culvert-vpn/culvert/ppp"
	"github.com/culvert-vpn/culvert/tenant"
)

// Connection is a call that stands.
type Connection struct {
	Assigned
	Granted ike.Assignment // all that Assigned is of, in tunnel mode
	d       *Dialer
	call    *call
}

// Done is closed when the connection has ended.
func (c *Connection) Done() <-chan struct{} { return c.call.done }

// Err says why the connection ended; valid once Done is closed.
func (c *Connection) Err() error { return c.call.err }

// Close hangs up and waits until the server was told, or ctx is done.
func (c *Connection) Close(ctx context.Context) {
	c.d.do(ctx, func(now time.Time) { c.d.hangUp(now, c.call) })
}

// Send sends one IPv4 packet to the server, from Assigned.Local. It goes by way
// of the control loop, which is for probes; traffic comes from a Device. The
// packet is borrowed for the call.
func (c *Connection) Send(ctx context.Context, packet []byte) error {
	var sent error
	err := c.d.do(ctx, func(time.Time) {
		if sent = ErrEnded; c.call.session != nil && !c.call.session.Ended {
			sent = send(c.d.Engine.Plane, c.call.session, packet)
		}
	})
	return errors.Join(err, sent)
}

// send sends an IP packet in a session: within a frame where there is a link.
func send(plane *dataplane.Plane, s *engine.Session, packet []byte) error {
	if s.Link == nil {
		return plane.SendIP(s.Plane, packet)
	}
	return plane.SendPPP(s.Plane, append(ppp.AppendHeader(nil, ppp.ProtocolIPv4, false, false), packet...))
}

// hangUp ends a call politely, as far as it got.
func (d *Dialer) hangUp(now time.Time, c *call) {
	if c.peer == nil {
		c.finish(ErrEnded)
		return
	}
	d.Engine.ClosePeer(now, c.peer, l2tp.Result{Code: l2tp.ClearAdministrative}, ike.ReasonLocal)
}

// fail ends a call for a reason of ours.
func (d *Dialer) fail(now time.Time, c *call, err error) {
	if c.err == nil {
		c.err = err
	}
	d.hangUp(now, c)
}

// stands opens the device of a connection, if it shall have one.
func (d *Dialer) stands(c *call, a Assigned) {
	c.conn = &Connection{Assigned: a, Granted: c.granted, d: d, call: c}
	if c.config.Device == nil {
		c.up <- c.conn
		return
	}
	go func() {
		device, err := c.config.Device(a)
		d.Engine.Work.Post(func(now time.Time) { d.join(now, c, device, err) })
	}()
}

// join joins the device and the session, if the session is still there.
func (d *Dialer) join(now time.Time, c *call, device tenant.Device, err error) {
	if err != nil {
		d.fail(now, c, fmt.Errorf("dialer: %w", err))
		return
	}
	if c.session == nil || c.session.Ended {
		device.Close()
		return
	}
	c.device = device
	c.port = d.Engine.Plane.AddDevice(dataplane.PortConfig{Device: device, Gateways: []netip.Addr{c.conn.Local}})
	d.Engine.Bind(c.session, engine.Binding{Port: c.port, Host: c.config.IPv6 && c.session.Link != nil})
	d.solicit(now, c)
	c.up <- c.conn
}
