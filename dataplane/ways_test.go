package dataplane

import (
	"net/netip"
	"testing"

	"github.com/culvert-vpn/culvert/esp"
)

// TestWays: in tunnel mode a packet goes on the SA for its networks, and on none
// where there is none for it.
func TestWays(t *testing.T) {
	r := newRig(t, 20, 256, 0)
	e, _ := r.peer.Encapsulation()
	first := e.Out
	network := func(local, remote string) *Selectors {
		return &Selectors{[]Range{rangeOf(local)}, []Range{rangeOf(remote)}}
	}
	transform := first.Transform()
	outbound := func(spi esp.SPI) *esp.Outbound {
		keys := esp.Keys{Encryption: make([]byte, transform.EncryptionKeyLen()), Integrity: make([]byte, transform.IntegrityKeyLen())}
		o, err := esp.NewOutbound(esp.OutboundConfig{SPI: spi, Transform: transform, Keys: keys})
		if err != nil {
			t.Fatal(err)
		}
		return o
	}
	a, b := outbound(3000), outbound(3001)
	e.Ways = []Way{{network("10.1.0.0/16", "0.0.0.0/0"), a}, {network("10.0.0.0/8", "10.9.0.2/32"), b}}
	if err := r.plane.Route(r.peer, e); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		from, to string
		want     *esp.Outbound
	}{{"10.1.2.3", "10.9.0.2", a}, {"10.1.2.3", "10.9.0.3", a}, {"10.2.0.1", "10.9.0.2", b}, {"10.2.0.1", "10.9.0.3", nil}, {"192.0.2.1", "10.9.0.2", nil}} {
		pkt := ipPacket(netip.MustParseAddr(tt.from), netip.MustParseAddr(tt.to), 60)
		if got := r.peer.route.Load().toward(pkt, first); got != tt.want {
			t.Errorf("%s to %s: another SA", tt.from, tt.to)
		}
	}
	if r.peer.route.Load().toward([]byte{0x45}, first) != nil {
		t.Error("what is no packet")
	}
}

// rangeOf is all traffic of a network of IPv4.
func rangeOf(network string) Range {
	p := netip.MustParsePrefix(network)
	last := p.Addr().As4()
	for bit := p.Bits(); bit < 32; bit++ {
		last[bit/8] |= 0x80 >> (bit % 8)
	}
	return Range{From: p.Addr(), To: netip.AddrFrom4(last), ToPort: 0xffff}
}
