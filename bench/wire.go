package bench

import (
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/culvert-vpn/culvert/dataplane/udp"
)

// wire joins a gateway under test with one gateway that dials it from any
// number of addresses, in memory. It carries datagrams until the sessions
// stand; then it keeps what the diallers send, hands it to the gateway under
// test when that is measured, and drops what comes back.
type wire struct {
	server, client [2]*wireConn // by natt
	dropping       atomic.Bool  // what the server sends is counted only
	dropped        atomic.Uint64
	keeping        atomic.Bool // what clients send over NAT-T is kept

	mu   sync.Mutex
	kept []udp.Message
}

func natted(port uint16) int {
	if port == wireNATT {
		return 1
	}
	return 0
}

// wireRoom is the longest datagram of a replay, in bytes, and somewhat odd so
// that headers do not all fall into the same lines of a cache.
const wireRoom = 2048 + 3*64

// wireNATT is the port of ESP on both ends of a wire.
const wireNATT = 4500

// wireQueue is how many datagrams wait for a reader; more are lost.
const wireQueue = 8192

func newWire() *wire {
	w := &wire{}
	for i := range w.server {
		w.server[i] = &wireConn{wire: w, queue: make(chan udp.Message, wireQueue), replays: make(chan *replay), closed: make(chan struct{})}
		w.client[i] = &wireConn{wire: w, queue: make(chan udp.Message, wireQueue), closed: make(chan struct{}), dials: true}
	}
	return w
}

func (w *wire) listenServer(c udp.Config) (udp.Conn, error) {
	return w.server[natted(c.Addr.Port())].at(c.Addr), nil
}

func (w *wire) listenClient(c udp.Config) (udp.Conn, error) {
	return w.client[natted(c.Addr.Port())].at(c.Addr), nil
}

// keep starts keeping what clients send.
func (w *wire) keep() { w.keeping.Store(true) }

// take ends keeping and returns what was kept, each session in turn.
func (w *wire) take() []udp.Message {
	w.keeping.Store(false)
	w.mu.Lock()
	defer w.mu.Unlock()
	kept := w.kept
	w.kept = nil
	return inTurn(kept)
}

// inTurn orders messages so that their senders take turns, and each sender's
// stay in order.
func inTurn(all []udp.Message) []udp.Message {
	bySender := make(map[netip.AddrPort][]udp.Message)
	var senders []netip.AddrPort
	for _, m := range all {
		if bySender[m.Remote] == nil {
			senders = append(senders, m.Remote)
		}
		bySender[m.Remote] = append(bySender[m.Remote], m)
	}
	mixed := make([]udp.Message, 0, len(all))
	for turn := 0; len(mixed) < len(all); turn++ {
		for _, sender := range senders {
			if turn < len(bySender[sender]) {
				mixed = append(mixed, bySender[sender][turn])
			}
		}
	}
	return mixed
}

// replay is kept datagrams on their way through a reader, and how long that took.
// The reader copies each batch into buffers of its own, as the kernel would, and
// that is not counted: what the gateway finds is in the core's cache, as what the
// kernel has just copied is.
type replay struct {
	left   []udp.Message
	began  time.Time
	allocs uint64
	took   time.Duration
	done   chan struct{}
}

// replay hands messages to the gateway under test and waits until it wants more.
func (w *wire) replay(messages []udp.Message) *replay {
	r := &replay{left: messages, done: make(chan struct{})}
	select {
	case w.server[1].replays <- r:
		<-r.done
	case <-w.server[1].closed:
	}
	return r
}

// wireConn is one socket.
type wireConn struct {
	wire    *wire
	dials   bool
	addr    netip.AddrPort
	queue   chan udp.Message
	replays chan *replay
	once    sync.Once
	closed  chan struct{}
}

func (c *wireConn) at(a netip.AddrPort) *wireConn { c.addr = a; return c }

// LocalAddr implements udp.Conn.
func (c *wireConn) LocalAddr() netip.AddrPort { return c.addr }

// Close implements udp.Conn.
func (c *wireConn) Close() error {
	c.once.Do(func() { close(c.closed) })
	return nil
}

// NewReader implements udp.Conn.
func (c *wireConn) NewReader(batch int) udp.Reader {
	r := &wireReader{conn: c, batch: batch, batched: make([]udp.Message, batch)}
	for range batch {
		r.room = append(r.room, make([]byte, wireRoom))
	}
	return r
}

// NewWriter implements udp.Conn.
func (c *wireConn) NewWriter(int) udp.Writer { return &wireWriter{conn: c} }

type wireReader struct {
	conn    *wireConn
	batch   int
	batched []udp.Message
	room    [][]byte // of the batch's data, while there is a replay
	replay  *replay
}

// Read implements udp.Reader.
func (r *wireReader) Read() ([]udp.Message, error) {
	if r.replay != nil {
		if batch := r.next(); batch != nil {
			return batch, nil
		}
	}
	select {
	case r.batched[0] = <-r.conn.queue:
		return r.batched[:1], nil
	case r.replay = <-r.conn.replays:
		r.replay.allocs, r.replay.began = mallocs(), time.Now()
		return r.next(), nil
	case <-r.conn.closed:
		return nil, net.ErrClosed
	}
}

// next returns the next batch of a replay; at its end it stops the clock.
func (r *wireReader) next() []udp.Message {
	p := r.replay
	p.took += time.Since(p.began)
	n := min(r.batch, len(p.left))
	if n == 0 {
		p.allocs = mallocs() - p.allocs
		r.replay = nil
		close(p.done)
		return nil
	}
	batch := r.receive(p.left[:n])
	p.left = p.left[n:]
	p.began = time.Now()
	return batch
}

// receive copies messages into the reader's buffers.
func (r *wireReader) receive(from []udp.Message) []udp.Message {
	for i, m := range from {
		m.Data = r.room[i][:copy(r.room[i], m.Data)]
		r.batched[i] = m
	}
	return r.batched[:len(from)]
}

type wireWriter struct {
	conn    *wireConn
	dropped uint64
}

// Commit implements udp.Writer.
func (w *wireWriter) Commit(data []byte, remote netip.AddrPort, local netip.Addr) {
	wire, natt := w.conn.wire, natted(w.conn.addr.Port())
	if !w.conn.dials && wire.dropping.Load() {
		w.dropped++
		return
	}
	m := udp.Message{
		Data: append(make([]byte, 0, len(data)), data...), Remote: netip.AddrPortFrom(local, w.conn.addr.Port()), Local: remote.Addr(),
	}
	to := wire.server[natt]
	switch {
	case !w.conn.dials:
		to = wire.client[natt]
	case natt == 1 && wire.keeping.Load():
		wire.mu.Lock()
		wire.kept = append(wire.kept, m)
		wire.mu.Unlock()
		return
	}
	select {
	case to.queue <- m:
	default:
	}
}

// Flush implements udp.Writer.
func (w *wireWriter) Flush() error {
	if w.dropped > 0 {
		w.conn.wire.dropped.Add(w.dropped)
		w.dropped = 0
	}
	return nil
}
