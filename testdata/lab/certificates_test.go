package lab

import (
	"crypto/rand"
	"crypto/x509"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/culvert-vpn/culvert/internal/ca"
)

// narrowPath has the way between NAT and gateway carry 1280 bytes and no fragments of IP: what is
// longer is lost, up where it had to be fragmented, down without a word.
func (n *network) narrowPath(t *testing.T) {
	t.Helper()
	ip(t, n.nat, "link set pub mtu 1280")
	drop := command(n.nat, "nft", "-f", "-")
	drop.Stdin = strings.NewReader(`table ip fragments {
		chain in { type filter hook prerouting priority -500; iifname "pub" ip frag-off & 0x3fff != 0 counter drop; }
		chain out { type filter hook postrouting priority 500; oifname "pub" ip length > 1280 counter drop; }
	}`)
	if _, err := output(drop); err != nil {
		t.Fatal(err)
	}
	gw := command(n.gw, "nft", "-f", "-")
	gw.Stdin = strings.NewReader(`table ip fragments {
		chain in { type filter hook prerouting priority -500; iifname "pub" ip frag-off & 0x3fff != 0 counter drop; }
	}`)
	if _, err := output(gw); err != nil {
		t.Fatal(err)
	}
}

// chained makes four certificates in a row for both sides: a root, two authorities below it on
// each side, and the server's and carol's own. It returns the tenant and the files of carol.
func chained(t *testing.T) (tenant, map[string]string) {
	t.Helper()
	dir := t.TempDir()
	root := newIssuer(t, dir, "root", nil)
	for _, side := range []struct {
		name, leaf string
		edit       func(c *x509.Certificate)
	}{
		{"server", vpnName, func(c *x509.Certificate) {
			c.DNSNames, c.ExtKeyUsage = []string{vpnName}, []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
		}},
		{"client", "carol", func(c *x509.Certificate) { c.DNSNames = []string{"carol"} }},
	} {
		above := newIssuer(t, dir, side.name+"-policy", root)
		newIssuer(t, dir, side.name+"-issuing", above).issue(t, side.leaf, side.edit)
	}
	var chain []byte
	for _, name := range []string{vpnName, "server-issuing", "server-policy"} {
		b, err := os.ReadFile(filepath.Join(dir, name+".crt"))
		if err != nil {
			t.Fatal(err)
		}
		chain = append(chain, b...)
	}
	if err := os.WriteFile(filepath.Join(dir, "chain.crt"), chain, 0o600); err != nil {
		t.Fatal(err)
	}
	lab := labTenant()
	lab.allow = "certificate, eap-tls"
	lab.more = []string{"    certificate: {chain: " + dir + "/chain.crt, key: " + dir + "/" + vpnName + ".key}",
		"    ca: [" + dir + "/root.crt]", "    mtu: 1200"}
	return lab, map[string]string{
		"cacerts/root.crt": dir + "/root.crt", "cacerts/client-policy.crt": dir + "/client-policy.crt",
		"cacerts/client-issuing.crt": dir + "/client-issuing.crt",
		"certs/carol.crt":            dir + "/carol.crt", "private/carol.key": dir + "/carol.key",
	}
}

// Chains of four certificates go both ways over a path of 1280 bytes that carries no fragments of
// IP: fragments of IKE get them there, and nothing else would.
func TestLongChainsOverANarrowPath(t *testing.T) {
	t.Parallel()
	n := newNetwork(t)
	n.startSite(t)
	lab, files := chained(t)
	n.serve(t, lab)
	c := n.boot(t, behindNAT, 2)
	n.narrowPath(t)
	c.tellOnFailure(t)
	c.configure(files, byCertificate, byEAPTLS, byCertificate.as("whole", "fragmentation=no"))
	for _, name := range []string{byCertificate.name, byEAPTLS.name} {
		if err := c.tunnel(name); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		ping(t, c, siteAddr)
		moveFile(t, c, name, someFile/5)
		c.must(dialTime, "ipsec down "+name)
	}
	for _, pattern := range []string{`parsed IKE_AUTH response 1 \[ EF(3/3)`, `generating IKE_AUTH request 1 \[ EF(3/3)`} {
		if c.count(pattern) == 0 {
			t.Errorf("no %s in the log", pattern)
		}
	}
	if _, err := c.run(12*time.Second, "timeout 8 ipsec up whole"); err == nil {
		t.Error("without fragments of IKE it works too: this path shows nothing")
	}
}

// refusals are certificates that do not let anybody in: what makes them, and what the server says.
var refusals = []struct {
	name string
	edit func(c *x509.Certificate)
	says string
}{
	{"expired", func(c *x509.Certificate) { c.NotAfter = time.Now().Add(-time.Minute) }, `the certificate has expired \("CN=expired`},
	{"early", func(c *x509.Certificate) { c.NotBefore = time.Now().Add(time.Hour) }, `the certificate is not valid yet \("CN=early`},
	{"purpose", func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth} }, `the certificate is for another purpose \("CN=purpose`},
	{"name", func(c *x509.Certificate) { c.EmailAddresses = []string{"mallory@lab.example"} }, `the certificate has another name \("CN=name.*\*@lab.example`},
	{"stranger", nil, `issued by an unknown authority \("CN=stranger`},
	{"revoked", nil, `the certificate was revoked \("CN=revoked`},
}

// Whose certificate is expired, not valid yet, for another purpose, of another name, of an unknown
// authority or revoked is told AUTHENTICATION_FAILED, and the log says exactly why.
func TestCertificatesThatAreRefused(t *testing.T) {
	t.Parallel()
	n := newNetwork(t)
	n.startSite(t)
	dir := authority(t)
	files := credentials(dir)
	tunnels := []tunnel{byCertificate}
	ours, other := newIssuer(t, dir, "ours", nil), newIssuer(t, dir, "other", nil)
	for _, x := range refusals {
		switch x.name {
		case "revoked":
			revoke(t, dir, x.name)
		case "stranger":
			other.issue(t, x.name, x.edit)
		default:
			ours.issue(t, x.name, x.edit)
		}
		files["certs/"+x.name+".crt"], files["private/"+x.name+".key"] = dir+"/"+x.name+".crt", dir+"/"+x.name+".key"
		d := byCertificate.as(x.name, "leftcert="+x.name+".crt", "leftsendcert=always")
		if x.name == "name" {
			d.lines = append(d.lines, "leftid=*@lab.example") // strongSwan takes that for a name of the certificate
		}
		d.secret = ": PKCS8 " + x.name + ".key"
		tunnels = append(tunnels, d)
	}
	eap := byEAPTLS.as("eap-revoked", "leftcert=revoked.crt", "eap_identity=revoked")
	lab := certified(dir)
	lab.more = append(lab.more[:0:0], lab.more...)
	for i, line := range lab.more {
		lab.more[i] = strings.Replace(line, "/ca.crt]", "/ca.crt, "+dir+"/ours.crt]", 1)
	}
	lab.more = append(lab.more, "    match: {certificate_identity: strict}") // or the certificate alone says who it is
	s := n.serve(t, lab)
	c := n.boot(t, behindNAT, 2)
	c.tellOnFailure(t)
	c.configure(files, append(tunnels, eap)...)
	if err := c.tunnel(byCertificate.name); err != nil {
		t.Fatal(err)
	}
	c.must(dialTime, "ipsec down "+byCertificate.name)
	for _, x := range refusals {
		c.wantRefused(t, s, x.name, x.says)
	}
	c.wantRefused(t, s, eap.name, `login-refused.*the certificate was revoked \("CN=revoked`)
}

// revoke issues a certificate in the authority's directory and takes it back.
func revoke(t *testing.T, dir, name string) {
	t.Helper()
	a, err := ca.Open(dir, time.Now(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close()
	if _, err := a.Client(ca.ClientOptions{Name: name, Password: "pkcs12"}); err != nil {
		t.Fatal(err)
	}
	if _, err := a.Revoke(name, "keyCompromise"); err != nil {
		t.Fatal(err)
	}
	if err := a.WriteCRL(time.Hour); err != nil {
		t.Fatal(err)
	}
}

// wantRefused dials and demands that the client is told, by AUTHENTICATION_FAILED or in EAP by
// TLS, and the log says why.
func (c *client) wantRefused(t *testing.T, s *server, name, says string) {
	t.Helper()
	const told = `received \(AUTHENTICATION_FAILED notify error\|fatal TLS alert\)`
	before, log := c.count(told), len(s.log(t))
	if c.tunnel(name) == nil {
		t.Errorf("%s: let in", name)
		return
	}
	if c.count(told) == before {
		t.Errorf("%s: the client was not told", name)
	}
	if said := s.log(t)[log:]; !regexp.MustCompile(says).MatchString(strings.ReplaceAll(said, `\"`, `"`)) {
		t.Errorf("%s: no %q in the log:\n%s", name, says, said)
	}
}
