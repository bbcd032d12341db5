package lab

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"text/tabwriter"
	"time"
)

// A matrix is which client did what, case by case. It is printed when the test has ended.
type matrix struct {
	mu   sync.Mutex
	rows []string
}

func newMatrix(t *testing.T) *matrix {
	m := &matrix{}
	t.Cleanup(func() {
		var b strings.Builder
		w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
		for _, row := range m.rows {
			fmt.Fprintln(w, row)
		}
		w.Flush()
		t.Logf("client, case, result:\n%s", b.String())
	})
	return m
}

// try runs one case of a client and puts what it says, or that it failed, into the matrix.
func (m *matrix) try(t *testing.T, c *client, peer, name string, do func(t *testing.T) string) {
	t.Helper()
	t.Run(strings.ReplaceAll(name, " ", "_"), func(t *testing.T) {
		if c != nil {
			outer := c.t
			c.t = t
			defer func() { c.t = outer }()
		}
		result := "FAILED"
		defer func() {
			m.mu.Lock()
			defer m.mu.Unlock()
			m.rows = append(m.rows, peer+"\t"+name+"\t"+result)
		}()
		said := do(t)
		if !t.Failed() {
			result = said
		}
	})
}

// tell has a script's output be part of a failure.
func (c *client) tell(t *testing.T, script string) {
	t.Cleanup(func() {
		if t.Failed() {
			out, _ := c.run(10*time.Second, script)
			t.Log(out)
		}
	})
}

const interopFile = 20_000_000

// carries sends pings and files through a tunnel.
func carries(t *testing.T, s shell, name string) string {
	t.Helper()
	ping(t, s, siteAddr)
	moveFile(t, s, name, interopFile)
	return fmt.Sprintf("%d MB down and up, equal SHA-256", interopFile/1_000_000)
}

// A renewal is what shows that keys were renewed: a pattern of lines in a file, and how many there
// have to be.
type renewal struct {
	file, pattern string
	least         int
}

// renews pings for some seconds, in which the keys are to be renewed and nothing may be lost.
func renews(t *testing.T, c *client, seconds int, wanted ...renewal) string {
	t.Helper()
	return renewsBut(t, c, 0, seconds, wanted...)
}

// renewsBut lets the client lose so many packets: one that sends on an SA as soon as it has agreed to
// it is ahead of its own answer, and what comes before that is lost (RFC 7296, section 2.8).
func renewsBut(t *testing.T, c *client, lost, seconds int, wanted ...renewal) string {
	t.Helper()
	before := make([]int, len(wanted))
	for i, r := range wanted {
		before[i] = c.matches(r)
	}
	out := must(t, c, time.Duration(seconds+30)*time.Second, fmt.Sprintf("ping -q -i 0.2 -c %d -W 10 %s", 5*seconds, siteAddr))
	m := pinged.FindStringSubmatch(out)
	if m == nil {
		t.Errorf("no ping came to an end: %s", out)
		return ""
	}
	sent, _ := strconv.Atoi(m[1])
	received, _ := strconv.Atoi(m[2])
	if received < sent-lost {
		t.Errorf("packets were lost: %s", out)
		return ""
	}
	said := m[2] + " of " + m[1] + " pings"
	for i, r := range wanted {
		n := c.matches(r) - before[i]
		if n < r.least {
			t.Errorf("%d lines %q, want %d at least", n, r.pattern, r.least)
		}
		said += fmt.Sprintf(", %d renewals", n)
	}
	return said
}

func (c *client) matches(r renewal) int {
	c.t.Helper()
	var n int
	fmt.Sscan(c.must(10*time.Second, fmt.Sprintf("grep -c -e '%s' %s || true", r.pattern, r.file)), &n)
	return n
}

var innerAddr = regexp.MustCompile(`\b10\.100\.\d+\.\d+\b`)

// inner is the address that a client has in the tunnel; all of them, if there are more.
func (c *client) inner() string {
	c.t.Helper()
	list := innerAddr.FindAllString(c.must(10*time.Second, "ip -o -4 addr"), -1)
	slices.Sort(list)
	return strings.Join(slices.Compact(list), " ")
}

// keeps hangs up and dials again, and demands the address of before.
func keeps(t *testing.T, c *client, hangUp, dial string) string {
	t.Helper()
	first := c.inner()
	must(t, c, dialTime, hangUp)
	must(t, c, 3*dialTime, dial)
	ping(t, c, siteAddr)
	if second := c.inner(); first == "" || second != first {
		t.Errorf("had %q, and dialling again has %q", first, second)
	}
	return first + " again"
}

// interopTenants are what clients of all kinds dial: one that lets them renew the keys, at
// gatewayAddr, and one that renews them itself all the time, at directAddr, as the lifetimes there are.
func interopTenants(dir, lifetimes string) []tenant {
	list := make([]tenant, 2)
	for i := range list {
		lab := certified(dir)
		lab.allow = "mschapv2, eap-mschapv2, eap-tls, certificate, ikev2-psk, xauth"
		lab.more = append(lab.more, "    identity: "+vpnName, "    match: {local: ["+gatewayAddr+"], groups: [staff]}")
		list[i] = lab
	}
	brief := &list[1]
	brief.name, brief.pool, brief.psk = "brief", "10.100.2.0/24", labPSK
	brief.more[len(brief.more)-1] = "    match: {local: [" + directAddr + "], groups: [staff]}"
	brief.more = append(brief.more, "    ike: {"+lifetimes+", rekey: {initiate: true}}")
	return list
}

// interop makes a network with such a server and a client behind the NAT, from where both of its
// addresses can be reached.
func interop(t *testing.T) (n *network, s *server, c *client, dir string) {
	t.Helper()
	return interopOf(t, "lifetime: 30s, child_lifetime: 16s")
}

// interopOf is interop with other lifetimes.
func interopOf(t *testing.T, lifetimes string) (n *network, s *server, c *client, dir string) {
	t.Helper()
	n = newNetwork(t)
	n.startSite(t)
	ip(t, n.nat, "route add 192.0.2.0/24 via "+gatewayAddr)
	dir = authority(t)
	s = n.serve(t, interopTenants(dir, lifetimes)...)
	c = n.boot(t, behindNAT, 2)
	return n, s, c, dir
}

// content is what a file holds.
func content(t *testing.T, path ...string) string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(path...))
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// Clients that had not been tried when culvert was made dial in, send files both ways, renew keys and
// have them renewed, and keep their address when they dial again.
func TestInterop(t *testing.T) {
	t.Parallel()
	m := newMatrix(t)
	for name, group := range map[string]func(t *testing.T, m *matrix){
		"libreswan-ikev2": libreswanIKEv2,
		"libreswan-ikev1": libreswanIKEv1,
		"openiked":        openIKED,
		"networkmanager":  networkManager,
		"vpnc":            vpnc,
		"strongswan":      strongSwanOptions,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			group(t, m)
		})
	}
}
