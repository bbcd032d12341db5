package lab

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"time"
)

// How strongSwan dials what others call "Cisco IPSec": XAUTH behind a key, or behind certificates.
var (
	behindKey = []string{"keyexchange=ikev1", "leftauth=psk", "leftauth2=xauth", "rightauth=psk", "rightid=%any",
		"ike=aes256-sha256-modp2048!", "esp=aes256-sha256!"}
	behindCertificate = []string{"keyexchange=ikev1", "leftauth=pubkey", "leftcert=carol.crt", "leftauth2=xauth", "rightauth=pubkey",
		"rightid=" + vpnName, "ike=aes256-sha256-modp2048!", "esp=aes256gcm16!"}
)

const (
	keySecret   = `: PSK "` + labPSK + `"`
	aliceSecret = `alice : XAUTH "alicepw"`
)

// xauthTenant is the lab's tenant with extended authentication, of all kinds.
func xauthTenant(dir string, more ...string) tenant {
	lab := certified(dir)
	lab.allow = "mschapv2, certificate, xauth"
	lab.more = append(append(lab.more, "    identity: "+vpnName), more...)
	return lab
}

// strongSwan dials by XAUTH and Mode Config, asking for its address and waiting for it, with the
// key and with RSA certificates, and files go both ways; a network can have a child SA of its own;
// another password is refused.
func TestXAUTH(t *testing.T) {
	t.Parallel()
	n := newNetwork(t)
	n.startSite(t)
	dir := authority(t)
	s := n.serve(t, xauthTenant(dir))
	c := n.boot(t, behindNAT, 2)
	c.tellOnFailure(t)
	login := func(name string, lines []string, more ...string) tunnel {
		return tunnel{name, append(append([]string{}, lines...), more...), keySecret}
	}
	as := func(user string) string { return "xauth_identity=" + user }
	secrets := strings.Join([]string{keySecret, aliceSecret, `bob : XAUTH "wrong"`, ": PKCS8 carol.key"}, "\n")
	pull := login("pull", behindKey, as("alice"))
	pull.secret = secrets
	c.configure(credentials(dir), pull, login("push", behindKey, as("alice"), "modeconfig=push"), login("certificate", behindCertificate, as("alice")),
		login("wrong", behindKey, as("bob")), login("site", behindKey, as("alice")), login("dns", behindKey, as("alice"), "rightsubnet=10.100.1.1/32"))
	for _, name := range []string{"pull", "push", "certificate"} {
		if err := c.tunnel(name); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		ping(t, c, siteAddr)
		moveFile(t, c, name, someFile)
		c.must(10*time.Second, "ipsec down "+name)
	}
	for _, name := range []string{"site", "dns"} { // two child SAs: the kernel takes packets in their own only
		if err := c.tunnel(name); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
	}
	ping(t, c, siteAddr)
	c.must(20*time.Second, "nslookup "+siteName+" 10.100.1.1 | grep "+siteAddr+" && ipsec statusall | grep -c INSTALLED | grep 2")
	ping(t, c, siteAddr)
	if c.tunnel("wrong") == nil {
		t.Error("a wrong password is let in")
	}
	within(t, 10*time.Second, "the refusal is in the log", func() bool {
		log, err := os.ReadFile(s.path("log"))
		return err == nil && strings.Contains(string(log), "wrong password")
	})
}

// Networks are told to strongSwan by Cisco's attribute, and it sends nothing else through the tunnel.
func TestXAUTHSplit(t *testing.T) {
	t.Parallel()
	n := newNetwork(t)
	n.startSite(t)
	n.serve(t, xauthTenant(authority(t), fmt.Sprintf("    routes: [%s, 10.200.0.0/16]", sitePrefix)))
	c := n.boot(t, behindNAT, 2)
	c.tellOnFailure(t)
	c.configure(nil, tunnel{"split", append(append([]string{}, behindKey...), "xauth_identity=alice", "rightsubnet=0.0.0.0/0"),
		keySecret + "\n" + aliceSecret})
	c.must(10*time.Second, "sed -i 's/xauth-generic/& unity/; s/^charon {/& cisco_unity = yes/' /etc/strongswan.conf")
	if err := c.tunnel("split"); err != nil {
		t.Fatal(err)
	}
	ping(t, c, siteAddr)
	moveFile(t, c, "split", someFile)
	c.must(10*time.Second, "ipsec statusall | grep '10.100.1.2/32 === 10.100.1.1/32 10.200.0.0/16 "+sitePrefix+"'")
}

// culvert connect dials culvert serve by XAUTH.
func TestXAUTHConnect(t *testing.T) {
	t.Parallel()
	n := newNetwork(t)
	n.startSite(t)
	n.serve(t, xauthTenant(authority(t), fmt.Sprintf("    routes: [%s, 10.200.0.0/16]", sitePrefix)))
	lan, home := n.customer(t, 1)
	cmd := command(lan, os.Getenv(envCulvert), "connect", gatewayAddr, "--xauth", "--netns", home, "--device", "tun1",
		"--local", customerHost(0), "--psk", "env:LAB_PSK", "--user", "alice", "--password", "env:LAB_PASSWORD")
	cmd.Env = append(os.Environ(), "LAB_PSK="+labPSK, "LAB_PASSWORD=alicepw")
	background(t, "connect-xauth", cmd)
	within(t, 30*time.Second, "tun1 is up", func() bool { return devices(home) == 1 })
	ip(t, home, "route replace "+sitePrefix+" dev tun1")
	ping(t, treeShell{home}, siteAddr)
	moveFile(t, treeShell{home}, "connect-xauth", someFile)
}

// The keys of both phases change all the time, by the client, which says its name and password
// and asks for its address again each time, and by the server. No packet is lost.
func TestXAUTHRekey(t *testing.T) {
	t.Parallel()
	for name, x := range map[string]struct{ server, client []string }{
		"client": {nil, []string{"ikelifetime=14s", "lifetime=12s", "margintime=5s", "rekeyfuzz=0%"}},
		"server": {[]string{"    ike: {lifetime: 12s, child_lifetime: 11s, rekey: {initiate: true}}"}, []string{"rekey=no", "reauth=no"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			n := newNetwork(t)
			n.startSite(t)
			n.serve(t, xauthTenant(authority(t), x.server...))
			c := n.boot(t, behindNAT, 2)
			c.tellOnFailure(t)
			c.configure(nil, tunnel{"lab", append(append(x.client, behindKey...), "xauth_identity=alice"), keySecret + "\n" + aliceSecret})
			if err := c.tunnel("lab"); err != nil {
				t.Fatal(err)
			}
			out := c.must(time.Minute, "ping -q -i 0.1 -c 250 -W 10 "+siteAddr)
			ike := (&rekeyer{client: c}).named("/tmp/charon.log", `IKE_SA lab.* established between`, `lab\[[0-9]*\]`)
			child := (&rekeyer{client: c}).named("/tmp/charon.log", "CHILD_SA lab.* established with", "lab{[0-9]*}")
			t.Logf("%d IKE SAs, %d child SAs: %s", ike, child, out)
			if m := pinged.FindStringSubmatch(out); m == nil || m[1] != m[2] || ike < 3 || child < 3 {
				t.Errorf("packets were lost, or nothing was renewed")
			}
		})
	}
}
