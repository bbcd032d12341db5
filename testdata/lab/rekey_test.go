package lab

import (
	"fmt"
	"regexp"
	"strings"
	"testing"
	"time"
)

const (
	rekeyPings = 1800 // at 0.1 s: three minutes
	// Both phases are renewed every 20 s or so. Of each there are at least this many SAs in that time.
	rekeySAs = 9
)

var pinged = regexp.MustCompile(`(\d+) packets transmitted, (\d+) received, 0% packet loss`)

// A rekeyer is a client whose keys are renewed all the time: by itself, by the server, or by both.
type rekeyer struct {
	*client
	name               string
	byClient, byServer bool
	pfs                bool
	far                bool // so far away that renewals of both sides cross
}

// Keys change every 20 seconds, in both phases and both versions of IKE, with and without PFS,
// started by the client and by the server, and no packet of three minutes is lost. All clients
// are there at the same time, and nothing else is: one that gets no processor loses packets.
func TestRekeyLosesNothing(t *testing.T) {
	clients := []*rekeyer{
		{name: "ikev1-client", byClient: true},
		{name: "ikev1-client-pfs", byClient: true, pfs: true},
		{name: "ikev1-server", byServer: true},
		{name: "ikev1-server-pfs", byServer: true, pfs: true},
		{name: "ikev2-client", byClient: true},
		{name: "ikev2-client-pfs", byClient: true, pfs: true},
		{name: "ikev2-server", byServer: true},
		{name: "ikev2-server-pfs", byServer: true, pfs: true},
		{name: "ikev2-both", byClient: true, byServer: true, far: true},
		{name: "ikev2-both-pfs", byClient: true, byServer: true, pfs: true, far: true},
	}
	for _, r := range clients {
		r.dialIn(t)
	}
	for _, r := range clients {
		r.must(10*time.Second, fmt.Sprintf("ping -q -i 0.1 -c %d -W 10 %s > /tmp/ping.out 2>&1 &", rekeyPings, siteAddr))
	}
	for _, r := range clients {
		r.must(5*time.Minute, ". /lab/guest/wait; pinged() { ! pgrep -x ping; }; wait_for 240 pinged")
	}
	for _, r := range clients {
		t.Run(r.name, r.check)
	}
}

func (r *rekeyer) dialIn(t *testing.T) {
	t.Helper()
	n := newNetwork(t)
	n.startSite(t)
	dir := authority(t)
	lab := certified(dir)
	if r.byServer {
		lab.more = append(lab.more, "    ike: {lifetime: 22s, child_lifetime: 21s, rekey: {initiate: true}}")
	}
	n.serve(t, lab)
	r.client = n.boot(t, behindNAT, 2)
	if strings.HasPrefix(r.name, "ikev2") {
		r.mustTunnel(byEAP, dir, append(r.lifetimes(), "esp="+r.esp("aes256gcm16")+"!")...)
		if r.far {
			r.must(10*time.Second, "modprobe sch_netem; tc qdisc add dev vec0 root netem delay 500ms limit 10000")
		}
		return
	}
	d := alice(gatewayAddr)
	d.connections[0].esp, d.connections[0].lines = r.esp(espDefault), r.lifetimes()
	r.mustDial(d)
}

// lifetimes are those of strongSwan. They differ by a second, so that the two phases are renewed
// at different times and, later, at the same. What is renewed lasts for 20 seconds more, in which
// it can be tried again.
func (r *rekeyer) lifetimes() []string {
	if r.byClient {
		return []string{"ikelifetime=40s", "lifetime=39s", "margintime=20s", "rekeyfuzz=0%", "reauth=no"}
	}
	return []string{"ikelifetime=23h", "lifetime=23h", "rekey=no", "reauth=no"}
}

func (r *rekeyer) esp(suite string) string {
	if r.pfs {
		suite += "-modp2048"
	}
	return suite
}

// check demands that no ping was lost, that the keys were renewed as often as they should have
// been, and that nothing of it is left over.
func (r *rekeyer) check(t *testing.T) {
	t.Cleanup(func() {
		if t.Failed() {
			t.Log(r.must(10*time.Second, "ipsec statusall; cat /tmp/charon.log"))
		}
	})
	out := r.must(10*time.Second, "cat /tmp/ping.out")
	ike := r.named("/tmp/charon.log", `IKE_SA lab.* \(established\|rekeyed\) between`, `lab\[[0-9]*\]`)
	child := r.named("/tmp/charon.log", "CHILD_SA lab.* established with", "lab{[0-9]*}")
	crossed := r.named("/tmp/charon.log", "REKEY collision", "[0-9:]*")
	t.Logf("%d IKE SAs, %d child SAs, %d renewals that crossed: %s", ike, child, crossed, out)
	if m := pinged.FindStringSubmatch(out); m == nil || m[1] != m[2] {
		t.Errorf("packets were lost")
	}
	if ike < rekeySAs || child < rekeySAs || r.far && crossed == 0 {
		t.Errorf("too few SAs for this to show anything")
	}
	if ike, child = r.left(); ike == 0 || child == 0 || ike > 2 || child > 2 {
		t.Errorf("left are %d IKE SAs and %d child SAs", ike, child)
	}
}

// left counts the SAs that stand: one of a kind, and perhaps what replaces it.
// One that is just being renewed states no SPI; that is over after some round
// trips, and so is a moment with more of them.
func (r *rekeyer) left() (ike, child int) {
	for range 10 {
		r.must(10*time.Second, "ipsec statusall > /tmp/status")
		ike, child = r.named("/tmp/status", "SPIs", `lab\[[0-9]*\]`), r.named("/tmp/status", "SPIs", `lab{[0-9]*}`)
		if ike > 0 && child > 0 && ike <= 2 && child <= 2 {
			break
		}
		time.Sleep(time.Second)
	}
	return ike, child
}

// named counts the SAs that lines of a file name.
func (r *rekeyer) named(file, line, sa string) int {
	out, _ := r.run(10*time.Second, fmt.Sprintf("grep '%s' %s | grep -o '%s' | sort -u", line, file, sa))
	return len(strings.Fields(out))
}
