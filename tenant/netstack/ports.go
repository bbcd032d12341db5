package netstack

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"sync"

	"golang.org/x/sys/unix"
)

const (
	portRangeFile = "/proc/sys/net/ipv4/ip_local_port_range"
	// defaultPorts is how many ports Linux gives away where nothing else is set.
	defaultPorts = 28232
	// hostShare is the part of the host's ports, one in so many, that mappings
	// leave alone: for the host, and for culvert's own DNS forwarders.
	hostShare = 8
	// tenantShare is the part of all mappings that one device may have, and
	// sessionShare the part of those that one client may have.
	tenantShare, sessionShare = 2, 4
	// newcomerShare is the part of all mappings, one in so many, that only
	// clients without any get.
	newcomerShare = 16
)

// Ports are the host's ports that devices share: each UDP mapping takes one
// of them, and a descriptor; each TCP connection one of those towards its destination. When they are all in use, the client that holds
// most gives up the mapping that it used longest ago.
type Ports struct {
	limit int

	mu     sync.Mutex // before any mappings.mu
	taken  int
	tables map[*mappings]struct{}
	bound  map[boundPort]*mapping

	tcp destinations
}

// boundPort is a port of the host, of one family.
type boundPort struct {
	is4  bool
	port uint16
}

// NewPorts returns as many ports as UDP mappings of devices may take altogether; limit 0 is
// what the host's range and the process's descriptors have room for.
func NewPorts(limit int) *Ports {
	if limit == 0 {
		limit = hostPorts()
	}
	ports := portRange()
	return &Ports{
		limit: limit, tables: make(map[*mappings]struct{}), bound: make(map[boundPort]*mapping),
		tcp: destinations{limit: max(ports-ports/hostShare, 1), all: make(map[netip.AddrPort]*towards)},
	}
}

// portRange is how many ports the host gives away.
func portRange() int {
	if b, err := os.ReadFile(portRangeFile); err == nil {
		var low, high int
		if _, err := fmt.Sscan(string(b), &low, &high); err == nil && low <= high {
			return high - low + 1
		}
	}
	return defaultPorts
}

// hostPorts is how many ports mappings may have: what the host gives away, no
// more than half of the descriptors, and less the host's share.
func hostPorts() int {
	n := portRange()
	var files unix.Rlimit
	if unix.Getrlimit(unix.RLIMIT_NOFILE, &files) == nil {
		n = int(min(uint64(n), files.Cur/2))
	}
	return max(n-n/hostShare, 1)
}

// room reports whether a client of a table may have one more mapping, for which
// somebody may have to give up one. p.mu is held.
func (p *Ports) room(t *mappings, h *holder) bool {
	if h.ordered.Len() >= t.limits.perSource {
		t.evict(h)
	}
	if len(t.all) >= quota(t.limits.total, h) && !t.takeFrom(t.top(), h) {
		return false
	}
	if p.taken >= quota(p.limit, h) {
		most, of := (*holder)(nil), t
		for other := range p.tables {
			if top := other.top(); top != nil && (most == nil || top.ordered.Len() > most.ordered.Len()) {
				most, of = top, other
			}
		}
		return of.takeFrom(most, h)
	}
	return true
}

// quota is how much of a limit a client may use up.
func quota(limit int, h *holder) int {
	if h.ordered.Len() > 0 {
		return limit - limit/newcomerShare
	}
	return limit
}

// takeFrom has a client, or h itself if that has no less, give up a mapping.
func (t *mappings) takeFrom(most, h *holder) bool {
	if most == nil || most.ordered.Len() <= h.ordered.Len() {
		most, t = h, h.table
	}
	if most.ordered.Len() <= 1 && h.ordered.Len() == 0 {
		return false
	}
	t.evict(most)
	return true
}

// hairpins reports whether at is where the host has a mapping of some device,
// and of which: what is sent there comes back to a client (RFC 4787 section 6).
func (p *Ports) hairpins(at netip.AddrPort) (*mappings, bool) {
	p.mu.Lock()
	m := p.bound[boundPort{at.Addr().Is4(), at.Port()}]
	p.mu.Unlock()
	if m == nil || !isHosts(at.Addr()) {
		return nil, false
	}
	return m.holder.table, true
}

// isHosts reports whether an address is one of the host's own: only those can
// be bound to.
func isHosts(a netip.Addr) bool {
	family, at := sockaddr(netip.AddrPortFrom(a, 0))
	fd, err := unix.Socket(family, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return true // rather refuse than guess
	}
	defer unix.Close(fd)
	return !errors.Is(unix.Bind(fd, at), unix.EADDRNOTAVAIL)
}
