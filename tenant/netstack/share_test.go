package netstack

import (
	"context"
	"net"
	"net/netip"
	"sync/atomic"
	"testing"
	"time"

	"gvisor.dev/gvisor/pkg/tcpip/header"
	"gvisor.dev/gvisor/pkg/tcpip/stack"
)

// sessions are as many addresses as one user has sessions.
func sessions() (list []netip.Addr) {
	for i := range 16 {
		list = append(list, netip.AddrFrom4([4]byte{10, 100, 1, byte(100 + i)}))
	}
	return list
}

// A user all of whose sessions dial what does not answer leaves others room to dial.
func TestDiallingNobodyLeavesRoom(t *testing.T) {
	port := echoTCP(t)
	var dialled atomic.Int32
	d := newDevice(t, func(cfg *Config) {
		cfg.HandshakeTimeout = time.Minute
		cfg.DialContext = func(ctx context.Context, network, address string) (net.Conn, error) {
			if _, p, _ := net.SplitHostPort(address); p != "80" {
				return (&hostNet{}).dial(ctx, network, address)
			}
			dialled.Add(1)
			return neverThere(ctx, network, address)
		}
	})
	c := newClient(t, d)
	w := d.Writer()
	for _, thief := range sessions() {
		for i := range 2 * DefaultHandshakes / handshakeShare {
			send(t, w, clientSegment(thief, uint16(10000+i), 100, 0, header.TCPFlagSyn))
		}
	}
	for range 10 {
		conn, err := c.dialTCP(netip.AddrPortFrom(serverIP, port))
		if err != nil {
			t.Fatalf("another client, while %d wait: %v", dialled.Load(), err)
		}
		defer conn.Close()
	}
}

// A user all of whose sessions send more than they may, of what is counted by the
// second, leaves others room.
func TestRatesLeaveRoom(t *testing.T) {
	for name, r := range map[string]echoRate{
		"echoes":   {total: DefaultEchoesPerSecond, perSource: DefaultEchoesPerSource},
		"errors":   {total: maxErrors, perSource: maxErrorsPerSource},
		"mappings": {total: opensInTotal, perSource: opensPerSecond},
	} {
		r.sources = make(map[netip.Addr]echoes)
		now := time.Unix(1, 0)
		for _, thief := range append(sessions(), pool.Addr(), pool.Addr().Next()) {
			for range 2 * r.perSource {
				r.admit(thief, 0, now)
			}
		}
		for i := range 20 {
			if !r.admit(netip.AddrFrom4([4]byte{10, 100, 1, byte(10 + i)}), 0, now) {
				t.Errorf("%s: %d of %d are taken, and none is left", name, r.count, r.total)
			}
		}
	}
}

// A user all of whose sessions send to ever new destinations leaves others room among
// those that wait to be judged.
func TestNewDestinationsLeaveRoom(t *testing.T) {
	d := newDevice(t, nil)
	j := newJudge(d) // which nobody runs: it is slow
	ask := func(h *holder) bool {
		before := len(j.waiting)
		j.ask(&mapping{holder: h}, heading{}, nil)
		return len(j.waiting) > before
	}
	for _, thief := range sessions() {
		h := &holder{table: d.udp, client: thief}
		for range 2 * maxJudgedPerSource {
			ask(h)
		}
	}
	other := &holder{table: d.udp, client: clientIP}
	for range 10 {
		if !ask(other) {
			t.Fatalf("%d wait, and there is no room for another client", len(j.waiting))
		}
	}
}

// Users whose sessions all hold as many connections as they may leave others room.
func TestHoldingConnectionsLeavesRoom(t *testing.T) {
	d := newDevice(t, func(cfg *Config) { cfg.Flows, cfg.FlowsPerSource, cfg.Handshakes = 512, 64, 1<<20 })
	port := uint16(0)
	open := func(client netip.Addr) bool {
		port++
		f, fresh := d.flows.open(flowKey{tcp: true, id: stack.TransportEndpointID{
			LocalPort: 80, LocalAddress: addressOf(serverIP), RemotePort: port, RemoteAddress: addressOf(client)}}, time.Hour)
		if fresh {
			t.Cleanup(func() { d.flows.end(f) })
		}
		return fresh
	}
	for _, thief := range sessions() {
		for range 100 {
			open(thief)
		}
	}
	for i := range 10 {
		if !open(clientAt(i)) {
			t.Errorf("%d connections leave no room for another client's first", d.flows.count())
		}
	}
}
