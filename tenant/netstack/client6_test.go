package netstack

import (
	"context"
	"net/netip"
	"testing"
	"time"

	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/stack"
)

func TestClientOf(t *testing.T) {
	for addr, want := range map[string]string{
		"10.0.0.7": "10.0.0.7", "2001:db8:1:5:a:b:c:d": "2001:db8:1:5::", "2001:db8:1:5::": "2001:db8:1:5::",
	} {
		if got := newClients(64).of(netip.MustParseAddr(addr)); got != netip.MustParseAddr(want) {
			t.Errorf("%s: %v", addr, got)
		}
	}
}

// TestFlowsOfOnePrefix: a client does not get more flows by using more of its addresses.
func TestFlowsOfOnePrefix(t *testing.T) {
	cfg, err := Config{Addresses: []netip.Prefix{netip.MustParsePrefix("2001:db8:1::1/48")}, FlowsPerSource: 10}.withDefaults()
	if err != nil {
		t.Fatal(err)
	}
	fs := newFlows(context.Background(), cfg, newClients(64))
	defer fs.close()
	opened := 0
	for i := range 30 {
		remote := netip.AddrFrom16([16]byte{0x20, 1, 0xd, 0xb8, 0, 1, 0, 5, 15: byte(i)})
		f, fresh := fs.open(flowKey{tcp: true, id: stack.TransportEndpointID{RemoteAddress: tcpip.AddrFrom16(remote.As16())}}, time.Minute)
		if fresh {
			opened++
			defer fs.end(f)
		}
	}
	if opened != 10 {
		t.Errorf("%d flows", opened)
	}
	fs.forget(fs.clients.of(netip.MustParseAddr("2001:db8:1:5::")))
	for _, f := range fs.all {
		if f.ctx.Err() == nil {
			t.Error("a flow is not forgotten")
		}
	}
}
