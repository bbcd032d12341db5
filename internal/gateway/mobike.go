package gateway

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"os"
	"slices"
	"time"

	"go.uber.org/zap"
	"golang.org/x/sys/unix"

	"github.com/culvert-vpn/culvert/ike"
)

// Connect follows this host from one address to another: by MOBIKE (RFC 4555) a
// connection stays, with its device and inner addresses; where that is not to be had it
// is dialled again at once.

// errNewAddress ends a call that was placed from an address that we do not have any more.
var errNewAddress = errors.New("gateway: our address has changed")

const (
	// settleTime is how long a change is given to be a whole one, such as of an address
	// and then the routes.
	settleTime = 200 * time.Millisecond
	// lookInterval is how often the kernel is asked for our address besides, for it does not
	// tell of everything that may change it.
	lookInterval = 5 * time.Second
)

// watcher tells when our address on the way to a server may be another.
type watcher struct {
	changed chan struct{} // nil: nobody watches
	closed  chan struct{}
	kernel  *os.File // what the kernel tells of its changes; nil: only time passes
}

// newWatcher watches the network namespace that it is called in until close.
func newWatcher() *watcher {
	w := &watcher{changed: make(chan struct{}, 1), closed: make(chan struct{})}
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, unix.NETLINK_ROUTE)
	if err == nil {
		w.kernel = os.NewFile(uintptr(fd), "netlink")
		err = unix.Bind(fd, &unix.SockaddrNetlink{Family: unix.AF_NETLINK, Groups: unix.RTMGRP_LINK |
			unix.RTMGRP_IPV4_IFADDR | unix.RTMGRP_IPV4_ROUTE | unix.RTMGRP_IPV4_RULE | unix.RTMGRP_IPV6_IFADDR | unix.RTMGRP_IPV6_ROUTE})
	}
	if err != nil {
		w.kernel.Close()
		w.kernel = nil
	}
	go w.run()
	return w
}

func (w *watcher) close() {
	if w.closed != nil {
		close(w.closed)
		w.kernel.Close()
	}
}

func (w *watcher) run() {
	for w.wait() {
		select {
		case w.changed <- struct{}{}:
		default: // it is about to be looked at
		}
	}
}

// wait returns when something has changed, or it is time to look again; false: closed.
// What has changed is asked for then, so that it does not matter which messages of the
// kernel are lost.
func (w *watcher) wait() bool {
	pause := lookInterval
	if w.kernel != nil {
		var message [1]byte
		w.kernel.SetReadDeadline(time.Now().Add(lookInterval))
		w.kernel.Read(message[:])
		pause = settleTime
	}
	select {
	case <-time.After(pause):
		return true
	case <-w.closed:
		return false
	}
}

// look asks the kernel for our address on the way to the server, which is not one within
// the tunnel, or one of a link for want of a better. moved: it is another than the server
// knows, or there was none meanwhile.
func (r *route) look(inner ...netip.Addr) (local netip.Addr, moved bool) {
	if !r.called.IsValid() {
		return netip.Addr{}, false
	}
	local, ok := SourceFor(r.called)
	if !ok || slices.Contains(inner, local) || local.IsLinkLocalUnicast() && !r.called.IsLinkLocalUnicast() {
		r.lost = true
		return netip.Addr{}, false
	}
	return local, local != r.local || r.lost
}

// rest waits between two attempts, but not beyond the time when there is another way to
// the server; false: ctx is done.
func (r *route) rest(ctx context.Context, pause time.Duration) bool {
	over := time.After(pause)
	for {
		select {
		case <-over:
			return true
		case <-ctx.Done():
			return false
		case <-r.changed:
			if _, moved := r.look(); moved {
				return true
			}
		}
	}
}

// dial places a call, and gives it up when our address has changed before it stands.
func (r *route) dial(ctx context.Context, g *Gateway, c DialConfig) (*Connection, error) {
	d, err := g.place(ctx, c)
	if err != nil {
		return nil, err
	}
	for err == nil {
		select {
		case conn := <-d.up:
			return conn, nil
		case <-d.done:
			return nil, d.err
		case <-ctx.Done():
			err = ctx.Err()
		case <-r.changed:
			if _, moved := r.look(); moved {
				err = errNewAddress
			}
		}
	}
	g.do(context.WithoutCancel(ctx), func(now time.Time) { g.hangUp(now, d) })
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
		conn.g.log.Info("address-changed", zap.Stringer("from", r.local), zap.Stringer("to", local))
		r.local, r.lost = local, false
	case !isOurs(r.local):
		return errNewAddress
	}
	return nil
}

// readdress moves a connection to another of our addresses, by MOBIKE.
func (c *Connection) readdress(ctx context.Context, local netip.Addr) error {
	moved := ErrEnded
	err := c.g.do(ctx, func(now time.Time) {
		path := c.d.peer.path
		path.Local = c.g.localFor(local, path.NATT)
		if moved = ike.ErrRefused; path.Local.IsValid() {
			moved = c.g.ike.Readdress(now, ike.Peer(c.d.peer.id), path)
		}
	})
	return errors.Join(err, moved)
}

// isOurs reports whether this host has an address.
func isOurs(a netip.Addr) bool {
	conn, err := net.ListenUDP("udp", net.UDPAddrFromAddrPort(netip.AddrPortFrom(a, 0)))
	if err != nil {
		return false
	}
	conn.Close()
	return true
}
