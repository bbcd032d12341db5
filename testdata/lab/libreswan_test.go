package lab

import (
	"strings"
	"testing"
	"time"
)

// libreswanConf is libreswan's configuration up to its first conn with a name.
const libreswanConf = `config setup
	logfile=/tmp/pluto.log
	logtime=yes
	ikev1-policy=accept
	virtual-private=%v4:10.0.0.0/8
conn %default
	left=%defaultroute
	leftmodecfgclient=yes
	keyingtries=1
	auto=add
`

// How libreswan dials by IKEv2 and by XAUTH.
var (
	libreswan2 = []string{"right=" + gatewayAddr, "rightsubnet=" + sitePrefix, "rightid=@" + vpnName, "leftsubnet=0.0.0.0/0", "narrowing=yes"}
	libreswan1 = []string{"right=" + gatewayAddr, "rightsubnet=" + sitePrefix, "ikev2=no", "authby=secret", "leftxauthclient=yes", "leftusername=alice",
		"rightxauthserver=yes", "rightmodecfgserver=yes", "modecfgpull=yes"}
)

// libreswanConn is one conn: lines of before, and more, of which the last of a name counts.
func libreswanConn(name string, lines []string, more ...string) string {
	value, names := map[string]string{}, []string{}
	for _, line := range append(append([]string{}, lines...), more...) {
		key, v, _ := strings.Cut(line, "=")
		if _, had := value[key]; !had {
			names = append(names, key)
		}
		value[key] = v
	}
	text := "conn " + name + "\n"
	for _, key := range names {
		text += "\t" + key + "=" + value[key] + "\n"
	}
	return text
}

// libreswan gives a client the configuration and starts libreswan in it.
func (c *client) libreswan(t *testing.T, dir string, conns ...string) {
	t.Helper()
	conf := libreswanConf
	for _, conn := range conns {
		conf += conn
	}
	c.put(map[string]string{
		"ipsec.conf": conf, "ipsec.secrets": ": PSK \"" + labPSK + "\"\n@alice : XAUTH \"alicepw\"\n",
		"p12/carol.p12": content(t, dir, "carol.p12"),
	})
	c.tell(t, "cat /tmp/pluto.log; ip xfrm policy | grep -v socket; ip route; ip -o -4 addr")
	if out := c.must(dialTime, "sh /lab/guest/libreswan"); out != "" {
		t.Fatalf("libreswan does not start: %s", out)
	}
}

func up(conn string) string   { return "timeout 100 ipsec auto --up " + conn }
func down(conn string) string { return "ipsec auto --down " + conn }

// plutoRenews are lines of a key that was renewed.
var (
	plutoChild = renewal{"/tmp/pluto.log", "rekeyed Child SA", 2}
	plutoIKE   = renewal{"/tmp/pluto.log", "rekeyed IKE SA", 1}
	brief2     = []string{"ikelifetime=40s", "salifetime=20s", "rekeymargin=6s", "rekeyfuzz=0%"}
)

func libreswanIKEv2(t *testing.T, m *matrix) {
	n, s, c, dir := interop(t)
	n.air(t)
	const name = "libreswan IKEv2"
	psk, cert := []string{"authby=secret", "leftid=@somebody"}, []string{"leftcert=carol", "leftid=%fromcert", "authby=rsa-sha2"}
	c.libreswan(t, dir,
		libreswanConn("psk", libreswan2, append(psk, brief2...)...),
		libreswanConn("pss", libreswan2, cert...),
		libreswanConn("pss512", libreswan2, append(cert, "authby=rsa-sha2_512")...),
		libreswanConn("brief", libreswan2, append(cert, "right="+directAddr, "authby=rsasig", "ikelifetime=8h", "salifetime=8h")...),
		libreswanConn("mobike", libreswan2, append(cert, "mobike=yes")...))
	m.try(t, c, name, "key", func(t *testing.T) string {
		must(t, c, dialTime, up("psk"))
		return carries(t, c, "libreswan-psk")
	})
	m.try(t, c, name, "keys renewed by the client", func(t *testing.T) string { return renews(t, c, 60, plutoChild, plutoIKE) })
	m.try(t, c, name, "address over redial", func(t *testing.T) string { return keeps(t, c, down("psk"), up("psk")) })
	c.must(dialTime, down("psk"))
	for _, conn := range []string{"pss", "pss512"} {
		m.try(t, c, name, "certificate, RSASSA-PSS ("+conn+")", func(t *testing.T) string {
			defer c.must(dialTime, down(conn))
			must(t, c, dialTime, up(conn))
			return carries(t, c, "libreswan-"+conn)
		})
	}
	m.try(t, c, name, "keys renewed by culvert", func(t *testing.T) string {
		defer c.must(dialTime, down("brief"))
		must(t, c, dialTime, up("brief"))
		return renewsBut(t, c, 3, 50, plutoChild, plutoIKE)
	})
	m.try(t, c, name, "MOBIKE, to behind no NAT", func(t *testing.T) string {
		must(t, c, dialTime, up("mobike"))
		ping(t, c, siteAddr)
		n.roam(t, c, direct, 7)
		within(t, 20*time.Second, "the server has seen the client move", func() bool { return len(s.moves(t)) > 0 })
		result := carries(t, c, "libreswan-mobike")
		if c.matches(renewal{file: "/tmp/pluto.log", pattern: `"mobike".*initiating IKEv2 connection`}) != 1 {
			t.Error("the client dialled again")
		}
		return result
	})
}

func libreswanIKEv1(t *testing.T, m *matrix) {
	// A main mode that its server begins is nothing to a client that libreswan is: of phase 2 only is the life short.
	_, _, c, dir := interopOf(t, "child_lifetime: 16s")
	const name = "libreswan IKEv1"
	if err := alice(gatewayAddr).write(c.job); err != nil { // for xl2tpd and pppd
		t.Fatal(err)
	}
	c.libreswan(t, dir,
		libreswanConn("xauth", libreswan1, brief2...),
		libreswanConn("aggressive", libreswan1, "aggressive=yes", "leftid=@staff", "ike=aes256-sha1;modp2048"),
		libreswanConn("brief", libreswan1, "right="+directAddr),
		libreswanConn("l2tp", []string{"right=" + gatewayAddr, "ikev2=no", "authby=secret", "type=transport", "pfs=no", "leftmodecfgclient=no",
			"leftprotoport=17/1701", "rightprotoport=17/1701"}))
	m.try(t, c, name, "XAUTH, main mode", func(t *testing.T) string {
		must(t, c, dialTime, up("xauth"))
		return carries(t, c, "libreswan-xauth")
	})
	m.try(t, c, name, "keys renewed by the client", func(t *testing.T) string {
		return renews(t, c, 60, renewal{"/tmp/pluto.log", "IPsec SA established", 2}, renewal{"/tmp/pluto.log", "IKE SA established", 1})
	})
	m.try(t, c, name, "address over redial", func(t *testing.T) string { return keeps(t, c, down("xauth"), up("xauth")) })
	c.must(dialTime, "ipsec auto --delete xauth")
	m.try(t, c, name, "XAUTH, aggressive mode, padded", func(t *testing.T) string {
		defer c.must(dialTime, "ipsec auto --delete aggressive")
		must(t, c, dialTime, up("aggressive"))
		return carries(t, c, "libreswan-aggressive")
	})
	m.try(t, c, name, "keys of phase 2 renewed by culvert", func(t *testing.T) string {
		must(t, c, dialTime, up("brief"))
		defer c.must(dialTime, "ipsec auto --delete brief")
		return renews(t, c, 40, renewal{"/tmp/pluto.log", "IPsec SA established", 2})
	})
	m.try(t, c, name, "L2TP", func(t *testing.T) string {
		must(t, c, dialTime, up("l2tp")+` > /tmp/up.log || { cat /tmp/up.log; exit 11; }
			. /lab/guest/wait; xl2tpd -D > /tmp/xl2tpd.log 2>&1 & wait_for 5 xl2tpd_ready
			echo 'c lab' > /run/xl2tpd/l2tp-control; wait_for 20 site_routed || { cat /tmp/xl2tpd.log /tmp/pppd.log; exit 12; }`)
		return carries(t, c, "libreswan-l2tp")
	})
}
