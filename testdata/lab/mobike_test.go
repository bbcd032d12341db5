package lab

import (
	"fmt"
	"regexp"
	"strings"
	"testing"
	"time"
)

// air makes the network of direct clients reach to where the clients behind the NAT are, as a
// second bridge.
func (n *network) air(t *testing.T) {
	t.Helper()
	ip(t, "", fmt.Sprintf("link add air netns %s type veth peer name air netns %s", n.gw, n.nat))
	ip(t, n.gw, "link set air master br0 up")
	ip(t, n.nat, "link add br1 address 02:00:0a:4d:00:02 type bridge\nlink set br1 up\nlink set air master br1 up")
}

// roam takes a client behind the NAT out of its network and into another, there to be host number
// `host`: what a telephone does that leaves the house.
func (n *network) roam(t *testing.T, c *client, to place, host int) {
	t.Helper()
	bridge := "br0"
	if to.name == direct.name {
		bridge = "br1"
	}
	ip(t, n.nat, fmt.Sprintf("link set %s master %s", c.tap, bridge))
	c.must(10*time.Second, fmt.Sprintf(`
		set -- $(ip -4 -o addr show dev vec0 | awk '{ print $4 }' | grep -v '/32')
		ip route del default
		ip addr del $1 dev vec0
		ip addr add %s%d/%d dev vec0
		ip route add default via %s`, to.prefix, host, to.bits, to.gateway))
}

// renumber gives the NAT another public address, and has it use other ports: whatever it knew of
// its clients it has forgotten.
func (n *network) renumber(t *testing.T, old, new string) {
	t.Helper()
	if _, err := output(command(n.nat, "nft", "flush chain ip lab post; add rule ip lab post oifname pub meta l4proto udp masquerade to :20000-30000")); err != nil {
		t.Fatal(err)
	}
	ip(t, n.nat, fmt.Sprintf("addr del %s/24 dev pub\naddr add %s/24 dev pub", old, new))
}

var peerMoved = regexp.MustCompile(`peer-moved.*"to": "([0-9.]+:[0-9]+)"`)

// moves lists where the server has seen a client go.
func (s *server) moves(t *testing.T) (list []string) {
	t.Helper()
	for _, m := range peerMoved.FindAllStringSubmatch(s.log(t), -1) {
		list = append(list, m[1])
	}
	return list
}

// A file comes and another goes, each over one TCP connection, while the client changes from one
// network to another and back, from behind a NAT to behind none, and while its NAT gets another
// address. Nothing breaks.
func TestMobike(t *testing.T) {
	t.Parallel()
	n := newNetwork(t)
	n.startSite(t)
	n.air(t)
	dir := authority(t)
	s := n.serve(t, certified(dir))
	c := n.boot(t, behindNAT, 2)
	c.tellOnFailure(t)
	c.mustTunnel(byEAP, dir)
	const size = 40_000_000
	c.must(10*time.Second, fmt.Sprintf(`
		curl -sS -f --limit-rate 2M 'http://%[1]s/file?bytes=%[2]d' > /tmp/down 2> /tmp/down.log &
		mkfifo /tmp/copy
		sha256sum < /tmp/copy > /tmp/sum &
		head -c %[2]d /dev/urandom | tee /tmp/copy | curl -sS -f --limit-rate 2M -T - http://%[1]s/upload > /tmp/up 2> /tmp/up.log &`, siteAddr, size))

	flowing := func() {
		t.Helper()
		c.must(45*time.Second, `
			. /lab/guest/wait
			at() { echo $(stat -c %s /tmp/down) $(cat /proc/$(pgrep -f limit-rate.*upload)/io | awk '/^rchar/ { print $2 }'); }
			flows() { set -- $before $(at); [ $3 -gt $(($1 + 500000)) ] && [ $4 -gt $(($2 + 500000)) ]; }
			before=$(at); wait_for 40 flows || { echo "from $before to $(at)"; cat /tmp/charon.log; exit 1; }`)
	}
	flowing()
	for _, step := range []struct {
		move func()
		to   string
	}{
		{func() { n.roam(t, c, direct, 7) }, "192.0.2.7:"},
		{func() { n.roam(t, c, direct, 8) }, "192.0.2.8:"},
		{func() { n.roam(t, c, behindNAT, 9) }, "203.0.113.254:"},
		{func() { n.renumber(t, "203.0.113.254", "203.0.113.99") }, "203.0.113.99:"},
	} {
		step.move()
		start := time.Now()
		within(t, 40*time.Second, "the server has seen the client go to "+step.to, func() bool {
			moves := s.moves(t)
			return len(moves) > 0 && strings.HasPrefix(moves[len(moves)-1], step.to)
		})
		flowing()
		t.Logf("at %s and traffic flows after %.1f s", step.to, time.Since(start).Seconds())
	}
	out := c.must(time.Minute, `
		. /lab/guest/wait
		over() { ! pgrep -x curl; }
		wait_for 50 over; cat /tmp/down.log /tmp/up.log`)
	if out != "" {
		t.Fatalf("a connection broke: %s\n%v", out, s.moves(t))
	}
	wantSame(t, "down", c.must(time.Minute, fmt.Sprintf("sha256sum < /tmp/down | cut -d' ' -f1; curl -sS -f 'http://%s/sum?bytes=%d'", siteAddr, size)))
	wantSame(t, "up", c.must(10*time.Second, "cut -d' ' -f1 /tmp/sum; cat /tmp/up"))
	if used := c.count("IKE_SA lab.* established between"); used != 1 {
		t.Errorf("the client dialled %d times", used)
	}
	t.Logf("the client went to %v", s.moves(t))
}
