package netstack

import (
	"io"
	"net"
	"net/netip"
	"sync"
	"testing"

	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/adapters/gonet"
	"gvisor.dev/gvisor/pkg/tcpip/header"
	"gvisor.dev/gvisor/pkg/tcpip/network/ipv4"
	"gvisor.dev/gvisor/pkg/tcpip/stack"
	"gvisor.dev/gvisor/pkg/tcpip/transport/tcp"

	"github.com/culvert-vpn/culvert/tenant"
)

// twin is a client whose stack hangs on a link like the device's own, so that
// a benchmark measures little else than the device, twice.
type twin struct {
	stack *stack.Stack
	link  *link
	ends  sync.WaitGroup
}

func newTwin(tb testing.TB, d *Device) *twin {
	return newTwinOver(tb, d, carry, carry)
}

// newTwinOver makes a twin on whose ways up and down packets are carried so.
func newTwinOver(tb testing.TB, d *Device, up, down func(tenant.Source, tenant.Writer)) *twin {
	tb.Helper()
	c := &twin{link: &link{queue: newQueue(DefaultQueue), mtu: uint32(d.MTU())}}
	c.stack = stack.New(stack.Options{
		NetworkProtocols:   []stack.NetworkProtocolFactory{ipv4.NewProtocol},
		TransportProtocols: []stack.TransportProtocolFactory{tcp.NewProtocolCUBIC},
	})
	if err := c.stack.CreateNIC(nicID, c.link); err != nil {
		tb.Fatal(err)
	}
	c.stack.AddProtocolAddress(nicID, protocolAddress(netip.PrefixFrom(clientIP, 32)), stack.AddressProperties{})
	c.stack.SetRouteTable([]tcpip.Route{{Destination: header.IPv4EmptySubnet, NIC: nicID}})
	if err := tune(c.stack); err != nil {
		tb.Fatal(err)
	}
	c.ends.Go(func() { up(newSource(c.link.queue, d.MTU()), d.Writer()) })
	c.ends.Go(func() { down(d.Sources()[0], &writer{link: c.link}) })
	tb.Cleanup(func() {
		c.stack.Close()
		c.link.queue.close()
		d.Close()
		c.ends.Wait()
	})
	return c
}

// carry moves packets as the data plane does, in batches of what is there.
func carry(from tenant.Source, to tenant.Writer) {
	const most, mtu = 64, DefaultMTU
	room := make([]byte, most*mtu)
	for from.Read() == nil {
		n := 0
		for buf, off, ok := from.Next(); ok; buf, off, ok = from.Next() {
			at := room[n*mtu:]
			to.Commit(at[:copy(at, buf[off:])])
			if n++; n == most {
				to.Flush()
				n = 0
			}
		}
		to.Flush()
	}
}

func newBenchDevice(tb testing.TB) *Device {
	tb.Helper()
	d, err := New(Config{Addresses: []netip.Prefix{gateway}, Pool: []netip.Prefix{pool}, MTU: 1400, DialContext: (&hostNet{}).dial})
	if err != nil {
		tb.Fatal(err)
	}
	return d
}

const benchPiece = 128 << 10

// listenTCP serves one connection.
func listenTCP(tb testing.TB, serve func(net.Conn)) uint16 {
	tb.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { ln.Close() })
	go func() {
		conn, err := ln.Accept()
		if err == nil {
			defer conn.Close()
			serve(conn)
		}
	}()
	return ln.Addr().(*net.TCPAddr).AddrPort().Port()
}

// BenchmarkTCPUp carries one stream from a client to a host's socket.
func BenchmarkTCPUp(b *testing.B) {
	got := make(chan int64, 1)
	port := listenTCP(b, func(conn net.Conn) {
		n := int64(0)
		buf := make([]byte, 1<<20)
		for {
			m, err := conn.Read(buf)
			if n += int64(m); err != nil {
				break
			}
		}
		got <- n
	})
	conn, err := gonet.DialTCP(newTwin(b, newBenchDevice(b)).stack, full(netip.AddrPortFrom(serverIP, port)), ipv4.ProtocolNumber)
	if err != nil {
		b.Fatal(err)
	}
	piece := make([]byte, benchPiece)
	b.SetBytes(benchPiece)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := conn.Write(piece); err != nil {
			b.Fatal(err)
		}
	}
	conn.CloseWrite()
	if n := <-got; n != int64(b.N)*benchPiece {
		b.Errorf("%d bytes arrived of %d", n, int64(b.N)*benchPiece)
	}
}

// BenchmarkTCPDown carries one stream from a host's socket to a client.
func BenchmarkTCPDown(b *testing.B) {
	port := listenTCP(b, func(conn net.Conn) {
		piece := make([]byte, benchPiece)
		for {
			if _, err := conn.Write(piece); err != nil {
				return
			}
		}
	})
	conn, err := gonet.DialTCP(newTwin(b, newBenchDevice(b)).stack, full(netip.AddrPortFrom(serverIP, port)), ipv4.ProtocolNumber)
	if err != nil {
		b.Fatal(err)
	}
	piece := make([]byte, benchPiece)
	b.SetBytes(benchPiece)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := io.ReadFull(conn, piece); err != nil {
			b.Fatal(err)
		}
	}
	conn.Close()
}
