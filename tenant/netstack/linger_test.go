package netstack

import (
	"bytes"
	"context"
	"io"
	"net"
	"net/netip"
	"runtime"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"gvisor.dev/gvisor/pkg/tcpip/header"
	"gvisor.dev/gvisor/pkg/tcpip/transport/tcp"
	"gvisor.dev/gvisor/pkg/waiter"

	"github.com/culvert-vpn/culvert/internal/x/fault"
	"github.com/culvert-vpn/culvert/tenant/ipkt"
)

// connections is how many TCP connections a device's stack has, whoever knows of them.
func connections(d *Device) (n int) {
	for _, ep := range d.stack.RegisteredEndpoints() {
		if ep, ok := ep.(*tcp.Endpoint); ok && tcp.EndpointState(ep.State()) != tcp.StateListen {
			n++
		}
	}
	return n
}

// A client that says goodbye and acknowledges nothing of what it was sent has its
// connections, and what they hold, until they are gone: it can have no more of them
// than its share, and they end with its session.
func TestWhoSaysGoodbyeIsNotGone(t *testing.T) {
	const most, tries = 20, 100
	block := make([]byte, 12<<10)
	port := serveTCP(t, func(conn *net.TCPConn) { conn.Write(block) }) // and closes
	thief := netip.MustParseAddr("10.100.1.66")
	d := newDevice(t, func(cfg *Config) {
		cfg.FlowsPerSource = most
		cfg.DialContext = func(ctx context.Context, network, _ string) (net.Conn, error) {
			return (&hostNet{}).dial(ctx, network, net.JoinHostPort("127.0.0.1", strconv.Itoa(int(port))))
		}
	})
	packets := make(chan []byte, 10000)
	go lend(d, packets)
	var shaken atomic.Int32
	w := d.Writer()
	goodbye := func() {
		for {
			select {
			case b := <-packets:
				p, _ := ipkt.Parse(b)
				syn := header.TCP(p.Payload())
				if syn.Flags() == header.TCPFlagSyn|header.TCPFlagAck {
					shaken.Add(1)
					send(t, w, clientSegment(thief, syn.DestinationPort(), 101, syn.SequenceNumber()+1, header.TCPFlagAck),
						clientSegment(thief, syn.DestinationPort(), 101, syn.SequenceNumber()+1, header.TCPFlagFin|header.TCPFlagAck))
				}
			case <-time.After(100 * time.Millisecond):
				return
			}
		}
	}
	for i := range tries {
		send(t, w, clientSegment(thief, uint16(10000+i), 100, 0, header.TCPFlagSyn))
		if i%most == most-1 {
			goodbye()
		}
	}
	if shaken.Load() < most {
		t.Fatalf("%d connections came about", shaken.Load())
	}
	if n := connections(d); n > most {
		t.Errorf("%d connections of a client that may have %d", n, most)
	}
	if held, least := d.allowance.purse.used.Load(), int64(connections(d)*len(block)); held < least {
		t.Errorf("%d bytes count of %d that are held", held, least)
	}
	d.Forget(thief)
	wantSoon(t, func() bool { return connections(d) == 0 })
	if n := connections(d); n != 0 {
		t.Errorf("%d connections last longer than the session", n)
	}
	wantFlows(t, d, 0)
	wantSoon(t, func() bool { return d.allowance.purse.used.Load() == 0 })
	if n := d.allowance.purse.used.Load(); n != 0 {
		t.Errorf("%d bytes are not given back", n)
	}
}

// A connection that meets a fault of the program, in either direction, gives back
// what it had at once.
func TestAFaultGivesBackWhatAConnectionHad(t *testing.T) {
	for _, which := range []string{"upwards", "downwards"} {
		t.Run(which, func(t *testing.T) {
			log := fault.New(func(fault.Report) {})
			port := echoTCP(t)
			d := newDevice(t, func(cfg *Config) {
				cfg.Faults = log
				cfg.DialContext = func(ctx context.Context, network, _ string) (net.Conn, error) {
					conn, err := (&hostNet{}).dial(ctx, network, net.JoinHostPort("127.0.0.1", strconv.Itoa(int(port))))
					return &faulty{Conn: conn, which: which}, err
				}
			})
			c := newClient(t, d)
			conn, err := c.dialTCP(netip.AddrPortFrom(serverIP, port))
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			conn.Write([]byte("hello"))
			wantSoon(t, func() bool { return log.Count() > 0 })
			wantFlows(t, d, 0)
			wantSoon(t, func() bool { return d.allowance.purse.used.Load() == 0 })
			if n := d.allowance.purse.used.Load(); n != 0 {
				t.Errorf("%d bytes are not given back", n)
			}
		})
	}
}

// faulty is a host's connection that panics.
type faulty struct {
	net.Conn
	which string
}

func (f *faulty) Read(b []byte) (int, error) {
	if f.which == "downwards" {
		panic("reading")
	}
	return f.Conn.Read(b)
}

func (f *faulty) Write(b []byte) (int, error) {
	if f.which == "upwards" {
		panic("writing")
	}
	return f.Conn.Write(b)
}

// A client that sends to ever new destinations does not take the others' place with
// those who look at them, and what does not get a look leaves nothing behind.
func TestNewDestinationsHaveRoomForEverybody(t *testing.T) {
	d := newDevice(t, nil)
	idle := &judge{d: d, waiting: make(chan first, maxJudged)} // which decides when it is told to
	thief, honest := &mapping{holder: &holder{table: d.udp}}, &mapping{holder: &holder{table: d.udp}}
	for i := range 10 * maxJudged {
		idle.ask(thief, heading{to: netip.AddrPortFrom(serverIP, uint16(i))}, nil)
	}
	idle.ask(honest, heading{to: netip.AddrPortFrom(serverIP, dnsPort)}, []byte("question"))
	if n := len(idle.waiting); n != maxJudgedPerSource+1 {
		t.Errorf("%d datagrams wait, want %d of one client and the other's", n, maxJudgedPerSource)
	}
	for len(idle.waiting) > 0 {
		f := <-idle.waiting
		f.heading.to = netip.AddrPortFrom(gateway.Addr(), 9) // closed
		f.m.client = netip.AddrPortFrom(clientIP, 4000)
		idle.decide(f)
	}
	if a, b := thief.holder.judged.Load(), honest.holder.judged.Load(); a != 0 || b != 0 {
		t.Errorf("%d and %d count as waiting", a, b)
	}
}

// Many bytes of which each comes by itself take many times as much memory as they
// are, which counts and is bounded; and all of them arrive.
func TestSmallPiecesCount(t *testing.T) {
	const sent = 20000
	v := newVictim(t, netip.AddrPortFrom(clientIP, 4321))
	var c *clientConn
	v.d.flows.mu.Lock()
	for _, f := range v.d.flows.all {
		c = &clientConn{ep: f.holding.ep, wq: new(waiter.Queue), holding: f.holding, gate: newGate(v.d.link.queue, f.key.id), window: newWindow(f.holding.ep, 1200, maxBuffer)}
	}
	v.d.flows.mu.Unlock()
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	n := 0
	for n < sent && c.write(ctx, bytes.NewReader([]byte{1})) == nil {
		n++
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	grown := int64(after.HeapAlloc) - int64(before.HeapAlloc)
	if held := v.d.allowance.purse.used.Load(); n == 0 || n == sent || held < grown/2 || grown > 2<<20 {
		t.Errorf("%d bytes that nobody acknowledges take %d, of which %d count", n, grown, held)
	}
	v.more <- struct{}{}
}

// A server that sends byte by byte is heard in full by a client that listens.
func TestByteByByte(t *testing.T) {
	const sent = 5000
	port := serveTCP(t, func(conn *net.TCPConn) {
		for range sent {
			conn.Write([]byte{1})
		}
	})
	c := newClient(t, newDevice(t, nil))
	conn, err := c.dialTCP(netip.AddrPortFrom(serverIP, port))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(patience))
	if n, err := io.Copy(io.Discard, conn); n != sent || err != nil {
		t.Errorf("%d bytes arrived, %v", n, err)
	}
}
