package gateway

import (
	"context"
	"testing"
	"time"

	"github.com/culvert-vpn/culvert/dataplane"
	"github.com/culvert-vpn/culvert/esp"
	"github.com/culvert-vpn/culvert/internal/dialer"
	"github.com/culvert-vpn/culvert/internal/engine"
)

// forgetSelectors has a gateway send and take whatever there is, as a client would that
// does not mean to keep to what was agreed on.
func forgetSelectors(g *engine.Engine, t *testing.T) {
	t.Helper()
	err := g.Work.Do(context.Background(), func(time.Time) {
		for _, p := range g.Table.Peers {
			for _, c := range p.Children {
				c.Only = nil
				g.Plane.RemoveSA(esp.SPI(c.In))
				g.Plane.AddSA(esp.SPI(c.In), c.SA)
			}
			g.Children.Reroute(p)
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
		dial []func(*dialer.DialConfig)
	}{
		"IKEv2": {testConfig + a.server(vpn), []func(*dialer.DialConfig){a.trusts(vpn)}},
		"XAUTH": {xauthConfig, []func(*dialer.DialConfig){byXAUTH}},
	} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, goodRoad, c.yaml+"    routes: [198.18.0.0/24]\n", func(t *testing.T, w *world) {
				client := w.client(nil)
				conn := client.mustDial(c.dial...)
				forgetSelectors(client.g.Engine, t)
				client.wantPing(conn, "198.18.0.2")
				if client.ping(conn, w.addr("198.19.0.2"), time.Second) {
					t.Error("it reaches a network that is not among its routes")
				}
				if n := w.server.server.engine.Plane.Drops()[dataplane.DropSelector]; n == 0 {
					t.Errorf("%d packets counted", n)
				}
			})
		})
	}
}
