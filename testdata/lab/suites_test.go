package lab

import (
	"crypto/rand"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/culvert-vpn/culvert/ike"
)

// Suites of IKEv2, each with one of ESP: every cipher, integrity and group that is served by itself.
var suites2 = []struct{ ike, esp string }{
	{"aes128gcm16-prfsha256-x25519", "aes128gcm16"},
	{"aes256gcm16-prfsha384-ecp384", "aes256gcm16"},
	{"chacha20poly1305-prfsha256-ecp256", "chacha20poly1305"},
	{"aes256-sha512-ecp521", "aes256-sha512"},
	{"aes192-sha384-modp3072", "aes256-sha384"},
	{"aes128-sha256-modp2048", "aes128-sha256"},
	{"aes256-sha1-modp4096", "aes256-sha1"},
	{"aes128-sha1-ecp256", "aes128-sha1"},
	// The key exchange is offered for the first group; the server wants another one.
	{"aes256-sha256-modp1024-ecp256", "aes192-sha256"},
}

// strongSwan dials with every suite, and while strangers hold more half-open IKE SAs than the
// server lets anybody have without a cookie.
func TestProposalsIKEv2(t *testing.T) {
	t.Parallel()
	n := newNetwork(t)
	n.startSite(t)
	dir := authority(t)
	n.serve(t, certified(dir))
	c := n.boot(t, behindNAT, 2)
	c.tellOnFailure(t)
	c.must(10*time.Second, "modprobe -a chacha20poly1305 chacha_generic poly1305_generic")
	var list []tunnel
	for i, x := range suites2 {
		list = append(list, byKey.as(fmt.Sprintf("suite%d", i), "ike="+x.ike+"!", "esp="+x.esp+"!"))
	}
	c.configure(credentials(dir), append(list, byKey)...)
	for i, x := range suites2 {
		if err := c.tunnel(list[i].name); err != nil {
			t.Fatalf("%s with %s: %v", x.ike, x.esp, err)
		}
		c.must(20*time.Second, "ping -q -c 2 -i 0.2 -w 10 "+siteAddr+" && ipsec down "+list[i].name)
	}
	if c.count("peer didn.t accept DH group MODP_1024, it requested ECP_256") != 1 {
		t.Error("no INVALID_KE_PAYLOAD")
	}
	if c.count("N(COOKIE)") != 0 {
		t.Error("cookies before there was a reason")
	}
	start := time.Now()
	n.flood(t)
	t.Logf("%d IKE SAs begun in %.1f s", floodSources*floodEach, time.Since(start).Seconds())
	if err := c.tunnel(byKey.name); err != nil {
		t.Fatalf("under load: %v", err)
	}
	ping(t, c, siteAddr)
	if c.count(`parsed IKE_SA_INIT response 0 \[ N(COOKIE)`) != 1 || c.count(`generating IKE_SA_INIT request 0 \[ N(COOKIE)`) != 1 {
		t.Error("no cookie")
	}
}

// Strangers, and how many IKE SAs each begins: fewer than one source may, more than all may
// without a cookie.
const floodSources, floodEach = 8, 160

// flood begins IKE SAs from many addresses, and goes no further.
func (n *network) flood(t *testing.T) {
	t.Helper()
	lines := "route replace 203.0.113.0/24 via 198.18.0.1"
	for i := range floodSources {
		lines += fmt.Sprintf("\naddr add %s/24 dev lan", floodSource(i))
	}
	ip(t, n.inet, lines)
	out, err := output(roleCommand(n.inet, "flood"))
	if !strings.Contains(out, "flooded") {
		t.Fatalf("flood: %v %s", err, out)
	}
}

func floodSource(i int) netip.Addr { return netip.AddrFrom4([4]byte{198, 18, 0, byte(100 + i)}) }

// playFlood is the process that does it.
func playFlood() error {
	s, err := ike.NewServer(ike.Config{Rand: rand.Reader})
	if err != nil {
		return err
	}
	server := netip.AddrPortFrom(netip.MustParseAddr(gatewayAddr), 500)
	for i := range floodSources {
		pc, err := net.ListenUDP("udp", net.UDPAddrFromAddrPort(netip.AddrPortFrom(floodSource(i), 0)))
		if err != nil {
			return err
		}
		path := ike.Path{Local: pc.LocalAddr().(*net.UDPAddr).AddrPort(), Remote: server}
		for range floodEach {
			if _, err := s.Dial(time.Now(), ike.DialConfig{Path: path, NATTPath: path, PSK: []byte("x"), V2: &ike.DialV2{Configure: true}}); err != nil {
				return err
			}
		}
		for e, ok := s.Next(); ok; e, ok = s.Next() {
			if e, ok := e.(ike.Send); ok {
				if _, err := pc.WriteToUDPAddrPort(e.Data, server); err != nil {
					return err
				}
				time.Sleep(time.Millisecond)
			}
		}
	}
	fmt.Println("flooded")
	return fmt.Errorf("done")
}
