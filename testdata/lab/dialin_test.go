package lab

import (
	"testing"
	"time"
)

// A stock client dials in, from behind a NAT and from behind none, through both kinds of egress:
// it reaches the site by address and by name, moves a big file both ways, and is told when the
// server goes.
func TestDialIn(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name   string
		place  place
		egress string
	}{
		{"nat/netstack", behindNAT, netstack},
		{"nat/tun", behindNAT, tunDevice},
		{"direct/netstack", direct, netstack},
		{"direct/tun", direct, tunDevice},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			dialIn(t, c.place, c.egress)
		})
	}
}

func dialIn(t *testing.T, p place, egress string) {
	n := newNetwork(t)
	n.startSite(t)
	lab := labTenant()
	lab.egress = egress
	s := n.serve(t, lab)
	c := n.boot(t, p, 2)
	c.mustDial(alice(p.server))
	ping(t, c, siteAddr)
	ping(t, c, "10.100.1.1")
	c.must(10*time.Second, `
		server=$(sed -n 's/^nameserver //p' /etc/ppp/resolv.conf | head -1)
		nslookup `+siteName+` $server | grep `+siteAddr)
	moveFile(t, c, c.name, bigFile)
	measure(t, c, c.name, 4)
	if took := s.stop(t); took > 5*time.Second {
		t.Errorf("culvert took %v to end", took)
	}
	c.must(10*time.Second, ". /lab/guest/wait; wait_for 5 site_cut")
}

// Two clients behind one address are two clients.
func TestTwoBehindOneNAT(t *testing.T) {
	t.Parallel()
	n := newNetwork(t)
	n.startSite(t)
	n.serve(t, labTenant())
	for i, user := range []string{"alice", "bob"} {
		t.Run(user, func(t *testing.T) {
			t.Parallel()
			c := n.boot(t, behindNAT, 2+i)
			d := alice(gatewayAddr)
			d.user, d.password = user, user+"pw"
			c.mustDial(d)
			ping(t, c, siteAddr)
			moveFile(t, c, c.name, bigFile)
		})
	}
}
