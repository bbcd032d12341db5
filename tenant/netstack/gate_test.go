package netstack

import (
	"context"
	"io"
	"net"
	"net/netip"
	"testing"
	"time"

	"gvisor.dev/gvisor/pkg/tcpip/adapters/gonet"
	"gvisor.dev/gvisor/pkg/tcpip/network/ipv4"
	"gvisor.dev/gvisor/pkg/tcpip/stack"

	"github.com/culvert-vpn/culvert/tenant"
)

// A writer waits while its lane is long, and goes on when half of it is gone.
func TestGate(t *testing.T) {
	const size = 10_000
	q := newQueue(64 * size)
	id := stack.TransportEndpointID{LocalAddress: addressOf(serverIP), LocalPort: 7, RemoteAddress: addressOf(clientAt(1))}
	g := newGate(q, id)
	if !g.pass(t.Context()) {
		t.Fatal("closed before an empty queue")
	}
	n := 0
	for ; !q.crowded(g.client, g.lane, g.open); n++ {
		if !putOne(q, packetFor(clientAt(1), 7, size)) {
			t.Fatal("the queue is full before the gate closes")
		}
	}
	if n != 7 { // gateLeast; the queue takes 20
		t.Errorf("closed at %d packets", n)
	}
	if other := newGate(q, stack.TransportEndpointID{LocalAddress: addressOf(serverIP), LocalPort: 8, RemoteAddress: addressOf(clientAt(1))}); other.lane == g.lane || !other.pass(t.Context()) {
		t.Error("closed for another flow")
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if g.pass(ctx) {
		t.Error("open before anything was read")
	}
	for ; n > 0 && len(g.open) == 0; n-- {
		q.mu.Lock()
		q.pop().DecRef()
		q.mu.Unlock()
	}
	if n != 3 || !g.pass(t.Context()) {
		t.Errorf("%d packets were left", n)
	}
}

// Closing the queue lets everybody go.
func TestGateEndsWithTheQueue(t *testing.T) {
	q := newQueue(1 << 20)
	g := newGate(q, stack.TransportEndpointID{LocalAddress: addressOf(serverIP), LocalPort: 7, RemoteAddress: addressOf(clientIP)})
	for range 40 {
		putOne(q, packetFor(clientIP, 7, 8000))
	}
	passed := make(chan bool)
	go func() { passed <- g.pass(t.Context()) }()
	select {
	case <-passed:
		t.Fatal("open")
	case <-time.After(10 * time.Millisecond):
	}
	q.close()
	<-passed
}

// While much waits for a flow, nothing that its host sends comes on top.
func TestRelayHeedsTheGate(t *testing.T) {
	const size, total = 1000, 100_000
	begin := make(chan struct{})
	port := listenTCP(t, func(conn net.Conn) {
		<-begin
		conn.Write(make([]byte, total))
	})
	d := newBenchDevice(t)
	still := make(chan struct{}, 1)
	twin := newTwinOver(t, d, carry, func(from tenant.Source, to tenant.Writer) { carry(pausing{from, still}, to) })
	conn, err := gonet.DialTCP(twin.stack, full(netip.AddrPortFrom(serverIP, port)), ipv4.ProtocolNumber)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	still <- struct{}{}
	q, flow := d.link.queue, port+conn.LocalAddr().(*net.TCPAddr).AddrPort().Port()
	at := newGate(q, stack.TransportEndpointID{LocalAddress: addressOf(serverIP), LocalPort: flow, RemoteAddress: addressOf(clientIP)}).lane
	for range DefaultQueue / gateShare / size / 2 {
		if !putOne(q, packetFor(clientIP, uint32(flow), size)) {
			t.Fatal("no room")
		}
	}
	packets := func() (n int) {
		q.mu.Lock()
		defer q.mu.Unlock()
		for i := q.clients[clientIP].lanes[at].head; i != none; i = q.nodes[i].next {
			n++
		}
		return n
	}
	time.Sleep(10 * time.Millisecond) // a Read that was under way takes some
	before := packets()
	close(begin)
	time.Sleep(20 * time.Millisecond)
	if n := packets(); n != before {
		t.Errorf("%d packets wait, %d before", n, before)
	}
	<-still
	if n, err := io.CopyN(io.Discard, conn, total); err != nil {
		t.Errorf("%d bytes of %d, %v", n, total, err)
	}
}

// pausing is a source that is not read while somebody else holds still.
type pausing struct {
	tenant.Source
	still chan struct{}
}

func (p pausing) Read() error {
	p.still <- struct{}{}
	<-p.still
	return p.Source.Read()
}
