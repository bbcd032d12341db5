package lab

import (
	"fmt"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

// ike-scan, which knows IKE from elsewhere, gets an answer to what Windows 10 proposes first.
func TestScannerGetsAnAnswer(t *testing.T) {
	t.Parallel()
	n := newNetwork(t)
	n.serve(t, labTenant())
	out := must(t, treeShell{n.inet}, 30*time.Second,
		"ip route replace 203.0.113.0/24 via 198.18.0.1 && "+
			"ike-scan --multiline --trans='(1=7,14=256,2=2,3=1,4=14,11=1,12=28800)' "+gatewayAddr)
	for _, want := range []string{"1 returned handshake", "Enc=AES", "KeyLength=256", "Hash=SHA1", "Group=14:modp2048"} {
		if !strings.Contains(out, want) {
			t.Errorf("no %q in\n%s", want, out)
		}
	}
}

// tshark, which knows every layer from elsewhere, finds nothing malformed in a whole session:
// IKE as it is, then L2TP, PPP and IP with the keys from the client's kernel.
func TestDissectorFindsNothingMalformed(t *testing.T) {
	t.Parallel()
	n := newNetwork(t)
	n.startSite(t)
	n.serve(t, labTenant())
	c := n.boot(t, behindNAT, 2)
	c.must(10*time.Second, ". /lab/guest/wait; tcpdump -U -i vec0 -w /lab/session.pcap > /tmp/tcpdump.log 2>&1 & wait_for 5 tcpdump_listens")
	c.mustDial(alice(gatewayAddr))
	ping(t, c, siteAddr)
	keys := espKeys(t, c.must(10*time.Second, "ip xfrm state"))
	c.must(10*time.Second, "sh /lab/guest/hangup lab; sleep 0.5; pkill -x tcpdump; sync")
	dissect := "2>/dev/null tshark -n -r /lab/" + filepath.Base(c.job) + "/session.pcap -o esp.enable_encryption_decode:TRUE " + keys
	sh := treeShell{n.inet}
	layers := must(t, sh, time.Minute, dissect+" -T fields -e frame.protocols | sort | uniq -c")
	t.Log(layers)
	for _, want := range []string{"isakmp", ":esp:udp:l2tp\n", "l2tp:ppp:lcp", "l2tp:ppp:chap", "l2tp:ppp:ipcp", "l2tp:ppp:ip:icmp"} {
		if !strings.Contains(layers+"\n", want) {
			t.Errorf("the session shows no %s", want)
		}
	}
	if out := must(t, sh, time.Minute, dissect+" -V -Y '_ws.malformed || _ws.expert.severity == \"Error\"'"); out != "" {
		t.Errorf("malformed:\n%s", out)
	}
}

var xfrmState = regexp.MustCompile(`src (\S+) dst (\S+)\s+proto esp spi (\S+) (?s:.*?)auth-trunc \S+ (0x\w+) (?s:.*?)enc \S+ (0x\w+)`)

// espKeys makes tshark options of `ip xfrm state`, for AES-CBC with HMAC-SHA2-256.
func espKeys(t *testing.T, states string) string {
	t.Helper()
	var b strings.Builder
	found := xfrmState.FindAllStringSubmatch(states, -1)
	for _, m := range found {
		fmt.Fprintf(&b, ` -o 'uat:esp_sa:"IPv4","%s","%s","%s","AES-CBC [RFC3602]","%s","HMAC-SHA-256-128 [RFC4868]","%s"'`,
			m[1], m[2], m[3], m[5], m[4])
	}
	if len(found) < 2 {
		t.Fatalf("no keys in\n%s", states)
	}
	return b.String()
}
