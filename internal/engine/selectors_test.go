package engine

import (
	"net/netip"
	"testing"

	"github.com/culvert-vpn/culvert/dataplane"
	"github.com/culvert-vpn/culvert/esp"
	"github.com/culvert-vpn/culvert/ike"
)

// A peer may answer the renewal of a child SA with other networks than the first had. From then on
// nothing is sent in the old one, though it is for fewer packets and still receives.
func TestNothingIsSentInAChildSAThatWasReplaced(t *testing.T) {
	addr := netip.MustParsePrefix("10.0.0.2/32")
	made := func(in, replaces ike.SPI, remote netip.Prefix, used int) *Child {
		c := &Child{ChildTerms: ike.ChildTerms{In: in, Replaces: replaces}, Out: &esp.Outbound{}, active: true, used: int32(used)}
		c.Remote.Addr, c.Only = remote, &dataplane.Selectors{}
		c.RemoteTraffic = []ike.Range{{From: remote.Addr(), To: remote.Addr()}}
		return c
	}
	old, renewed := made(1, 0, addr, 1), made(2, 1, netip.MustParsePrefix("0.0.0.0/0"), 2)
	p := &Peer{TunnelMode: &Session{}, Children: map[ike.SPI]*Child{1: old, 2: renewed}, Current: renewed}
	if ways := p.Ways(); len(ways) != 1 || ways[0].Out != renewed.Out {
		t.Errorf("%d ways, the first of them the old one: %v", len(ways), ways[0].Out == old.Out)
	}
}
