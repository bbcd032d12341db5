package lab

import (
	"fmt"
	"os/exec"
	"strings"
	"sync/atomic"
	"testing"
)

// The addresses of every lab network.
const (
	gatewayAddr = "203.0.113.1" // the concentrator, as clients behind the NAT see it
	directAddr  = "192.0.2.1"   // the same for clients behind no NAT
	siteAddr    = "198.18.0.2"  // what users want to reach
	sitePrefix  = "198.18.0.0/24"
	siteName    = "site.lab"
	poolPrefix  = "10.100.0.0/16" // clients' inner addresses; the site knows the way back
)

// A network is three namespaces, wired to one another and to nothing else:
//
//	clients 10.77/16 -- nat (masquerades) -- 203.0.113/24 -- gw -- 198.18.0/24 -- inet
//	                                direct clients 192.0.2/24 --'
//
// Every test makes its own, with the same addresses in each. A bridge has a fixed address of its own:
// else it takes that of one of its taps, changes it whenever a client comes or goes, and cuts off the
// others until they have asked for it again.
type network struct {
	gw, nat, inet string
	clients       atomic.Int32 // numbers the taps
}

var networks atomic.Int32

func newNetwork(t *testing.T) *network {
	t.Helper()
	id := fmt.Sprintf("lab%d", networks.Add(1))
	n := &network{gw: id + "-gw", nat: id + "-nat", inet: id + "-inet"}
	for _, ns := range []string{n.gw, n.nat, n.inet} {
		addNamespace(t, ns)
	}
	ip(t, "", fmt.Sprintf(`
		link add pub netns %[1]s type veth peer name pub netns %[2]s
		link add lan netns %[1]s type veth peer name lan netns %[3]s`, n.gw, n.nat, n.inet))
	ip(t, n.gw, `
		addr add 203.0.113.1/24 dev pub
		addr add 198.18.0.1/24 dev lan
		link add br0 address 02:00:c0:00:02:01 type bridge
		addr add 192.0.2.1/24 dev br0
		link set pub up
		link set lan up
		link set br0 up`)
	ip(t, n.nat, `
		addr add 203.0.113.254/24 dev pub
		link add br0 address 02:00:0a:4d:00:01 type bridge
		addr add 10.77.0.1/16 dev br0
		link set pub up
		link set br0 up`)
	ip(t, n.inet, `
		addr add 198.18.0.2/24 dev lan
		link set lan up
		route add `+poolPrefix+` via 198.18.0.1`)
	nft := command(n.nat, "nft", "-f", "-")
	nft.Stdin = strings.NewReader(`table ip lab {
		chain post { type nat hook postrouting priority srcnat; oifname "pub" masquerade; }
	}`)
	if _, err := output(nft); err != nil {
		t.Fatal(err)
	}
	return n
}

// addNamespace makes a namespace that forwards, believes any source address, and goes with the test.
func addNamespace(t *testing.T, ns string) {
	t.Helper()
	ip(t, "", "netns add "+ns)
	t.Cleanup(func() { exec.Command("ip", "netns", "del", ns).Run() })
	ip(t, ns, "link set lo up")
	if _, err := output(command(ns, "sh", "-c", `cd /proc/sys/net/ipv4 &&
		echo 1 > ip_forward && echo 0 > conf/all/rp_filter && echo 0 > conf/default/rp_filter &&
		echo '0 2147483647' > ping_group_range`)); err != nil {
		t.Fatal(err)
	}
}

// ip runs lines of ip(8) in one namespace ("": the lab's outermost).
func ip(t *testing.T, ns, lines string) {
	t.Helper()
	cmd := exec.Command("ip", "-batch", "-")
	if ns != "" {
		cmd = exec.Command("ip", "-n", ns, "-batch", "-")
	}
	cmd.Stdin = strings.NewReader(lines + "\n")
	if _, err := output(cmd); err != nil {
		t.Fatal(err)
	}
}
