package lab

import (
	"crypto/rand"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/culvert-vpn/culvert/internal/ca"
)

const vpnName = "vpn.lab.example"

// A tunnel is how strongSwan dials by IKEv2: lines of ipsec.conf, and a secret.
type tunnel struct {
	lines  []string
	secret string
}

var (
	byEAP = tunnel{[]string{"leftauth=eap-mschapv2", "eap_identity=alice", "rightauth=pubkey", "rightid=" + vpnName},
		`alice : EAP "alicepw"`}
	byCertificate = tunnel{[]string{"leftauth=pubkey", "leftcert=carol.crt", "rightauth=pubkey", "rightid=" + vpnName},
		": PKCS8 carol.key"}
	byEAPTLS = tunnel{[]string{"leftauth=eap-tls", "leftcert=carol.crt", "eap_identity=carol", "rightauth=pubkey", "rightid=" + vpnName},
		": PKCS8 carol.key"}
	byKey = tunnel{[]string{"leftauth=psk", "leftid=somebody", "rightauth=psk", "rightid=%any"},
		fmt.Sprintf(": PSK %q", labPSK)}
)

// authority makes a CA with a certificate of the server and one of carol, and returns its directory.
func authority(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp(os.Getenv(envWork), "ca-")
	if err != nil {
		t.Fatal(err)
	}
	dir = filepath.Join(dir, "ca")
	a, err := ca.Init(dir, ca.Options{Name: "lab", Now: time.Now(), Rand: rand.Reader})
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close()
	if _, err := a.Server(ca.ServerOptions{Names: []string{vpnName, gatewayAddr}}); err != nil {
		t.Fatal(err)
	}
	if _, err := a.Client(ca.ClientOptions{Name: "carol", Password: "pkcs12"}); err != nil {
		t.Fatal(err)
	}
	return dir
}

// certified is the lab's tenant with a certificate.
func certified(dir string) tenant {
	lab := labTenant()
	lab.allow = "mschapv2, eap-mschapv2, eap-tls, certificate, ikev2-psk"
	lab.more = []string{
		fmt.Sprintf("    certificate: {chain: %[1]s/%[2]s.crt, key: %[1]s/%[2]s.key}", dir, vpnName),
		"    ca: [" + dir + "/ca.crt]", "    crl: [" + dir + "/crl.pem]",
	}
	return lab
}

// mustTunnel dials by IKEv2 with what is in the authority's directory.
func (c *client) mustTunnel(d tunnel, dir string, more ...string) {
	c.t.Helper()
	conf := lines("conn lab", "\tkeyexchange=ikev2", "\tleft=%defaultroute", "\tleftsourceip=%config4", "\tright="+gatewayAddr,
		"\trightsubnet="+sitePrefix, "\tkeyingtries=1", "\tauto=add")
	for _, line := range append(more, d.lines...) {
		conf += "\t" + line + "\n"
	}
	files := map[string]string{"ipsec.conf": conf, "ipsec.secrets": d.secret + "\n"}
	for to, from := range map[string]string{"cacerts/ca.crt": "ca.crt", "certs/carol.crt": "carol.crt", "private/carol.key": "carol.key"} {
		b, err := os.ReadFile(filepath.Join(dir, from))
		if err != nil {
			c.t.Fatal(err)
		}
		files["ipsec.d/"+to] = string(b)
	}
	for name, text := range files {
		path := filepath.Join(c.job, "etc", name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			c.t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			c.t.Fatal(err)
		}
	}
	c.must(dialTime, "sh /lab/guest/dial2 lab")
}

// strongSwan dials by IKEv2 in each way to prove who it is, and a file goes both ways.
func TestIKEv2(t *testing.T) {
	t.Parallel()
	for name, d := range map[string]tunnel{"eap": byEAP, "certificate": byCertificate, "eap-tls": byEAPTLS, "psk": byKey} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			n := newNetwork(t)
			n.startSite(t)
			dir := authority(t)
			n.serve(t, certified(dir))
			c := n.boot(t, behindNAT, 2)
			c.mustTunnel(d, dir)
			ping(t, c, siteAddr)
			moveFile(t, c, name, someFile)
		})
	}
}

// rekeyIKEv2: first the client renews the keys, with and without PFS, then the server.
func rekeyIKEv2(t *testing.T) {
	t.Parallel()
	renewals := []string{"lifetime=20s", "ikelifetime=45s", "margintime=5s", "rekeyfuzz=0%", "reauth=no"}
	server := []string{"    ike: {lifetime: 45s, child_lifetime: 20s, rekey: {initiate: true}}"}
	for name, x := range map[string]struct{ server, client []string }{
		"client":     {nil, append(renewals, "esp=aes256gcm16!")},
		"client-pfs": {nil, append(renewals, "esp=aes256gcm16-modp2048!")},
		"server":     {server, []string{"rekey=no", "reauth=no"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			n := newNetwork(t)
			n.startSite(t)
			dir := authority(t)
			lab := certified(dir)
			lab.more = append(lab.more, x.server...)
			n.serve(t, lab)
			c := n.boot(t, behindNAT, 2)
			c.mustTunnel(byEAP, dir, x.client...)
			out, err := c.run(5*time.Minute, fmt.Sprintf("ping -q -i 0.1 -c %d -W 10 %s", rekeyPings, siteAddr))
			children := c.count("CHILD_SA lab.* established with")
			t.Logf("%d child SAs: %s", children, strings.TrimSpace(out))
			if m := pinged.FindStringSubmatch(out); err != nil || m == nil || m[1] != m[2] {
				t.Errorf("packets were lost: %v\n%s", err, c.must(10*time.Second, "cat /tmp/charon.log"))
			}
			if children < 8 {
				t.Errorf("too few SAs for this to show anything:\n%s", c.must(10*time.Second, "cat /tmp/charon.log"))
			}
		})
	}
}

// culvert connect dials culvert serve by IKEv2, in each way it can.
func TestConnectIKEv2(t *testing.T) {
	t.Parallel()
	n := newNetwork(t)
	n.startSite(t)
	dir := authority(t)
	n.serve(t, certified(dir))
	lan, home := n.customer(t, 3)
	for i, flags := range [][]string{
		{"--ca", dir + "/ca.crt", "--user", "alice", "--password", "env:LAB_PASSWORD"},
		{"--ca", dir + "/ca.crt", "--cert", dir + "/carol.crt", "--key", dir + "/carol.key"},
		{"--psk", "env:LAB_PSK"},
	} {
		device := fmt.Sprintf("tun%d", i+1)
		cmd := command(lan, append([]string{os.Getenv(envCulvert), "connect", gatewayAddr, "--ikev2",
			"--netns", home, "--device", device, "--local", customerHost(i)}, flags...)...)
		cmd.Env = append(os.Environ(), "LAB_PSK="+labPSK, "LAB_PASSWORD=alicepw")
		background(t, "connect-"+device, cmd)
		within(t, 30*time.Second, device+" is up", func() bool { return devices(home) == i+1 })
		ip(t, home, "route replace "+sitePrefix+" dev "+device)
		ping(t, treeShell{home}, siteAddr)
		moveFile(t, treeShell{home}, "connect-"+device, someFile)
	}
}
