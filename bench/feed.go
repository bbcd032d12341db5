package bench

import (
	"encoding/binary"
	"net/netip"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/culvert-vpn/culvert/tenant"
	"github.com/culvert-vpn/culvert/tenant/ipkt"
)

// feed is a device that makes packets when told to, and counts what it is given.
type feed struct {
	orders chan *order
	closed chan struct{}
	once   sync.Once
	taken  atomic.Uint64
}

// order is packets to make: count of them, or as many as fit into a time.
type order struct {
	headers [][]byte // of the packets, in turn
	size    int
	count   int
	within  time.Duration
	burst   int // packets a batch

	made   int
	began  time.Time
	took   time.Duration
	allocs uint64
	done   chan struct{}
}

func newFeed() *feed {
	return &feed{orders: make(chan *order), closed: make(chan struct{})}
}

// make has an order carried out.
func (f *feed) make(o *order) *order {
	o.done = make(chan struct{})
	select {
	case f.orders <- o:
		<-o.done
	case <-f.closed:
	}
	return o
}

// Sources implements tenant.Device.
func (f *feed) Sources() []tenant.Source { return []tenant.Source{&feedSource{feed: f}} }

// Writer implements tenant.Device.
func (f *feed) Writer() tenant.Writer { return &feedWriter{feed: f} }

// MTU implements tenant.Device.
func (f *feed) MTU() int { return 1500 }

// Close implements tenant.Device.
func (f *feed) Close() error {
	f.once.Do(func() { close(f.closed) })
	return nil
}

type feedSource struct {
	feed  *feed
	order *order
	room  [][]byte
	lent  int
}

// Read implements tenant.Source.
func (s *feedSource) Read() error {
	s.lent = 0
	if s.order != nil && !s.order.over() {
		return nil
	}
	if s.order != nil {
		s.order.finish()
		s.order = nil
	}
	select {
	case s.order = <-s.feed.orders:
		s.makeRoom()
		s.order.start()
		return nil
	case <-s.feed.closed:
		return os.ErrClosed
	}
}

// makeRoom allocates what a batch needs, before the clock runs.
func (s *feedSource) makeRoom() {
	for len(s.room) < s.order.burst {
		s.room = append(s.room, make([]byte, tenant.Headroom+maxForwardSize+tenant.Tailroom))
	}
}

func (o *order) over() bool {
	if o.count > 0 {
		return o.made >= o.count
	}
	return time.Since(o.began) >= o.within
}

// start begins to measure. Orders of a number of packets are no measurements:
// they make input, for any number of sessions.
func (o *order) start() {
	if o.count == 0 {
		o.allocs, o.began = mallocs(), time.Now()
	}
}

func (o *order) finish() {
	if o.count == 0 {
		o.took = time.Since(o.began)
		o.allocs = mallocs() - o.allocs
	}
	close(o.done)
}

// Next implements tenant.Source.
func (s *feedSource) Next() ([]byte, int, bool) {
	o := s.order
	if o == nil || s.lent == o.burst || o.count > 0 && o.made == o.count {
		return nil, 0, false
	}
	buf := s.room[s.lent]
	copy(buf[tenant.Headroom:], o.headers[o.made%len(o.headers)])
	s.lent++
	o.made++
	return buf[:tenant.Headroom+o.size], tenant.Headroom, true
}

// Peek implements tenant.Peeker, as a device does that has read a whole batch.
func (s *feedSource) Peek(i int) []byte {
	o := s.order
	if o == nil || i >= o.burst || o.count > 0 && o.made+i >= o.count {
		return nil
	}
	return o.headers[(o.made+i)%len(o.headers)]
}

type feedWriter struct {
	feed *feed
	some uint64
}

// Commit implements tenant.Writer.
func (w *feedWriter) Commit([]byte) { w.some++ }

// Flush implements tenant.Writer.
func (w *feedWriter) Flush() error {
	w.feed.taken.Add(w.some)
	w.some = 0
	return nil
}

// udpHeader returns the IP and UDP headers of a packet of size bytes.
func udpHeader(from, to netip.Addr, size int) []byte {
	b := make([]byte, 28)
	b[0], b[8], b[9] = 0x45, 64, ipkt.ProtocolUDP
	binary.BigEndian.PutUint16(b[2:], uint16(size))
	src, dst := from.As4(), to.As4()
	copy(b[12:], src[:])
	copy(b[16:], dst[:])
	ipkt.SetHeaderChecksum(b[:20])
	binary.BigEndian.PutUint16(b[20:], 9)
	binary.BigEndian.PutUint16(b[22:], 9)
	binary.BigEndian.PutUint16(b[24:], uint16(size-20))
	return b
}
