package lab

import (
	"testing"
	"time"
)

// certificateLines have strongSwan prove itself by carol's certificate, in main mode.
var certificateLines = []string{"authby=rsasig", "leftcert=carol.crt", "rightid=" + vpnName}

// strongSwan dials L2TP with RSA certificates in place of the key, and files go both ways. Neither
// side's certificate fits into a datagram, so that both send message 5 and 6 in fragments.
func TestL2TPWithCertificates(t *testing.T) {
	t.Parallel()
	n := newNetwork(t)
	n.startSite(t)
	dir := authority(t)
	lab := certified(dir)
	lab.more = append(lab.more, "    identity: "+vpnName)
	n.serve(t, lab)
	c := n.boot(t, behindNAT, 2)
	d := alice(gatewayAddr)
	d.authority = dir
	d.connections[0].lines = certificateLines
	c.mustDial(d)
	ping(t, c, siteAddr)
	moveFile(t, c, c.name, bigFile)
	c.must(10*time.Second, "ipsec statusall | tee /tmp/status; grep -q 'ESTABLISHED.*"+vpnName+"' /tmp/status && "+
		"grep -q 'splitting IKE message' /tmp/charon.log && grep -q 'received fragment #2' /tmp/charon.log")
}
