package netstack

import (
	"errors"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"gvisor.dev/gvisor/pkg/buffer"
	"gvisor.dev/gvisor/pkg/tcpip/header"
	"gvisor.dev/gvisor/pkg/tcpip/stack"

	"github.com/culvert-vpn/culvert/tenant"
	"github.com/culvert-vpn/culvert/tenant/ipkt"
)

const (
	socketRetry   = 10 * time.Second // after an ICMP socket was refused
	echoHeaderLen = 8
	// maxEcho is the most data of an echo, and echoBytes how much of it a source
	// may send in a second: what goes to an address that nobody has takes room in
	// the socket, which is the tenant's, for seconds.
	maxEcho   = 4 << 10
	echoBytes = 64 << 10
)

// pinger sends the ICMP echoes of clients from sockets of the host and brings
// the answers back. A client sees an answer only when the destination gave it.
type pinger struct {
	d       *Device
	dropped atomic.Uint64

	mu     sync.Mutex
	rate   echoRate
	v4, v6 *echoSocket
	closed bool
}

// echo is an echo of a client that waits for its answer.
type echo struct {
	client, target netip.Addr
	source         netip.Addr // what stands for the client
	id, seq        uint16
	hops           uint8 // that it has left
	whole          bool  // not in fragments
	sent           time.Time
}

func newPinger(d *Device) *pinger {
	return &pinger{
		d:    d,
		rate: echoRate{total: d.cfg.EchoesPerSecond, perSource: d.cfg.EchoesPerSource, sources: make(map[netip.Addr]echoes)},
		v4:   newEchoSocket(family4),
		v6:   newEchoSocket(family6),
	}
}

// handleEcho takes ICMP echoes; what it leaves alone is for the stack: echoes
// to its own addresses. It runs in the caller of Flush.
func (p *pinger) handleEcho(id stack.TransportEndpointID, pkt *stack.PacketBuffer) bool {
	target, client := addrOf(id.LocalAddress), addrOf(id.RemoteAddress)
	if p.d.isOwn(target) {
		return false
	}
	if p.d.expired(pkt) {
		return true
	}
	message := stack.PayloadSince(pkt.TransportHeader())
	defer message.Release()
	b := message.AsSlice()
	if len(b) < echoHeaderLen || b[0] != echoRequestType(target) {
		return true
	}
	if p.d.reach.Load().Denies(target) {
		p.d.sendErrorAbout(pkt, ipkt.ReasonProhibited)
		return true
	}
	e := echo{
		client: client, target: target, source: p.d.clients.of(client), id: word(b[4:]), seq: word(b[6:]),
		hops: hopsOf(pkt) - 1, whole: isWhole(pkt), sent: time.Now(),
	}
	if err := p.send(e, b[echoHeaderLen:]); err != nil {
		p.dropped.Add(1)
		p.d.sendEchoFailed(e, b[echoHeaderLen:], err)
	}
	return true
}

func echoRequestType(target netip.Addr) uint8 {
	if target.Is4() {
		return uint8(header.ICMPv4Echo)
	}
	return uint8(header.ICMPv6EchoRequest)
}

// errEcho is for an echo that is one too many, or for which there is no socket.
var errEcho = errors.New("netstack: no echo")

func (p *pinger) send(e echo, data []byte) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed || !p.rate.admit(e.source, len(data), e.sent) {
		return errEcho
	}
	s := p.v6
	if e.target.Is4() {
		s = p.v4
	}
	if s.conn == nil && !p.open(s, e.sent) {
		return errEcho
	}
	seq, ok := s.keep(e, p.d.cfg.ICMPIdle)
	if !ok {
		return errEcho
	}
	err := s.write(seq, e, data)
	if err != nil {
		delete(s.pending, seq)
	}
	return err
}

// open makes a host socket and starts its reader, unless that failed a moment
// ago.
func (p *pinger) open(s *echoSocket, now time.Time) bool {
	if now.Sub(s.failed) < socketRetry {
		return false
	}
	if err := s.open(p.d.cfg.ListenPacket); err != nil {
		s.failed = now
		return false
	}
	conn, raw := s.conn, s.direct
	p.d.running.Go(func() {
		defer p.d.cfg.Faults.Recover("netstack: answers to echoes")
		defer p.ended(s, conn)
		if raw != nil {
			host := newReceiver(&hostConn{raw: raw, buffers: &p.d.buffers})
			host.listens = true
			p.receive(s, host)
		} else {
			p.readAnswers(s, conn)
		}
	})
	return true
}

// receive is the goroutine of an ICMP socket.
func (p *pinger) receive(s *echoSocket, host *receiver) {
	for {
		buf, n, _, err := host.read()
		switch {
		case errors.Is(err, errSaid):
			e, ok := p.locked(func() (echo, bool) { return s.matchError(&host.said) })
			if ok && p.d.errors.admit(e.source) {
				p.d.sayAs(e.packet(host.said.quoted[min(echoHeaderLen, host.said.length):host.said.length]), &host.said)
			}
			continue
		case err != nil:
			return
		}
		message := s.strip(buf[:n])
		e, ok := p.locked(func() (echo, bool) { return s.match(message, host.from.Addr()) })
		if ok && !closed(p.d.reach.Load(), e.target) { // which who sent it could not wait to be told
			p.d.sendEchoReply(e, message)
		}
		p.d.buffers.Put(buf)
	}
}

// readAnswers is receive for what is no socket of the system.
func (p *pinger) readAnswers(s *echoSocket, conn net.PacketConn) {
	buf := make([]byte, copySize)
	for failures := 0; failures < 100; {
		n, from, err := conn.ReadFrom(buf)
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			failures++ // an ICMP error for an earlier echo, mostly
			time.Sleep(time.Millisecond)
			continue
		}
		failures = 0
		e, ok := p.locked(func() (echo, bool) { return s.match(buf[:n], hostAddr(from)) })
		if ok {
			p.d.sendEchoReply(e, buf[:n])
		}
	}
}

// ended closes a socket that nobody reads any more.
func (p *pinger) ended(s *echoSocket, conn net.PacketConn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if s.conn == conn {
		s.close()
	}
}

// locked finds an echo under the lock.
func (p *pinger) locked(find func() (echo, bool)) (echo, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return find()
}

// forget drops the echoes of a client.
func (p *pinger) forget(client netip.Addr) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.v4.forget(client)
	p.v6.forget(client)
}

func (p *pinger) close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.closed = true
	p.v4.close()
	p.v6.close()
}

// sendEchoReply makes the destination's answer the client's.
func (d *Device) sendEchoReply(e echo, answer []byte) {
	b := append([]byte(nil), answer...)
	putWord(b[4:], e.id)
	putWord(b[6:], e.seq)
	putWord(b[2:], 0)
	var sum uint16
	proto := header.ICMPv4ProtocolNumber
	route, err := d.stack.FindRoute(nicID, addressOf(e.target), addressOf(e.client), protocolFor(e.client), false)
	if err != nil {
		return
	}
	defer route.Release()
	if e.client.Is6() {
		proto = header.ICMPv6ProtocolNumber
		sum = route.PseudoHeaderChecksum(proto, uint16(len(b)))
	}
	putWord(b[2:], ^ipkt.Checksum(b, sum))
	pkt := stack.NewPacketBuffer(stack.PacketBufferOptions{
		ReserveHeaderBytes: echoHeaderLen + int(route.MaxHeaderLength()),
		Payload:            buffer.MakeWithData(b[echoHeaderLen:]),
	})
	defer pkt.DecRef()
	pkt.TransportProtocolNumber = proto
	copy(pkt.TransportHeader().Push(echoHeaderLen), b)
	route.WritePacket(stack.NetworkHeaderParams{Protocol: proto, TTL: replyTTL}, pkt)
}

// echoRate bounds echoes a second, in total and by source.
type echoRate struct {
	total, perSource int
	second           int64
	count            int
	sources          map[netip.Addr]echoes // no more entries than echoes in a second
}

// echoes is what a source has sent in this second.
type echoes struct{ count, bytes int }

func (r *echoRate) admit(source netip.Addr, size int, now time.Time) bool {
	if second := now.Unix(); second != r.second {
		r.second, r.count = second, 0
		clear(r.sources)
	}
	s := r.sources[source]
	if size > maxEcho || s.count >= r.perSource || !tenant.Room(s.count, r.count, r.total) || s.bytes+size > echoBytes {
		return false
	}
	r.count++
	r.sources[source] = echoes{s.count + 1, s.bytes + size}
	return true
}
