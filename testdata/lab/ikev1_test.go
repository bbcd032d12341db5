package lab

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"time"
)

const labGroup = "field-staff"

// groupTenant is the lab's tenant with certificates and a group.
func groupTenant(dir string) tenant {
	lab := certified(dir)
	lab.more = append(lab.more, "    identity: "+vpnName, "    match: {groups: ["+labGroup+"]}")
	return lab
}

// strongSwan dials L2TP with RSA certificates in place of the key, and with a group's key in aggressive
// mode; each time files go both ways. Neither side's certificate fits into a datagram, so that both
// send message 5 and 6 in fragments.
func TestIKEv1Phase1(t *testing.T) {
	t.Parallel()
	n := newNetwork(t)
	n.startSite(t)
	dir := authority(t)
	n.serve(t, groupTenant(dir))
	c := n.boot(t, behindNAT, 2)
	d := alice(gatewayAddr)
	d.authority = dir
	d.connections = []connection{
		{name: "rsa", ike: ikeDefault, esp: espDefault, lines: []string{"authby=rsasig", "leftcert=carol.crt", "rightid=" + vpnName}},
		{name: "group", ike: ikeDefault, esp: espDefault, lines: []string{"aggressive=yes", "leftid=keyid:" + labGroup}},
	}
	for _, x := range []struct{ conn, log string }{
		{"rsa", "splitting IKE message.* && received fragment #2"},
		{"group", "generating AGGRESSIVE request 0"},
	} {
		c.mustDial(d, x.conn)
		ping(t, c, siteAddr)
		moveFile(t, c, c.name+" "+x.conn, someFile)
		for want := range strings.SplitSeq(x.log, " && ") {
			c.must(10*time.Second, "grep -q '"+want+"' /tmp/charon.log")
		}
		c.hangUp(x.conn)
	}
}

// culvert connect dials culvert serve in the same ways.
func TestConnectIKEv1(t *testing.T) {
	t.Parallel()
	n := newNetwork(t)
	n.startSite(t)
	dir := authority(t)
	s := n.serve(t, groupTenant(dir))
	lan, home := n.customer(t, 2)
	for i, flags := range [][]string{
		{"--ca", dir + "/ca.crt", "--cert", dir + "/carol.crt", "--key", dir + "/carol.key"},
		{"--psk", "env:LAB_PSK", "--group", labGroup},
	} {
		device := fmt.Sprintf("tun%d", i+1)
		cmd := command(lan, append([]string{os.Getenv(envCulvert), "connect", gatewayAddr, "--netns", home, "--device", device,
			"--local", customerHost(i), "--user", "alice", "--password", "env:LAB_PASSWORD"}, flags...)...)
		cmd.Env = append(os.Environ(), "LAB_PSK="+labPSK, "LAB_PASSWORD=alicepw")
		background(t, "connect-"+device, cmd)
		within(t, 30*time.Second, device+" is up", func() bool { return devices(home) == i+1 })
		ip(t, home, "route replace "+sitePrefix+" dev "+device)
		ping(t, treeShell{home}, siteAddr)
		moveFile(t, treeShell{home}, "connect-"+device, someFile)
	}
	log, err := os.ReadFile(s.path("log"))
	if err != nil || strings.Contains(string(log), "ike-refused") {
		t.Errorf("an attempt was refused (%v)", err)
	}
}

// ike-scan begins aggressive mode, and psk-crack tries keys on the answer: that to a group there is was
// made with its key, which shows the risk, and that to a group there is not with none that is known.
func TestScannerTriesGroups(t *testing.T) {
	t.Parallel()
	n := newNetwork(t)
	lab := labTenant()
	lab.more = []string{"    match: {groups: [" + labGroup + "]}"}
	n.serve(t, lab)
	for group, want := range map[string]string{labGroup: `key "` + labPSK + `" matches SHA1 hash`, "nobody": "no match found"} {
		out := must(t, treeShell{n.inet}, 30*time.Second, "ip route replace 203.0.113.0/24 via 198.18.0.1 && cd /tmp && "+
			"ike-scan --aggressive --id="+group+" --dhgroup=14 --pskcrack=hash --trans='(1=7,14=256,2=2,3=1,4=14,11=1,12=28800)' "+gatewayAddr+
			" && printf 'password\\n"+labPSK+"\\n' > words && psk-crack -d words hash")
		for _, want := range []string{"Aggressive Mode Handshake returned", "KeyExchange(256 bytes)", want} {
			if !strings.Contains(out, want) {
				t.Errorf("%s: no %q in\n%s", group, want, out)
			}
		}
	}
}
