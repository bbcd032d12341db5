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
	"github.com/culvert-vpn/culvert/internal/dialer"
)

// Two policies of a tenant; who is in a group is all that they differ in.
const (
	policyOfOne = `    groups: {pingers: [alice]}
` + policyRules
	policyOfTwo = `    groups: {pingers: [Alice, bob]}
` + policyRules
	policyRules = `    policy:
      default: deny
      rules:
        - {name: ping, from: group:pingers, to: 198.18.0.0/24, ports: icmp, allow: true}
`
)

// TestPolicyHoldsForEveryWayIn: of L2TP, of IKEv1 and of IKEv2 without it; a change of rules
// holds for sessions that are up, and ends none.
func TestPolicyHoldsForEveryWayIn(t *testing.T) {
	inWorld(t, goodRoad, neighboursConfig+policyOfOne, func(t *testing.T, w *world) {
		names := []string{"alice", "bob", "carol"}
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
		check := func(policy string, reach ...bool) {
			t.Helper()
			next, err := config.Parse("test.yaml", []byte(neighboursConfig+policy))
			if err != nil {
				t.Fatal(err)
			}
			next.Workers = 1
			if _, err := w.server.Apply(context.Background(), next); err != nil {
				t.Fatal(err)
			}
			for i, c := range clients {
				if got := c.ping(conns[i], netip.MustParseAddr("198.18.0.2"), time.Second); got != reach[i] {
					t.Errorf("%s reaches the network: %v; %q", names[i], got, policy)
				}
			}
		}
		check(policyOfOne, true, false, false)
		if w.server.server.engine.Plane.Drops()[dataplane.DropDenied] == 0 {
			t.Error("nothing was denied")
		}
		check(policyOfTwo, true, true, false)
		time.Sleep(time.Minute)
		told := w.log.FilterMessage("flow-denied").All()
		if len(told) != 2 || !strings.Contains(fmt.Sprint(told[0].ContextMap()), "rule:default tenant:acme to:198.18.0.2:icmp/8 user:bob") {
			t.Errorf("%d lines of denials: %v", len(told), told)
		}
		check("", true, true, true)
		check(policyOfOne, true, false, false)
	})
}
