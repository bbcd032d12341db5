package lab

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// A dialer is what a user of Debian writes into ipsec.conf, xl2tpd.conf and the pppd options.
type dialer struct {
	server         string
	psk            string
	user, password string
	connections    []connection
	global         []string // more lines for xl2tpd's [global]
	lac            []string // and for its [lac]
	ppp            []string // more lines for pppd
	eap            bool     // pppd takes EAP, which it is told to refuse otherwise
	authority      string   // directory of the authority that issued carol's certificate; empty: none
}

// A connection is one conn of ipsec.conf.
type connection struct {
	name     string
	ike, esp string
	lines    []string // more lines
}

const (
	ikeDefault = "aes256-sha256-modp2048"
	espDefault = "aes256-sha256"
	labPSK     = "labpsk123"
)

// alice is who dials when it does not matter who.
func alice(server string) dialer {
	return dialer{
		server: server, psk: labPSK, user: "alice", password: "alicepw",
		connections: []connection{{name: "lab", ike: ikeDefault, esp: espDefault}},
	}
}

// write puts the dialer's files where guest/dial finds them.
func (d dialer) write(job string) error {
	for _, file := range []struct {
		name string
		mode os.FileMode
		text string
	}{
		{"ipsec.conf", 0o644, d.ipsecConf()},
		{"ipsec.secrets", 0o600, d.secrets()},
		{"xl2tpd/xl2tpd.conf", 0o644, d.xl2tpdConf()},
		{"ppp/lab.options", 0o600, d.pppOptions()},
		{"ppp/ip-up.d/lab", 0o755, "#!/bin/sh\nip route replace " + sitePrefix + " dev $PPP_IFACE\n"},
	} {
		path := filepath.Join(job, "etc", file.name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(path, []byte(file.text), file.mode); err != nil {
			return err
		}
	}
	return d.writeCertificates(job)
}

// secrets is what strongSwan may prove itself with.
func (d dialer) secrets() string {
	s := fmt.Sprintf(": PSK %q\n", d.psk)
	if d.authority != "" {
		s += lines(": PKCS8 carol.key")
	}
	return s
}

// writeCertificates puts the files of the authority where strongSwan looks for them.
func (d dialer) writeCertificates(job string) error {
	if d.authority == "" {
		return nil
	}
	for to, from := range credentials(d.authority) {
		b, err := os.ReadFile(from)
		if err != nil {
			return err
		}
		path := filepath.Join(job, "etc/ipsec.d", to)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(path, b, 0o600); err != nil {
			return err
		}
	}
	return nil
}

func (d dialer) ipsecConf() string {
	var b strings.Builder
	fmt.Fprintf(&b, `conn %%default
	keyexchange=ikev1
	authby=secret
	type=transport
	left=%%defaultroute
	leftprotoport=17/1701
	right=%s
	rightid=%%any
	rightprotoport=17/1701
	keyingtries=1
	auto=add
`, d.server)
	for _, c := range d.connections {
		fmt.Fprintf(&b, "conn %s\n\tike=%s!\n\tesp=%s!\n", c.name, c.ike, c.esp)
		for _, line := range c.lines {
			fmt.Fprintf(&b, "\t%s\n", line)
		}
	}
	return b.String()
}

func (d dialer) xl2tpdConf() string {
	return lines("[global]") + lines(d.global...) +
		lines("[lac lab]", "lns = "+d.server, "pppoptfile = /etc/ppp/lab.options", "length bit = yes") + lines(d.lac...)
}

func (d dialer) pppOptions() string {
	methods := "refuse-eap"
	if d.eap {
		methods = lines("refuse-mschap-v2", "refuse-mschap", "refuse-chap", "refuse-pap")
	}
	return lines("name "+d.user, "password "+d.password, "noauth", methods, "noccp", "nodefaultroute",
		"usepeerdns", "ipcp-accept-local", "ipcp-accept-remote", "mtu 1400", "mru 1400",
		"debug", "logfile /tmp/pppd.log") + lines(d.ppp...)
}

func lines(l ...string) string {
	var b strings.Builder
	for _, line := range l {
		b.WriteString(line + "\n")
	}
	return b.String()
}

// dialTime is how long a dial may take that has no reason to be slow but a busy machine.
const dialTime = 40 * time.Second

// dial dials a connection, by default the first, until the site can be reached through it. It
// returns the time from the first IKE message to the route, as the client's clock has it.
func (c *client) dial(d dialer, name ...string) (time.Duration, error) {
	if err := d.write(c.job); err != nil {
		return 0, err
	}
	name = append(name, d.connections[0].name)
	out, err := c.run(dialTime, "sh /lab/guest/dial "+name[0])
	if err != nil {
		return 0, err
	}
	return time.ParseDuration(out + "s")
}

// mustDial is dial for one that must succeed.
func (c *client) mustDial(d dialer, name ...string) time.Duration {
	c.t.Helper()
	took, err := c.dial(d, name...)
	if err != nil {
		c.t.Fatalf("%s: dial: %v", c.name, err)
	}
	c.t.Logf("%s: up in %v", c.name, took)
	return took
}

// hangUp ends what dial began.
func (c *client) hangUp(name string) {
	c.t.Helper()
	c.must(dialTime, "sh /lab/guest/hangup "+name)
}
