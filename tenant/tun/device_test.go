package tun

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	mdns "github.com/miekg/dns"
	"golang.org/x/sys/unix"
	"gvisor.dev/gvisor/pkg/buffer"
	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/adapters/gonet"
	"gvisor.dev/gvisor/pkg/tcpip/header"
	"gvisor.dev/gvisor/pkg/tcpip/link/channel"
	"gvisor.dev/gvisor/pkg/tcpip/network/ipv4"
	"gvisor.dev/gvisor/pkg/tcpip/stack"
	"gvisor.dev/gvisor/pkg/tcpip/transport/tcp"
	"gvisor.dev/gvisor/pkg/tcpip/transport/udp"

	"github.com/culvert-vpn/culvert/internal/x/nstest"
	"github.com/culvert-vpn/culvert/tenant"
	"github.com/culvert-vpn/culvert/tenant/dns"
)

var (
	gateway  = netip.MustParsePrefix("10.99.0.1/24")
	clientIP = netip.MustParseAddr("10.99.0.2")
)

func TestMain(m *testing.M) { os.Exit(nstest.Run(m.Run)) }

// newNamespace makes a network namespace that lasts as long as the test and
// returns its path.
func newNamespace(t *testing.T) string {
	t.Helper()
	nstest.Want(t)
	made := make(chan error)
	var ns *os.File
	go func() { // the thread is not given back: it is in the new namespace
		runtime.LockOSThread()
		err := unix.Unshare(unix.CLONE_NEWNET)
		if err == nil {
			ns, err = os.Open("/proc/thread-self/ns/net")
		}
		made <- err
	}()
	if err := <-made; err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ns.Close() })
	return fmt.Sprintf("/proc/self/fd/%d", ns.Fd())
}

func newDevice(t *testing.T, cfg Config) *Device {
	t.Helper()
	cfg.Netns = newNamespace(t)
	cfg.Addresses = []netip.Prefix{gateway}
	d, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { d.Close() })
	return d
}

// client is a host behind the device: a stack of its own whose packets go
// through Writer and Source.
type client struct {
	t      *testing.T
	d      *Device
	stack  *stack.Stack
	link   *channel.Endpoint
	joined atomic.Bool // the kernel handed over a piece of several packets
}

func newClient(t *testing.T, d *Device) *client {
	t.Helper()
	c := &client{t: t, d: d, link: channel.New(4096, uint32(d.MTU()), "")}
	c.stack = stack.New(stack.Options{
		NetworkProtocols:   []stack.NetworkProtocolFactory{ipv4.NewProtocol},
		TransportProtocols: []stack.TransportProtocolFactory{tcp.NewProtocolCUBIC, udp.NewProtocol},
	})
	c.stack.CreateNIC(1, c.link)
	c.stack.AddProtocolAddress(1, tcpip.ProtocolAddress{
		Protocol:          ipv4.ProtocolNumber,
		AddressWithPrefix: tcpip.AddressWithPrefix{Address: tcpip.AddrFrom4(clientIP.As4()), PrefixLen: 24},
	}, stack.AddressProperties{})
	c.stack.SetRouteTable([]tcpip.Route{{Destination: header.IPv4EmptySubnet, NIC: 1}})
	ctx, cancel := context.WithCancel(context.Background())
	var pumps sync.WaitGroup
	pumps.Go(func() { c.pumpUp(ctx) })
	for _, s := range d.Sources() {
		pumps.Go(func() { c.pumpDown(s) })
	}
	t.Cleanup(func() {
		cancel()
		d.Close()
		pumps.Wait()
		c.stack.Close()
	})
	return c
}

func (c *client) pumpUp(ctx context.Context) {
	w := c.d.Writer()
	for {
		pkt := c.link.ReadContext(ctx)
		if pkt == nil {
			return
		}
		var views []*buffer.View
		for ; pkt != nil; pkt = c.link.Read() {
			v := pkt.ToView()
			views = append(views, v)
			w.Commit(v.AsSlice())
			pkt.DecRef()
		}
		if err := w.Flush(); err != nil && ctx.Err() == nil {
			c.t.Error(err)
		}
		for _, v := range views {
			v.Release()
		}
	}
}

func (c *client) pumpDown(s tenant.Source) {
	for {
		if err := s.Read(); errors.Is(err, os.ErrClosed) || errors.Is(err, io.EOF) {
			return
		}
		if hasPiece(s) {
			c.joined.Store(true)
		}
		for buf, off, ok := s.Next(); ok; buf, off, ok = s.Next() {
			if off < tenant.Headroom || cap(buf)-len(buf) < tenant.Tailroom || len(buf)-off > c.d.MTU() {
				c.t.Errorf("lent %d bytes at %d of %d", len(buf), off, cap(buf))
			}
			if buf[off]>>4 != 4 {
				continue // the kernel's IPv6 chatter
			}
			wantValid(c.t, buf[off:])
			pkt := stack.NewPacketBuffer(stack.PacketBufferOptions{Payload: buffer.MakeWithData(buf[off:])})
			for i := off - tenant.Headroom; i < len(buf)+tenant.Tailroom; i++ {
				buf[:cap(buf)][i] = 0xee
			}
			c.link.InjectInbound(ipv4.ProtocolNumber, pkt)
			pkt.DecRef()
		}
	}
}

func full(at netip.AddrPort) tcpip.FullAddress {
	return tcpip.FullAddress{NIC: 1, Addr: tcpip.AddrFrom4(at.Addr().As4()), Port: at.Port()}
}

// listen opens a TCP socket of the kernel on the gateway's address.
func listen(t *testing.T, d *Device) (ln net.Listener, at netip.AddrPort) {
	t.Helper()
	err := inNamespace(d.cfg.Netns, func() (err error) {
		ln, err = net.ListenTCP("tcp", net.TCPAddrFromAddrPort(netip.AddrPortFrom(gateway.Addr(), 0)))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ln.Close() })
	return ln, ln.Addr().(*net.TCPAddr).AddrPort()
}

func TestTCPThroughTheDevice(t *testing.T) {
	for name, cfg := range map[string]Config{
		"offload":    {MTU: 1400},
		"no offload": {MTU: 1400, NoOffload: true},
		"queues":     {MTU: 1280, Queues: 2},
	} {
		t.Run(name, func(t *testing.T) {
			d := newDevice(t, cfg)
			ln, at := listen(t, d)
			go func() {
				conn, err := ln.Accept()
				if err != nil {
					return
				}
				defer conn.Close()
				io.Copy(conn, conn)
			}()
			c := newClient(t, d)
			echo(t, c, at)
			if tcp, _ := d.Offload(); tcp && !c.joined.Load() {
				t.Errorf("the kernel handed over no piece of several packets")
			}
		})
	}
}

// echo sends 10 MB and wants them back.
func echo(t *testing.T, c *client, at netip.AddrPort) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	conn, err := gonet.DialContextTCP(ctx, c.stack, full(at), ipv4.ProtocolNumber)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	sent := make([]byte, 10<<20)
	rand.NewChaCha8([32]byte{2}).Read(sent)
	go func() {
		conn.Write(sent)
		conn.CloseWrite()
	}()
	conn.SetDeadline(time.Now().Add(60 * time.Second))
	got, err := io.ReadAll(conn)
	if err != nil || !bytes.Equal(got, sent) {
		t.Fatalf("%d of %d bytes came back, equal %v, %v", len(got), len(sent), bytes.Equal(got, sent), err)
	}
}

// The kernel answers an echo to the gateway's address.
func TestPing(t *testing.T) {
	d := newDevice(t, Config{})
	icmp := header.ICMPv4([]byte{8, 0, 0, 0, 0, 7, 0, 1, 'p', 'i', 'n', 'g'})
	icmp.SetChecksum(header.ICMPv4Checksum(icmp, 0))
	ping := make([]byte, header.IPv4MinimumSize, 64)
	header.IPv4(ping).Encode(&header.IPv4Fields{
		TotalLength: uint16(header.IPv4MinimumSize + len(icmp)), TTL: 64, Protocol: 1,
		SrcAddr: tcpip.AddrFrom4(clientIP.As4()), DstAddr: tcpip.AddrFrom4(gateway.Addr().As4()),
	})
	header.IPv4(ping).SetChecksum(^header.IPv4(ping).CalculateChecksum())
	ping = append(ping, icmp...)
	w := d.Writer()
	w.Commit(ping)
	if err := w.Flush(); err != nil {
		t.Fatal(err)
	}
	s := d.Sources()[0]
	stop := time.AfterFunc(5*time.Second, func() { d.Close() })
	defer stop.Stop()
	for {
		if err := s.Read(); err != nil {
			t.Fatal(err)
		}
		for buf, off, ok := s.Next(); ok; buf, off, ok = s.Next() {
			pkt := buf[off:]
			if pkt[0]>>4 == 4 && pkt[9] == 1 && pkt[20] == 0 && bytes.Equal(pkt[24:], ping[24:]) {
				return
			}
		}
	}
}

func TestCloseUnblocksRead(t *testing.T) {
	d := newDevice(t, Config{})
	ended := make(chan error)
	go func() {
		for {
			if err := d.Sources()[0].Read(); err != nil {
				ended <- err
				return
			}
		}
	}()
	time.Sleep(50 * time.Millisecond)
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
	select {
	case err := <-ended:
		if !errors.Is(err, os.ErrClosed) {
			t.Errorf("got %v", err)
		}
	case <-time.After(30 * time.Second):
		t.Fatal("Read still blocks")
	}
	w := d.Writer()
	w.Commit([]byte{0x45})
	if w.Flush() == nil {
		t.Error("a closed device takes packets")
	}
	err := inNamespace(d.cfg.Netns, func() error {
		_, err := net.InterfaceByName(d.got.name)
		return err
	})
	if err == nil {
		t.Errorf("device %s is still there", d.got.name)
	}
}

func TestAddressesAndRoutes(t *testing.T) {
	route := netip.MustParsePrefix("10.98.0.0/16")
	d := newDevice(t, Config{Name: "acme", MTU: 1390, Routes: []netip.Prefix{route}})
	err := inNamespace(d.cfg.Netns, func() error {
		i, err := net.InterfaceByName("acme")
		if err != nil {
			return err
		}
		addrs, err := i.Addrs()
		if err != nil || i.MTU != 1390 || i.Flags&net.FlagUp == 0 || len(addrs) == 0 || addrs[0].String() != gateway.String() {
			t.Errorf("%+v with %v, %v", i, addrs, err)
		}
		conn, err := net.DialUDP("udp", nil, &net.UDPAddr{IP: net.IPv4(10, 98, 3, 4), Port: 9})
		if err != nil {
			return err
		}
		defer conn.Close()
		if got := conn.LocalAddr().(*net.UDPAddr).AddrPort().Addr(); got != gateway.Addr() {
			t.Errorf("source %v, want %v", got, gateway.Addr())
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := New(Config{Name: "acme", Netns: d.cfg.Netns}); !errors.Is(err, ErrBusy) || !strings.Contains(err.Error(), "ip link del acme") {
		t.Errorf("the same name again: %v", err)
	}
}

func TestDNSAtTheGateway(t *testing.T) {
	pc, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := &mdns.Server{PacketConn: pc, Handler: mdns.HandlerFunc(func(w mdns.ResponseWriter, q *mdns.Msg) {
		w.WriteMsg(new(mdns.Msg).SetRcode(q, mdns.RcodeNameError))
	})}
	go server.ActivateAndServe()
	t.Cleanup(func() { server.Shutdown() })
	f, err := dns.New(dns.Config{Resolvers: []netip.AddrPort{pc.LocalAddr().(*net.UDPAddr).AddrPort()}})
	if err != nil {
		t.Fatal(err)
	}
	c := newClient(t, newDevice(t, Config{DNS: f}))
	at := full(netip.AddrPortFrom(gateway.Addr(), 53))
	conn, err := gonet.DialUDP(c.stack, nil, &at, ipv4.ProtocolNumber)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	query := new(mdns.Msg).SetQuestion("no.example.", mdns.TypeA)
	answer, _, err := new(mdns.Client).ExchangeWithConn(query, &mdns.Conn{Conn: conn})
	if err != nil || answer.Rcode != mdns.RcodeNameError {
		t.Errorf("%v, %v", answer, err)
	}
}

func TestNamespaceErrors(t *testing.T) {
	missing := filepath.Join(t.TempDir(), "missing")
	if _, err := New(Config{Netns: missing}); !errors.Is(err, ErrNamespace) {
		t.Errorf("missing: %v", err)
	}
	if os.Getuid() != 0 {
		return // entering any is not permitted
	}
	if _, err := New(Config{Netns: os.Args[0]}); !errors.Is(err, ErrNamespace) {
		t.Errorf("no namespace: %v", err)
	}
}

func TestConfigErrors(t *testing.T) {
	for name, cfg := range map[string]Config{
		"name":    {Name: "a-name-of-sixteen"},
		"MTU":     {MTU: 100},
		"queues":  {Queues: 1000},
		"address": {Addresses: []netip.Prefix{{}}},
		"route":   {Routes: []netip.Prefix{netip.MustParsePrefix("10.0.0.1/8")}},
	} {
		if _, err := New(cfg); !errors.Is(err, ErrConfig) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestAddAddress: an address of IPv6 that comes later is there at once.
func TestAddAddress(t *testing.T) {
	d := newDevice(t, Config{Name: "acme", MTU: 1390})
	later := netip.MustParsePrefix("2001:db8:1:5::7/128")
	if err := d.AddAddress(later); err != nil {
		t.Fatal(err)
	}
	err := inNamespace(d.cfg.Netns, func() error {
		l, err := net.ListenUDP("udp6", &net.UDPAddr{IP: later.Addr().AsSlice()})
		if err != nil {
			return err
		}
		return l.Close()
	})
	if err != nil {
		t.Error(err)
	}
}
