package lab

import (
	"crypto/x509"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// The certificate of a server that runs is renewed in its file, and a user is added and the server told
// so by SIGHUP. Who is connected notices neither, who dials then meets both.
func TestRenewedUnderALiveSession(t *testing.T) {
	t.Parallel()
	n := newNetwork(t)
	n.startSite(t)
	dir := t.TempDir()
	root := newIssuer(t, dir, "root", nil)
	c := n.boot(t, behindNAT, 2)
	c.tellOnFailure(t)
	expires := time.Now().Add(30 * time.Second)
	serverName := func(until time.Time) func(c *x509.Certificate) {
		return func(c *x509.Certificate) {
			c.DNSNames, c.ExtKeyUsage, c.NotAfter = []string{vpnName}, []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}, until
		}
	}
	root.issue(t, vpnName, serverName(expires))
	lab := labTenant()
	lab.allow = "eap-mschapv2"
	lab.more = []string{"    certificate: {chain: " + dir + "/" + vpnName + ".crt, key: " + dir + "/" + vpnName + ".key}"}
	s := n.serve(t, lab)
	late := byEAP.as("late", "eap_identity=dave")
	late.secret = `dave : EAP "davepw"`
	c.configure(map[string]string{"cacerts/root.crt": dir + "/root.crt"}, byEAP, late)
	if err := c.tunnel(byEAP.name); err != nil {
		t.Fatal(err)
	}
	c.must(10*time.Second, "ping -q -i 0.5 -c 150 -W 10 "+siteAddr+" > /tmp/ping.out 2>&1 &")
	old := *root
	old.dir = t.TempDir()
	old.issue(t, vpnName, serverName(time.Now().Add(time.Hour)))
	for _, suffix := range []string{".key", ".crt"} {
		if err := os.Rename(filepath.Join(old.dir, vpnName+suffix), filepath.Join(dir, vpnName+suffix)); err != nil {
			t.Fatal(err)
		}
	}
	if c.tunnel(late.name) == nil {
		t.Error("a user is let in that nobody knows")
	}
	s.addUser(t, "dave")
	time.Sleep(time.Until(expires.Add(2 * time.Second)))
	if err := c.tunnel(late.name); err != nil {
		t.Errorf("with the renewed certificate and the new user: %v", err)
	}
	c.must(2*time.Minute, ". /lab/guest/wait; pinged() { ! pgrep -x ping; }; wait_for 100 pinged")
	out := c.must(10*time.Second, "cat /tmp/ping.out")
	if m := pinged.FindStringSubmatch(out); m == nil || m[1] != m[2] {
		t.Errorf("who was connected lost packets: %s", out)
	}
}

// addUser writes a user into the configuration of a server that runs, and tells it by SIGHUP.
func (s *server) addUser(t *testing.T, name string) {
	t.Helper()
	text := content(t, s.path("culvert.yaml"))
	text = strings.Replace(text, "{name: bob,", "{name: "+name+", password: "+name+"pw}, {name: bob,", 1)
	if err := os.WriteFile(s.path("culvert.yaml"), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := s.cmd.Process.Signal(syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	within(t, 10*time.Second, "the configuration was read again", func() bool { return strings.Contains(s.log(t), "configuration-applied") })
}
