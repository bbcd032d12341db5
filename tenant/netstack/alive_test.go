package netstack

import (
	"context"
	"net"
	"net/netip"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"
	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/network/ipv4"
	"gvisor.dev/gvisor/pkg/tcpip/transport/tcp"
	"gvisor.dev/gvisor/pkg/waiter"
)

// Connections that one side keeps alive without data are not idle, whichever side
// that is (RFC 5382 REQ-5); and as long as the client asks, the host is asked.
func TestKeepalivesHoldConnections(t *testing.T) {
	const idle = 3 * time.Second
	var mu sync.Mutex
	servers, sockets := make(map[uint16]*net.TCPConn), make(map[uint16]*net.TCPConn)
	keep := make(chan struct{})
	port := serveTCP(t, func(conn *net.TCPConn) {
		mu.Lock()
		servers[conn.RemoteAddr().(*net.TCPAddr).AddrPort().Port()] = conn
		mu.Unlock()
		<-keep
	})
	defer close(keep)
	d := newDevice(t, func(cfg *Config) {
		cfg.TCPIdle = idle
		cfg.DialContext = func(ctx context.Context, network, address string) (net.Conn, error) {
			conn, err := (&hostNet{}).dial(ctx, network, address)
			if err == nil {
				mu.Lock()
				defer mu.Unlock()
				sockets[uint16(len(sockets))] = conn.(*net.TCPConn)
			}
			return conn, err
		}
	})
	c := newClient(t, d)
	silent, byHost := c.connect(port), c.connect(port)
	byClient := c.connect(port)
	wantSoon(t, func() bool { mu.Lock(); defer mu.Unlock(); return len(servers) == 3 })
	byClient.SocketOptions().SetKeepAlive(true)
	every, once := tcpip.KeepaliveIdleOption(300*time.Millisecond), tcpip.KeepaliveIntervalOption(300*time.Millisecond)
	byClient.SetSockOpt(&every)
	byClient.SetSockOpt(&once)
	mu.Lock()
	hostEnd := servers[sockets[1].LocalAddr().(*net.TCPAddr).AddrPort().Port()]
	mu.Unlock()
	if err := hostEnd.SetKeepAliveConfig(net.KeepAliveConfig{Enable: true, Idle: time.Second, Interval: time.Second}); err != nil {
		t.Fatal(err)
	}
	wantFlows(t, d, 2) // the silent one ends
	time.Sleep(3 * idle)
	for name, ep := range map[string]tcpip.Endpoint{"client": byClient, "host": byHost} {
		if state := tcp.EndpointState(ep.State()); state != tcp.StateEstablished {
			t.Errorf("the connection that the %s keeps alive is in %v", name, state)
		}
	}
	if state := tcp.EndpointState(silent.State()); state == tcp.StateEstablished {
		t.Error("a connection on which nobody says anything lasts")
	}
	for i, want := range map[uint16]bool{1: false, 2: true} {
		if on := keepalive(t, sockets[i]); on != want {
			t.Errorf("connection %d: the host is asked: %v", i, on)
		}
	}
}

// connect opens a connection whose options a test may set.
func (c *client) connect(port uint16) tcpip.Endpoint {
	c.t.Helper()
	var wq waiter.Queue
	ep, err := c.stack.NewEndpoint(tcp.ProtocolNumber, ipv4.ProtocolNumber, &wq)
	if err != nil {
		c.t.Fatal(err)
	}
	c.t.Cleanup(ep.Close)
	if err := ep.Connect(full(netip.AddrPortFrom(serverIP, port))); err != nil {
		if _, starting := err.(*tcpip.ErrConnectStarted); !starting {
			c.t.Fatal(err)
		}
	}
	wantSoon(c.t, func() bool { return tcp.EndpointState(ep.State()) == tcp.StateEstablished })
	return ep
}

func keepalive(t *testing.T, conn *net.TCPConn) bool {
	t.Helper()
	raw, err := conn.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	on := 0
	raw.Control(func(fd uintptr) { on, err = unix.GetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_KEEPALIVE) })
	if err != nil {
		t.Fatal(err)
	}
	return on != 0
}

// A connection lasts for as long as hosts wait with their keepalives.
func TestIdleTimesAreThoseOfTheRFC(t *testing.T) {
	cfg, err := Config{Addresses: []netip.Prefix{gateway}}.withDefaults()
	if err != nil || cfg.TCPIdle < 124*time.Minute || cfg.TCPHalfClosed < 4*time.Minute || cfg.TCPHalfClosed >= cfg.TCPIdle {
		t.Errorf("%v, half closed %v, %v", cfg.TCPIdle, cfg.TCPHalfClosed, err)
	}
}

// One side has said that it sends no more, and the other says nothing.
func TestHalfClosedConnectionsEndSooner(t *testing.T) {
	keep := make(chan struct{})
	port := serveTCP(t, func(*net.TCPConn) { <-keep })
	defer close(keep)
	d := newDevice(t, func(cfg *Config) { cfg.TCPHalfClosed = 200 * time.Millisecond })
	conn, err := newClient(t, d).dialTCP(netip.AddrPortFrom(serverIP, port))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	wantFlows(t, d, 1)
	conn.CloseWrite()
	wantFlows(t, d, 0)
}
