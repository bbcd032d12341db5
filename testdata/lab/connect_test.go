package lab

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"time"
)

// A caller is one `culvert connect`.
type caller struct {
	server         string
	user, password string
	persona        string // empty: culvert's own
	netns, device  string // where the tunnel's device is made
	local          string // the address to dial from
}

// call starts a caller in a namespace; it runs until the test ends.
func (c caller) call(t *testing.T, ns string) {
	t.Helper()
	args := []string{os.Getenv(envCulvert), "connect", c.server,
		"--psk", "env:LAB_PSK", "--user", c.user, "--password", "env:LAB_PASSWORD",
		"--netns", c.netns, "--device", c.device, "--local", c.local}
	if c.persona != "" {
		args = append(args, "--persona", c.persona)
	}
	cmd := command(ns, args...)
	cmd.Env = append(os.Environ(), "LAB_PSK="+labPSK, "LAB_PASSWORD="+c.password)
	background(t, "connect-"+c.device, cmd)
}

// customer makes two namespaces of a customer's site: lan, whose addresses are behind the NAT,
// where callers run, and home, where their devices go.
func (n *network) customer(t *testing.T, hosts int) (lan, home string) {
	t.Helper()
	lan, home = n.nat+"-lan", n.nat+"-home"
	addNamespace(t, lan)
	addNamespace(t, home)
	ip(t, "", fmt.Sprintf("link add lan netns %s type veth peer name eth0 netns %s", n.nat, lan))
	ip(t, n.nat, "link set lan master br0 up")
	addresses := []string{"link set eth0 up"}
	for i := range hosts {
		addresses = append(addresses, "addr add "+customerHost(i)+"/16 dev eth0")
	}
	ip(t, lan, strings.Join(append(addresses, "route add default via 10.77.0.1"), "\n"))
	return lan, home
}

func customerHost(i int) string { return fmt.Sprintf("10.77.1.%d", i+1) }

// devices counts the tunnels in a namespace that are up and have an address.
func devices(ns string) int {
	out, err := output(command(ns, "ip", "-o", "-4", "addr", "show", "up"))
	if err != nil {
		return 0
	}
	return strings.Count(out, ": tun")
}

// culvert is a client too: it dials a server that is not its own, with what it offers by default and as
// Windows would.
func TestConnectDialsSoftEther(t *testing.T) {
	t.Parallel()
	n := newNetwork(t)
	n.startSite(t)
	n.startSoftEther(t)
	lan, home := n.customer(t, 2)
	for i, persona := range []string{"", "windows10"} {
		device := fmt.Sprintf("tun%d", i+1)
		caller{
			server: gatewayAddr, user: "alice", password: "alicepw", persona: persona,
			netns: home, device: device, local: customerHost(i),
		}.call(t, lan)
		within(t, 30*time.Second, device+" is up", func() bool { return devices(home) == i+1 })
		ip(t, home, "route replace "+sitePrefix+" dev "+device)
		ping(t, treeShell{home}, siteAddr)
		moveFile(t, treeShell{home}, "connect "+persona, interopFile)
	}
}

var personas = []string{"windows7", "windows10", "macos", "android", "chromeos", "mikrotik", "networkmanager"}

// Clients of every family share one public address, as in an office, and all are served.
func TestManyBehindOneNAT(t *testing.T) {
	t.Parallel()
	n := newNetwork(t)
	n.startSite(t)
	lab := labTenant()
	lab.more = []string{"    legacy: true"} // Android and Windows 7 offer nothing else
	s := n.serve(t, lab)
	lan, home := n.customer(t, userCount)
	start := time.Now()
	for i := range userCount {
		caller{
			server: gatewayAddr, user: fmt.Sprintf("user%d", i+1), password: fmt.Sprintf("user%dpw", i+1),
			persona: personas[i%len(personas)], netns: home, device: fmt.Sprintf("tun%d", i+1), local: customerHost(i),
		}.call(t, lan)
	}
	within(t, 3*time.Minute, "all tunnels are up", func() bool { return devices(home) == userCount })
	t.Logf("%d clients behind one address up in %.1f s", userCount, time.Since(start).Seconds())
	must(t, treeShell{home}, time.Minute, fmt.Sprintf(
		"seq %d | xargs -P 20 -I N ping -q -c 3 -i 0.2 -w 20 -I tunN %s", userCount, siteAddr))
	families := map[string]int{}
	for _, c := range s.sessions(t) {
		families[c.Family]++
	}
	total := 0
	for _, family := range []string{"windows7", "windows10", "apple", "android", "strongswan", "mikrotik"} {
		if total += families[family]; families[family] == 0 {
			t.Errorf("culvert recognised no %s among its clients", family)
		}
	}
	if total != userCount {
		t.Errorf("of %d clients: %v", userCount, families)
	}
}
