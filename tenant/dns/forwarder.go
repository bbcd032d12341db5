package dns

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/miekg/dns"
)

const (
	headerLen  = 12
	maxMessage = 65535
	// maxUDP is the largest answer that a resolver may send by UDP: clients
	// that name more in EDNS get what fits their tunnel by TCP.
	maxUDP = 4096
)

// Forwarder passes queries on to resolvers. It may be used concurrently.
type Forwarder struct {
	cfg       Config
	resolvers resolvers
	buffers   sync.Pool // *[maxMessage]byte
	counters  counters

	mu        sync.Mutex
	sources   map[netip.Addr]int // queries under way by session
	asked     int                // and in total
	conns     map[netip.Addr]int // TCP connections by session
	connected int                // and in total
}

// Counters are what a Forwarder did so far.
type Counters struct {
	Queries   uint64 // answered or refused
	Failed    uint64 // answered with SERVFAIL
	Malformed uint64 // no query: dropped
	Dropped   uint64 // beyond the limits
}

type counters struct{ queries, failed, malformed, dropped atomic.Uint64 }

// New checks the configuration and returns a Forwarder. No file is read and no
// socket opened before the first query.
func New(cfg Config) (*Forwarder, error) {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return nil, err
	}
	return &Forwarder{
		cfg:       cfg,
		resolvers: resolvers{fixed: cfg.Resolvers, path: cfg.ResolvConf},
		conns:     make(map[netip.Addr]int),
		buffers:   sync.Pool{New: func() any { return new([maxMessage]byte) }},
		sources:   make(map[netip.Addr]int),
	}, nil
}

// Counters returns what the forwarder did so far.
func (f *Forwarder) Counters() Counters {
	return Counters{f.counters.queries.Load(), f.counters.failed.Load(), f.counters.malformed.Load(), f.counters.dropped.Load()}
}

// Exchange asks resolvers until one answers. network is "udp" or "tcp"; query
// is a DNS message and not changed. The answer has the query's id.
func (f *Forwarder) Exchange(ctx context.Context, network string, query []byte) ([]byte, error) {
	if err := checkQuery(query); err != nil {
		return nil, err
	}
	servers := f.resolvers.get(time.Now())
	for i := range f.cfg.Attempts {
		if len(servers) == 0 || ctx.Err() != nil {
			break
		}
		answer, err := f.ask(ctx, network, servers[i%len(servers)], query)
		if err == nil {
			copy(answer, query[:2])
			return answer, nil
		}
	}
	return nil, ErrNoAnswer
}

// ask sends the query to one resolver under an id of its own.
func (f *Forwarder) ask(ctx context.Context, network string, server netip.AddrPort, query []byte) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, f.cfg.Timeout)
	defer cancel()
	conn, err := f.cfg.DialContext(ctx, network, server.String())
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	stop := context.AfterFunc(ctx, func() { conn.SetDeadline(time.Unix(1, 0)) })
	defer stop()

	buf := f.buffers.Get().(*[maxMessage]byte)
	defer f.buffers.Put(buf)
	sent := append([]byte(nil), query...)
	rand.Read(sent[:2])
	if network == "tcp" {
		return exchangeStream(conn, sent, buf[:])
	}
	return exchangePacket(conn, sent, buf[:])
}

// exchangePacket passes over datagrams that do not answer the query: they may
// be forged.
func exchangePacket(conn net.Conn, query, buf []byte) ([]byte, error) {
	if _, err := conn.Write(query); err != nil {
		return nil, err
	}
	for {
		n, err := conn.Read(buf)
		if err != nil {
			return nil, err
		}
		if answers(buf[:n], query) {
			return append([]byte(nil), buf[:n]...), refusal(buf[:n])
		}
	}
}

// exchangeStream speaks DNS over TCP (RFC 7766 section 8).
func exchangeStream(conn net.Conn, query, buf []byte) ([]byte, error) {
	if err := writeMessage(conn, query); err != nil {
		return nil, err
	}
	answer, err := readMessage(conn, buf)
	if err != nil {
		return nil, err
	}
	if !answers(answer, query) {
		return nil, fmt.Errorf("%w: the answer is to another question", ErrNoAnswer)
	}
	return append([]byte(nil), answer...), refusal(answer)
}

// refusal is the error of an answer with which a resolver says that it cannot
// help, so that the next one is asked.
func refusal(answer []byte) error {
	switch int(answer[3] & 15) {
	case dns.RcodeServerFailure, dns.RcodeNotImplemented, dns.RcodeRefused:
		return fmt.Errorf("%w: %s", ErrNoAnswer, dns.RcodeToString[int(answer[3]&15)])
	}
	return nil
}

// answers reports whether b is the answer to query: the id, the direction and
// the question agree. Letters of the question may differ in case only.
func answers(b, query []byte) bool {
	if len(b) < headerLen || b[2]&0x80 == 0 || b[0] != query[0] || b[1] != query[1] {
		return false
	}
	asked, ok := question(query)
	if !ok {
		return false
	}
	if binary.BigEndian.Uint16(b[4:]) == 0 {
		return b[3]&15 != dns.RcodeSuccess // errors may come without the question
	}
	got, ok := question(b)
	return ok && asked == got
}

// question returns the only question of a message, its name in lower case.
func question(b []byte) (q dns.Question, ok bool) {
	if binary.BigEndian.Uint16(b[4:]) != 1 {
		return q, false
	}
	name, off, err := dns.UnpackDomainName(b, headerLen)
	if err != nil || off+4 > len(b) {
		return q, false
	}
	return dns.Question{
		Name:   dns.CanonicalName(name),
		Qtype:  binary.BigEndian.Uint16(b[off:]),
		Qclass: binary.BigEndian.Uint16(b[off+2:]),
	}, true
}

// checkQuery refuses what is not one question.
func checkQuery(b []byte) error {
	if len(b) < headerLen || b[2]&0x80 != 0 {
		return ErrQuery
	}
	if _, ok := question(b); !ok {
		return ErrQuery
	}
	return nil
}

func writeMessage(w io.Writer, b []byte) error {
	framed := binary.BigEndian.AppendUint16(make([]byte, 0, len(b)+2), uint16(len(b)))
	_, err := w.Write(append(framed, b...))
	return err
}

// readMessage reads one message into buf, which holds any.
func readMessage(r io.Reader, buf []byte) ([]byte, error) {
	var length [2]byte
	if _, err := io.ReadFull(r, length[:]); err != nil {
		return nil, err
	}
	b := buf[:binary.BigEndian.Uint16(length[:])]
	if _, err := io.ReadFull(r, b); err != nil {
		return nil, err
	}
	return b, nil
}
