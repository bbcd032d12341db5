package dialer

import (
	"context"
	"errors"
	"net/netip"
	"time"

	"github.com/culvert-vpn/culvert/ike"
	"go.uber.org/zap"
)

// Dial calls a server and returns when the connection stands, or with the
// reason why it does not. Run must be running.
func (d *Dialer) Dial(ctx context.Context, c DialConfig) (*Connection, error) {
	return (&route{watcher: new(watcher)}).dial(ctx, d, c)
}

// begin begins a call.
func (d *Dialer) begin(ctx context.Context, c DialConfig) (*call, error) {
	if c.Persona == "" {
		c.Persona = ownPersona
	}
	placed := &call{config: c, up: make(chan *Connection, 1), done: make(chan struct{})}
	return placed, d.do(ctx, func(now time.Time) { d.call(now, placed) })
}

// call starts IKE.
func (d *Dialer) call(now time.Time, c *call) {
	dial, err := c.config.ike(
		ike.Path{Local: d.Engine.LocalFor(c.config.Local, false), Remote: c.config.Server},
		ike.Path{Local: d.Engine.LocalFor(c.config.Local, true), Remote: c.config.ServerNATT, NATT: true},
	)
	if err != nil {
		c.finish(err)
		return
	}
	p, err := d.Engine.Dial(now, dial)
	if err != nil {
		c.finish(err)
		return
	}
	c.peer = p
	d.calls[p.ID] = c
}

// dial places a call, and gives it up when our address has changed before it stands.
func (r *route) dial(ctx context.Context, d *Dialer, c DialConfig) (*Connection, error) {
	placed, err := d.begin(ctx, c)
	if err != nil {
		return nil, err
	}
	for err == nil {
		select {
		case conn := <-placed.up:
			return conn, nil
		case <-placed.done:
			return nil, placed.err
		case <-ctx.Done():
			err = ctx.Err()
		case <-r.changed:
			if _, moved := r.look(); moved {
				err = ErrNewAddress
			}
		}
	}
	d.do(context.WithoutCancel(ctx), func(now time.Time) { d.hangUp(now, placed) })
	return nil, err
}

// keep follows our address with a connection, until that or ctx is over.
func (r *route) keep(ctx context.Context, conn *Connection) error {
	for {
		select {
		case <-conn.Done():
			return conn.Err()
		case <-ctx.Done():
			return nil
		case <-r.changed:
			if err := r.move(ctx, conn); err != nil {
				return err
			}
		}
	}
}

// move moves a connection to our present address, if it is another. A connection that
// cannot be moved ends if its own address is not ours any more.
func (r *route) move(ctx context.Context, conn *Connection) error {
	local, moved := r.look(conn.Local, conn.Local6.Addr())
	if !moved {
		return nil
	}
	switch err := conn.readdress(ctx, local); {
	case err == nil:
		conn.d.log.Info("address-changed", zap.Stringer("from", r.local), zap.Stringer("to", local))
		r.local, r.lost = local, false
	case !isOurs(r.local):
		return ErrNewAddress
	}
	return nil
}

// readdress moves a connection to another of our addresses, by MOBIKE.
func (c *Connection) readdress(ctx context.Context, local netip.Addr) error {
	moved := ErrEnded
	e := c.d.Engine
	err := c.d.do(ctx, func(now time.Time) {
		path := c.call.peer.Path
		path.Local = e.LocalFor(local, path.NATT)
		if moved = ike.ErrRefused; path.Local.IsValid() {
			moved = e.IKE.Readdress(now, ike.Peer(c.call.peer.ID), path)
		}
	})
	return errors.Join(err, moved)
}
