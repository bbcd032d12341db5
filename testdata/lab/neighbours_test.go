package lab

import (
	"strings"
	"testing"
	"time"
)

// Two users of one tenant do not reach each other, by L2TP as by IKEv2, through netstack as through
// a TUN device, and do where the tenant says so. The site is there for both all the time.
func TestUsersOfOneTenantReachEachOtherWhenTheyMay(t *testing.T) {
	t.Parallel()
	for _, egress := range []string{"netstack", "tun"} {
		for _, protocol := range []string{"l2tp", "ikev2"} {
			t.Run(egress+"/"+protocol, func(t *testing.T) {
				t.Parallel()
				n := newNetwork(t)
				n.startSite(t)
				ip(t, n.nat, "route add 192.0.2.0/24 via "+gatewayAddr)
				dir := authority(t)
				n.serve(t, neighbourhoods(dir, egress)...)
				a, b := n.boot(t, behindNAT, 2), n.boot(t, behindNAT, 3)
				for _, x := range []struct {
					server string
					open   bool
				}{{gatewayAddr, false}, {directAddr, true}} {
					first, second := a.joins(t, protocol, dir, "alice", x.server), b.joins(t, protocol, dir, "bob", x.server)
					ping(t, a, siteAddr)
					ping(t, b, siteAddr)
					wantReach(t, a, second, x.open)
					wantReach(t, b, first, x.open)
				}
			})
		}
	}
}

// neighbourhoods are a tenant as it is by itself, at gatewayAddr, and one that is open, at directAddr.
func neighbourhoods(dir, egress string) []tenant {
	closed, open := certified(dir), certified(dir)
	open.name, open.pool, open.psk = "open", "10.100.2.0/24", labPSK
	if egress == "tun" {
		closed.egress, open.egress = tunDevice, strings.Replace(tunDevice, "tun-lab", "tun-open", 1)
	}
	closed.more = append(closed.more, "    match: {local: ["+gatewayAddr+"]}")
	open.more = append(open.more, "    match: {local: ["+directAddr+"]}", "    clients: open")
	return []tenant{closed, open}
}

// joins dials as a user, for the first time or again to another server, and returns the address in the tunnel.
func (c *client) joins(t *testing.T, protocol, dir, user, server string) string {
	t.Helper()
	c.must(dialTime, `. /lab/guest/wait
		[ -e /run/charon.pid ] || exit 0
		pkill -x pppd; wait_for 5 ppp_gone; pkill -x xl2tpd; rm -f /run/xl2tpd/l2tp-control
		ipsec stop > /dev/null 2>&1; stopped() { ! pgrep -x charon; }; wait_for 10 stopped; rm -f /run/charon.pid`)
	if protocol == "l2tp" {
		d := alice(server)
		d.user, d.password = user, user+"pw"
		c.mustDial(d)
		c.must(10*time.Second, "ip route replace 10.100.0.0/16 dev ppp0")
		return strings.TrimSpace(c.must(10*time.Second, `ip -4 -o addr show dev ppp0 | sed 's/.*inet \([0-9.]*\).*/\1/'`))
	}
	way := byEAP.as("lab", "right="+server, "rightsubnet="+sitePrefix+","+poolPrefix, "eap_identity="+user)
	way.secret = user + ` : EAP "` + user + `pw"`
	c.mustTunnel(way, dir)
	return c.inner()
}

// wantReach pings another client and demands that it answers, or that it does not.
func wantReach(t *testing.T, c *client, to string, reach bool) {
	t.Helper()
	out, err := c.run(20*time.Second, "ping -n -c 3 -i 0.3 -W 2 "+to)
	if got := err == nil; got != reach || !strings.Contains(out, "3 packets transmitted") {
		t.Errorf("%s reaches %s: %v, want %v\n%s", c.name, to, got, reach, out)
	}
}

// One machine has two connections at once, two sections of xl2tpd under one IPsec SA, and both go on.
func TestTwoTunnelsOfOneMachine(t *testing.T) {
	t.Parallel()
	n := newNetwork(t)
	n.startSite(t)
	s := n.serve(t, labTenant())
	c := n.boot(t, behindNAT, 2)
	d := alice(gatewayAddr)
	// In its own process: Linux 6.1 hands the packets of both tunnels to one of their sockets, which takes those of one.
	d.global = []string{"force userspace = yes"}
	d.lac = []string{"[lac two]", "lns = " + gatewayAddr, "pppoptfile = /etc/ppp/two.options", "length bit = yes"}
	c.mustDial(d)
	ping(t, c, siteAddr)
	c.must(dialTime, `. /lab/guest/wait
		sed 's/name alice/name bob/; s/password alicepw/password bobpw/; s#/tmp/pppd.log#/tmp/pppd2.log#' /etc/ppp/lab.options > /etc/ppp/two.options
		chmod 600 /etc/ppp/two.options
		echo 'c two' > /run/xl2tpd/l2tp-control
		both() { [ $(ip -4 -o addr | grep -c 'ppp[01] .* 10\.100\.') = 2 ]; }
		wait_for 10 both || { cat /tmp/xl2tpd.log /tmp/pppd2.log; exit 12; }
		ip route replace 198.18.0.0/24 dev ppp0 metric 100; ip route replace 198.18.0.0/24 dev ppp1 metric 200`)
	for _, device := range []string{"ppp0", "ppp1", "ppp0"} {
		c.must(30*time.Second, "ping -q -c 20 -i 0.2 -w 15 -I "+device+" "+siteAddr)
	}
	users := map[string]int{}
	for _, x := range s.sessions(t) {
		users[x.User]++
	}
	if users["alice"] != 1 || users["bob"] != 1 {
		t.Errorf("the sessions are of %v", users)
	}
}
