package simnet

import (
	"container/heap"
	"errors"
	"math/rand/v2"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/culvert-vpn/culvert/dataplane/udp"
)

// Config says how good the road is.
type Config struct {
	Seed uint64
	// Latency is how long a datagram is on its way; Jitter is added to it, at
	// random between 0 and Jitter, so that datagrams overtake one another.
	Latency, Jitter time.Duration
	// Loss and Duplicate are the probabilities, 0 to 1, that a datagram is lost
	// and that it arrives twice.
	Loss, Duplicate float64
	// Queue is how many datagrams wait in a socket before more are lost; 0: 4096.
	Queue int
}

// ErrAddressInUse is returned when a second socket asks for the same address and port.
var ErrAddressInUse = errors.New("simnet: address already in use")

// Network joins hosts and NATs.
type Network struct {
	mu      sync.Mutex
	config  Config
	random  *rand.Rand
	sockets map[netip.AddrPort]*conn
	nats    map[netip.Addr]*NAT
	tap     func(from, to netip.AddrPort, data []byte) bool
	sent    uint64
	road    road
	order   uint64
}

// New returns an empty network.
func New(c Config) *Network {
	if c.Queue == 0 {
		c.Queue = 4096
	}
	return &Network{
		config: c, random: rand.New(rand.NewPCG(c.Seed, 1)),
		sockets: make(map[netip.AddrPort]*conn), nats: make(map[netip.Addr]*NAT),
	}
}

// SetLoss changes the probabilities of a running network.
func (n *Network) SetLoss(loss, duplicate float64) {
	n.mu.Lock()
	n.config.Loss, n.config.Duplicate = loss, duplicate
	n.mu.Unlock()
}

// Tap calls f for every datagram as it is sent, with the addresses the
// receiver would see; when f returns false the datagram is lost.
func (n *Network) Tap(f func(from, to netip.AddrPort, data []byte) bool) {
	n.mu.Lock()
	n.tap = f
	n.mu.Unlock()
}

// Sent returns how many datagrams were sent so far.
func (n *Network) Sent() uint64 {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.sent
}

// Listen opens a socket of a host that is on the network itself. The address
// must be given; port 0 takes a free one.
func (n *Network) Listen(c udp.Config) (udp.Conn, error) { return n.listen(c, nil) }

func (n *Network) listen(c udp.Config, nat *NAT) (udp.Conn, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	sockets := n.sockets
	if nat != nil {
		sockets = nat.sockets
	}
	addr := c.Addr
	for port := uint16(49152); addr.Port() == 0; port++ {
		if try := netip.AddrPortFrom(addr.Addr(), port); sockets[try] == nil {
			addr = try
		}
	}
	if sockets[addr] != nil {
		return nil, ErrAddressInUse
	}
	s := &conn{net: n, nat: nat, addr: addr, queue: make(chan packet, n.config.Queue), closed: make(chan struct{})}
	sockets[addr] = s
	return s, nil
}

// NAT is a router with one public address. Hosts behind it reach the network
// through mappings that do not depend on the destination.
type NAT struct {
	net     *Network
	public  netip.Addr
	sockets map[netip.AddrPort]*conn // the hosts behind it
	out     map[netip.AddrPort]uint16
	in      map[uint16]netip.AddrPort
	next    uint16
}

// NAT adds a NAT with that public address.
func (n *Network) NAT(public netip.Addr) *NAT {
	nat := &NAT{
		net: n, public: public, sockets: make(map[netip.AddrPort]*conn), next: 1024,
		out: make(map[netip.AddrPort]uint16), in: make(map[uint16]netip.AddrPort),
	}
	n.mu.Lock()
	n.nats[public] = nat
	n.mu.Unlock()
	return nat
}

// Listen opens a socket of a host behind the NAT.
func (t *NAT) Listen(c udp.Config) (udp.Conn, error) { return t.net.listen(c, t) }

// Rebind forgets every mapping, as a restarted router does: the next datagram
// of each host gets a new public port.
func (t *NAT) Rebind() {
	t.net.mu.Lock()
	defer t.net.mu.Unlock()
	t.out = make(map[netip.AddrPort]uint16)
	t.in = make(map[uint16]netip.AddrPort)
}

// Renumber gives the NAT another public address, as a provider does, and forgets every mapping.
func (t *NAT) Renumber(public netip.Addr) {
	t.Rebind()
	t.net.mu.Lock()
	defer t.net.mu.Unlock()
	delete(t.net.nats, t.public)
	t.public = public
	t.net.nats[public] = t
}

// translate returns the public address of a host behind the NAT.
func (t *NAT) translate(inner netip.AddrPort) netip.AddrPort {
	port, ok := t.out[inner]
	if !ok {
		port = t.next
		t.next++
		t.out[inner], t.in[port] = port, inner
	}
	return netip.AddrPortFrom(t.public, port)
}

type packet struct {
	data []byte
	from netip.AddrPort
}

// send puts a datagram on the road.
func (n *Network) send(s *conn, to netip.AddrPort, data []byte) {
	n.mu.Lock()
	defer n.mu.Unlock()
	from := s.addr
	if s.nat != nil {
		from = s.nat.translate(from)
	}
	n.sent++
	if n.tap != nil && !n.tap(from, to, data) {
		return
	}
	copies := 1
	if n.random.Float64() < n.config.Loss {
		copies = 0
	} else if n.random.Float64() < n.config.Duplicate {
		copies = 2
	}
	for range copies {
		delay := n.config.Latency
		if n.config.Jitter > 0 {
			delay += time.Duration(n.random.Int64N(int64(n.config.Jitter)))
		}
		n.order++
		heap.Push(&n.road, travelling{
			packet: packet{data: append([]byte(nil), data...), from: from},
			to:     to, due: time.Now().Add(delay), order: n.order,
		})
		time.AfterFunc(delay, n.deliver)
	}
}

// deliver takes the datagram that is due first off the road. There is one call
// for each datagram, but calls of one moment may come in any order.
func (n *Network) deliver() {
	n.mu.Lock()
	p := heap.Pop(&n.road).(travelling)
	s := n.sockets[p.to]
	if nat := n.nats[p.to.Addr()]; nat != nil {
		s = nat.sockets[nat.in[p.to.Port()]]
	}
	defer n.mu.Unlock()
	if s == nil {
		return
	}
	select {
	case s.queue <- p.packet:
	default:
		s.lost.Add(1)
	}
}

// travelling is a datagram on the road.
type travelling struct {
	packet
	to    netip.AddrPort
	due   time.Time
	order uint64
}

// road is a heap of datagrams by the moment they arrive.
type road []travelling

func (r road) Len() int      { return len(r) }
func (r road) Swap(i, j int) { r[i], r[j] = r[j], r[i] }

func (r road) Less(i, j int) bool {
	if !r[i].due.Equal(r[j].due) {
		return r[i].due.Before(r[j].due)
	}
	return r[i].order < r[j].order
}

// Push implements heap.Interface.
func (r *road) Push(x any) { *r = append(*r, x.(travelling)) }

// Pop implements heap.Interface.
func (r *road) Pop() any {
	last := len(*r) - 1
	p := (*r)[last]
	*r = (*r)[:last]
	return p
}

type conn struct {
	net    *Network
	nat    *NAT
	addr   netip.AddrPort
	queue  chan packet
	lost   atomic.Uint64 // datagrams, for want of room
	once   sync.Once
	closed chan struct{}
}

func (s *conn) LocalAddr() netip.AddrPort { return s.addr }

func (s *conn) Close() error {
	s.once.Do(func() {
		close(s.closed)
		s.net.mu.Lock()
		defer s.net.mu.Unlock()
		sockets := s.net.sockets
		if s.nat != nil {
			sockets = s.nat.sockets
		}
		delete(sockets, s.addr)
	})
	return nil
}

func (s *conn) NewReader(batch int) udp.Reader {
	return &reader{conn: s, batch: make([]udp.Message, 0, batch)}
}

func (s *conn) NewWriter(int) udp.Writer { return &writer{conn: s} }

type reader struct {
	conn  *conn
	batch []udp.Message
	lost  uint64 // as the socket last counted them
}

// Backlog implements udp.Pressed.
func (r *reader) Backlog() float64 {
	full := float64(len(r.conn.queue)) / float64(cap(r.conn.queue))
	if lost := r.conn.lost.Load(); lost != r.lost {
		r.lost = lost
		return max(full, 1)
	}
	return full
}

func (r *reader) Read() ([]udp.Message, error) {
	r.batch = r.batch[:0]
	select {
	case p := <-r.conn.queue:
		r.add(p)
	case <-r.conn.closed:
		return nil, net.ErrClosed
	}
	for len(r.batch) < cap(r.batch) {
		select {
		case p := <-r.conn.queue:
			r.add(p)
		default:
			return r.batch, nil
		}
	}
	return r.batch, nil
}

func (r *reader) add(p packet) {
	r.batch = append(r.batch, udp.Message{Data: p.data, Remote: p.from, Local: r.conn.addr.Addr()})
}

type writer struct {
	conn    *conn
	pending []pending
}

type pending struct {
	data []byte
	to   netip.AddrPort
}

func (w *writer) Commit(data []byte, remote netip.AddrPort, _ netip.Addr) {
	w.pending = append(w.pending, pending{data, remote})
}

func (w *writer) Flush() error {
	for _, p := range w.pending {
		w.conn.net.send(w.conn, p.to, p.data)
	}
	w.pending = w.pending[:0]
	return nil
}
