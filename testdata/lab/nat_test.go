package lab

import (
	"fmt"
	"net"
	"strconv"
	"strings"
	"testing"
	"time"
)

// The site's second address, and a network behind it that it says is not there.
const (
	otherAddr  = "198.18.0.3"
	lostPrefix = "198.18.5.0/24"
)

const mirrorPort = 3478

// playMirror answers a datagram with the address it came from, after as many seconds as it says.
func playMirror() error {
	for _, addr := range []string{siteAddr, otherAddr} {
		pc, err := net.ListenPacket("udp", net.JoinHostPort(addr, strconv.Itoa(mirrorPort)))
		if err != nil {
			return err
		}
		go func() {
			buf := make([]byte, 1500)
			for {
				n, from, err := pc.ReadFrom(buf)
				if err != nil {
					return
				}
				seconds, _ := strconv.Atoi(string(buf[:n]))
				time.AfterFunc(time.Duration(seconds)*time.Second, func() { pc.WriteTo([]byte(from.String()), from) })
			}
		}()
	}
	fmt.Println("mirror")
	select {}
}

// netstack is a NAT as clients need one: two hosts see one socket at one port, minutes of silence end
// nothing, and ICMP errors come from who has to say them.
func TestNetstackIsANAT(t *testing.T) {
	t.Parallel()
	n := newNetwork(t)
	n.startSite(t)
	ip(t, n.inet, "addr add "+otherAddr+"/24 dev lan\nroute add unreachable "+lostPrefix)
	ip(t, n.gw, "route add "+lostPrefix+" via "+siteAddr)
	background(t, "mirror", roleCommand(n.inet, "mirror"))
	n.serve(t, labTenant())
	c := n.boot(t, behindNAT, 2)
	c.mustDial(alice(gatewayAddr))
	c.must(10*time.Second, "ip route add "+lostPrefix+" dev ppp0")
	ping(t, c, siteAddr)
	c.must(10*time.Second, fmt.Sprintf("perl /lab/guest/udp %s,130 > /tmp/silence 2>&1 &", siteAddr))
	t.Run("mapping", func(t *testing.T) {
		out := strings.Fields(must(t, c, 20*time.Second, "perl /lab/guest/udp "+siteAddr+" "+otherAddr+" "+siteAddr))
		if len(out) != 9 || out[0] != siteAddr || out[3] != otherAddr || out[2] != out[5] || out[2] != out[8] {
			t.Errorf("hosts see one socket as %q", out)
		}
	})
	t.Run("TTL 1", func(t *testing.T) {
		wantSaid(t, c, "ping -n -c 1 -W 3 -t 1 "+siteAddr, "From 10.100.1.1 ", "Time to live exceeded")
		must(t, c, 10*time.Second, "ping -n -c 1 -W 3 -t 2 "+siteAddr)
	})
	t.Run("a host that is not there", func(t *testing.T) {
		wantSaid(t, c, "ping -n -c 1 -W 5 198.18.5.1", "From "+siteAddr+" ", "Destination Host Unreachable")
	})
	t.Run("a port that is not there", func(t *testing.T) {
		wantSaid(t, c, heard+`
			echo x | nc -u -w 2 `+otherAddr+` 9 > /dev/null; wait`, "IP "+otherAddr+" > ", "udp port 9 unreachable")
	})
	t.Run("a network that is not there, by UDP", func(t *testing.T) {
		wantSaid(t, c, heard+`
			echo x | nc -u -w 2 198.18.5.1 9 > /dev/null; wait`, "IP "+siteAddr+" > ", "host 198.18.5.1 unreachable")
	})
	t.Run("130 s of silence", func(t *testing.T) {
		c.must(3*time.Minute, ". /lab/guest/wait; said() { [ -s /tmp/silence ]; }; wait_for 150 said")
		if out := c.must(10*time.Second, "cat /tmp/silence"); !strings.HasPrefix(out, siteAddr+" says ") {
			t.Errorf("after 130 s: %s", out)
		}
	})
}

// heard begins a script that writes the next ICMP message that comes through ppp0.
const heard = `. /lab/guest/wait; rm -f /tmp/tcpdump.log
			timeout 20 tcpdump -n -l -c 1 -i ppp0 icmp 2> /tmp/tcpdump.log & wait_for 5 tcpdump_listens`

// wantSaid runs a script that may fail and demands some words of what it writes.
func wantSaid(t *testing.T, c *client, script string, words ...string) {
	t.Helper()
	out, _ := c.run(20*time.Second, script)
	for _, word := range words {
		if !strings.Contains(out, word) {
			t.Errorf("no %q in\n%s", word, out)
		}
	}
}
