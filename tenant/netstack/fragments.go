package netstack

import (
	"encoding/binary"
	"net/netip"
	"slices"
	"sync"
	"time"

	"gvisor.dev/gvisor/pkg/tcpip/header"

	"github.com/culvert-vpn/culvert/tenant/ipkt"
)

// Fragments of clients are put together here: the stack has one pool for all of
// its clients, from which whoever sends most pushes out what the others sent.

const (
	// fragmentTime is how long the fragments of a packet are waited for. RFC 8200
	// section 4.5 has it at most 60 s.
	fragmentTime = 30 * time.Second
	// fragmentBytes is what fragments of all clients may hold, and fragmentShare the
	// part of it, one in so many, that one client may.
	fragmentBytes, fragmentShare = 4 << 20, 4
	// maxPieces is how many fragments a packet may have: as many as the largest does
	// where the MTU is the least that there is (RFC 791 section 3.2).
	maxPieces = 65535/48 + 1
	// fragmentCost and partialCost are bytes that a fragment, and a packet of which
	// something is held, cost beside what they hold.
	fragmentCost, partialCost = 64, 512
)

// fragment is one fragment of a packet, and lies in it.
type fragment struct {
	key    fragmentKey
	header []byte // what is before the payload, with the fragment header of IPv6
	at     int    // of the payload in the whole
	data   []byte
	more   bool
}

// fragmentKey is what the fragments of a packet have in common (RFC 791 section
// 3.2, RFC 8200 section 4.5).
type fragmentKey struct {
	source, destination netip.Addr
	id                  uint32
	protocol            uint8 // of IPv4
}

// keptPiece is a fragment that is held.
type keptPiece struct {
	at   int
	data []byte
}

// partial is a packet of which some fragments are held.
type partial struct {
	key    fragmentKey
	client netip.Addr
	began  time.Time
	header []byte      // of the first fragment; nil: it has not come
	pieces []keptPiece // by their place
	held   int         // bytes of payload
	total  int         // that there are; -1: the last has not come
	cost   int
	void   bool // fragments contradicted each other: nothing comes of it (RFC 5722)
}

// partialsOf is what a client has of partial packets, from the oldest on.
type partialsOf struct {
	used     int
	partials []*partial
}

// fragments are those of all clients of a device. It may be used concurrently.
type fragments struct {
	of   func(source netip.Addr) netip.Addr // what stands for the client
	late func(client netip.Addr, first []byte)

	mu       sync.Mutex
	used     int
	partials map[fragmentKey]*partial
	clients  map[netip.Addr]*partialsOf
	sweeper  *time.Timer // nil: nothing is held
	closed   bool
}

// newFragments makes an empty one. late is called with the first fragment of a
// packet the rest of which did not come in time.
func newFragments(of func(netip.Addr) netip.Addr, late func(client netip.Addr, first []byte)) *fragments {
	return &fragments{of: of, late: late, partials: make(map[fragmentKey]*partial), clients: make(map[netip.Addr]*partialsOf)}
}

// whole returns b if it is no fragment, or one that the stack has an answer to; the
// packet that b completes, in memory of its own, which is joined; or nil.
func (f *fragments) whole(b []byte) (whole []byte, joined bool) {
	at, is := fragmentAt(b)
	if !is {
		return b, false
	}
	g, ok := parseFragment(b, at)
	switch {
	case !ok:
		return nil, false
	case !g.fits():
		return b, false
	}
	whole = f.add(&g, time.Now())
	if _, again := fragmentAt(whole); again {
		return nil, false // a fragment in fragments
	}
	return whole, whole != nil
}

// add takes a fragment and returns the packet that it completes, or nil.
func (f *fragments) add(g *fragment, now time.Time) []byte {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.closed {
		return nil
	}
	p := f.partials[g.key]
	if p != nil && now.Sub(p.began) >= fragmentTime {
		f.drop(p)
		p = nil
	}
	if p == nil {
		p = f.begin(g.key, now)
	}
	cost := p.cost
	p.add(g)
	f.charge(p.client, p.cost-cost)
	if p.held == p.total && p.header != nil {
		f.drop(p)
		return p.join()
	}
	f.makeRoom(p.client)
	return nil
}

func (f *fragments) begin(key fragmentKey, now time.Time) *partial {
	p := &partial{key: key, client: f.of(key.source), began: now, total: -1, cost: partialCost}
	f.partials[key] = p
	h := f.clients[p.client]
	if h == nil {
		h = &partialsOf{}
		f.clients[p.client] = h
	}
	h.partials = append(h.partials, p)
	f.charge(p.client, p.cost)
	if f.sweeper == nil {
		f.sweeper = time.AfterFunc(fragmentTime, f.sweep)
	}
	return p
}

func (f *fragments) charge(client netip.Addr, cost int) {
	f.used += cost
	f.clients[client].used += cost
}

// makeRoom drops the oldest of a client that has more than its share, and of who
// has most when all have too much.
func (f *fragments) makeRoom(client netip.Addr) {
	for h := f.clients[client]; h != nil && h.used > fragmentBytes/fragmentShare; h = f.clients[client] {
		f.drop(h.partials[0])
	}
	for f.used > fragmentBytes {
		var most *partialsOf
		for _, h := range f.clients {
			if most == nil || h.used > most.used {
				most = h
			}
		}
		f.drop(most.partials[0])
	}
}

func (f *fragments) drop(p *partial) {
	delete(f.partials, p.key)
	f.charge(p.client, -p.cost)
	h := f.clients[p.client]
	if i := slices.Index(h.partials, p); i >= 0 {
		h.partials = slices.Delete(h.partials, i, i+1)
	}
	if len(h.partials) == 0 {
		delete(f.clients, p.client)
	}
}

// sweep drops what is too old, and comes back for the rest.
func (f *fragments) sweep() {
	for _, p := range f.takeLate(time.Now()) {
		if !p.void && p.header != nil {
			f.late(p.client, slices.Concat(p.header, p.pieces[0].data))
		}
	}
}

// takeLate drops and returns what is too old.
func (f *fragments) takeLate(now time.Time) (late []*partial) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.sweeper = nil
	if f.closed {
		return nil
	}
	next := now
	for _, p := range f.partials {
		if now.Sub(p.began) >= fragmentTime {
			late = append(late, p)
		} else if next == now || p.began.Before(next) {
			next = p.began
		}
	}
	for _, p := range late {
		f.drop(p)
	}
	if len(f.partials) > 0 {
		f.sweeper = time.AfterFunc(max(next.Add(fragmentTime).Sub(now), time.Second), f.sweep)
	}
	return late
}

// forget drops what a client has.
func (f *fragments) forget(client netip.Addr) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for h := f.clients[client]; h != nil; h = f.clients[client] {
		f.drop(h.partials[0])
	}
}

func (f *fragments) close() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.closed = true
	if f.sweeper != nil {
		f.sweeper.Stop()
	}
	clear(f.partials)
	clear(f.clients)
}

// add takes a fragment unless it is there already. One that contradicts what is
// there voids the packet, and all that may follow of it.
func (p *partial) add(g *fragment) {
	end := g.at + len(g.data)
	i, found := slices.BinarySearchFunc(p.pieces, g.at, func(q keptPiece, at int) int { return q.at - at })
	switch {
	case p.void, found && len(p.pieces[i].data) == len(g.data) && (g.more || p.total == end):
		return
	case found, len(p.pieces) == maxPieces,
		i > 0 && p.pieces[i-1].at+len(p.pieces[i-1].data) > g.at,
		i < len(p.pieces) && p.pieces[i].at < end,
		p.total >= 0 && (end > p.total || !g.more),
		!g.more && i < len(p.pieces):
		*p = partial{key: p.key, client: p.client, began: p.began, total: -1, cost: partialCost, void: true}
		return
	}
	p.pieces = slices.Insert(p.pieces, i, keptPiece{g.at, slices.Clone(g.data)})
	p.held += len(g.data)
	p.cost += len(g.data) + fragmentCost
	if !g.more {
		p.total = end
	}
	if g.at == 0 {
		p.header = slices.Clone(g.header)
		p.cost += len(p.header)
	}
}

// join makes the packet of fragments that are all there; nil: it would be longer
// than a packet can be.
func (p *partial) join() []byte {
	b := append(make([]byte, 0, len(p.header)+p.total), p.header...)
	for _, piece := range p.pieces {
		b = append(b, piece.data...)
	}
	if b[0]>>4 == 4 {
		if len(b) > maxJoined {
			return nil
		}
		binary.BigEndian.PutUint16(b[ipv4LengthAt:], uint16(len(b)))
		b[6], b[7] = 0, 0
		ipkt.SetHeaderChecksum(b[:len(p.header)])
		return b
	}
	if len(b) > header.IPv6MinimumSize+maxJoined {
		return nil
	}
	// The fragment header stays, of one that is whole (RFC 6946): it says that the
	// packet may be cut.
	binary.BigEndian.PutUint16(b[ipv6LengthAt:], uint16(len(b)-header.IPv6MinimumSize))
	b[len(p.header)-6], b[len(p.header)-5] = 0, 0
	return b
}

// fragmentAt reports whether b is a fragment of a packet, and where its fragment
// header begins if it is of IPv6: behind other headers, each of which is walked
// over as the stack does.
func fragmentAt(b []byte) (at int, is bool) {
	switch {
	case len(b) < header.IPv4MinimumSize:
		return 0, false
	case b[0]>>4 == 4:
		return 0, b[6]&0x3f|b[7] != 0
	case len(b) < header.IPv6MinimumSize || b[6] == ipkt.ProtocolTCP || b[6] == ipkt.ProtocolUDP:
		return 0, false
	}
	next, at := b[6], header.IPv6MinimumSize
	for len(b) >= at+8 {
		size := 8
		switch next {
		case ipkt.ProtocolFragment:
			if binary.BigEndian.Uint16(b[at+2:])&^6 != 0 {
				return at, true
			}
		case uint8(header.IPv6ExperimentExtHdrIdentifier):
		case uint8(header.IPv6HopByHopOptionsExtHdrIdentifier), uint8(header.IPv6RoutingExtHdrIdentifier),
			uint8(header.IPv6DestinationOptionsExtHdrIdentifier):
			size += int(b[at+1]) * 8
		default:
			return 0, false
		}
		next, at = b[at], at+size
	}
	return 0, false
}

// parseFragment reads a fragment whose fragment header, if it is of IPv6, is at at.
func parseFragment(b []byte, at int) (g fragment, ok bool) {
	p, err := ipkt.Parse(b)
	if err != nil || !p.Is4() && at+8 > len(p.Bytes) {
		return g, false
	}
	g.key = fragmentKey{source: p.Source(), destination: p.Destination()}
	if p.Is4() {
		g.key.id, g.key.protocol = uint32(binary.BigEndian.Uint16(b[4:])), p.Protocol
		g.header, g.data, g.at, g.more = b[:p.HeaderLen], p.Payload(), p.Offset, p.More
	} else {
		flags := binary.BigEndian.Uint16(b[at+2:])
		g.key.id = binary.BigEndian.Uint32(b[at+4:])
		g.header, g.data, g.at, g.more = b[:at+8], p.Bytes[at+8:], int(flags&^7), flags&1 != 0
	}
	return g, len(g.data) > 0
}

// fits reports whether a fragment can be one of a packet. The stack tells the sender
// if not (RFC 8200 section 4.5).
func (g *fragment) fits() bool {
	return (!g.more || len(g.data)%8 == 0) && g.at+len(g.data) <= maxJoined
}
