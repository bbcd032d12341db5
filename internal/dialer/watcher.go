package dialer

import (
	"errors"
	"net"
	"net/netip"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// Connect follows this host from one address to another: by MOBIKE (RFC 4555) a
// connection stays, with its device and inner addresses; where that is not to be had it
// is dialled again at once.

// ErrNewAddress ends a call that was placed from an address that we do not have any more.
var ErrNewAddress = errors.New("dialer: our address has changed")

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

// isOurs reports whether this host has an address.
func isOurs(a netip.Addr) bool {
	conn, err := net.ListenUDP("udp", net.UDPAddrFromAddrPort(netip.AddrPortFrom(a, 0)))
	if err != nil {
		return false
	}
	conn.Close()
	return true
}
