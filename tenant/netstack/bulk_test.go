package netstack

import (
	"bytes"
	"context"
	"io"
	"maps"
	"net"
	"net/netip"
	"runtime"
	"slices"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
	"gvisor.dev/gvisor/pkg/tcpip/adapters/gonet"
	"gvisor.dev/gvisor/pkg/tcpip/header"
	"gvisor.dev/gvisor/pkg/tcpip/network/ipv4"

	"github.com/culvert-vpn/culvert/tenant"
)

// counted counts the packets with data that a source lends, by their payload.
type counted struct {
	tenant.Source
	sizes map[int]int
}

func (c *counted) Next() ([]byte, int, bool) {
	buf, off, ok := c.Source.Next()
	if ok {
		tcp := header.TCP(header.IPv4(buf[off:]).Payload())
		if n := len(tcp.Payload()); n > 0 {
			c.sizes[n]++
		}
	}
	return buf, off, ok
}

// What a host sends in bulk is taken in pieces of whole packets until its socket
// is empty. All of it waits there before the first is taken, so that nobody's
// speed decides where a piece ends.
func TestPiecesAreWholePackets(t *testing.T) {
	const mss, packets, last = 1320, 90, 7
	const total = packets*mss + last
	port := listenTCP(t, func(conn net.Conn) { conn.Write(make([]byte, total)) })
	conn, err := dialAndWaitFor(t, total)(t.Context(), "tcp", netip.AddrPortFrom(serverIP, port).String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	in := newInlet(newHostConn(conn, nil).raw, mss)
	var pieces []int
	for n, err := in.await(); n > 0 || err != nil; n, err = in.await() {
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadFull(in, make([]byte, n)); err != nil {
			t.Fatal(err)
		}
		pieces = append(pieces, n)
	}
	const most = maxSegment / mss * mss
	if want := []int{most, packets*mss - most, last}; !slices.Equal(pieces, want) {
		t.Errorf("pieces of %v bytes, want %v", pieces, want)
	}
}

// A piece fills packets as payloadPerPacket reckons them: all are of one size
// but the last. They are so few that the client's first window has room for all.
// A machine that is busy acknowledges or sends again in between, which cuts pieces
// otherwise: one time in five it does not.
func TestBulkComesInWholePackets(t *testing.T) {
	const packets, payload, last = 19, 1320, 7
	want := map[int]int{payload: packets, last: 1}
	var got map[int]int
	for range 5 {
		if got = bulkSizes(t, packets*payload+last); maps.Equal(got, want) {
			return
		}
	}
	t.Errorf("packets by their payload: %v, want %v", got, want)
}

// bulkSizes has a host send so many bytes at once, and counts the packets that come of
// them by their payload.
func bulkSizes(t *testing.T, total int) map[int]int {
	t.Helper()
	port := listenTCP(t, func(conn net.Conn) { conn.Write(make([]byte, total)) })
	d := newBenchDevice(t)
	d.cfg.DialContext = dialAndWaitFor(t, total)
	c := &counted{d.sources[0], map[int]int{}}
	d.sources[0] = c
	twin := newTwin(t, d)
	conn, err := gonet.DialTCP(twin.stack, full(netip.AddrPortFrom(serverIP, port)), ipv4.ProtocolNumber)
	if err != nil {
		t.Fatal(err)
	}
	if n, err := io.Copy(io.Discard, conn); n != int64(total) || err != nil {
		t.Fatalf("%d bytes of %d, %v", n, total, err)
	}
	conn.Close()
	d.Close()
	twin.link.queue.close()
	twin.ends.Wait()
	return c.sizes
}

// dialAndWaitFor dials loopback, and returns the connection when n bytes wait
// to be read from it.
func dialAndWaitFor(t *testing.T, n int) func(ctx context.Context, network, address string) (net.Conn, error) {
	var h hostNet
	h.Control = func(_, _ string, raw syscall.RawConn) error { // or the kernel takes less at first
		return raw.Control(func(fd uintptr) { unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_RCVBUF, 2*n) })
	}
	return func(ctx context.Context, network, address string) (net.Conn, error) {
		conn, err := h.dial(ctx, network, address)
		if err != nil {
			return nil, err
		}
		raw, err := conn.(syscall.Conn).SyscallConn()
		if err != nil {
			return nil, err
		}
		waiting := 0
		for waiting < n && ctx.Err() == nil {
			time.Sleep(time.Millisecond)
			raw.Control(func(fd uintptr) { waiting, _ = unix.IoctlGetInt(int(fd), unix.SIOCINQ) })
		}
		if waiting != n {
			t.Errorf("%d bytes wait to be read, want %d", waiting, n)
		}
		return conn, ctx.Err()
	}
}

// Thousands of connections at once are served, and cost little while they are idle,
// as most are.
func TestThousandsOfFlows(t *testing.T) {
	const most = 96 << 10 // bytes each, of both stacks and all four sockets
	flows := 5000
	if underRace {
		flows = 500
	}
	port := echoTCP(t)
	d := newDevice(t, func(c *Config) { c.FlowsPerSource = flows })
	c := newClient(t, d)
	before := heapInUse()
	conns := make([]*gonet.TCPConn, flows)
	var running sync.WaitGroup
	for i := range conns {
		running.Go(func() { conns[i] = wantEcho(t, c, netip.AddrPortFrom(serverIP, port), byte(i)) })
		if i%100 == 99 {
			running.Wait()
		}
	}
	running.Wait()
	wantFlows(t, d, flows)
	each := (heapInUse() - before) / flows
	t.Logf("%d bytes a flow", each)
	if each > most {
		t.Errorf("%d bytes a flow, want at most %d", each, most)
	}
	for _, conn := range conns {
		if conn != nil {
			conn.Close()
		}
	}
	wantFlows(t, d, 0)
}

// wantEcho opens a connection to an echo server, and sends it some bytes to send back.
func wantEcho(t *testing.T, c *client, to netip.AddrPort, fill byte) *gonet.TCPConn {
	conn, err := c.dialTCP(to)
	if err != nil {
		t.Error(err)
		return nil
	}
	conn.SetDeadline(time.Now().Add(30 * time.Second))
	sent, got := bytes.Repeat([]byte{fill}, 2000), make([]byte, 2000)
	conn.Write(sent)
	if _, err := io.ReadFull(conn, got); err != nil || !bytes.Equal(got, sent) {
		t.Errorf("flow %d: %v", fill, err)
	}
	return conn
}

func heapInUse() int {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int(m.HeapInuse + m.StackInuse)
}
