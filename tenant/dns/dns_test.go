package dns

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/miekg/dns"

	"github.com/culvert-vpn/culvert/tenant/dns/dnstest"
)

// resolver is a server of the test; handle answers its queries.
type resolver struct {
	at      netip.AddrPort
	queries atomic.Int32
}

func newResolver(t *testing.T, handle func(w dns.ResponseWriter, q *dns.Msg)) *resolver {
	t.Helper()
	pc, ln := dnstest.Listen(t)
	r := &resolver{at: pc.LocalAddr().(*net.UDPAddr).AddrPort()}
	counted := dns.HandlerFunc(func(w dns.ResponseWriter, q *dns.Msg) {
		r.queries.Add(1)
		handle(w, q)
	})
	for _, s := range []*dns.Server{{PacketConn: pc, Handler: counted}, {Listener: ln, Handler: counted}} {
		started := make(chan struct{})
		s.NotifyStartedFunc = func() { close(started) }
		go s.ActivateAndServe()
		<-started
		t.Cleanup(func() {
			ctx, cancel := context.WithCancel(context.Background())
			cancel()
			s.ShutdownContext(ctx)
		})
	}
	return r
}

// answering answers with so many addresses.
func answering(n int) func(dns.ResponseWriter, *dns.Msg) {
	return func(w dns.ResponseWriter, q *dns.Msg) {
		m := new(dns.Msg).SetReply(q)
		for i := range n {
			m.Answer = append(m.Answer, &dns.A{
				Hdr: dns.RR_Header{Name: q.Question[0].Name, Rrtype: dns.TypeA, Class: dns.ClassINET, Ttl: 60},
				A:   net.IPv4(192, 0, byte(i>>8), byte(i)),
			})
		}
		if _, overUDP := w.RemoteAddr().(*net.UDPAddr); overUDP {
			size := dns.MinMsgSize
			if opt := q.IsEdns0(); opt != nil {
				size = int(opt.UDPSize())
			}
			m.Truncate(size)
		}
		w.WriteMsg(m)
	}
}

func silent(dns.ResponseWriter, *dns.Msg) {}

func newForwarder(t *testing.T, change func(*Config), resolvers ...*resolver) *Forwarder {
	t.Helper()
	cfg := Config{Timeout: 200 * time.Millisecond, Attempts: 3}
	for _, r := range resolvers {
		cfg.Resolvers = append(cfg.Resolvers, r.at)
	}
	if change != nil {
		change(&cfg)
	}
	f, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// serve runs the forwarder on loopback and returns where.
func serve(t *testing.T, f *Forwarder) string {
	t.Helper()
	pc, ln := dnstest.Listen(t)
	var running sync.WaitGroup
	running.Go(func() { f.Serve(pc, ln, session) })
	t.Cleanup(func() {
		pc.Close()
		ln.Close()
		running.Wait()
	})
	return pc.LocalAddr().String()
}

// session has each address of 127.1.0.0/16 as one client's.
func session(a netip.Addr) netip.Addr {
	if p, _ := a.Prefix(16); p == netip.MustParsePrefix("127.1.0.0/16") {
		return p.Addr()
	}
	return a
}

func ask(t *testing.T, network, at string, change func(*dns.Msg)) *dns.Msg {
	t.Helper()
	q := new(dns.Msg).SetQuestion("www.example.com.", dns.TypeA)
	if change != nil {
		change(q)
	}
	answer, _, err := (&dns.Client{Net: network, Timeout: 30 * time.Second}).Exchange(q, at)
	if err != nil {
		t.Fatalf("%s: %v", network, err)
	}
	return answer
}

func TestForward(t *testing.T) {
	at := serve(t, newForwarder(t, nil, newResolver(t, answering(1))))
	for _, network := range []string{"udp", "tcp"} {
		if got := ask(t, network, at, nil); got.Rcode != dns.RcodeSuccess || len(got.Answer) != 1 {
			t.Errorf("%s: %v", network, got)
		}
	}
}

// A long answer comes cut short by UDP and whole by TCP; EDNS says how long it
// may be.
func TestTruncation(t *testing.T) {
	at := serve(t, newForwarder(t, nil, newResolver(t, answering(100))))
	if got := ask(t, "udp", at, nil); !got.Truncated {
		t.Error("not cut short")
	}
	if got := ask(t, "tcp", at, nil); got.Truncated || len(got.Answer) != 100 {
		t.Errorf("%d answers by TCP", len(got.Answer))
	}
	if got := ask(t, "udp", at, func(m *dns.Msg) { m.SetEdns0(4096, false) }); got.Truncated || len(got.Answer) != 100 {
		t.Errorf("%d answers by UDP with EDNS", len(got.Answer))
	}
}

// A resolver that sends more than the client takes: the forwarder cuts.
func TestTooLongAnswerIsCut(t *testing.T) {
	f := newForwarder(t, nil, newResolver(t, func(w dns.ResponseWriter, q *dns.Msg) {
		tcp := struct{ dns.ResponseWriter }{w}
		m := new(dns.Msg).SetReply(q)
		for range 80 {
			m.Answer = append(m.Answer, &dns.TXT{Hdr: dns.RR_Header{Name: q.Question[0].Name, Rrtype: dns.TypeTXT, Class: dns.ClassINET}, Txt: []string{"text"}})
		}
		tcp.WriteMsg(m)
	}))
	got := ask(t, "udp", serve(t, f), nil)
	got.Compress = true // as it came
	if !got.Truncated || got.Len() > dns.MinMsgSize {
		t.Errorf("truncated %v, %d bytes", got.Truncated, got.Len())
	}
}

func TestNextResolver(t *testing.T) {
	refusing := func(w dns.ResponseWriter, q *dns.Msg) { w.WriteMsg(new(dns.Msg).SetRcode(q, dns.RcodeRefused)) }
	for name, first := range map[string]func(dns.ResponseWriter, *dns.Msg){"silent": silent, "refusing": refusing} {
		bad := newResolver(t, first)
		at := serve(t, newForwarder(t, nil, bad, newResolver(t, answering(1))))
		if got := ask(t, "udp", at, nil); len(got.Answer) != 1 || bad.queries.Load() == 0 {
			t.Errorf("%s: %v", name, got)
		}
	}
}

func TestServfail(t *testing.T) {
	f := newForwarder(t, nil, newResolver(t, silent))
	at := serve(t, f)
	for _, network := range []string{"udp", "tcp"} {
		got := ask(t, network, at, func(m *dns.Msg) { m.SetEdns0(1232, true) })
		if got.Rcode != dns.RcodeServerFailure || len(got.Question) != 1 || !got.Response || !got.RecursionDesired {
			t.Errorf("%s: %v", network, got)
		}
	}
	if c := f.Counters(); c.Failed != 2 || c.Queries != 2 {
		t.Errorf("%+v", c)
	}
}

// Names that are not there are answers like others.
func TestNXDomain(t *testing.T) {
	at := serve(t, newForwarder(t, nil, newResolver(t, func(w dns.ResponseWriter, q *dns.Msg) {
		w.WriteMsg(new(dns.Msg).SetRcode(q, dns.RcodeNameError))
	})))
	if got := ask(t, "udp", at, nil); got.Rcode != dns.RcodeNameError {
		t.Errorf("%v", got)
	}
}

// Answers with another id or to another question are passed over.
func TestForgedAnswers(t *testing.T) {
	at := serve(t, newForwarder(t, nil, newResolver(t, func(w dns.ResponseWriter, q *dns.Msg) {
		good := new(dns.Msg).SetReply(q)
		otherID := good.Copy()
		otherID.Id++
		otherID.Rcode = dns.RcodeNameError
		otherName := good.Copy()
		otherName.Question[0].Name = "evil.example."
		otherName.Rcode = dns.RcodeNameError
		w.Write([]byte("rubbish"))
		w.WriteMsg(otherID)
		w.WriteMsg(otherName)
		w.WriteMsg(good)
	})))
	if got := ask(t, "udp", at, nil); got.Rcode != dns.RcodeSuccess {
		t.Errorf("%v", got)
	}
}

func TestIDsAreRandom(t *testing.T) {
	var mu sync.Mutex
	ids := make(map[uint16]bool)
	at := serve(t, newForwarder(t, nil, newResolver(t, func(w dns.ResponseWriter, q *dns.Msg) {
		mu.Lock()
		ids[q.Id] = true
		mu.Unlock()
		answering(1)(w, q)
	})))
	for range 10 {
		ask(t, "udp", at, func(m *dns.Msg) { m.Id = 7 })
	}
	mu.Lock()
	defer mu.Unlock()
	if len(ids) < 8 {
		t.Errorf("%d ids in 10 queries", len(ids))
	}
}

func TestMalformedQueriesAreDropped(t *testing.T) {
	f := newForwarder(t, nil, newResolver(t, answering(1)))
	at := serve(t, f)
	conn, err := net.Dial("udp", at)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	good, _ := new(dns.Msg).SetQuestion("example.com.", dns.TypeA).Pack()
	reply := append([]byte(nil), good...)
	reply[2] |= 0x80
	bad := [][]byte{nil, {1}, reply, append(binary.BigEndian.AppendUint16(append([]byte(nil), good[:4]...), 2), good[6:]...)}
	for n := 1; n < len(good); n++ {
		bad = append(bad, good[:n])
	}
	for _, b := range bad {
		conn.Write(b)
	}
	ask(t, "udp", at, nil)
	if c := f.Counters(); c.Malformed != uint64(len(bad)) || c.Queries != 1 {
		t.Errorf("%+v, want %d malformed", c, len(bad))
	}
}

func TestQueriesAreBounded(t *testing.T) {
	slow := newResolver(t, silent)
	f := newForwarder(t, func(c *Config) { c.PerSource = 5; c.Attempts = 1; c.Timeout = time.Minute }, slow)
	conn, err := net.Dial("udp", serve(t, f))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	query, _ := new(dns.Msg).SetQuestion("example.com.", dns.TypeA).Pack()
	for range 20 {
		conn.Write(query)
	}
	for range 3000 {
		if f.Counters().Dropped == 15 {
			break
		}
		time.Sleep(10 * time.Millisecond)
	}
	if c := f.Counters(); c.Dropped != 15 || c.Queries != 5 {
		t.Errorf("%+v", c)
	}
}

// A client has one share, whatever addresses it asks from, and others have theirs.
func TestSessionsHaveShares(t *testing.T) {
	slow := newResolver(t, func(w dns.ResponseWriter, q *dns.Msg) {
		if q.Question[0].Name != "slow.example.com." {
			answering(1)(w, q)
		}
	})
	f := newForwarder(t, func(c *Config) {
		c.PerSource, c.Conns, c.ConnsPerSource, c.Attempts, c.Timeout = 5, 8, 4, 1, time.Minute
	}, slow)
	at := serve(t, f)
	query, _ := new(dns.Msg).SetQuestion("slow.example.com.", dns.TypeA).Pack()
	for i := range 10 {
		from := net.IPv4(127, 1, byte(i), 1)
		udp, err := (&net.Dialer{LocalAddr: &net.UDPAddr{IP: from}}).Dial("udp", at)
		if err != nil {
			t.Fatal(err)
		}
		defer udp.Close()
		udp.Write(query)
		tcp, err := (&net.Dialer{LocalAddr: &net.TCPAddr{IP: from}}).Dial("tcp", at)
		if err != nil {
			t.Fatal(err)
		}
		defer tcp.Close()
	}
	for end := time.Now().Add(30 * time.Second); f.Counters().Dropped < 11 && time.Now().Before(end); {
		time.Sleep(10 * time.Millisecond)
	}
	if c := f.Counters(); c.Dropped != 11 || c.Queries != 5 {
		t.Errorf("%+v, want 5 queries and 4 connections, and the others dropped", c)
	}
	for _, network := range []string{"udp", "tcp"} {
		if got := ask(t, network, at, nil); len(got.Answer) != 1 {
			t.Errorf("another client by %s: %v", network, got)
		}
	}
}

// What names mean on the host only is not for clients to find out.
func TestLocalNamesStayLocal(t *testing.T) {
	r := newResolver(t, answering(1))
	at := serve(t, newForwarder(t, nil, r))
	for _, network := range []string{"udp", "tcp"} {
		for _, name := range []string{"localhost.", "LOCALHOST.", "a.localhost.", "printer.local.", "local.", "intranet.", "_gateway.", "vpn-7."} {
			if got := ask(t, network, at, func(m *dns.Msg) { m.SetQuestion(name, dns.TypeA) }); got.Rcode != dns.RcodeNameError || len(got.Answer) != 0 {
				t.Errorf("%s by %s: %v", name, network, got)
			}
		}
		for _, open := range []dns.Question{{Name: "com.", Qtype: dns.TypeNS}, {Name: "com.", Qtype: dns.TypeDS}, {Name: ".", Qtype: dns.TypeNS}, {Name: "local.example.com.", Qtype: dns.TypeA}} {
			if got := ask(t, network, at, func(m *dns.Msg) { m.SetQuestion(open.Name, open.Qtype) }); got.Rcode != dns.RcodeSuccess {
				t.Errorf("%v by %s: %v", open, network, got)
			}
		}
	}
	if n := r.queries.Load(); n != 8 {
		t.Errorf("the host's resolver was asked %d times", n)
	}
}

// The host's resolver file is read again when it changes.
func TestResolvConf(t *testing.T) {
	path := filepath.Join(t.TempDir(), "resolv.conf")
	r := resolvers{path: path}
	now := time.Now()
	want := func(servers ...string) {
		t.Helper()
		now = now.Add(2 * recheck)
		var got []string
		for _, s := range r.get(now) {
			got = append(got, s.String())
		}
		if fmt.Sprint(got) != fmt.Sprint(servers) {
			t.Errorf("got %v, want %v", got, servers)
		}
	}
	write := func(text string, age time.Duration) {
		os.WriteFile(path, []byte(text), 0o600)
		os.Chtimes(path, time.Time{}, now.Add(-age))
	}
	want()
	write("nameserver 192.0.2.1\nnameserver 2001:db8::1\nnameserver fe80::1%lo\n", time.Hour)
	want("192.0.2.1:53", "[2001:db8::1]:53", "[fe80::1%lo]:53")
	write("nameserver 192.0.2.9\n", time.Minute)
	want("192.0.2.9:53")
	write("", 0) // while somebody writes it
	want("192.0.2.9:53")
	os.Remove(path)
	want("192.0.2.9:53")
}

func TestNoResolver(t *testing.T) {
	f := newForwarder(t, func(c *Config) { c.ResolvConf = filepath.Join(t.TempDir(), "none") })
	if got := ask(t, "udp", serve(t, f), nil); got.Rcode != dns.RcodeServerFailure {
		t.Errorf("%v", got)
	}
	if _, err := f.Exchange(t.Context(), "udp", []byte("x")); !errors.Is(err, ErrQuery) {
		t.Errorf("got %v", err)
	}
}

// Closing the sockets ends everything at once, queries under way too.
func TestServeEnds(t *testing.T) {
	before := runtime.NumGoroutine()
	slow := newResolver(t, silent)
	f := newForwarder(t, func(c *Config) { c.Timeout = time.Minute }, slow)
	pc, ln := dnstest.Listen(t)
	ended := make(chan struct{})
	go func() { f.Serve(pc, ln, session); close(ended) }()
	query, _ := new(dns.Msg).SetQuestion("example.com.", dns.TypeA).Pack()
	udp, _ := net.Dial("udp", pc.LocalAddr().String())
	defer udp.Close()
	udp.Write(query)
	tcp, _ := net.Dial("tcp", ln.Addr().String())
	defer tcp.Close()
	for slow.queries.Load() == 0 {
		time.Sleep(time.Millisecond)
	}
	pc.Close()
	ln.Close()
	select {
	case <-ended:
	case <-time.After(30 * time.Second):
		t.Fatalf("still serving; %d goroutines, %d before", runtime.NumGoroutine(), before)
	}
}

func TestConfigErrors(t *testing.T) {
	for _, cfg := range []Config{{Attempts: -1}, {Resolvers: []netip.AddrPort{{}}}} {
		if _, err := New(cfg); !errors.Is(err, ErrConfig) {
			t.Errorf("%+v: %v", cfg, err)
		}
	}
}

// Nothing panics on what resolvers and clients may send.
func FuzzMessages(f *testing.F) {
	query, _ := new(dns.Msg).SetQuestion("example.com.", dns.TypeA).SetEdns0(1232, false).Pack()
	var m dns.Msg
	m.Unpack(query)
	answer, _ := new(dns.Msg).SetReply(&m).Pack()
	f.Add(query, answer)
	f.Fuzz(func(t *testing.T, query, answer []byte) {
		if checkQuery(query) != nil {
			return
		}
		answers(answer, query)
		if b := failure(query, dns.RcodeServerFailure); len(b) < headerLen || b[2]&0x80 == 0 {
			t.Errorf("% x", b)
		}
		if len(answer) >= headerLen {
			fit(answer, query)
		}
	})
}
