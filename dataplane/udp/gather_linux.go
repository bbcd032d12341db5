package udp

import (
	"encoding/binary"
	"net/netip"

	"github.com/culvert-vpn/culvert/internal/x/gso"
)

// gatherSlots is how many peers' runs can be open at once; a power of two.
const gatherSlots = 256

// run is a sequence of datagrams that leave in one segmented send: all of one
// length but for the last, which may be shorter, and between the same two
// addresses. Its datagrams are chained by index.
type run struct {
	remote      netip.AddrPort
	local       netip.Addr
	first, last int32 // indexes of datagrams
	count       int
	size        int // of every datagram but the last
	total       int
	closed      bool
}

type datagram struct {
	data []byte
	next int32 // in the same run; -1: the last
}

// gather holds a batch and puts the datagrams to one peer together, although
// those to others come in between. A peer's datagrams keep their order, since
// only the newest run of a peer is ever added to.
type gather struct {
	datagrams []datagram
	runs      []run
	// newest finds a peer's newest run by a hash of its address: an index into
	// runs, plus one. Two peers with one hash only close each other's runs.
	newest [gatherSlots]int32
}

func newGather(batch int) gather {
	return gather{datagrams: make([]datagram, 0, batch), runs: make([]run, 0, batch)}
}

func (g *gather) full() bool { return len(g.datagrams) == cap(g.datagrams) }

// add takes a datagram in. segment: runs may be longer than one.
func (g *gather) add(data []byte, remote netip.AddrPort, local netip.Addr, segment bool) {
	at := int32(len(g.datagrams))
	g.datagrams = append(g.datagrams, datagram{data: data, next: -1})
	slot := &g.newest[slotOf(remote)]
	if i := *slot - 1; segment && i >= 0 {
		if r := &g.runs[i]; r.takes(len(data), remote, local) {
			g.datagrams[r.last].next = at
			r.last = at
			r.count++
			r.total += len(data)
			r.closed = len(data) < r.size
			return
		}
	}
	g.runs = append(g.runs, run{
		remote: remote, local: local, first: at, last: at,
		count: 1, size: len(data), total: len(data),
	})
	*slot = int32(len(g.runs))
}

// takes reports whether a datagram of n bytes can be the run's next.
func (r *run) takes(n int, remote netip.AddrPort, local netip.Addr) bool {
	return !r.closed && n > 0 && n <= r.size && r.count < gso.MaxDatagrams && r.total+n <= gso.MaxBytes &&
		r.remote == remote && r.local == local
}

// reset forgets the batch and the callers' memory with it.
func (g *gather) reset() {
	for i := range g.runs {
		g.newest[slotOf(g.runs[i].remote)] = 0
	}
	clear(g.datagrams)
	g.datagrams = g.datagrams[:0]
	g.runs = g.runs[:0]
}

// slotOf hashes an address by the bytes in which peers differ.
func slotOf(a netip.AddrPort) uint32 {
	b := a.Addr().As16()
	h := binary.BigEndian.Uint64(b[8:]) ^ uint64(a.Port())<<40
	return uint32(h * 0x9E3779B97F4A7C15 >> 32 % gatherSlots)
}
