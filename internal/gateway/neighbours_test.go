package gateway

import (
	"context"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/culvert-vpn/culvert/dataplane"
	"github.com/culvert-vpn/culvert/internal/config"
	"github.com/culvert-vpn/culvert/internal/dialer"
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
func byKeyAs(name string) func(*dialer.DialConfig) {
	return func(d *dialer.DialConfig) { d.V2, d.User = &dialer.DialV2{}, name }
}

// TestClientsOfATenant: whoever comes by L2TP, XAUTH or IKEv2 does not reach the
// others, also when the tenant's network would bring the packet
// back; everybody reaches the network. One key opens them to each other.
func TestClientsOfATenant(t *testing.T) {
	for name, open := range map[string]bool{"closed": false, "clients: open": true} {
		yaml := neighboursConfig
		if open {
			yaml += "    clients: open\n"
		}
		t.Run(name, func(t *testing.T) {
			inWorld(t, goodRoad, yaml, func(t *testing.T, w *world) {
				w.nets["acme"].turns(netip.MustParsePrefix("10.100.1.0/24"), netip.MustParsePrefix("2001:db8:1::/48"))
				var clients []*client
				var conns []*dialer.Connection
				for _, edit := range []func(*dialer.DialConfig){
					func(*dialer.DialConfig) {},
					func(d *dialer.DialConfig) { byXAUTH(d); d.User, d.Password = "bob", "bobpw" },
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
				if drops := w.server.server.engine.Plane.Drops()[dataplane.DropNeighbour]; drops > 0 == open {
					t.Errorf("%d dropped", drops)
				}
			})
		})
	}
}

// clientsAre is the line by which a tenant opens its clients to each other, or does not.
func clientsAre(open bool) string {
	if open {
		return "    clients: open\n"
	}
	return "    clients: isolated\n"
}

// TestReloadOpensClients: and closes them, without a session noticing.
func TestReloadOpensClients(t *testing.T) {
	inWorld(t, goodRoad, testConfig, func(t *testing.T, w *world) {
		alice, bob := w.client(nil), w.client(nil)
		conn, other := alice.mustDial(), bob.mustDial(func(d *dialer.DialConfig) { d.User, d.Password = "bob", "bobpw" })
		for _, open := range []bool{false, true, false} {
			next, err := config.Parse("test.yaml", []byte(testConfig+clientsAre(open)))
			if err != nil {
				t.Fatal(err)
			}
			next.Workers = 1
			if _, err := w.server.Apply(context.Background(), next); err != nil {
				t.Fatal(err)
			}
			if alice.ping(conn, other.Local, time.Second) != open {
				t.Errorf("%v: they reach each other: %v", open, !open)
			}
		}
	})
}

// besideConfig has tenants with devices of one kernel, which forwards between them,
// and one whose namespace is its own.
const besideConfig = `
listen: [203.0.113.1]
tenants:
  - {name: acme, default: true, match: {realms: [acme]}, psk: ["correct horse battery staple"], pool: [10.100.1.0/24],
     auth: {local: {users: [{name: alice, password: alicepw}]}}, egress: {tun: {device: tun-acme, allow: [10.100.4.0/24]}}}
  - {name: globex, match: {realms: [globex]}, psk: [another horse another staple], pool: [10.100.2.0/24, 10.100.4.0/24],
     auth: {local: {users: [{name: gina, password: ginapw12}]}}, egress: {tun: {device: tun-globex}}}
  - {name: initech, match: {realms: [initech]}, psk: [a third horse another staple], pool: [10.100.3.0/24],
     auth: {local: {users: [{name: ines, password: inespw12}]}}, egress: {tun: {device: tun-initech, netns: initech}}}
`

// TestTenantsBesideEachOther: clients do not reach those of a tenant whose device is
// in the same namespace, where the kernel would take them, unless that is opened by
// name. What a tenant in another namespace has is not in the way.
func TestTenantsBesideEachOther(t *testing.T) {
	inWorld(t, goodRoad, besideConfig, func(t *testing.T, w *world) {
		c := w.client(nil)
		conn := c.mustDial()
		for to, open := range map[string]bool{
			"10.100.2.2": false, "10.100.2.1": false, "10.100.4.7": true, "10.100.3.2": true, "198.18.0.2": true,
		} {
			if got := c.ping(conn, netip.MustParseAddr(to), time.Second); got != open {
				t.Errorf("%s is reached: %v", to, got)
			}
		}
		if drops := w.server.server.engine.Plane.Drops()[dataplane.DropDenied]; drops != 2 {
			t.Errorf("%d dropped", drops)
		}
	})
}
