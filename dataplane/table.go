package dataplane

import (
	"encoding/binary"
	"net/netip"
	"slices"
	"sync"
	"unsafe"

	"github.com/culvert-vpn/culvert/esp"
	"github.com/culvert-vpn/culvert/internal/x/prefetch"
)

// SA is one child security association as the plane knows it: the way in. The
// way out is part of the peer's route, since only the newest is used.
//
// Its first two lines of memory are what every packet needs of it.
type SA struct {
	Peer *Peer
	// TunnelMode is the session whose packets travel in tunnel mode, without L2TP
	// and PPP; nil in transport mode.
	TunnelMode *Session
	In         esp.Inbound
}

// NewSA makes an SA of a peer that has received nothing yet. Errors are those of
// esp.NewInbound.
func NewSA(peer *Peer, c esp.InboundConfig) (*SA, error) {
	sa := &SA{Peer: peer}
	if err := sa.In.Init(c); err != nil {
		return nil, err
	}
	return sa, nil
}

// saLines is how many bytes of an SA every packet needs.
const saLines = 16 + esp.InboundLines

// manyClients is how many make it worth while to have large pages: with fewer, the
// processor finds all their pages without a walk.
const manyClients = 1000

// gather has what packets need of SAs and peers put into large pages when there are
// many of them.
func (p *Plane) gather(sa *SA) {
	fresh := p.heap.Note(unsafe.Pointer(sa))
	fresh = p.heap.Note(unsafe.Pointer(sa.Peer)) || fresh
	if fresh && p.workers[0].table.clients() >= manyClients {
		p.heap.Join()
	}
}

// saTable maps the SPIs that we chose to their SAs. Each worker has one of its
// own: its mutex is held for the length of a batch, and by the control loop
// for an update.
type saTable struct {
	mu    sync.Mutex
	sas   lines[SA]
	peers map[*Peer]int // how many SAs each has

	narrow map[*SA]*Selectors // of SAs that are for some packets only
}

func (t *saTable) put(spi esp.SPI, sa *SA) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.forget(spi)
	if t.peers == nil {
		t.peers = make(map[*Peer]int)
	}
	t.sas.put(uint32(spi), sa)
	t.peers[sa.Peer]++
}

func (t *saTable) remove(spi esp.SPI) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.forget(spi)
}

func (t *saTable) forget(spi esp.SPI) {
	sa := t.sas.get(uint32(spi))
	if sa == nil {
		return
	}
	t.sas.remove(uint32(spi))
	delete(t.narrow, sa)
	if t.peers[sa.Peer]--; t.peers[sa.Peer] == 0 {
		delete(t.peers, sa.Peer)
	}
}

// has reports whether there is an SA with that SPI.
func (t *saTable) has(spi esp.SPI) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.sas.get(uint32(spi)) != nil
}

// clients returns how many peers have an SA.
func (t *saTable) clients() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return len(t.peers)
}

// routeTable maps the addresses given to the clients of one device to their
// sessions. It is the only place where an inner address is a key, and it
// belongs to one tenant.
type routeTable struct {
	mu       sync.RWMutex
	sessions lines[Session]            // by IPv4 address
	prefixes map[netip.Prefix]*Session // of IPv6
	lengths  []int                     // of the prefixes there are, or were
	fallback *Session                  // takes what no address matches: the client's own side
}

// ipv4Of is an IPv4 address as a key.
func ipv4Of(a netip.Addr) uint32 {
	b := a.As4()
	return binary.BigEndian.Uint32(b[:])
}

// lookup returns the session that packets to an address are for.
func (t *routeTable) lookup(to netip.Addr) *Session {
	if s := t.exact(to); s != nil {
		return s
	}
	return t.fallback
}

// prefetch asks for what a look-up of an IPv4 address reads first.
func (t *routeTable) prefetch(to netip.Addr) {
	if to.Is4() {
		prefetch.Line(t.sessions.at(ipv4Of(to)))
	}
}

// exact returns the session that was given the address, or the prefix it is in.
// A tenant's prefixes are of one length, or two.
func (t *routeTable) exact(dst netip.Addr) *Session {
	if dst.Is4() {
		return t.sessions.get(ipv4Of(dst))
	}
	for _, n := range t.lengths {
		if prefix, err := dst.Prefix(n); err == nil {
			if s := t.prefixes[prefix]; s != nil {
				return s
			}
		}
	}
	return nil
}

// put routes the session's address, or everything that no address matches.
func (t *routeTable) put(s *Session, everything bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if everything {
		t.fallback = s
		return
	}
	t.sessions.put(ipv4Of(s.addr), s)
}

// putPrefix routes the session's IPv6 prefix.
func (t *routeTable) putPrefix(s *Session) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.prefixes == nil {
		t.prefixes = make(map[netip.Prefix]*Session)
	}
	t.prefixes[*s.prefix] = s
	if n := s.prefix.Bits(); !slices.Contains(t.lengths, n) {
		t.lengths = append(t.lengths, n)
	}
}

// has reports whether the address, and whether the prefix of s lead to it and not to a
// newer session.
func (t *routeTable) has(s *Session) (addr, prefix bool) {
	t.mu.RLock()
	defer t.mu.RUnlock()
	return s.addr.IsValid() && t.sessions.get(ipv4Of(s.addr)) == s, s.prefix != nil && t.prefixes[*s.prefix] == s
}

// removePrefix takes the prefix of s out, unless a newer session has taken it.
func (t *routeTable) removePrefix(s *Session) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if s.prefix != nil && t.prefixes[*s.prefix] == s {
		delete(t.prefixes, *s.prefix)
	}
}

// remove takes the address of s out, unless a newer session has taken it.
func (t *routeTable) remove(s *Session) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.fallback == s {
		t.fallback = nil
	}
	if s.addr.IsValid() && t.sessions.get(ipv4Of(s.addr)) == s {
		t.sessions.remove(ipv4Of(s.addr))
	}
}
