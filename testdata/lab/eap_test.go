package lab

import "testing"

// pppd that takes nothing but EAP logs in, with its method MSCHAPv2: at a tenant that allows it
// beside others, where pppd has to say so, and at one that allows it alone.
func TestEAPInsidePPP(t *testing.T) {
	t.Parallel()
	for name, allow := range map[string]string{"beside": "mschapv2, eap-mschapv2", "alone": "eap-mschapv2"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			n := newNetwork(t)
			n.startSite(t)
			lab := labTenant()
			lab.allow = allow
			n.serve(t, lab)
			c := n.boot(t, behindNAT, 2)
			d := alice(gatewayAddr)
			d.eap = true
			c.mustDial(d)
			ping(t, c, siteAddr)
			c.must(dialTime, "grep -q 'EAP.*Success' /tmp/pppd.log")
		})
	}
}
