package lab

import (
	"crypto/rand"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/culvert-vpn/culvert/internal/ca"
)

const vpnName = "vpn.lab.example"

// A tunnel is how strongSwan dials by IKEv2: lines of a conn of ipsec.conf, and a line of ipsec.secrets.
type tunnel struct {
	name   string
	lines  []string
	secret string
}

var (
	byEAP = tunnel{"eap", []string{"leftauth=eap-mschapv2", "eap_identity=alice", "rightauth=pubkey", "rightid=" + vpnName},
		`alice : EAP "alicepw"`}
	byCertificate = tunnel{"certificate", []string{"leftauth=pubkey", "leftcert=carol.crt", "rightauth=pubkey", "rightid=" + vpnName},
		": PKCS8 carol.key"}
	byEAPTLS = tunnel{"eap-tls", []string{"leftauth=eap-tls", "leftcert=carol.crt", "eap_identity=carol", "rightauth=pubkey", "rightid=" + vpnName},
		": PKCS8 carol.key"}
	byKey = tunnel{"psk", []string{"leftauth=psk", "leftid=somebody", "rightauth=psk", "rightid=%any"},
		fmt.Sprintf(": PSK %q", labPSK)}
	// The server proves itself by its certificate to a client that has the key.
	byBoth = tunnel{"psk and certificate", []string{"leftauth=psk", "leftid=somebody", "rightauth=pubkey", "rightid=" + vpnName,
		"ike=chacha20poly1305-prfsha256-x25519!"}, fmt.Sprintf(": PSK %q", labPSK)}
)

// as is the tunnel under another name, with more lines.
func (d tunnel) as(name string, more ...string) tunnel {
	d.name, d.lines = name, append(slices.Clone(d.lines), more...)
	return d
}

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
	if _, err := a.Server(ca.ServerOptions{Names: []string{vpnName, gatewayAddr, serverAddr}}); err != nil {
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

// credentials are the files of a client of the authority: where they go below /etc/ipsec.d, and where they are.
func credentials(dir string) map[string]string {
	return map[string]string{
		"cacerts/ca.crt": dir + "/ca.crt", "certs/carol.crt": dir + "/carol.crt", "private/carol.key": dir + "/carol.key",
	}
}

// configure gives the client what strongSwan needs to dial each of the tunnels.
func (c *client) configure(files map[string]string, list ...tunnel) {
	c.t.Helper()
	conf := lines("conn %default", "\tkeyexchange=ikev2", "\tleft=%defaultroute", "\tleftsourceip=%config4", "\tright="+gatewayAddr,
		"\trightsubnet="+sitePrefix, "\tkeyingtries=1", "\tauto=add")
	secrets := ""
	for _, d := range list {
		conf += lines("conn "+d.name) + indented(d.lines)
		if !strings.Contains(secrets, d.secret) {
			secrets += d.secret + "\n"
		}
	}
	texts := map[string]string{"ipsec.conf": conf, "ipsec.secrets": secrets}
	for to, from := range files {
		b, err := os.ReadFile(from)
		if err != nil {
			c.t.Fatal(err)
		}
		texts["ipsec.d/"+to] = string(b)
	}
	c.put(texts)
}

// put writes files to where the client's scripts look for what goes below /etc.
func (c *client) put(texts map[string]string) {
	c.t.Helper()
	for name, text := range texts {
		path := filepath.Join(c.job, "etc", name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			c.t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			c.t.Fatal(err)
		}
	}
}

func indented(list []string) string { return "\t" + strings.Join(list, "\n\t") + "\n" }

// tellOnFailure has strongSwan's log be part of a failure.
func (c *client) tellOnFailure(t *testing.T) {
	t.Cleanup(func() {
		if t.Failed() {
			log, _ := c.run(10*time.Second, "ipsec statusall; cat /tmp/charon.log")
			t.Log(log)
		}
	})
}

// tunnel dials one of the tunnels that the client is configured for.
func (c *client) tunnel(name string) error {
	_, err := c.run(dialTime, "sh /lab/guest/dial2 "+name)
	return err
}

// mustTunnel dials by IKEv2 with what is in the authority's directory.
func (c *client) mustTunnel(d tunnel, dir string, more ...string) {
	c.t.Helper()
	c.configure(credentials(dir), d.as("lab", more...))
	if err := c.tunnel("lab"); err != nil {
		c.t.Fatalf("%s: dial: %v", c.name, err)
	}
}

// strongSwan dials by IKEv2 in each way to prove who it is, through both kinds of egress, and
// files go both ways in IPv4 and in IPv6.
func TestIKEv2(t *testing.T) {
	t.Parallel()
	for _, x := range []struct {
		tunnel
		egress string
	}{{byEAP, netstack}, {byCertificate, tunDevice}, {byEAPTLS, netstack}, {byKey, tunDevice}, {byBoth, netstack}} {
		t.Run(x.name, func(t *testing.T) {
			t.Parallel()
			n := newNetwork(t)
			n.addIPv6(t)
			n.startSite(t)
			dir := authority(t)
			lab := certified(dir)
			lab.egress, lab.pool = x.egress, lab.pool+`, "`+poolRange6+`"`
			n.serve(t, lab)
			c := n.boot(t, behindNAT, 2)
			c.must(10*time.Second, "modprobe ipv6")
			c.mustTunnel(x.tunnel, dir, "leftsourceip=%config4,%config6", "rightsubnet="+sitePrefix+","+sitePrefix6)
			ping(t, c, siteAddr)
			ping(t, c, siteAddr6)
			moveFile(t, c, x.name, someFile)
			moveFileBy(t, c, "["+siteAddr6+"]", x.name+" in IPv6", someFile)
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
