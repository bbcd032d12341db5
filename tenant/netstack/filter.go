package netstack

import (
	"net/netip"
	"sync"
	"time"

	"github.com/hashicorp/golang-lru/v2/simplelru"
)

const (
	// maxPeers is how many destinations of a mapping may answer at once, and
	// maxPeersPerSource how many of all mappings of a client.
	maxPeers, maxPeersPerSource = 512, 8192
	// dnsLinger is how long a mapping lasts whose DNS queries are all answered.
	dnsLinger = 4 * time.Second
)

// filter is the destinations of a mapping: only those that were sent to may
// answer (address and port-dependent filtering, RFC 4787 section 5).
type filter struct {
	holder *holder

	mu     sync.Mutex
	recent *simplelru.LRU[netip.AddrPort, *peer] // who was sent to last is first
	last   *peer                                 // who was sent to last
	ended  bool
	way    udpWay // see hold
	others bool   // beside DNS servers
	asked  int    // DNS queries without an answer
}

// peer is a destination.
type peer struct {
	at   netip.AddrPort
	used int64 // when something was sent to it or came from it
}

// sent says that something is sent to an address, and returns how long the
// mapping may be unused from now on. An address that is no peer becomes one with
// add; without, known is false.
func (f *filter) sent(to netip.AddrPort, now int64, cfg *Config, add bool) (idle time.Duration, known bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	p := f.last
	if p == nil || p.at != to {
		if p = f.find(to, now, cfg); p == nil && (!add || f.ended) {
			return 0, false
		}
		if p == nil {
			p = f.add(to)
		}
		f.last = p
	}
	p.used = now
	if to.Port() != dnsPort {
		f.others = true
	}
	if f.others {
		return cfg.UDPIdle, true
	}
	f.asked++
	return cfg.DNSIdle, true
}

// find returns a peer that is not too old, or nil.
func (f *filter) find(at netip.AddrPort, now int64, cfg *Config) *peer {
	if f.recent == nil {
		return nil
	}
	p, ok := f.recent.Get(at)
	if !ok || now-p.used >= int64(cfg.UDPIdle) {
		return nil
	}
	return p
}

// add makes a peer, for which the oldest may have to go.
func (f *filter) add(to netip.AddrPort) *peer {
	if f.recent == nil {
		f.recent, _ = simplelru.NewLRU(maxPeers, func(netip.AddrPort, *peer) { f.holder.peers.Add(-1) })
	}
	f.recent.Remove(to) // an old one
	if f.holder.peers.Load() >= maxPeersPerSource {
		f.recent.RemoveOldest()
	}
	p := &peer{at: to}
	f.recent.Add(to, p)
	f.holder.peers.Add(1)
	return p
}

// admits reports whether a datagram from an address may pass, and for how long
// the mapping may be unused from now on.
func (f *filter) admits(from netip.AddrPort, now int64, cfg *Config) (idle time.Duration, ok bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	p := f.last
	if p == nil || p.at != from || now-p.used >= int64(cfg.UDPIdle) {
		if f.recent == nil {
			return 0, false
		}
		if p, ok = f.recent.Peek(from); !ok || now-p.used >= int64(cfg.UDPIdle) {
			return 0, false
		}
	}
	p.used = now
	if f.others {
		return cfg.UDPIdle, true
	}
	if f.asked--; f.asked <= 0 {
		f.asked = 0
		return min(cfg.DNSIdle, dnsLinger), true
	}
	return cfg.DNSIdle, true
}

// knows reports whether an address is one that was sent to.
func (f *filter) knows(at netip.AddrPort, now int64, cfg *Config) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.recent == nil {
		return false
	}
	p, ok := f.recent.Peek(at)
	return ok && now-p.used < int64(cfg.UDPIdle)
}

// hold keeps the way from the latest new peer. While there is one, the stack knows
// the peer's address and makes nothing for each packet to it.
func (f *filter) hold(way udpWay) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.ended {
		way.release()
		return
	}
	f.way.release()
	f.way = way
}

// end gives the places among the client's peers back.
func (f *filter) end() {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.recent != nil {
		f.recent.Purge()
	}
	f.way.release()
	f.last, f.ended = nil, true
}
