package netstack

import (
	"net/netip"
	"sync"
)

// clients knows which addresses are of one session.
type clients struct {
	bits int // of the prefix that a session has

	mu   sync.RWMutex
	also map[netip.Addr]netip.Addr // of IPv6 prefixes, the session's IPv4 address
}

func newClients(bits int) *clients {
	return &clients{bits: bits, also: make(map[netip.Addr]netip.Addr)}
}

// of returns what stands for a client where what it has is bounded: its IPv4
// address, or if it has none, its IPv6 prefix, in which it makes any number of
// addresses.
func (c *clients) of(source netip.Addr) netip.Addr {
	if source.Is4() {
		return source
	}
	at := c.prefixOf(source)
	c.mu.RLock()
	defer c.mu.RUnlock()
	if addr, ok := c.also[at]; ok {
		return addr
	}
	return at
}

func (c *clients) prefixOf(source netip.Addr) netip.Addr {
	if prefix, err := source.Prefix(c.bits); err == nil {
		return prefix.Addr()
	}
	return source
}

func (c *clients) join(addr, source netip.Addr) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.also[c.prefixOf(source)] = addr
}

func (c *clients) part(source netip.Addr) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.also, c.prefixOf(source))
}

// Join says that an IPv6 prefix is of the session that has the IPv4 address
// addr, until one of its addresses is forgotten: so what a session may have, it
// has once for both.
func (d *Device) Join(addr netip.Addr, prefix netip.Prefix) { d.clients.join(addr, prefix.Addr()) }
