package lab

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// A tenant with routes gets only those from its clients, though they ask for everything: strongSwan
// is told the networks and the DNS server, and what is not in them goes past the tunnel. Then
// charon-cmd dials, which is a client of its own.
func TestSplitTunnel(t *testing.T) {
	t.Parallel()
	n := newNetwork(t)
	n.startSite(t)
	dir := authority(t)
	lab := certified(dir)
	lab.more = append(lab.more, "    routes: ["+sitePrefix+", 172.16.128.0/17]", "    domains: [corp.example]")
	n.serve(t, lab)
	c := n.boot(t, behindNAT, 2)
	c.tellOnFailure(t)
	c.mustTunnel(byEAP, dir, "rightsubnet=0.0.0.0/0")
	ping(t, c, siteAddr)
	for what, script := range map[string]string{
		"the routes are in the tunnel": "ip route show table 220 | grep -q '^198.18.0.0/24' && ip route show table 220 | grep -q '^172.16.128.0/17'",
		"nothing else is":              "! ip route show table 220 | grep -q default && ip route get 8.8.8.8 | grep -q 'via 10.77.0.1'",
		"the DNS server is known":      "grep -q 'nameserver 10.100.1.1 ' /etc/resolv.conf",
		"it knows the site":            "nslookup " + siteName + " | grep -q " + siteAddr,
		"the networks were told":       `grep -q 'parsed IKE_AUTH response 5 .*CPRP(ADDR DNS SUBNET SUBNET)' /tmp/charon.log`,
		"selectors were narrowed":      `grep -q 'CHILD_SA lab{1} established.* === .*172.16.128.0/17.* 198.18.0.0/24\|CHILD_SA lab{1} established.* === .*198.18.0.0/24.*172.16.128.0/17' /tmp/charon.log`,
	} {
		if out, err := c.run(20*time.Second, script); err != nil {
			t.Errorf("not so: %s: %v %s", what, err, out)
		}
	}
	c.must(20*time.Second, `
		ipsec stop; . /lab/guest/wait; stopped() { ! pgrep -x charon; }; wait_for 10 stopped
		sed 's/^charon /charon-cmd /; s/stroke vici updown//' /etc/strongswan.conf > /tmp/cmd.conf`)
	for _, x := range []struct{ profile, flags string }{
		{"ikev2-eap", "--identity alice"},
		{"ikev2-pub", "--identity carol --cert /etc/ipsec.d/certs/carol.crt --rsa /etc/ipsec.d/private/carol.key"},
	} {
		out := c.must(dialTime, fmt.Sprintf(`
			. /lab/guest/wait
			echo alicepw | STRONGSWAN_CONF=/tmp/cmd.conf charon-cmd --host %s --remote-identity %s --cert /etc/ipsec.d/cacerts/ca.crt --profile %s %s > /tmp/cmd.log 2>&1 &
			up() { ip route show table 220 | grep -q '^198.18.0.0/24'; }
			wait_for 15 up; ping -q -c 3 -i 0.2 -w 10 %s || cat /tmp/cmd.log
			pkill -x charon-cmd; gone() { ! pgrep -x charon-cmd; }; wait_for 10 gone`, gatewayAddr, vpnName, x.profile, x.flags, siteAddr))
		if !strings.Contains(out, " 0% packet loss") {
			t.Errorf("charon-cmd with %s: %s", x.profile, out)
		}
	}
}

// L2TP goes over IKEv2 in transport mode too, as NetworkManager-l2tp offers it, from behind a NAT
// and from behind none.
func TestL2TPOverIKEv2(t *testing.T) {
	t.Parallel()
	for _, p := range []place{behindNAT, direct} {
		t.Run(p.name, func(t *testing.T) {
			t.Parallel()
			n := newNetwork(t)
			n.startSite(t)
			s := n.serve(t, labTenant())
			c := n.boot(t, p, 2)
			c.tellOnFailure(t)
			d := alice(p.server)
			d.connections[0].lines = []string{"keyexchange=ikev2"}
			c.mustDial(d)
			ping(t, c, siteAddr)
			moveFile(t, c, p.name, someFile)
			c.must(10*time.Second, "ipsec statusall | grep -q 'lab.*INSTALLED, TRANSPORT.*ESP in UDP' && ipsec statusall | grep -q 'IKEv2 SPIs'")
			c.hangUp("lab")
			within(t, 10*time.Second, "the server has seen the client go", func() bool { return strings.Contains(s.log(t), "peer-down") })
		})
	}
}
