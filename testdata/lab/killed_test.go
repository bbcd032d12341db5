package lab

import (
	"testing"
	"time"
)

// A client that vanished without a word dials again, from the same address and port, and is not
// made to wait for its old self to be forgotten. It compares times, so no other lab runs beside it.
func TestKilledClientDialsAgain(t *testing.T) {
	for _, p := range []place{behindNAT, direct} {
		t.Run(p.name, func(t *testing.T) {
			t.Parallel()
			n := newNetwork(t)
			n.startSite(t)
			n.serve(t, labTenant())
			first := n.boot(t, p, 2)
			alone := first.mustDial(alice(p.server))
			ping(t, first, siteAddr)
			first.kill()
			second := n.boot(t, p, 2)
			if took := second.mustDial(alice(p.server)); took > 2*alone+5*time.Second {
				t.Errorf("dialled in %v, and again in %v", alone, took)
			}
			ping(t, second, siteAddr)
		})
	}
}

// The server dies and starts again. A stock client set up to notice comes back by itself: charon
// by dead peer detection, pppd by its echoes, xl2tpd because it redials.
func TestKilledServerIsFoundAgain(t *testing.T) {
	t.Parallel()
	n := newNetwork(t)
	n.startSite(t)
	s := n.serve(t, labTenant())
	c := n.boot(t, behindNAT, 2)
	d := alice(gatewayAddr)
	d.connections[0].lines = []string{"dpdaction=restart", "dpddelay=2s", "dpdtimeout=6s", "keyingtries=%forever"}
	d.global = []string{"max retries = 1", "cap backoff = 1"}
	d.lac = []string{"redial = yes", "redial timeout = 1", "max redials = 1000"}
	d.ppp = []string{"lcp-echo-interval 1", "lcp-echo-failure 5", "lcp-max-terminate 1", "lcp-restart 1"}
	c.mustDial(d)
	ping(t, c, siteAddr)
	s.kill()
	start := time.Now()
	s.start(t)
	c.must(20*time.Second, ". /lab/guest/wait; wait_for 15 site_cut")
	t.Logf("the client noticed after %.1f s", time.Since(start).Seconds())
	_, err := c.run(time.Minute, ". /lab/guest/wait; wait_for 50 site_routed && ping -q -c 1 -w 5 "+siteAddr)
	took := time.Since(start)
	t.Logf("back after %.1f s", took.Seconds())
	if err != nil || took > time.Minute {
		t.Errorf("want it back within a minute: %v\n%s", err,
			c.must(10*time.Second, "cat /tmp/charon.log /tmp/xl2tpd.log /tmp/pppd.log"))
	}
	ping(t, c, siteAddr)
}
