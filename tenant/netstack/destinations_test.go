package netstack

import (
	"context"
	"net"
	"net/netip"
	"testing"
	"time"

	"gvisor.dev/gvisor/pkg/tcpip/adapters/gonet"
	"gvisor.dev/gvisor/pkg/tcpip/network/ipv4"
)

// A client that opens and closes connections to one server, each of which keeps a port of
// the host for a minute, leaves ports to other tenants' clients who want to go there.
func TestOneServersPortsAreShared(t *testing.T) {
	w := theWorld(t)
	if err := set("40000 40399", "ipv4/ip_local_port_range"); err != nil {
		t.Fatal(err)
	}
	defer set("32768 60999", "ipv4/ip_local_port_range")
	var ln net.Listener
	w.servers.enter(t, func() (err error) {
		ln, err = net.Listen("tcp4", "198.51.100.7:0")
		return err
	})
	defer ln.Close()
	go func() {
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			go func() {
				defer conn.Close()
				conn.Read(make([]byte, 1)) // until the client says goodbye
			}()
		}
	}()
	at := ln.Addr().(*net.TCPAddr).AddrPort()
	ports := NewPorts(0)
	device := func() *Device {
		return newDevice(t, func(cfg *Config) { cfg.DialContext, cfg.Ports = nil, ports })
	}
	thief, other := newClient(t, device()), newClient(t, device())
	made := 0
	for range 600 {
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
		conn, err := gonet.DialContextTCP(ctx, thief.stack, full(at), ipv4.ProtocolNumber)
		cancel()
		if err != nil {
			break
		}
		made++
		conn.Close()
	}
	t.Logf("%d connections of one client", made)
	if made < 50 {
		t.Errorf("a client alone had %d connections of 400 ports", made)
	}
	for range 20 {
		conn, err := other.dialTCP(at)
		if err != nil {
			t.Fatalf("another tenant's client: %v", err)
		}
		conn.Close()
	}
}

// Ports that linger come back after a minute, of others at once; and a client of the
// same tenant finds some, however many sessions somebody has.
func TestPortsComeBack(t *testing.T) {
	now := time.Unix(1000, 0)
	ports := NewPorts(100)
	d, to := new(Device), netip.AddrPortFrom(serverIP, 80)
	take := func(client netip.Addr) (n int) {
		for n < ports.tcp.limit && ports.tcp.enter(now, to, portHolder{d, client}) {
			n++
		}
		return n
	}
	thief, all := portHolder{d, clientIP}, 0
	first := take(clientIP)
	for _, client := range sessions() {
		all += take(client)
	}
	if n := take(pool.Addr()); n == 0 {
		t.Error("another client of the tenant gets no port")
	}
	if all+first > ports.tcp.limit/2 {
		t.Errorf("a tenant's client has %d ports of %d", all+first, ports.tcp.limit)
	}
	for i := range first {
		ports.tcp.leave(now, to, thief, i%2 == 0)
	}
	if n := ports.tcp.all[to].by[thief]; n != (first+1)/2 {
		t.Errorf("%d ports linger of %d", n, first)
	}
	now = now.Add(portLingers)
	ports.tcp.enter(now, netip.AddrPortFrom(serverIP, 81), thief)
	if n := ports.tcp.all[to].by[thief]; n != 0 || len(ports.tcp.lingering) != 0 {
		t.Errorf("%d ports linger after a minute", n)
	}
}
