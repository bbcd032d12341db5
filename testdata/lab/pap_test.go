package lab

import "testing"

// pppd that knows nothing but PAP logs in where the tenant allows it, alone or beside others.
func TestPAPInsidePPP(t *testing.T) {
	t.Parallel()
	for name, allow := range map[string]string{"alone": "pap", "beside": "mschapv2, pap"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			n := newNetwork(t)
			n.startSite(t)
			lab := labTenant()
			lab.allow = allow
			n.serve(t, lab)
			c := n.boot(t, behindNAT, 2)
			d := alice(gatewayAddr)
			d.ppp = append(d.ppp, "refuse-mschap-v2", "refuse-mschap", "refuse-chap")
			c.mustDial(d)
			ping(t, c, siteAddr)
			c.must(dialTime, "grep -q 'PAP AuthAck' /tmp/pppd.log")
		})
	}
}
