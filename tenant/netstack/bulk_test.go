package netstack

import (
	"bytes"
	"io"
	"net"
	"net/netip"
	"runtime"
	"sync"
	"testing"
	"time"

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

// What a host sends in bulk comes in packets of one size: pieces are whole
// packets, as payloadPerPacket reckons them.
func TestBulkComesInWholePackets(t *testing.T) {
	const total = 32 << 20
	port := listenTCP(t, func(conn net.Conn) {
		conn.Write(make([]byte, total))
	})
	d := newBenchDevice(t)
	c := &counted{d.sources[0], map[int]int{}}
	d.sources[0] = c
	twin := newTwin(t, d)
	conn, err := gonet.DialTCP(twin.stack, full(netip.AddrPortFrom(serverIP, port)), ipv4.ProtocolNumber)
	if err != nil {
		t.Fatal(err)
	}
	if n, err := io.Copy(io.Discard, conn); n != total || err != nil {
		t.Fatalf("%d bytes of %d, %v", n, total, err)
	}
	conn.Close()
	d.Close()
	twin.link.queue.close()
	twin.ends.Wait()
	all, most, size := 0, 0, 0
	for s, n := range c.sizes {
		if all += n; n > most {
			most, size = n, s
		}
	}
	if others := all - most; others*50 > all || size < 1300 {
		t.Errorf("%d of %d packets carry other than %d bytes", others, all, size)
	}
}

// A thousand connections at once are served, and cost little while they are
// idle.
func TestThousandFlows(t *testing.T) {
	const flows, most = 1000, 128 << 10 // bytes each, of both stacks and all four sockets
	port := echoTCP(t)
	d := newDevice(t, nil)
	c := newClient(t, d)
	before := heap()
	conns := make([]*gonet.TCPConn, flows)
	var running sync.WaitGroup
	for i := range conns {
		running.Go(func() {
			conn, err := c.dialTCP(netip.AddrPortFrom(serverIP, port))
			if err != nil {
				t.Error(err)
				return
			}
			conns[i] = conn
			conn.SetDeadline(time.Now().Add(30 * time.Second))
			sent, got := bytes.Repeat([]byte{byte(i)}, 10_000), make([]byte, 10_000)
			conn.Write(sent)
			if _, err := io.ReadFull(conn, got); err != nil || !bytes.Equal(got, sent) {
				t.Errorf("flow %d: %v", i, err)
			}
		})
		if i%100 == 99 {
			running.Wait()
		}
	}
	running.Wait()
	if each := (heap() - before) / flows; each > most {
		t.Errorf("%d bytes a flow, want at most %d", each, most)
	}
	for _, conn := range conns {
		if conn != nil {
			conn.Close()
		}
	}
	wantFlows(t, d, 0)
}

func heap() int {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int(m.HeapInuse + m.StackInuse)
}
