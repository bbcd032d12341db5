package netstack

import (
	"net/netip"
	"testing"

	"gvisor.dev/gvisor/pkg/tcpip/header"
	"gvisor.dev/gvisor/pkg/tcpip/stack"

	"github.com/culvert-vpn/culvert/tenant/ipkt"
)

// A client that uses many addresses of its IPv6 prefix, and its IPv4 address, fills
// half of the queue like any other, and has one turn.
func TestAPrefixIsOneClientInTheQueue(t *testing.T) {
	d := newDevice(t, func(cfg *Config) {
		cfg.Addresses, cfg.ClientBits, cfg.Queue = append(cfg.Addresses, natGateway6), 64, minQueue
	})
	thief, other := netip.MustParsePrefix("2001:db8:f00:5::/64"), netip.MustParseAddr("2001:db8:f00:6::1")
	d.Join(clientIP, thief)
	q := d.link.queue
	fill := func(client netip.Addr, packets int) (n int) {
		for flow := range packets {
			payload := make([]byte, 1000)
			header.UDP(payload).SetSourcePort(uint16(flow))
			pkt := newPacket(quote(server6, client, ipkt.ProtocolUDP, payload)...)
			n += q.put([]*stack.PacketBuffer{pkt})
			pkt.DecRef()
		}
		return n
	}
	at := thief.Addr()
	for range 64 {
		at = at.Next()
		fill(at, 100)
	}
	if n := len(q.clients); n != 1 {
		t.Errorf("one client has %d turns", n)
	}
	if q.bytes > q.limit/2 {
		t.Errorf("one client has %d bytes of %d", q.bytes, q.limit)
	}
	if n := fill(other, 100); n < 20 {
		t.Errorf("room for %d packets of another client", n)
	}
}
