package lab

import (
	"encoding/hex"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/insomniacslk/dhcp/dhcpv4"
)

// What a tenant pushes reaches whoever asks for it by DHCP over ppp0: a program of Debian's, and
// the exact messages of macOS and of Windows, each answered in the form that it wants.
func TestPushedRoutes(t *testing.T) {
	t.Parallel()
	n := newNetwork(t)
	n.startSite(t)
	lab := labTenant()
	lab.more = []string{"    routes: [198.18.0.0/24, 172.16.128.0/17]", "    domains: [corp.example, lab.example]"}
	n.serve(t, lab)
	c := n.boot(t, behindNAT, 2)
	c.mustDial(alice(gatewayAddr))
	addr := netip.MustParseAddr(c.must(5*time.Second, `ip -4 -o addr show dev ppp0 | awk '{ print $4 }' | cut -d/ -f1`))

	out := c.must(15*time.Second, fmt.Sprintf(`
		dhcping -i -v -t 5 -c %s -s 10.100.1.1 -h 02:00:00:00:00:01`, addr))
	if !strings.Contains(out, "Got answer from: 10.100.1.1") {
		t.Errorf("dhcping says %s", out)
	}
	t.Run("macOS", func(t *testing.T) {
		ack := c.inform(t, addr, "01080600000000010000000000000000"+strings.Repeat("00", 12)+
			"00000000000100000000000000000000"+strings.Repeat("00", 192)+
			"63825363350108"+"3d0708000000010000"+"3706062c2b01f90f"+"ff00")
		wantOption(t, ack, 15, []byte("corp.example lab.example"))
		wantPushed(t, ack, 249)
	})
	t.Run("Windows", func(t *testing.T) {
		ack := c.inform(t, addr, "0101060012345678000000000000000000000000"+strings.Repeat("00", 8)+
			"00534500000000000000000000000000"+strings.Repeat("00", 192)+
			"63825363350108"+"3d0701005345000000"+"3c084d53465420352e30"+
			"4d0e525241532e4d6963726f736f6674"+"3707062c0f01f92b79"+"ff")
		wantOption(t, ack, 15, []byte("corp.example"))
		wantPushed(t, ack, 249)
		wantPushed(t, ack, 121)
	})
}

// inform sends a DHCPINFORM, with the client's address put into it, and returns what came back.
func (c *client) inform(t *testing.T, addr netip.Addr, message string) *dhcpv4.DHCPv4 {
	t.Helper()
	const ciaddr = 2 * 12 // where it stands in the hexadecimal message
	message = message[:ciaddr] + hex.EncodeToString(addr.AsSlice()) + message[ciaddr+8:]
	words := strings.Fields(c.must(10*time.Second, "perl /lab/guest/inform "+message))
	if len(words) != 3 || words[0] != "10.100.1.1" || words[1] != "67" {
		t.Fatalf("answered by %v", words)
	}
	b, err := hex.DecodeString(words[2])
	if err != nil {
		t.Fatal(err)
	}
	if len(b) < 300 || hex.EncodeToString(b[240:243]) != "350105" || b[len(b)-1] != 0 {
		t.Errorf("the message type is not first, or END is last: %x", b)
	}
	ack, err := dhcpv4.FromBytes(b)
	if err != nil {
		t.Fatal(err)
	}
	wantOption(t, ack, 1, []byte{255, 255, 255, 0})
	wantOption(t, ack, 6, []byte{10, 100, 1, 1})
	return ack
}

// wantPushed demands the tenant's routes, and that to its own network, in an option.
func wantPushed(t *testing.T, ack *dhcpv4.DHCPv4, option uint8) {
	t.Helper()
	wantOption(t, ack, option, []byte{
		24, 198, 18, 0, 10, 100, 1, 1,
		17, 172, 16, 128, 10, 100, 1, 1,
		24, 10, 100, 1, 10, 100, 1, 1,
	})
}

func wantOption(t *testing.T, ack *dhcpv4.DHCPv4, option uint8, want []byte) {
	t.Helper()
	if got := ack.Options.Get(dhcpv4.GenericOptionCode(option)); string(got) != string(want) {
		t.Errorf("option %d is %q, want %q", option, got, want)
	}
}

const (
	siteAddr6   = "2001:db8:ffff::2"
	sitePrefix6 = "2001:db8:ffff::/64"
	poolRange6  = "2001:db8:1::/48"
)

// A client whose pppd asks for IPv6 gets a prefix by router advertisement, makes an address of
// it, and goes out with it.
func TestIPv6(t *testing.T) {
	t.Parallel()
	for name, egress := range map[string]string{"netstack": netstack, "tun": tunDevice} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			n := newNetwork(t)
			n.addIPv6(t)
			n.startSite(t)
			lab := labTenant()
			lab.egress, lab.pool = egress, lab.pool+`, "`+poolRange6+`"`
			n.serve(t, lab)
			c := n.boot(t, behindNAT, 2)
			c.must(10*time.Second, "modprobe ipv6")
			d := alice(gatewayAddr)
			d.ppp = append(d.ppp, "+ipv6")
			c.mustDial(d)
			c.must(30*time.Second, `
				. /lab/guest/wait
				prefixed() { ip -6 addr show dev ppp0 scope global | grep -q 'inet6 2001:db8:1:[0-9a-f]*:.*/64'; }
				defaulted() { ip -6 route show default | grep -q 'via fe80::.* dev ppp0'; }
				wait_for 20 prefixed && wait_for 5 defaulted || { ip -6 addr; ip -6 route; exit 1; }`)
			c.must(20*time.Second, "ping -6 -n -c 5 -i 0.2 -W 2 "+siteAddr6)
			c.must(10*time.Second, "ping -6 -n -c 2 -W 2 2001:db8:1::1")
			c.must(10*time.Second, `ping -6 -n -c 2 -W 2 $(ip -6 route show default | sed -n 's/.*via \(fe80[^ ]*\).*/\1/p')%ppp0`)
			c.must(10*time.Second, "nslookup "+siteName+" 2001:db8:1::1 | grep "+siteAddr)
			ping(t, c, siteAddr)
		})
	}
}

// addIPv6 gives the network behind the gateway IPv6.
func (n *network) addIPv6(t *testing.T) {
	t.Helper()
	ip(t, n.gw, "addr add 2001:db8:ffff::1/64 dev lan nodad")
	ip(t, n.inet, "addr add "+siteAddr6+"/64 dev lan nodad\nroute add "+poolRange6+" via 2001:db8:ffff::1")
	if _, err := output(command(n.gw, "sh", "-c", "echo 1 > /proc/sys/net/ipv6/conf/all/forwarding")); err != nil {
		t.Fatal(err)
	}
}
