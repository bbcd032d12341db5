package dataplane

import (
	"net/netip"
	"sync"

	"github.com/culvert-vpn/culvert/esp"
)

// SA is one child security association as the plane knows it: the way in. The
// way out is part of the peer's route, since only the newest is used.
type SA struct {
	In   *esp.Inbound
	Peer *Peer
	// Tunnel is the session whose packets travel in tunnel mode, without L2TP
	// and PPP; nil in transport mode.
	Tunnel *Session
}

// saTable maps the SPIs that we chose to their SAs. Each worker has one of its
// own: its mutex is held for the length of a batch, and by the control loop
// for an update.
type saTable struct {
	mu  sync.Mutex
	sas map[esp.SPI]*SA
}

func newSATable() *saTable { return &saTable{sas: make(map[esp.SPI]*SA)} }

func (t *saTable) put(spi esp.SPI, sa *SA) {
	t.mu.Lock()
	t.sas[spi] = sa
	t.mu.Unlock()
}

func (t *saTable) remove(spi esp.SPI) {
	t.mu.Lock()
	delete(t.sas, spi)
	t.mu.Unlock()
}

// routeTable maps the addresses given to the clients of one device to their
// sessions. It is the only place where an inner address is a key, and it
// belongs to one tenant.
type routeTable struct {
	mu       sync.RWMutex
	sessions map[netip.Addr]*Session
	fallback *Session // takes what no address matches: the client's own side
}

func (t *routeTable) lookup(dst netip.Addr) *Session {
	if s := t.sessions[dst]; s != nil {
		return s
	}
	return t.fallback
}

func (t *routeTable) put(s *Session) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if s.anyAddress {
		t.fallback = s
		return
	}
	t.sessions[s.addr] = s
}

// remove takes s out, unless a newer session has taken its address.
func (t *routeTable) remove(s *Session) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.fallback == s {
		t.fallback = nil
	}
	if t.sessions[s.addr] == s {
		delete(t.sessions, s.addr)
	}
}
