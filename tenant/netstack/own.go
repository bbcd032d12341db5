package netstack

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/culvert-vpn/culvert/internal/x/fault"
	"github.com/culvert-vpn/culvert/tenant/policy"
)

// ownRecheck is how often the host's addresses are read besides when the kernel
// says that they have changed.
const ownRecheck = 5 * time.Second

// Host is what the devices of a process share: which addresses are the host's
// own, and the memory for TCP. It may be used concurrently.
type Host struct {
	own    atomic.Pointer[map[netip.Addr]struct{}]
	memory *purse // of TCP
	faults *fault.Log
	stop   chan struct{}
	ended  sync.WaitGroup
	closed sync.Once
}

var _ policy.Closer = (*Host)(nil)

// NewHost reads the addresses of the network namespace that it is called in, and
// follows them until Close. faults is told of panics; nil: they are not survived.
func NewHost(faults *fault.Log) (*Host, error) {
	h := &Host{stop: make(chan struct{}), memory: newMemory(), faults: faults}
	changes := make(chan netlink.AddrUpdate, 16)
	// Where the kernel does not tell, reading again has to do.
	if netlink.AddrSubscribe(changes, h.stop) != nil {
		changes = nil
	}
	if err := h.read(); err != nil {
		close(h.stop)
		return nil, fmt.Errorf("netstack: the host's own addresses: %w", err)
	}
	h.ended.Go(func() { h.follow(changes) })
	return h, nil
}

// Close ends following.
func (h *Host) Close() {
	h.closed.Do(func() { close(h.stop) })
	h.ended.Wait()
}

// follow reads the addresses when they have changed, once for all that changed
// at a time.
func (h *Host) follow(changes chan netlink.AddrUpdate) {
	recheck := time.NewTicker(ownRecheck)
	defer recheck.Stop()
	for {
		select {
		case <-h.stop:
			if changes != nil {
				for range changes { // until the library has seen that it is over
				}
			}
			return
		case _, more := <-changes:
			if !more {
				changes = nil
			}
			for len(changes) > 0 {
				<-changes
			}
		case <-recheck.C:
		}
		h.readAgain()
	}
}

// readAgain reads the addresses. What was read last stands when that fails.
func (h *Host) readAgain() {
	defer h.faults.Recover("netstack: the host's own addresses")
	h.read()
}

func (h *Host) read() error {
	list, err := netlink.AddrList(nil, netlink.FAMILY_ALL)
	if err != nil {
		return err
	}
	own := make(map[netip.Addr]struct{}, 3*len(list))
	for _, a := range list {
		addr, ok := netip.AddrFromSlice(a.IP)
		if addr = addr.Unmap(); !ok || addr.IsLoopback() {
			continue // which policy.NeverReached has
		}
		bits, _ := a.Mask.Size()
		for _, mine := range edges(netip.PrefixFrom(addr, bits)) {
			own[mine] = struct{}{}
		}
	}
	h.own.Store(&own)
	return nil
}

// edges are the addresses of a network that mean whoever has an address in it:
// this address, the first, which is an old broadcast address of IPv4 and the
// routers' anycast address of IPv6 (RFC 4291 section 2.6.1), and the broadcast
// address.
func edges(p netip.Prefix) []netip.Addr {
	own := []netip.Addr{p.Addr()}
	if p.Bits() < p.Addr().BitLen()-1 {
		own = append(own, p.Masked().Addr())
		if p.Addr().Is4() {
			own = append(own, broadcast(p))
		}
	}
	return own
}

func broadcast(p netip.Prefix) netip.Addr {
	b := p.Addr().As4()
	for i := p.Bits(); i < 32; i++ {
		b[i/8] |= 0x80 >> (i % 8)
	}
	return netip.AddrFrom4(b)
}

// Closes implements policy.Closer for the addresses of the host.
func (h *Host) Closes(addr netip.Addr) (bits int, closed bool) {
	_, closed = (*h.own.Load())[addr]
	return addr.BitLen(), closed
}

// leadsHere asks the kernel whether what is sent to addr stays on this host, or
// is a broadcast on one of its networks. It finds what is not an address of an
// interface, such as a whole range that is routed to the host itself.
func leadsHere(addr netip.Addr) bool {
	routes, err := netlink.RouteGet(addr.AsSlice())
	if err != nil {
		return false // there is no way there
	}
	for _, r := range routes {
		switch r.Type {
		case unix.RTN_LOCAL, unix.RTN_BROADCAST, unix.RTN_ANYCAST, unix.RTN_MULTICAST:
			return true
		}
	}
	return false
}

// closed reports whether dst is closed to clients, by the rules or since it leads
// to the host itself and is not opened by name. It asks the kernel, so it is not
// for workers; they have Reach.Denies.
func closed(reach *policy.Reach, dst netip.Addr) bool {
	return reach.Denies(dst) || !dst.IsLoopback() && leadsHere(dst) && !reach.Names(dst)
}

// dialOpen dials what is not closed. It looks again when there is a connection,
// since the host may have got an address in the meantime, or the way may have
// been bent.
func dialOpen(now *atomic.Pointer[policy.Reach]) func(ctx context.Context, network, address string) (net.Conn, error) {
	return func(ctx context.Context, network, address string) (net.Conn, error) {
		to, err := netip.ParseAddrPort(address)
		if err != nil {
			return nil, err
		}
		if closed(now.Load(), to.Addr()) {
			return nil, unix.ECONNREFUSED
		}
		conn, err := new(net.Dialer).DialContext(ctx, network, address)
		if reach := now.Load(); err == nil && (closed(reach, hostAddr(conn.RemoteAddr())) || closed(reach, to.Addr())) {
			conn.Close()
			return nil, unix.ECONNREFUSED
		}
		return conn, err
	}
}
