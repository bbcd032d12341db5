package gateway

import (
	"context"
	"net/netip"
	"testing"
	"time"

	"github.com/culvert-vpn/culvert/dataplane"
	"github.com/culvert-vpn/culvert/esp"
	"github.com/culvert-vpn/culvert/ike"
)

// forgetSelectors has a gateway send and take whatever there is, as a client would that
// does not mean to keep to what was agreed on.
func (g *Gateway) forgetSelectors(t *testing.T) {
	t.Helper()
	err := g.do(context.Background(), func(time.Time) {
		for _, p := range g.peers {
			for _, c := range p.children {
				c.only = nil
				g.plane.RemoveSA(esp.SPI(c.In))
				g.plane.AddSA(esp.SPI(c.In), c.sa)
			}
			g.reroute(p)
		}
	})
	if err != nil {
		t.Fatal(err)
	}
}

// A client gets to the routes that it was given, and to nothing else, whatever it puts
// into its packets; by IKEv2 and by XAUTH.
func TestClientsKeepToTheirSelectors(t *testing.T) {
	a := newAuthority(t, "a")
	for name, c := range map[string]struct {
		yaml string
		dial []func(*DialConfig)
	}{
		"IKEv2": {testConfig + a.server(vpn), []func(*DialConfig){a.trusts(vpn)}},
		"XAUTH": {xauthConfig, []func(*DialConfig){byXAUTH}},
	} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, goodRoad, c.yaml+"    routes: [198.18.0.0/24]\n", func(t *testing.T, w *world) {
				client := w.client(nil)
				conn := client.mustDial(c.dial...)
				client.g.forgetSelectors(t)
				client.wantPing(conn, "198.18.0.2")
				if client.ping(conn, w.addr("198.19.0.2"), time.Second) {
					t.Error("it reaches a network that is not among its routes")
				}
				if n := w.server.plane.Drops()[dataplane.DropSelector]; n == 0 {
					t.Errorf("%d packets counted", n)
				}
			})
		})
	}
}

// A peer may answer the renewal of a child SA with other networks than the first had. From then on
// nothing is sent in the old one, though it is for fewer packets and still receives.
func TestNothingIsSentInAChildSAThatWasReplaced(t *testing.T) {
	addr := netip.MustParsePrefix("10.0.0.2/32")
	made := func(in, replaces ike.SPI, remote netip.Prefix, used int) *child {
		c := &child{ChildTerms: ike.ChildTerms{In: in, Replaces: replaces}, out: &esp.Outbound{}, active: true, used: int32(used)}
		c.Remote.Addr, c.only = remote, &dataplane.Selectors{}
		c.RemoteTraffic = []ike.Range{{From: remote.Addr(), To: remote.Addr()}}
		return c
	}
	old, renewed := made(1, 0, addr, 1), made(2, 1, netip.MustParsePrefix("0.0.0.0/0"), 2)
	p := &peer{tunnel: &session{}, children: map[ike.SPI]*child{1: old, 2: renewed}, current: renewed}
	if ways := p.ways(); len(ways) != 1 || ways[0].Out != renewed.out {
		t.Errorf("%d ways, the first of them the old one: %v", len(ways), ways[0].Out == old.out)
	}
}
