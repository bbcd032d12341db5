package lab

import "testing"

// ikedConf is one policy of iked.conf of a client.
func ikedConf(from, server, auth, more string) string {
	return `ikev2 "lab" active esp from ` + from + " to " + sitePrefix + " peer " + server + " " + more +
		" srcid " + auth + " request address any iface lo\n"
}

const (
	ikedByKey         = `somebody dstid ` + vpnName + ` lifetime 20 psk "` + labPSK + `"`
	ikedByCertificate = `carol dstid ` + vpnName + ` rsa`
	ikedDown          = `ikectl reset all; . /lab/guest/wait; pkill -x iked; gone() { ! pgrep -x iked; }; wait_for 10 gone
		ip addr flush dev lo scope global; ip route del ` + sitePrefix + `; true`
)

// iked starts OpenIKED with a policy, or fails with its log.
func (c *client) iked(t *testing.T, conf string) {
	t.Helper()
	c.put(map[string]string{"iked.conf": conf})
	must(t, c, dialTime, "sh /lab/guest/iked wait")
}

// ikedCredentials are the certificate and key of carol where OpenIKED looks for them.
func ikedCredentials(t *testing.T, dir string) map[string]string {
	return map[string]string{
		"iked/ca/ca.crt": content(t, dir, "ca.crt"), "iked/certs/carol.crt": content(t, dir, "carol.crt"),
		"iked/private/local.key": content(t, dir, "carol.key"),
	}
}

func openIKED(t *testing.T, m *matrix) {
	_, _, c, dir := interop(t)
	const name = "OpenIKED"
	c.tell(t, "tail -150 /tmp/iked.log; ip xfrm policy | grep -v socket; ip route; ip -o -4 addr; cat /etc/iked.conf")
	m.try(t, c, name, "from dynamic, key", func(t *testing.T) string {
		c.iked(t, ikedConf("dynamic", gatewayAddr, ikedByKey, ""))
		return carries(t, c, "openiked-dynamic")
	})
	renewed := renewal{"/tmp/iked.log", "spi=.*send CREATE_CHILD_SA re[qs]", 2}
	m.try(t, c, name, "keys renewed by the client", func(t *testing.T) string { return renews(t, c, 45, renewed) })
	m.try(t, c, name, "address over redial", func(t *testing.T) string {
		c.put(map[string]string{"iked.conf": ikedConf("0.0.0.0/0", gatewayAddr, ikedByKey, "")})
		// It says no goodbye. Who was heard a moment ago may be another device: no guess is made then.
		return keeps(t, c, ikedDown+"; sleep 22", "sh /lab/guest/iked wait")
	})
	must(t, c, dialTime, ikedDown)
	c.put(ikedCredentials(t, dir))
	m.try(t, c, name, "certificate", func(t *testing.T) string {
		c.iked(t, ikedConf("0.0.0.0/0", directAddr, ikedByCertificate, ""))
		return carries(t, c, "openiked-certificate")
	})
	m.try(t, c, name, "keys renewed by culvert", func(t *testing.T) string { return renews(t, c, 45, renewed) })
}
