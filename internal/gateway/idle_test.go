package gateway

import (
	"context"
	"net/netip"
	"testing"
	"time"

	"github.com/culvert-vpn/culvert/dataplane/simnet"
	"github.com/culvert-vpn/culvert/ike"
	"github.com/culvert-vpn/culvert/internal/dialer"
)

// onlyKey makes security associations with the tenant's key, and never logs in.
func (c *client) onlyKey(port uint16) {
	server := netip.MustParseAddr(serverAddr)
	c.w.within(c.g.Engine, func(now time.Time) {
		if _, err := c.g.Engine.IKE.Dial(now, ike.DialConfig{
			Path:     ike.Path{Local: netip.AddrPortFrom(c.local, 500), Remote: netip.AddrPortFrom(server, 500)},
			NATTPath: ike.Path{Local: netip.AddrPortFrom(c.local, port), Remote: netip.AddrPortFrom(server, 4500), NATT: true},
			PSK:      []byte(testPSK),
		}); err != nil {
			c.w.t.Error(err)
		}
	})
}

// peersOf are how many peers the server has, and how many of them are at an address.
func (w *world) peersOf(a netip.Addr) (all, there int) {
	w.within(w.server.server.engine, func(time.Time) {
		for _, p := range w.server.server.peers {
			if all++; p.Path.Remote.Addr() == a {
				there++
			}
		}
	})
	return all, there
}

// TestKeysWithoutUsersAreBounded: who has the key and is no user may keep security
// associations for a later call, as many as there is room for. Beyond that his network makes
// room: one of another network keeps its own, and users notice nothing.
func TestKeysWithoutUsersAreBounded(t *testing.T) {
	inWorld(t, simnet.Config{Latency: 10 * time.Millisecond}, testConfig, func(t *testing.T, w *world) {
		w.within(w.server.server.engine, func(time.Time) { w.server.server.maxIdle = 3 })
		conn := w.client(nil).mustDial()
		other := w.clientAt(netip.MustParseAddr("203.0.113.77"), w.net.Listen)
		other.onlyKey(4500)
		var one *client
		for range 8 {
			one = w.client(nil)
			one.onlyKey(4500)
		}
		time.Sleep(20 * time.Second)
		if all, _ := w.peersOf(one.local); all != 10 {
			t.Fatalf("%d peers at first", all)
		}
		later := w.client(nil).mustDial(func(d *dialer.DialConfig) { d.User, d.Password = "bob", "bobpw" })
		time.Sleep(20 * time.Second)
		all, there := w.peersOf(other.local)
		if all != 5 || there != 1 {
			t.Errorf("%d peers are left, %d of another network", all, there)
		}
		if n := len(w.sessions()); n != 2 {
			t.Errorf("%d users are in", n)
		}
		for _, c := range []*dialer.Connection{conn, later} {
			select {
			case <-c.Done():
				t.Error("a user was ended")
			default:
				c.Close(context.Background())
			}
		}
	})
}
