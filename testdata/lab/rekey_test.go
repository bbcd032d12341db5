package lab

import (
	"fmt"
	"regexp"
	"testing"
	"time"
)

// Keys change every few seconds, in both phases and both versions of IKE, and no packet is lost. It
// counts packets, so no other lab runs beside these: a client that gets no processor loses some.
func TestRekeyLosesNothing(t *testing.T) {
	t.Run("ikev1", rekeyIKEv1)
	t.Run("ikev2", rekeyIKEv2)
}

// rekeyIKEv1: first the client renews the keys, then the server.
func rekeyIKEv1(t *testing.T) {
	t.Parallel()
	t.Run("client", func(t *testing.T) {
		t.Parallel()
		rekey(t, labTenant(),
			"lifetime=20s", "ikelifetime=45s", "margintime=5s", "rekeyfuzz=0%")
	})
	t.Run("server", func(t *testing.T) {
		t.Parallel()
		lab := labTenant()
		lab.more = []string{"    ike: {lifetime: 45s, child_lifetime: 20s, rekey: {initiate: true}}"}
		rekey(t, lab, "lifetime=23h", "ikelifetime=23h", "rekey=no", "reauth=no")
	})
}

const (
	rekeyPings = 1800 // at 0.1 s
	// Of each phase there are at least this many SAs in that time.
	rekeyIKESAs, rekeyChildSAs = 4, 9
)

var pinged = regexp.MustCompile(`(\d+) packets transmitted, (\d+) received, 0% packet loss`)

func rekey(t *testing.T, lab tenant, lifetimes ...string) {
	n := newNetwork(t)
	n.startSite(t)
	n.serve(t, lab)
	c := n.boot(t, behindNAT, 2)
	d := alice(gatewayAddr)
	d.connections[0].lines = lifetimes
	c.mustDial(d)
	out, err := c.run(5*time.Minute, fmt.Sprintf("ping -q -i 0.1 -c %d -W 10 %s", rekeyPings, siteAddr))
	ike, child := c.count("IKE_SA lab.* established between"), c.count("CHILD_SA lab.* established with")
	t.Logf("%d IKE SAs, %d child SAs: %s", ike, child, out)
	if m := pinged.FindStringSubmatch(out); err != nil || m == nil || m[1] != m[2] {
		t.Errorf("packets were lost: %v\n%s", err, c.must(10*time.Second, "cat /tmp/charon.log"))
	}
	if ike < rekeyIKESAs || child < rekeyChildSAs {
		t.Errorf("too few SAs for this to show anything:\n%s", c.must(10*time.Second, "cat /tmp/charon.log"))
	}
}
