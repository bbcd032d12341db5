package lab

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"time"
)

// Where a server stands that is not culvert: a client behind no NAT that takes others in.
const (
	serverAddr = "192.0.2.10"
	serverPool = "10.150.0.0/24"
)

// A callee is such a server and who dials it.
type callee struct {
	*client
	n         *network
	lan, home string
	dir       string
	calls     int
}

// newCallee makes the network of a callee and boots it.
func newCallee(t *testing.T) *callee {
	t.Helper()
	n := newNetwork(t)
	n.startSite(t)
	ip(t, n.nat, "route add 192.0.2.0/24 via "+gatewayAddr)
	ip(t, n.gw, "route add "+serverPool+" via "+serverAddr)
	ip(t, n.inet, "route add "+serverPool+" via 198.18.0.1")
	s := &callee{client: n.boot(t, direct, 10), n: n, dir: authority(t)}
	s.lan, s.home = n.customer(t, 1)
	s.must(10*time.Second, "sysctl -qw net.ipv4.ip_forward=1 net.ipv4.conf.all.send_redirects=0")
	return s
}

// call has culvert connect dial the callee until the test ends, with what it offers by default.
func (s *callee) call(t *testing.T, flags ...string) {
	t.Helper()
	s.calls++
	device := fmt.Sprintf("tun%d", s.calls)
	cmd := command(s.lan, append([]string{os.Getenv(envCulvert), "connect", serverAddr, "--netns", s.home, "--device", device,
		"--local", customerHost(0), "--log-level", "debug"}, flags...)...)
	cmd.Env = append(os.Environ(), "LAB_PSK="+labPSK, "LAB_PASSWORD=alicepw")
	background(t, "connect-"+device, cmd)
	within(t, 30*time.Second, device+" is up", func() bool { return devices(s.home) == 1 })
	ip(t, s.home, "route replace "+sitePrefix+" dev "+device)
}

// carried is carries for who dialled.
func (s *callee) carried(t *testing.T, name string) string {
	t.Helper()
	return carries(t, treeShell{s.home}, name)
}

// renewing is renews for who dialled; the callee's file says what was renewed.
func (s *callee) renewing(t *testing.T, seconds int, r renewal) string {
	t.Helper()
	before := s.matches(r)
	out := must(t, treeShell{s.home}, time.Duration(seconds+30)*time.Second, fmt.Sprintf("ping -q -i 0.2 -c %d -W 10 %s", 5*seconds, siteAddr))
	m := pinged.FindStringSubmatch(out)
	if m == nil || m[1] != m[2] {
		t.Errorf("packets were lost: %s", out)
		return ""
	}
	n := s.matches(r) - before
	if n < r.least {
		t.Errorf("%d lines %q, want %d at least", n, r.pattern, r.least)
	}
	return fmt.Sprintf("%s of %s pings, %d renewals", m[2], m[1], n)
}

// How culvert connect proves who it is.
var (
	callKey   = []string{"--ikev2", "--psk", "env:LAB_PSK"}
	callXAUTH = []string{"--xauth", "--psk", "env:LAB_PSK", "--user", "alice", "--password", "env:LAB_PASSWORD"}
)

func (s *callee) callEAP() []string {
	return []string{"--ikev2", "--ca", s.dir + "/ca.crt", "--user", "alice", "--password", "env:LAB_PASSWORD"}
}

func (s *callee) callCertificate() []string {
	return []string{"--ikev2", "--ca", s.dir + "/ca.crt", "--cert", s.dir + "/carol.crt", "--key", s.dir + "/carol.key"}
}

// culvert connect dials servers that are not culvert, with what it offers by default, and goes on
// when they renew the keys.
func TestConnectInterop(t *testing.T) {
	t.Parallel()
	m := newMatrix(t)
	for name, group := range map[string]func(t *testing.T, m *matrix){
		"strongswan": callStrongSwan,
		"libreswan":  callLibreswan,
		"openiked":   callOpenIKED,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			group(t, m)
		})
	}
}

func callStrongSwan(t *testing.T, m *matrix) {
	s := newCallee(t)
	const name = "connect to strongSwan"
	s.tellOnFailure(t)
	side := func(left, right string, more ...string) []string {
		return append([]string{"left=" + serverAddr, "leftid=" + serverAddr, "leftcert=server.crt", "leftsourceip=", "leftsubnet=" + sitePrefix,
			"leftauth=" + left, "right=%any", "rightid=%any", "rightsubnet=", "rightauth=" + right, "rightsourceip=" + serverPool,
			"ikelifetime=32s", "lifetime=18s", "margintime=8s", "rekeyfuzz=0%", "reauth=no"}, more...)
	}
	secrets := strings.Join([]string{": PKCS8 server.key", `: PSK "` + labPSK + `"`, `alice : EAP "alicepw"`, `alice : XAUTH "alicepw"`}, "\n")
	files := map[string]string{"cacerts/ca.crt": s.dir + "/ca.crt", "certs/server.crt": s.dir + "/" + vpnName + ".crt", "private/server.key": s.dir + "/" + vpnName + ".key"}
	for _, x := range []struct {
		name  string
		lines []string
		flags []string
	}{
		{"key", side("psk", "psk"), callKey},
		{"EAP-MSCHAPv2", side("pubkey", "eap-mschapv2", "eap_identity=%any"), s.callEAP()},
		{"certificate", side("pubkey", "pubkey", "rightca=%same"), s.callCertificate()},
		{"XAUTH", side("psk", "psk", "rightauth2=xauth", "keyexchange=ikev1"), callXAUTH},
	} {
		m.try(t, s.client, name, x.name+", keys renewed by the server", func(t *testing.T) string {
			s.configure(files, tunnel{"lab", x.lines, secrets})
			s.must(dialTime, `. /lab/guest/wait; ipsec stop > /dev/null 2>&1; stopped() { ! pgrep -x charon; }; wait_for 5 stopped
				cp -rp /lab/etc/. /etc/; ipsec start > /dev/null 2>&1; wait_for 10 conn_loaded lab`)
			s.call(t, x.flags...)
			return s.carried(t, "strongSwan "+x.name) + "; " + s.renewing(t, 35, renewal{"/tmp/charon.log", "CHILD_SA lab.* established with", 2})
		})
	}
}

func callLibreswan(t *testing.T, m *matrix) {
	s := newCallee(t)
	const name = "connect to libreswan"
	side := []string{"left=" + serverAddr, "leftid=" + serverAddr, "leftsubnet=" + sitePrefix, "right=%any", "rightid=%any",
		"rightaddresspool=10.150.0.10-10.150.0.90", "leftmodecfgclient=no", "leftmodecfgserver=yes", "rightmodecfgclient=yes"}
	for _, x := range []struct {
		name  string
		lines []string
		flags []string
		least renewal
	}{
		{"key", []string{"authby=secret", "narrowing=yes"}, callKey, plutoChild},
		{"certificate", []string{"authby=rsasig", "narrowing=yes", "leftcert=server", "rightid=%fromcert", "rightca=%same"}, s.callCertificate(), plutoChild},
		{"XAUTH", []string{"ikev2=no", "authby=secret", "leftxauthserver=yes", "rightxauthclient=yes", "modecfgpull=yes", "xauthby=file", "pfs=no"}, callXAUTH,
			renewal{"/tmp/pluto.log", "IPsec SA established", 2}},
	} {
		m.try(t, s.client, name, x.name+", keys renewed by the server", func(t *testing.T) string {
			conn := libreswanConn("lab", side, append(x.lines, "ikelifetime=1h", "salifetime=20s", "rekeymargin=8s", "rekeyfuzz=0%")...)
			s.put(map[string]string{
				"server.crt": content(t, s.dir, vpnName+".crt"), "server.key": content(t, s.dir, vpnName+".key"), "ca.crt": content(t, s.dir, "ca.crt"),
			})
			s.must(dialTime, `
				[ -e /run/pluto/pluto.ctl ] && ipsec whack --shutdown && rm -rf /var/lib/ipsec/nss/*
				cd /lab/etc && mkdir -p p12 ipsec.d && echo "alice:$(openssl passwd -5 alicepw):lab" > ipsec.d/passwd &&
				openssl pkcs12 -export -in server.crt -inkey server.key -certfile ca.crt -name server -passout pass:pkcs12 -out p12/server.p12`)
			s.libreswan(t, s.dir, conn)
			s.call(t, x.flags...)
			return s.carried(t, "libreswan "+x.name) + "; " + s.renewing(t, 35, x.least)
		})
	}
}

func callOpenIKED(t *testing.T, m *matrix) {
	s := newCallee(t)
	const name = "connect to OpenIKED"
	s.tell(t, "tail -150 /tmp/iked.log; ip xfrm policy | grep -v socket")
	s.put(map[string]string{
		"iked/ca/ca.crt": content(t, s.dir, "ca.crt"), "iked/certs/" + serverAddr + ".crt": content(t, s.dir, vpnName+".crt"),
		"iked/private/local.key": content(t, s.dir, vpnName+".key"),
	})
	for _, x := range []struct {
		name, auth string
		flags      []string
	}{
		{"key", `psk "` + labPSK + `"`, callKey},
		{"EAP-MSCHAPv2", `eap "mschap-v2"`, s.callEAP()},
		{"certificate", "rsa", s.callCertificate()},
	} {
		m.try(t, s.client, name, x.name+", keys renewed by the server", func(t *testing.T) string {
			s.put(map[string]string{"iked.conf": "user \"alice\" \"alicepw\"\nikev2 \"lab\" passive esp from " + sitePrefix + " to dynamic local " + serverAddr +
				" peer any srcid " + serverAddr + " lifetime 20 " + x.auth + " config address " + serverPool + "\n"})
			s.must(dialTime, "pkill -x iked; sleep 1; sh /lab/guest/iked; sleep 2")
			s.call(t, x.flags...)
			return s.carried(t, "OpenIKED "+x.name) + "; " + s.renewing(t, 35, renewal{"/tmp/iked.log", "spi=.*send CREATE_CHILD_SA req", 2})
		})
	}
}
