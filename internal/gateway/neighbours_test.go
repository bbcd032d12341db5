package gateway

import (
	"context"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/culvert-vpn/culvert/dataplane"
	"github.com/culvert-vpn/culvert/internal/config"
	"github.com/culvert-vpn/culvert/tenant/ipkt"
)

// turns makes the tenant's network do what a kernel that forwards does: what is
// for a client comes back by the device it went into.
func (d *echoDevice) turns(pools ...netip.Prefix) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.first = func(pkt []byte) bool {
		ip, err := ipkt.Parse(pkt)
		for _, p := range pools {
			if err == nil && p.Contains(ip.Destination()) {
				d.send(pkt)
				return true
			}
		}
		return false
	}
}

// neighboursConfig has a tenant whose clients come by every protocol.
var neighboursConfig = strings.Replace(strings.Replace(ipv6Config, "auth: {", "auth: {allow: [mschapv2, xauth, ikev2-psk], ", 1),
	"    domains: [acme.example]\n", "", 1)

// byKeyAs dials by IKEv2 with the key alone.
func byKeyAs(name string) func(*DialConfig) {
	return func(d *DialConfig) { d.V2, d.User = &DialV2{}, name }
}

// TestClientsOfATenant: whoever comes by L2TP, XAUTH or IKEv2 does not reach the
// others, also when the tenant's network would bring the packet
// back; everybody reaches the network. One key opens them to each other.
func TestClientsOfATenant(t *testing.T) {
	for name, open := range map[string]bool{"closed": false, "client_to_client: true": true} {
		yaml := neighboursConfig
		if open {
			yaml += "    client_to_client: true\n"
		}
		t.Run(name, func(t *testing.T) {
			inWorld(t, goodRoad, yaml, func(t *testing.T, w *world) {
				w.nets["acme"].turns(netip.MustParsePrefix("10.100.1.0/24"), netip.MustParsePrefix("2001:db8:1::/48"))
				var clients []*client
				var conns []*Connection
				for _, edit := range []func(*DialConfig){
					func(*DialConfig) {},
					func(d *DialConfig) { byXAUTH(d); d.User, d.Password = "bob", "bobpw" },
					byKeyAs("carol"),
				} {
					c := w.client(nil)
					clients, conns = append(clients, c), append(conns, c.mustDial(edit))
				}
				for i, c := range clients {
					c.wantPing(conns[i], "198.18.0.2")
					for j, other := range conns {
						if i != j && c.ping(conns[i], other.Local, time.Second) != open {
							t.Errorf("%v reaches %v: %v", conns[i].Local, other.Local, !open)
						}
					}
				}
				if drops := w.server.plane.Drops()[dataplane.DropNeighbour]; drops > 0 == open {
					t.Errorf("%d dropped", drops)
				}
			})
		})
	}
}

// TestReloadOpensClients: and closes them, without a session noticing.
func TestReloadOpensClients(t *testing.T) {
	inWorld(t, goodRoad, testConfig, func(t *testing.T, w *world) {
		alice, bob := w.client(nil), w.client(nil)
		conn, other := alice.mustDial(), bob.mustDial(func(d *DialConfig) { d.User, d.Password = "bob", "bobpw" })
		for _, open := range []bool{false, true, false} {
			next, err := config.Parse("test.yaml", []byte(testConfig+fmt.Sprintf("    client_to_client: %v\n", open)))
			if err != nil {
				t.Fatal(err)
			}
			next.Workers = 1
			if err := w.server.Reload(context.Background(), next); err != nil {
				t.Fatal(err)
			}
			if alice.ping(conn, other.Local, time.Second) != open {
				t.Errorf("%v: they reach each other: %v", open, !open)
			}
		}
	})
}
