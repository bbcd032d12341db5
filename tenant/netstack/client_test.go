package netstack

import (
	"context"
	"net"
	"net/netip"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"

	"gvisor.dev/gvisor/pkg/buffer"
	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/adapters/gonet"
	"gvisor.dev/gvisor/pkg/tcpip/header"
	"gvisor.dev/gvisor/pkg/tcpip/link/channel"
	"gvisor.dev/gvisor/pkg/tcpip/network/ipv4"
	"gvisor.dev/gvisor/pkg/tcpip/stack"
	"gvisor.dev/gvisor/pkg/tcpip/transport/icmp"
	"gvisor.dev/gvisor/pkg/tcpip/transport/tcp"
	"gvisor.dev/gvisor/pkg/tcpip/transport/udp"

	"github.com/culvert-vpn/culvert/tenant"
)

var (
	gateway  = netip.MustParsePrefix("10.100.1.1/24")
	pool     = netip.MustParsePrefix("10.100.1.0/24")
	clientIP = netip.MustParseAddr("10.100.1.2")
	// serverIP is what clients dial; the test's host network maps it to
	// loopback.
	serverIP = netip.MustParseAddr("198.51.100.7")
)

// hostNet is the host's network of a test: everything leads to loopback.
type hostNet struct{ net.Dialer }

func (h *hostNet) dial(ctx context.Context, network, address string) (net.Conn, error) {
	_, port, err := net.SplitHostPort(address)
	if err != nil {
		return nil, err
	}
	return h.DialContext(ctx, network, net.JoinHostPort("127.0.0.1", port))
}

// newDevice makes a device whose host network is loopback, and checks that it
// leaves no goroutine behind.
func newDevice(t *testing.T, change func(*Config)) *Device {
	t.Helper()
	before := runtime.NumGoroutine()
	cfg := Config{Addresses: []netip.Prefix{gateway}, Pool: []netip.Prefix{pool}, MTU: 1400, DialContext: (&hostNet{}).dial}
	if change != nil {
		change(&cfg)
	}
	d, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		d.Close()
		wantGoroutines(t, before)
	})
	return d
}

func wantGoroutines(t *testing.T, want int) {
	t.Helper()
	var n int
	wantSoon(t, func() bool { n = runtime.NumGoroutine(); return n <= want })
	if n <= want {
		return
	}
	stacks := make([]byte, 1<<20)
	t.Errorf("%d goroutines, want %d:\n%s", n, want, stacks[:runtime.Stack(stacks, true)])
}

// client is a host of its own behind the device: a second stack whose packets
// go through Writer and Source.
type client struct {
	t     *testing.T
	d     *Device
	stack *stack.Stack
	link  *channel.Endpoint
	seen  atomic.Value // func([]byte) bool, which takes packets that are not for this client
}

func newClient(t *testing.T, d *Device, addrs ...netip.Addr) *client {
	t.Helper()
	c := &client{t: t, d: d, link: channel.New(4096, uint32(d.MTU()), "")}
	c.stack = stack.New(stack.Options{
		NetworkProtocols:   []stack.NetworkProtocolFactory{ipv4.NewProtocol},
		TransportProtocols: []stack.TransportProtocolFactory{tcp.NewProtocolCUBIC, udp.NewProtocol, icmp.NewProtocol4},
	})
	if err := c.stack.CreateNIC(nicID, c.link); err != nil {
		t.Fatal(err)
	}
	for _, a := range append(addrs, clientIP) {
		c.stack.AddProtocolAddress(nicID, protocolAddress(netip.PrefixFrom(a, 32)), stack.AddressProperties{})
	}
	c.stack.SetRouteTable([]tcpip.Route{{Destination: header.IPv4EmptySubnet, NIC: nicID}})
	ctx, cancel := context.WithCancel(context.Background())
	var pumps sync.WaitGroup
	pumps.Go(func() { c.pumpUp(ctx) })
	go c.pumpDown()
	t.Cleanup(func() {
		cancel()
		pumps.Wait()
		c.stack.Close()
		c.stack.TransportProtocolInstance(tcp.ProtocolNumber).Wait()
		c.link.Close()
	})
	return c
}

// pumpUp carries the client's packets, in batches of what is there.
func (c *client) pumpUp(ctx context.Context) {
	w := c.d.Writer()
	for {
		pkt := c.link.ReadContext(ctx)
		if pkt == nil {
			return
		}
		for ; pkt != nil; pkt = c.link.Read() {
			v := pkt.ToView()
			w.Commit(v.AsSlice())
			pkt.DecRef()
		}
		w.Flush()
	}
}

// pumpDown carries packets to the client and writes over all that it may.
func (c *client) pumpDown() {
	s := c.d.Sources()[0]
	for s.Read() == nil {
		for {
			buf, off, ok := s.Next()
			if !ok {
				break
			}
			if off < tenant.Headroom || cap(buf)-len(buf) < tenant.Tailroom || len(buf)-off > c.d.MTU() {
				c.t.Errorf("lent %d bytes at %d of %d", len(buf), off, cap(buf))
			}
			if seen, ok := c.seen.Load().(func([]byte) bool); ok && seen(buf[off:]) {
				continue
			}
			pkt := stack.NewPacketBuffer(stack.PacketBufferOptions{Payload: buffer.MakeWithData(buf[off:])})
			whole := buf[:cap(buf)]
			for i := range whole {
				whole[i] = 0xee
			}
			c.link.InjectInbound(header.IPv4ProtocolNumber, pkt)
			pkt.DecRef()
		}
	}
}

func (c *client) dialTCP(at netip.AddrPort) (*gonet.TCPConn, error) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	return gonet.DialContextTCP(ctx, c.stack, full(at), ipv4.ProtocolNumber)
}

func (c *client) dialUDP(at netip.AddrPort) *gonet.UDPConn {
	c.t.Helper()
	to := full(at)
	conn, err := gonet.DialUDP(c.stack, nil, &to, ipv4.ProtocolNumber)
	if err != nil {
		c.t.Fatal(err)
	}
	c.t.Cleanup(func() { conn.Close() })
	return conn
}

func full(at netip.AddrPort) tcpip.FullAddress {
	return tcpip.FullAddress{NIC: nicID, Addr: addressOf(at.Addr()), Port: at.Port()}
}

// echoTCP is a server that sends back what it gets; it returns its port.
func echoTCP(t *testing.T) uint16 {
	t.Helper()
	return serveTCP(t, func(conn *net.TCPConn) {
		conn.ReadFrom(struct{ net.Conn }{conn})
		conn.CloseWrite()
	})
}

func serveTCP(t *testing.T, serve func(*net.TCPConn)) uint16 {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var running sync.WaitGroup
	running.Go(func() {
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			running.Go(func() {
				defer conn.Close()
				serve(conn.(*net.TCPConn))
			})
		}
	})
	t.Cleanup(func() {
		ln.Close()
		running.Wait()
	})
	return ln.Addr().(*net.TCPAddr).AddrPort().Port()
}

// echoUDP is a server at serverIP that sends back what it gets; it returns its port.
func echoUDP(t *testing.T) uint16 {
	t.Helper()
	pc := theWorld(t).listen(t, serverIP)
	var running sync.WaitGroup
	running.Go(func() {
		buf := make([]byte, 65536)
		for {
			n, from, err := pc.ReadFrom(buf)
			if err != nil {
				return
			}
			pc.WriteTo(buf[:n], from)
		}
	})
	t.Cleanup(func() {
		pc.Close()
		running.Wait()
	})
	return pc.LocalAddr().(*net.UDPAddr).AddrPort().Port()
}

func dialContext(ctx context.Context, c *client, port uint16) (*gonet.TCPConn, error) {
	return gonet.DialContextTCP(ctx, c.stack, full(netip.AddrPortFrom(serverIP, port)), ipv4.ProtocolNumber)
}
