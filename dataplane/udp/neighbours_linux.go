package udp

import (
	"errors"
	"fmt"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

const (
	// filling is the part of the send buffer, one in so many, from which on it
	// matters for whom what is in it waits.
	filling = 8
	// lookPause is between two looks at the kernel's neighbours, at least, and
	// nine times what the last one took, but longPause at most: what is sent meanwhile
	// to those that are not known yet to be silent must fit the buffer.
	lookPause = 20 * time.Millisecond
	longPause = lookValid / 4
	// lookValid is how long a look says something.
	lookValid = time.Second
)

// neighbours knows which hosts of our own links the kernel has no hardware address
// of. It does not follow them: it looks when somebody asks.
type neighbours struct {
	family  int
	looking atomic.Bool
	seen    atomic.Pointer[look]

	mu     sync.Mutex // for the use of kernel
	kernel *netlink.Handle
}

// look is what there was when it was looked.
type look struct {
	at, next   time.Time
	unresolved map[netip.Addr]struct{}
}

// newNeighbours asks about the network namespace that it is called in.
func newNeighbours(v4 bool) (*neighbours, error) {
	kernel, err := netlink.NewHandle(unix.NETLINK_ROUTE)
	if err != nil {
		return nil, fmt.Errorf("udp: netlink: %w", err)
	}
	n := &neighbours{family: netlink.FAMILY_V6, kernel: kernel}
	if v4 {
		n.family = netlink.FAMILY_V4
	}
	return n, nil
}

// unresolved reports whether an address was looked for in vain at the last look, and
// has somebody look again, without waiting for that.
func (n *neighbours) unresolved(a netip.Addr) bool {
	now := time.Now()
	seen := n.seen.Load()
	if (seen == nil || !now.Before(seen.next)) && n.looking.CompareAndSwap(false, true) {
		go n.look()
	}
	if seen == nil || now.Sub(seen.at) > lookValid {
		return false
	}
	_, in := seen.unresolved[a.Unmap().WithZone("")]
	return in
}

// look asks the kernel. What it could not be asked, nothing is known of.
func (n *neighbours) look() {
	defer n.looking.Store(false)
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.kernel == nil {
		return
	}
	l := look{at: time.Now(), unresolved: make(map[netip.Addr]struct{})}
	all, err := n.kernel.NeighList(0, n.family)
	if err != nil && !errors.Is(err, netlink.ErrDumpInterrupted) { // interrupted: some are there
		all = nil
	}
	for i := range all {
		if a, ok := netip.AddrFromSlice(all[i].IP); ok && all[i].State == netlink.NUD_INCOMPLETE {
			l.unresolved[a.Unmap()] = struct{}{}
		}
	}
	end := time.Now()
	l.next = end.Add(min(max(lookPause, 9*end.Sub(l.at)), longPause))
	n.seen.Store(&l)
}

// close ends all looking.
func (n *neighbours) close() {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.kernel != nil {
		n.kernel.Close()
		n.kernel = nil
	}
}

// lookEvery is with how many questions the send buffer is looked at while there was room in
// it: so many messages do not fill it, and a look is a call of the kernel.
const lookEvery = 16

// Unresolved implements Resolver.
func (s *Socket) Unresolved(remote netip.Addr) bool {
	if s.neighbours == nil {
		return false
	}
	if s.filling.Load() || s.questions.Add(1)%lookEvery == 1 {
		s.filling.Store(s.queued() > s.sendBuffer/filling)
	}
	return s.filling.Load() && s.neighbours.unresolved(remote)
}

// queued is how much of the send buffer is in use, in what the kernel counts; 0
// after Close.
func (s *Socket) queued() (n int) {
	_ = s.raw.Control(func(fd uintptr) {
		if queued, err := unix.IoctlGetInt(int(fd), unix.SIOCOUTQ); err == nil {
			n = queued
		}
	})
	return n
}
