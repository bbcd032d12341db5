package netstack

import (
	"context"
	"encoding/binary"
	"io"
	"net"
	"net/netip"
	"runtime"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/adapters/gonet"
	"gvisor.dev/gvisor/pkg/tcpip/header"
	"gvisor.dev/gvisor/pkg/tcpip/network/ipv4"
	"gvisor.dev/gvisor/pkg/tcpip/transport/tcp"

	"github.com/culvert-vpn/culvert/tenant"
	"github.com/culvert-vpn/culvert/tenant/ipkt"
)

func bufferMax(t *testing.T, d *Device) (receive, send int) {
	t.Helper()
	var r tcpip.TCPReceiveBufferSizeRangeOption
	if err := d.stack.TransportProtocolOption(tcp.ProtocolNumber, &r); err != nil {
		t.Fatal(err)
	}
	return r.Max, d.stack.TCPSendBufferLimits().Max
}

// The more is held, the less a connection may hold; and the other way round.
func TestBuffersShrinkAndGrow(t *testing.T) {
	d := newDevice(t, func(cfg *Config) { cfg.Buffers = 100 << 20 })
	p := d.allowance.purse
	for _, step := range []struct{ held, receive, send int }{
		{0, maxBuffer, maxBuffer}, {49 << 20, maxBuffer, maxBuffer}, {51 << 20, maxBuffer / 4, maxBuffer / 4},
		{80 << 20, maxBuffer / 16, maxBuffer / 16}, {100 << 20, firstBuffer, minBufSize}, {400 << 20, firstBuffer, minBufSize},
		{60 << 20, maxBuffer / 4, maxBuffer / 4}, {0, maxBuffer, maxBuffer},
	} {
		p.add(step.held - int(p.used.Load()))
		d.allowance.follow()
		if receive, send := bufferMax(t, d); receive != step.receive || send != step.send {
			t.Errorf("%d MB held: %d and %d bytes, want %d and %d", step.held>>20, receive, send, step.receive, step.send)
		}
	}
	if p.parent != d.cfg.Host.memory || p.parent.used.Load() != 0 {
		t.Errorf("%d bytes are held of what all tenants may", p.parent.used.Load())
	}
}

// What one tenant's clients hold leaves less to the others', and one client cannot
// take all that its tenant may.
func TestMemoryIsSharedFairly(t *testing.T) {
	all := &purse{limit: 100}
	acme, globex := all.part(1), all.part(1)
	alice, bob, gina := acme.part(clientPart), acme.part(clientPart), globex.part(clientPart)
	alice.add(50)
	if alice.filled() != 100 || bob.filled() != 50 || gina.filled() != 50 {
		t.Errorf("alice %d, bob %d, gina %d %%", alice.filled(), bob.filled(), gina.filled())
	}
	if alice.most() != minBufSize || bob.most() != maxBuffer/4 {
		t.Errorf("alice may have %d, bob %d bytes", alice.most(), bob.most())
	}
	if n := machineMemory(); n < 64<<20 {
		t.Errorf("a machine with %d bytes", n)
	}
}

// A connection that carries much holds much, and gives back what it held: what is
// acknowledged at once, all of it in the end.
func TestMemoryFollowsTheFlow(t *testing.T) {
	more := make(chan struct{})
	port := listenTCP(t, func(conn net.Conn) {
		piece := make([]byte, benchPiece)
		for sent := 0; sent < 64<<20; sent += len(piece) {
			if _, err := conn.Write(piece); err != nil {
				return
			}
		}
		<-more
	})
	d := newBenchDevice(t)
	c := newTwin(t, d)
	conn, err := gonet.DialTCP(c.stack, full(netip.AddrPortFrom(serverIP, port)), ipv4.ProtocolNumber)
	if err != nil {
		t.Fatal(err)
	}
	held := d.allowance.purse.used.Load
	if _, err := io.CopyN(io.Discard, conn, 32<<20); err != nil {
		t.Fatal(err)
	}
	if n := held(); n <= connectionCost || n > 4*maxBuffer {
		t.Errorf("%d bytes are held", n)
	}
	if _, err := io.CopyN(io.Discard, conn, 32<<20); err != nil {
		t.Fatal(err)
	}
	wantSoon(t, func() bool { return held() == connectionCost }) // when it is measured
	if n := held(); n != connectionCost {
		t.Errorf("%d bytes are held of a connection that is idle", n)
	}
	close(more)
	conn.Close()
	wantFlows(t, d, 0)
	wantSoon(t, func() bool { return held() == 0 })
	if n := held(); n != 0 {
		t.Errorf("%d bytes are not given back", n)
	}
}

// clientSegment is a TCP segment of a client, with its checksum.
func clientSegment(from netip.Addr, port uint16, seq, ack uint32, flags header.TCPFlags) []byte {
	return segmentTo(netip.AddrPortFrom(serverIP, 80), from, port, seq, ack, flags)
}

func segmentTo(to netip.AddrPort, from netip.Addr, port uint16, seq, ack uint32, flags header.TCPFlags) []byte {
	b := make([]byte, header.TCPMinimumSize)
	header.TCP(b).Encode(&header.TCPFields{
		SrcPort: port, DstPort: to.Port(), SeqNum: seq, AckNum: ack, DataOffset: header.TCPMinimumSize, Flags: flags, WindowSize: 65535,
	})
	p := quote(from, to.Addr(), ipkt.ProtocolTCP, b)
	ip := ipkt.Packet{Bytes: p, HeaderLen: header.IPv4MinimumSize, Protocol: ipkt.ProtocolTCP}
	binary.BigEndian.PutUint16(p[header.IPv4MinimumSize+16:], ^ipkt.Checksum(p[header.IPv4MinimumSize:], ip.PseudoChecksum(len(b))))
	return p
}

// greedy opens connections by hand and acknowledges nothing but the handshake.
type greedy struct {
	mu sync.Mutex
	w  tenant.Writer
	up atomic.Int32
}

func (g *greedy) send(b []byte) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.w.Commit(b)
	g.w.Flush()
}

// shake completes a handshake, if b is a SYN-ACK for it.
func (g *greedy) shake(of netip.Addr, b []byte) bool {
	p, err := ipkt.Parse(b)
	if err != nil || p.Destination() != of {
		return false
	}
	syn := header.TCP(p.Payload())
	if syn.Flags() == header.TCPFlagSyn|header.TCPFlagAck {
		g.up.Add(1)
		go g.send(clientSegment(of, syn.DestinationPort(), 101, syn.SequenceNumber()+1, header.TCPFlagAck))
	}
	return true
}

// One client that opens connections and acknowledges nothing holds its share, and
// not the memory of the host; others go on; and after a while it is let go.
func TestWhoAcknowledgesNothingHoldsLittle(t *testing.T) {
	const connections, budget = 1500, 32 << 20
	block := make([]byte, 64<<10)
	port := serveTCP(t, func(conn *net.TCPConn) {
		for {
			if _, err := conn.Write(block); err != nil {
				return
			}
		}
	})
	thief := netip.MustParseAddr("10.100.1.66")
	d := newDevice(t, func(cfg *Config) {
		cfg.FlowsPerSource, cfg.Buffers, cfg.Unacknowledged = 4096, budget, 4*time.Second
		cfg.DialContext = func(ctx context.Context, network, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, network, net.JoinHostPort("127.0.0.1", strconv.Itoa(int(port))))
		}
	})
	g := &greedy{w: d.Writer()}
	c := newClient(t, d)
	c.seen.Store(func(b []byte) bool { return g.shake(thief, b) })
	runtime.GC()
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	most := int64(0)
	for i := range connections {
		g.send(clientSegment(thief, uint16(10000+i), 100, 0, header.TCPFlagSyn))
		wantSoon(t, func() bool { return int(g.up.Load()) > i-50 })
		most = max(most, d.allowance.purse.used.Load())
	}
	wantSoon(t, func() bool { return g.up.Load() == connections })
	runtime.GC()
	runtime.ReadMemStats(&after)
	most = max(most, d.allowance.purse.used.Load())
	t.Logf("%d connections hold %d KB at most, the heap has grown by %d KB", g.up.Load(), most>>10, (after.HeapAlloc-before.HeapAlloc)>>10)
	if bound := int64(budget/clientPart + connections*(connectionCost+minBufSize) + 1<<20); most > bound {
		t.Errorf("%d bytes are held, %d may be", most, bound)
	}
	if grown := int64(after.HeapAlloc) - int64(before.HeapAlloc); grown > 96<<20 {
		t.Errorf("the heap has grown by %d MB", grown>>20)
	}
	conn, err := c.dialTCP(netip.AddrPortFrom(serverIP, port))
	if err != nil {
		t.Fatal("another client: ", err)
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(patience))
	if _, err := io.CopyN(io.Discard, conn, 8<<20); err != nil {
		t.Error("another client: ", err)
	}
	filled := func() int {
		d.flows.mu.Lock()
		defer d.flows.mu.Unlock()
		return d.flows.sources[thief].purse.filled()
	}
	wantSoon(t, func() bool { return filled() < crowded })
	if n := filled(); n >= crowded || d.Counters().Flows >= connections {
		t.Errorf("all is kept of %d connections that acknowledge nothing: %d %%", d.Counters().Flows, n)
	}
}

// TestMemoryIsAQuarterOfTheMachines: of which a tenant has half, and a client half of that; who
// does not move for 30 s is let go.
func TestMemoryIsAQuarterOfTheMachines(t *testing.T) {
	all := newMemory()
	acme := all.part(devicePart)
	alice, whole := acme.part(clientPart), machineMemory()
	if all.limit != whole/4 || acme.limit != whole/4/2 || alice.limit != whole/4/2/2 {
		t.Errorf("of %d bytes all have %d, a tenant %d, a client %d", whole, all.limit, acme.limit, alice.limit)
	}
	cfg, err := Config{Addresses: []netip.Prefix{gateway}}.withDefaults()
	if err != nil || cfg.Unacknowledged != 30*time.Second {
		t.Errorf("%v, %v", cfg.Unacknowledged, err)
	}
}
