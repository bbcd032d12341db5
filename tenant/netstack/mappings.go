package netstack

import (
	"container/heap"
	"container/list"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"
)

// lookedAt is how many mappings of a client are compared for the one that was
// used longest ago.
const lookedAt = 64

// opensPerSecond is how many mappings a client makes in a second, and opensInTotal
// all of a device: each is a socket, made by who carries everybody's packets.
const opensPerSecond, opensInTotal = 1000, 20000

// mapping is what stands for an address and port of a client: one socket of the
// host, whatever destinations it sends to (RFC 4787 section 4.1, REQ-1).
type mapping struct {
	client netip.AddrPort
	holder *holder
	conn   *net.UDPConn
	port   uint16 // of the host
	sender *sender
	filter filter

	used, idle atomic.Int64  // when it was last used, since flows.epoch, and for how long it may not be; nanoseconds
	place      *list.Element // in holder.ordered; nil: given up. Guarded by Ports.mu
}

// touch says that the mapping is in use, and for how long it may not be from now on.
func (m *mapping) touch(now int64, idle time.Duration) {
	m.used.Store(now)
	m.idle.Store(int64(idle))
}

// holder is the mappings of one client.
type holder struct {
	table   *mappings
	client  netip.Addr
	ordered list.List    // of *mapping
	at      int          // in mappings.most
	peers   atomic.Int32 // destinations of all
	judged  atomic.Int32 // datagrams that wait for the judge
}

// mappings are the UDP mappings of a device.
type mappings struct {
	d       *Device
	ports   *Ports
	limits  mappingLimits
	every   time.Duration
	refused atomic.Uint64
	running sync.WaitGroup

	mu  sync.RWMutex
	all map[netip.AddrPort]*mapping // written to under Ports.mu, too

	// Guarded by Ports.mu.
	holders map[netip.Addr]*holder
	most    byMappings
	rate    echoRate
	timer   *time.Timer
	closed  bool
}

type mappingLimits struct{ total, perSource int }

func newMappings(d *Device, cfg Config) *mappings {
	total := max(min(cfg.Flows, cfg.Ports.limit/tenantShare), 1)
	t := &mappings{
		d: d, ports: cfg.Ports,
		limits:  mappingLimits{total: total, perSource: max(min(cfg.FlowsPerSource, total/sessionShare), 1)},
		every:   max(min(cfg.UDPIdle, cfg.DNSIdle, dnsLinger)/4, 10*time.Millisecond),
		all:     make(map[netip.AddrPort]*mapping),
		holders: make(map[netip.Addr]*holder),
		rate:    echoRate{total: opensInTotal, perSource: opensPerSecond, sources: make(map[netip.Addr]echoes)},
	}
	t.timer = time.AfterFunc(time.Hour, t.sweep)
	t.timer.Stop()
	t.ports.mu.Lock()
	defer t.ports.mu.Unlock()
	t.ports.tables[t] = struct{}{}
	return t
}

func (t *mappings) find(client netip.AddrPort) *mapping {
	t.mu.RLock()
	defer t.mu.RUnlock()
	return t.all[client]
}

// open returns the mapping of a client's address and port, or nil: there is one
// too many. A new one is answered by a goroutine of its own.
func (t *mappings) open(client netip.AddrPort) *mapping {
	if m := t.find(client); m != nil {
		return m
	}
	t.ports.mu.Lock()
	defer t.ports.mu.Unlock()
	if m := t.find(client); m != nil || t.closed {
		return m
	}
	h := t.holderOf(t.d.clients.of(client.Addr()))
	if !t.rate.admit(h.client, 0, time.Now()) || !t.ports.room(t, h) {
		t.refused.Add(1)
		return nil
	}
	conn, err := t.d.cfg.ListenUDP(client.Addr().Is4())
	if err != nil {
		t.refused.Add(1)
		return nil
	}
	m := &mapping{client: client, holder: h, conn: conn}
	if at, ok := conn.LocalAddr().(*net.UDPAddr); ok {
		m.port = at.AddrPort().Port()
	}
	m.filter.holder = h
	m.used.Store(t.d.flows.now())
	m.idle.Store(int64(t.d.cfg.UDPIdle))
	t.enter(m)
	return m
}

// holderOf returns the client's holder, which is in no list before it has a mapping.
func (t *mappings) holderOf(client netip.Addr) *holder {
	if h := t.holders[client]; h != nil {
		return h
	}
	return &holder{table: t, client: client}
}

// enter adds a mapping and starts it. Ports.mu is held.
func (t *mappings) enter(m *mapping) {
	host := newHostConn(m.conn, &t.d.buffers)
	m.sender = newSender(host, &t.d.link.outbox)
	m.sender.failed = func(to netip.AddrPort, err error) { t.d.sendFailed(m, to, err) }
	h := m.holder
	m.place = h.ordered.PushBack(m)
	if h.ordered.Len() == 1 {
		t.holders[h.client] = h
		heap.Push(&t.most, h)
	} else {
		heap.Fix(&t.most, h.at)
	}
	t.ports.taken++
	t.ports.bound[boundPort{m.client.Addr().Is4(), m.port}] = m
	if len(t.all) == 0 {
		t.timer.Reset(t.every)
	}
	t.mu.Lock()
	t.all[m.client] = m
	t.mu.Unlock()
	t.running.Go(func() {
		defer t.d.cfg.Faults.Recover("netstack: answers by UDP")
		defer func() {
			t.ports.mu.Lock()
			defer t.ports.mu.Unlock()
			t.leave(m)
		}()
		t.d.copyAnswers(m, newReceiver(host))
	})
}

// leave gives a mapping up, if that has not happened. Ports.mu is held.
func (t *mappings) leave(m *mapping) {
	if m.place == nil {
		return
	}
	m.conn.Close()
	m.filter.end()
	h := m.holder
	h.ordered.Remove(m.place)
	m.place = nil
	if h.ordered.Len() == 0 {
		delete(t.holders, h.client)
		heap.Remove(&t.most, h.at)
	} else {
		heap.Fix(&t.most, h.at)
	}
	t.ports.taken--
	delete(t.ports.bound, boundPort{m.client.Addr().Is4(), m.port})
	t.mu.Lock()
	delete(t.all, m.client)
	t.mu.Unlock()
}

// evict gives up the mapping that a client used longest ago, of those that were
// looked at longest ago. Ports.mu is held.
func (t *mappings) evict(h *holder) {
	var oldest *mapping
	for range min(h.ordered.Len(), lookedAt) {
		e := h.ordered.Front()
		h.ordered.MoveToBack(e)
		if m := e.Value.(*mapping); oldest == nil || m.used.Load() < oldest.used.Load() {
			oldest = m
		}
	}
	if oldest != nil {
		t.refused.Add(1)
		t.leave(oldest)
	}
}

// top is the client that has most mappings, or nil. Ports.mu is held.
func (t *mappings) top() *holder {
	if len(t.most) == 0 {
		return nil
	}
	return t.most[0]
}

// sweep ends the mappings that were unused for too long.
func (t *mappings) sweep() {
	t.ports.mu.Lock()
	defer t.ports.mu.Unlock()
	now := t.d.flows.now()
	for _, m := range t.all {
		if now-m.used.Load() >= m.idle.Load() {
			t.leave(m)
		}
	}
	if len(t.all) > 0 && !t.closed {
		t.timer.Reset(t.every)
	}
}

// forget ends all mappings of a client.
func (t *mappings) forget(client netip.Addr) {
	t.ports.mu.Lock()
	defer t.ports.mu.Unlock()
	if h := t.holders[client]; h != nil {
		for h.ordered.Len() > 0 {
			t.leave(h.ordered.Front().Value.(*mapping))
		}
	}
}

// close ends all of them and admits no more.
func (t *mappings) close() {
	t.ports.mu.Lock()
	defer t.ports.mu.Unlock()
	t.closed = true
	t.timer.Stop()
	delete(t.ports.tables, t)
	for _, m := range t.all {
		t.leave(m)
	}
}

func (t *mappings) count() int {
	t.mu.RLock()
	defer t.mu.RUnlock()
	return len(t.all)
}

// byMappings is a heap of clients, who has most mappings first.
type byMappings []*holder

func (b byMappings) Len() int           { return len(b) }
func (b byMappings) Less(i, j int) bool { return b[i].ordered.Len() > b[j].ordered.Len() }

func (b byMappings) Swap(i, j int) {
	b[i], b[j] = b[j], b[i]
	b[i].at, b[j].at = i, j
}

func (b *byMappings) Push(h any) {
	h.(*holder).at = len(*b)
	*b = append(*b, h.(*holder))
}

func (b *byMappings) Pop() any {
	last := len(*b) - 1
	h := (*b)[last]
	(*b)[last] = nil
	*b = (*b)[:last]
	return h
}
