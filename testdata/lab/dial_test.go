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
	l2tp           []string // more lines for xl2tpd's [lac]
	ppp            []string // more lines for pppd
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
	for name, text := range map[string]string{
		"ipsec.conf":         d.ipsecConf(),
		"ipsec.secrets":      fmt.Sprintf(": PSK \"%s\"\n", d.psk),
		"xl2tpd/xl2tpd.conf": d.xl2tpdConf(),
		"ppp/lab.options":    d.pppOptions(),
	} {
		path := filepath.Join(job, "etc", name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
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
	return lines("[global]", "[lac lab]", "lns = "+d.server, "pppoptfile = /etc/ppp/lab.options", "length bit = yes") +
		lines(d.l2tp...)
}

func (d dialer) pppOptions() string {
	return lines("name "+d.user, "password "+d.password, "noauth", "refuse-eap", "noccp", "nodefaultroute",
		"usepeerdns", "ipcp-accept-local", "ipcp-accept-remote", "mtu 1400", "mru 1400",
		"debug", "logfile /tmp/pppd.log") + lines(d.ppp...)
}

func lines(l ...string) string {
	return strings.Join(append(l, ""), "\n")
}

const dialTime = 40 * time.Second

// dial dials the first connection and routes the site through it.
func (c *client) dial(d dialer) error {
	return c.dialConnection(d, d.connections[0].name)
}

func (c *client) dialConnection(d dialer, name string) error {
	if err := d.write(c.job); err != nil {
		return err
	}
	_, err := c.run(dialTime, "sh /lab/guest/dial "+name+" && ip route replace 198.18.0.0/24 dev ppp0")
	return err
}

// mustDial dials and says how long it took.
func (c *client) mustDial(d dialer) {
	c.t.Helper()
	start := time.Now()
	if err := c.dial(d); err != nil {
		c.t.Fatalf("%s: dial: %v", c.name, err)
	}
	c.t.Logf("%s: up in %.1f s", c.name, time.Since(start).Seconds())
}
