package lab

import (
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"
)

var (
	ikeProposals = []string{
		"aes256-sha1-modp2048", "aes256-sha256-modp2048", "aes128-sha256-modp3072",
		"aes256-sha1-ecp384", "aes128-sha1-ecp256", "3des-sha1-modp1024",
	}
	espProposals = []string{"aes256-sha1", "aes128-sha256", "aes256-sha512", "aes128gcm16", "aes256gcm16"}
)

const legacyPSK = "labpsk-legacy"

// serveStrictAndLegacy starts a server with two tenants: who dials gatewayAddr meets the one
// with culvert's own policy, who dials directAddr the one that allows legacy algorithms.
func (n *network) serveStrictAndLegacy(t *testing.T) {
	t.Helper()
	strict := labTenant()
	strict.more = []string{"    match: {local: [" + gatewayAddr + "]}"}
	legacy := tenant{name: "legacy", psk: legacyPSK, pool: "10.100.2.0/24", egress: netstack}
	legacy.more = []string{"    match: {local: [" + directAddr + "]}", "    legacy: true"}
	n.serve(t, strict, legacy)
}

// Every IKE proposal with every ESP proposal carries traffic.
func TestProposals(t *testing.T) {
	t.Parallel()
	n := newNetwork(t)
	n.startSite(t)
	n.serveStrictAndLegacy(t)
	for i, ike := range ikeProposals {
		t.Run(ike, func(t *testing.T) {
			t.Parallel()
			d, p := alice(gatewayAddr), behindNAT
			if strings.HasPrefix(ike, "3des") {
				d, p = alice(directAddr), direct
				d.psk = legacyPSK
			}
			d.connections = nil
			for _, esp := range espProposals {
				d.connections = append(d.connections, connection{name: esp, ike: ike, esp: esp})
			}
			c := n.boot(t, p, 2+i)
			for _, esp := range espProposals {
				took := c.mustDial(d, esp)
				ping(t, c, siteAddr)
				c.hangUp(esp)
				t.Logf("%s with %s: up in %v", ike, esp, took)
			}
		})
	}
}

// What policy forbids is refused, in either phase, and the client is told why.
func TestForbiddenProposals(t *testing.T) {
	t.Parallel()
	n := newNetwork(t)
	n.startSite(t)
	n.serveStrictAndLegacy(t)
	c := n.boot(t, behindNAT, 2)
	d := alice(gatewayAddr)
	d.connections = nil
	for i, p := range []struct{ ike, esp string }{
		{"3des-sha1-modp1024", espDefault},
		{"3des-sha1-modp2048", espDefault},
		{"aes256-sha1-modp1024", espDefault},
		{"aes256-md5-modp2048", espDefault},
		{"des-sha1-modp2048", espDefault},
		{ikeDefault, "3des-sha1"},
		{ikeDefault, "aes256-md5"},
		{ikeDefault, "des-sha1"},
	} {
		d.connections = append(d.connections, connection{name: fmt.Sprintf("forbidden%d", i), ike: p.ike, esp: p.esp})
	}
	refusals := 0
	for _, forbidden := range d.connections {
		what := forbidden.ike + " with " + forbidden.esp
		if _, err := c.dial(d, forbidden.name); err == nil {
			t.Fatalf("%s: connected", what)
		}
		seen := c.count("received NO_PROPOSAL_CHOSEN")
		if seen == refusals {
			t.Errorf("%s: no NO_PROPOSAL_CHOSEN in\n%s", what, c.must(10*time.Second, "cat /tmp/charon.log"))
		}
		refusals = seen
		c.must(10*time.Second, "ipsec down "+forbidden.name)
	}
}

// count counts lines of charon's log.
func (c *client) count(pattern string) int {
	c.t.Helper()
	out, err := c.run(10*time.Second, "grep -c '"+pattern+"' /tmp/charon.log")
	n, bad := strconv.Atoi(out)
	if bad != nil {
		c.t.Fatalf("%s: grep %q: %q, %v", c.name, pattern, out, err)
	}
	return n
}
