package netstack

import (
	"io"
	"net"
	"net/netip"
	"testing"

	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/adapters/gonet"
	"gvisor.dev/gvisor/pkg/tcpip/network/ipv4"
	"gvisor.dev/gvisor/pkg/tcpip/transport/tcp"
)

func bufferMax(t *testing.T, d *Device) (receive, send int) {
	t.Helper()
	var r tcpip.TCPReceiveBufferSizeRangeOption
	if err := d.stack.TransportProtocolOption(tcp.ProtocolNumber, &r); err != nil {
		t.Fatal(err)
	}
	return r.Max, d.stack.TCPSendBufferLimits().Max
}

func TestAllowanceShrinksAndGrows(t *testing.T) {
	d := newDevice(t, func(cfg *Config) { cfg.Buffers = 100 << 20 })
	s := share{of: &d.allowance}
	for _, step := range []struct{ grown, max int }{
		{0, maxBuffer}, {49 << 20, maxBuffer}, {51 << 20, maxBuffer / 4}, {80 << 20, maxBuffer / 16},
		{100 << 20, defaultBuffer}, {400 << 20, defaultBuffer}, {60 << 20, maxBuffer / 4}, {-1, maxBuffer},
	} {
		s.set(int64(defaultBuffer + step.grown))
		if receive, send := bufferMax(t, d); receive != step.max || send != step.max {
			t.Errorf("%d MB grown: %d and %d bytes, want %d", step.grown>>20, receive, send, step.max)
		}
	}
}

// A connection that carries much grows its buffers, and gives back what it has
// grown by.
func TestBuffersFollowTheFlow(t *testing.T) {
	port := listenTCP(t, func(conn net.Conn) {
		piece := make([]byte, benchPiece)
		for {
			if _, err := conn.Write(piece); err != nil {
				return
			}
		}
	})
	d := newBenchDevice(t)
	c := newTwin(t, d)
	conn, err := gonet.DialTCP(c.stack, full(netip.AddrPortFrom(serverIP, port)), ipv4.ProtocolNumber)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.CopyN(io.Discard, conn, 64<<20); err != nil {
		t.Fatal(err)
	}
	grown := func() int {
		d.allowance.mu.Lock()
		defer d.allowance.mu.Unlock()
		return d.allowance.grown
	}
	if n := grown(); n <= 0 || n > maxBuffer {
		t.Errorf("grown by %d bytes", n)
	}
	conn.Close()
	wantFlows(t, d, 0)
	if n := grown(); n != 0 {
		t.Errorf("%d bytes are not given back", n)
	}
}
