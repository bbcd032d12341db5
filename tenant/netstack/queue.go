package netstack

import (
	"encoding/binary"
	"net/netip"
	"os"
	"sync"
	"sync/atomic"

	"gvisor.dev/gvisor/pkg/tcpip/header"
	"gvisor.dev/gvisor/pkg/tcpip/stack"

	"github.com/culvert-vpn/culvert/tenant/ipkt"
)

const (
	lanes = 8 // of one client, that its flows are spread over
	// quantum is how many bytes a client may take in its turn.
	quantum = 64 << 10
	// takeBytes is how many bytes a take brings, to which one packet of the
	// stack is added at most.
	takeBytes = 256 << 10
	// packetCost is what a packet takes besides its bytes.
	packetCost = 512
	spares     = 64 // backlogs that are kept for the next client
	none       = -1
)

// queue holds the packets that the stack sends until the source reads them.
// Clients take turns, by bytes; and the lanes of a client, over which its flows
// are spread, take turns by packets of the stack.
//
// Its limit is in bytes. A packet is admitted when what waits in its lane, for
// its client and altogether fits the limit in one sum. So one flow may fill a
// third of the queue, one client half of it, n clients an (n+1)th each: who
// comes anew finds room, and the drops are those of whom the queue is full of.
type queue struct {
	of func(netip.Addr) netip.Addr // what stands for the client that has an address; nil: it does

	mu      sync.Mutex
	limit   int
	bytes   int
	clients map[netip.Addr]*backlog
	turn    *backlog // whose turn it is, in a ring; nil: nothing waits
	spare   []*backlog
	nodes   []node
	free    int // first unused node; none: all are in use
	closed  bool

	wake    chan struct{} // holds a token after a put into an empty queue
	dropped atomic.Uint64
}

// node is a packet in a lane.
type node struct {
	pkt  *stack.PacketBuffer
	cost int
	next int // none: the last
}

// lane is a list of packets.
type lane struct {
	head, tail, bytes int
	low               int               // when not more bytes are left,
	waiting           []chan<- struct{} // these get a token; see gate
}

// backlog is what waits for one client.
type backlog struct {
	client     netip.Addr
	lanes      [lanes]lane
	lane       int // whose turn it is
	bytes      int
	credit     int // bytes that may be taken in this turn
	prev, next *backlog
}

func newQueue(limit int) *queue {
	return &queue{limit: limit, clients: make(map[netip.Addr]*backlog), free: none, wake: make(chan struct{}, 1)}
}

// put adds packets, of each of which it keeps a reference, and returns how
// many there was room for.
func (q *queue) put(pkts []*stack.PacketBuffer) int {
	taken := q.putSome(pkts)
	q.dropped.Add(uint64(len(pkts) - taken))
	if taken > 0 {
		q.signal()
	}
	return taken
}

func (q *queue) putSome(pkts []*stack.PacketBuffer) (taken int) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, pkt := range pkts {
		client, at := destinationOf(pkt)
		if q.add(pkt, q.clientOf(client), at) {
			taken++
		}
	}
	return taken
}

// clientOf returns what stands for a client in the queue: not its address, of which one
// with an IPv6 prefix has any number.
func (q *queue) clientOf(addr netip.Addr) netip.Addr {
	if q.of == nil || addr.Is4() || !addr.IsValid() {
		return addr
	}
	return q.of(addr)
}

// destinationOf says which address a packet is for, and its lane there.
func destinationOf(pkt *stack.PacketBuffer) (client netip.Addr, at int) {
	views, skip := pkt.AsViewList()
	v := views.Front()
	if v == nil || v.Size() < skip {
		return client, 0
	}
	b := v.AsSlice()[skip:]
	p := ipkt.Packet{Bytes: b}
	switch {
	case header.IPVersion(b) == header.IPv4Version && len(b) >= header.IPv4MinimumSize:
		whole := header.IPv4(b).FragmentOffset() == 0 && !header.IPv4(b).More()
		source, destination := portsOf(b[9], b[header.IPv4MinimumSize:], whole)
		return p.Destination(), laneOf(b[15], source, destination)
	case header.IPVersion(b) == header.IPv6Version && len(b) >= header.IPv6MinimumSize:
		source, destination := portsOf(b[6], b[header.IPv6MinimumSize:], true)
		return p.Destination(), laneOf(b[23], source, destination)
	}
	return client, 0
}

// portsOf are the ports of a whole TCP or UDP packet; of others none.
func portsOf(protocol byte, b []byte, whole bool) (source, destination uint16) {
	if protocol != ipkt.ProtocolTCP && protocol != ipkt.ProtocolUDP || !whole || len(b) < 4 {
		return 0, 0
	}
	return binary.BigEndian.Uint16(b), binary.BigEndian.Uint16(b[2:])
}

// laneOf spreads the flows of a client over lanes, by the last byte of the
// source address and by the ports.
func laneOf(source byte, sourcePort, destinationPort uint16) int {
	return int((uint(source) + uint(sourcePort) + uint(destinationPort)) % lanes)
}

func (q *queue) signal() {
	select {
	case q.wake <- struct{}{}:
	default:
	}
}

// add puts a packet into a client's lane, if there is room.
func (q *queue) add(pkt *stack.PacketBuffer, client netip.Addr, at int) bool {
	cost := costOf(pkt)
	b := q.clients[client]
	waiting := q.bytes + cost
	if b != nil {
		waiting += b.bytes + b.lanes[at].bytes
	}
	if q.closed || waiting > q.limit {
		return false
	}
	if b == nil {
		b = q.enter(client)
	}
	q.append(&b.lanes[at], pkt.IncRef(), cost)
	b.bytes += cost
	q.bytes += cost
	return true
}

// costOf is what a packet of the stack takes: its bytes, or, where it is to be cut
// into many that carry little, the work of all of those. Its client says how little
// that is.
func costOf(pkt *stack.PacketBuffer) int {
	size, pieces := pkt.Size(), 1
	if mss := int(pkt.GSOOptions.MSS); pkt.GSOOptions.Type != stack.GSONone && mss > 0 {
		pieces = (size + mss - 1) / mss
	}
	return max(size, (pieces-1)*packetCost) + packetCost
}

// append adds a packet to the end of a lane.
func (q *queue) append(l *lane, pkt *stack.PacketBuffer, cost int) {
	n := q.free
	if n == none {
		n = len(q.nodes)
		q.nodes = append(q.nodes, node{next: none})
	}
	q.free = q.nodes[n].next
	q.nodes[n] = node{pkt: pkt, cost: cost, next: none}
	if l.bytes == 0 {
		l.head = n
	} else {
		q.nodes[l.tail].next = n
	}
	l.tail = n
	l.bytes += cost
}

// enter gives a client the last turn.
func (q *queue) enter(client netip.Addr) *backlog {
	b := q.blank()
	b.client, b.credit, b.lane = client, quantum, 0
	q.clients[client] = b
	if q.turn == nil {
		b.prev, b.next = b, b
		q.turn = b
		return b
	}
	b.prev, b.next = q.turn.prev, q.turn
	b.prev.next, b.next.prev = b, b
	return b
}

// blank returns a backlog with nothing in it.
func (q *queue) blank() *backlog {
	n := len(q.spare)
	if n == 0 {
		return &backlog{}
	}
	b := q.spare[n-1]
	q.spare = q.spare[:n-1]
	return b
}

// leave takes a client for which nothing waits out of the ring.
func (q *queue) leave(b *backlog) {
	delete(q.clients, b.client)
	b.prev.next, b.next.prev = b.next, b.prev
	if q.turn = b.next; q.turn == b {
		q.turn = nil
	}
	b.prev, b.next = nil, nil
	if len(q.spare) < spares {
		q.spare = append(q.spare, b)
	}
}

// take moves packets into batch, blocking until there is at least one.
func (q *queue) take(batch []*stack.PacketBuffer) (int, error) {
	for {
		n, closed := q.takeSome(batch)
		if closed {
			q.signal() // whoever else waits
			return 0, os.ErrClosed
		}
		if n > 0 {
			return n, nil
		}
		<-q.wake
	}
}

func (q *queue) takeSome(batch []*stack.PacketBuffer) (n int, closed bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for size := 0; q.turn != nil && n < len(batch) && size < takeBytes; n++ {
		batch[n] = q.pop()
		size += batch[n].Size()
	}
	return n, q.closed
}

// pop takes the packet whose turn it is. There is one.
func (q *queue) pop() *stack.PacketBuffer {
	for q.turn.credit <= 0 {
		q.turn.credit += quantum
		q.turn = q.turn.next
	}
	b := q.turn
	for b.lanes[b.lane].bytes == 0 {
		b.lane = (b.lane + 1) % lanes
	}
	l := &b.lanes[b.lane]
	b.lane = (b.lane + 1) % lanes
	i := l.head
	n := q.nodes[i]
	l.head = n.next
	l.bytes -= n.cost
	if len(l.waiting) > 0 && l.bytes <= l.low {
		l.release()
	}
	b.bytes -= n.cost
	b.credit -= n.cost
	q.bytes -= n.cost
	q.nodes[i] = node{next: q.free}
	q.free = i
	if b.bytes == 0 {
		q.leave(b)
	}
	return n.pkt
}

// close drops what waits and ends take.
func (q *queue) close() {
	q.mu.Lock()
	q.closed = true
	for q.turn != nil {
		q.pop().DecRef()
	}
	q.mu.Unlock()
	q.signal()
}
