package dns

import (
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"net/netip"
	"sync"
	"time"

	"github.com/miekg/dns"

	"github.com/culvert-vpn/culvert/tenant"
)

// idleConn is how long a client may keep a TCP connection without a query
// (RFC 7766 section 6.2.3: a few seconds, under load less).
const idleConn = 10 * time.Second

// Serve answers queries that arrive on pc and on connections to ln; either may
// be nil. session says what stands for the session that an address is of, which
// has one share of queries and connections. It returns when both are closed by the caller and every query under
// way has ended, which is at once: closing cancels them.
func (f *Forwarder) Serve(pc net.PacketConn, ln net.Listener, session func(netip.Addr) netip.Addr) {
	ctx, cancel := context.WithCancel(context.Background())
	var loops, queries sync.WaitGroup
	if pc != nil {
		loops.Go(func() { f.servePackets(ctx, pc, &queries, session) })
	}
	if ln != nil {
		loops.Go(func() { f.serveConns(ctx, ln, &queries, session) })
	}
	loops.Wait()
	cancel()
	queries.Wait()
}

func (f *Forwarder) servePackets(ctx context.Context, pc net.PacketConn, queries *sync.WaitGroup, session func(netip.Addr) netip.Addr) {
	var p patience
	buf := make([]byte, maxUDP)
	for {
		n, from, err := pc.ReadFrom(buf)
		if err != nil {
			if p.ended(err) {
				return
			}
			continue
		}
		p = patience{}
		source := session(addrOf(from))
		if checkQuery(buf[:n]) != nil {
			f.counters.malformed.Add(1)
			continue
		}
		if !f.enter(source) {
			f.counters.dropped.Add(1)
			continue
		}
		query := append([]byte(nil), buf[:n]...)
		queries.Go(func() {
			defer f.cfg.Faults.Recover("dns: a query")
			defer f.leave(source)
			answer := fit(f.answer(ctx, "udp", query), query)
			pc.WriteTo(answer, from)
		})
	}
}

// enter takes a place for a query of source, if there is one.
func (f *Forwarder) enter(source netip.Addr) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if held := f.sources[source]; held >= f.cfg.PerSource || !tenant.Room(held, f.asked, f.cfg.Queries) {
		return false
	}
	f.asked++
	f.sources[source]++
	return true
}

func (f *Forwarder) leave(source netip.Addr) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.asked--
	if f.sources[source]--; f.sources[source] == 0 {
		delete(f.sources, source)
	}
}

// answer asks the resolvers and makes a SERVFAIL when none of them answers.
func (f *Forwarder) answer(ctx context.Context, network string, query []byte) []byte {
	f.counters.queries.Add(1)
	if q, ok := question(query); ok && isLocal(q) {
		return failure(query, dns.RcodeNameError)
	}
	answer, err := f.Exchange(ctx, network, query)
	if err != nil {
		f.counters.failed.Add(1)
		return failure(query, dns.RcodeServerFailure)
	}
	return answer
}

// failure is the answer of this code to a query: its header and question.
func failure(query []byte, code byte) []byte {
	_, off, err := dns.UnpackDomainName(query, headerLen)
	if err != nil || off+4 > len(query) {
		off = headerLen - 4
	}
	b := append([]byte(nil), query[:off+4]...)
	b[2] = b[2]&0x79 | 0x80 // an answer, with the opcode and RD as asked
	b[3] = 0x80 | code
	clear(b[6:headerLen])
	return b
}

// fit cuts an answer down to what the client takes by UDP, with TC set.
func fit(answer, query []byte) []byte {
	if len(answer) <= dns.MinMsgSize {
		return answer
	}
	var asked, msg dns.Msg
	size := dns.MinMsgSize
	if asked.Unpack(query) == nil {
		if opt := asked.IsEdns0(); opt != nil {
			size = min(max(int(opt.UDPSize()), size), maxUDP)
		}
	}
	if len(answer) <= size {
		return answer
	}
	if msg.Unpack(answer) != nil {
		return failure(query, dns.RcodeServerFailure)
	}
	msg.Truncate(size)
	cut, err := msg.Pack()
	if err != nil {
		return failure(query, dns.RcodeServerFailure)
	}
	return cut
}

func (f *Forwarder) serveConns(ctx context.Context, ln net.Listener, queries *sync.WaitGroup, session func(netip.Addr) netip.Addr) {
	var p patience
	for {
		conn, err := ln.Accept()
		if err != nil {
			if p.ended(err) {
				return
			}
			continue
		}
		p = patience{}
		source := session(addrOf(conn.RemoteAddr()))
		if !f.connect(source) {
			f.counters.dropped.Add(1)
			conn.Close()
			continue
		}
		queries.Go(func() {
			defer f.cfg.Faults.Recover("dns: a connection")
			defer f.disconnect(source)
			f.serveConn(ctx, conn, source)
		})
	}
}

// connect takes a place for a connection of source, if there is one.
func (f *Forwarder) connect(source netip.Addr) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if held := f.conns[source]; held >= f.cfg.ConnsPerSource || !tenant.Room(held, f.connected, f.cfg.Conns) {
		return false
	}
	f.connected++
	f.conns[source]++
	return true
}

func (f *Forwarder) disconnect(source netip.Addr) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.connected--
	if f.conns[source]--; f.conns[source] == 0 {
		delete(f.conns, source)
	}
}

// serveConn answers the queries of one connection in turn.
func (f *Forwarder) serveConn(ctx context.Context, conn net.Conn, source netip.Addr) {
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { conn.Close() })()
	for {
		query, err := f.readQuery(conn)
		if err != nil {
			return
		}
		if checkQuery(query) != nil {
			f.counters.malformed.Add(1)
			return
		}
		if !f.enter(source) {
			f.counters.dropped.Add(1)
			return
		}
		answer := f.answer(ctx, "tcp", query)
		f.leave(source)
		conn.SetDeadline(time.Now().Add(idleConn))
		if writeMessage(conn, answer) != nil {
			return
		}
	}
}

// readQuery holds no buffer while the client is silent.
func (f *Forwarder) readQuery(conn net.Conn) ([]byte, error) {
	conn.SetDeadline(time.Now().Add(idleConn))
	var length [2]byte
	if _, err := io.ReadFull(conn, length[:]); err != nil {
		return nil, err
	}
	n := int(binary.BigEndian.Uint16(length[:]))
	if n > maxUDP {
		return nil, ErrQuery
	}
	query := make([]byte, n)
	_, err := io.ReadFull(conn, query)
	return query, err
}

// patience tells a socket that is gone from one that has a bad moment.
type patience struct{ failures int }

const (
	maxFailures = 100
	pause       = 10 * time.Millisecond
)

// ended reports whether to stop after err; when not, it has waited a little.
func (p *patience) ended(err error) bool {
	p.failures++
	if errors.Is(err, net.ErrClosed) || errors.Is(err, io.EOF) || p.failures > maxFailures {
		return true
	}
	time.Sleep(pause)
	return false
}

func addrOf(a net.Addr) netip.Addr {
	switch a := a.(type) {
	case *net.UDPAddr:
		return a.AddrPort().Addr().Unmap()
	case *net.TCPAddr:
		return a.AddrPort().Addr().Unmap()
	}
	return netip.Addr{}
}
