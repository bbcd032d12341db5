package lab

import (
	"strings"
	"testing"
	"time"
)

// startSoftEther puts Debian's SoftEther VPN Server into the gateway's place, with L2TP over
// IPsec, the user alice, and its own address translation towards the site.
func (n *network) startSoftEther(t *testing.T) {
	t.Helper()
	background(t, "softether", treeCommand(n.gw, "/usr/libexec/softether/vpnserver/vpnserver", "execsvc"))
	within(t, 30*time.Second, "SoftEther listens", func() bool { return listens(n.gw, "127.0.0.1", 5555) })
	n.vpncmd(t, "", "IPsecEnable /L2TP:yes /L2TPRAW:no /ETHERIP:no /PSK:"+labPSK+" /DEFAULTHUB:DEFAULT")
	n.vpncmd(t, "/HUB:DEFAULT", "UserCreate alice /GROUP:none /REALNAME:none /NOTE:none")
	n.vpncmd(t, "/HUB:DEFAULT", "UserPasswordSet alice /PASSWORD:alicepw")
	n.vpncmd(t, "/HUB:DEFAULT", "SecureNatEnable")
}

// vpncmd gives one command to the SoftEther server, to the whole of it or to a hub.
func (n *network) vpncmd(t *testing.T, hub, line string) {
	t.Helper()
	args := strings.Fields("/usr/libexec/softether/vpncmd/vpncmd localhost:5555 /SERVER " + hub + " /CMD " + line)
	if _, err := output(treeCommand(n.gw, args...)); err != nil {
		t.Fatal(err)
	}
}

// The lab can tell a working server from a broken one: its stock client is at home with a
// server that is neither culvert nor related to it.
func TestStockClientDialsSoftEther(t *testing.T) {
	t.Parallel()
	n := newNetwork(t)
	n.startSite(t)
	n.startSoftEther(t)
	c := n.boot(t, behindNAT, 2)
	d := alice(gatewayAddr)
	d.connections[0].ike, d.connections[0].esp = "aes256-sha1-modp2048", "aes256-sha1"
	c.mustDial(d)
	ping(t, c, siteAddr)
	moveFile(t, c, c.name, someFile)
}
