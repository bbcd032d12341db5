package main

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"

	"github.com/spf13/cobra"

	"github.com/culvert-vpn/culvert/internal/config"
	"github.com/culvert-vpn/culvert/internal/dialer"
)

// newConnect returns the command that dials a server.
func newConnect(s streams) *cobra.Command {
	d := &connectCommand{}
	c := &cobra.Command{
		Use:   "connect SERVER",
		Short: "Dial an L2TP/IPsec or IKEv2 server and give it a TUN device",
		Long: `Dials any L2TP/IPsec server, culvert or not, and makes a TUN device with the
address it is given. When the connection ends it dials again, until ^C; with
--once it ends too, with exit code 1 and the reason.

Only networks named by --route go through the tunnel. Secrets are written as
file:PATH or env:NAME; written as themselves, others on this host see them in
the list of processes.

  culvert connect vpn.example.com --user alice --psk file:psk \
      --password file:password --route 10.0.0.0/8

--ikev2 dials by IKEv2 in tunnel mode: by EAP-MSCHAPv2 with --user, --password
and --ca; by certificate with --cert, --key and --ca; or with --psk, and with
--ca beside it if the server shall prove itself by its certificate, not the key.
The server's certificate must be issued by --ca and have the name SERVER, also
that of another gateway which SERVER sends us to. --ppk and --ppk-id add a
post-quantum key to any of these.

  culvert connect vpn.example.com --ikev2 --ca ca.crt --user alice \
      --password file:password --route 10.0.0.0/8

L2TP is dialled with certificates in place of --psk, too, with RSA keys:

  culvert connect vpn.example.com --ca ca.crt --cert site.crt --key site.key \
      --user alice --password file:password --route 10.0.0.0/8

--group dials by aggressive mode, for servers that tell groups of users apart by
its name:

  culvert connect vpn.example.com --group field-staff --psk file:psk \
      --user alice --password file:password --route 10.0.0.0/8

--eap-tls shows the certificate within EAP instead, in L2TP beside --psk:

  culvert connect vpn.example.com --psk file:psk --eap-tls --ca ca.crt \
      --cert site.crt --key site.key --route 10.0.0.0/8

--xauth dials what macOS and iOS call "Cisco IPSec" and Android "IPSec Xauth":
IKEv1 in tunnel mode, with the user's name and password behind --psk or behind
certificates, and no L2TP. It tells the password to whoever has the key:

  culvert connect vpn.example.com --xauth --user alice --psk file:psk \
      --password file:password --route 10.0.0.0/8

When the address of this host changes, or another way to the server is better, a
connection by --ikev2 moves there, with its device and addresses, if the server
speaks MOBIKE. Others are dialled again once their address is gone. With --local
the connection stays where it is.

--persona makes the connection look like that of a native client, for tests:
windows7, windows10, macos, ios, android, chromeos, mikrotik, networkmanager.

Needs CAP_NET_ADMIN for the device.`,
		Args: arguments("a SERVER"),
		RunE: func(cmd *cobra.Command, args []string) error { return d.run(cmd.Context(), s, args[0]) },
	}
	f := c.Flags()
	f.StringVar(&d.psk, "psk", "", "pre-shared `KEY`")
	f.StringVar(&d.user, "user", "", "user `NAME`")
	f.StringVar(&d.password, "password", "", "`PASSWORD` of the user")
	f.StringVar(&d.l2tpSecret, "l2tp-secret", "", "`SECRET` that the L2TP tunnel is authenticated with, where the server wants one")
	f.BoolVar(&d.ikev2, "ikev2", false, "dial by IKEv2 instead of L2TP")
	f.BoolVar(&d.xauth, "xauth", false, "dial by IKEv1 with extended authentication (\"Cisco IPSec\") instead of L2TP")
	f.StringVar(&d.ca, "ca", "", "`FILE` with the authority of the server's certificate")
	f.StringVar(&d.cert, "cert", "", "`FILE` with our certificate")
	f.StringVar(&d.key, "key", "", "`FILE` with its key, which only its owner may read")
	f.BoolVar(&d.eapTLS, "eap-tls", false, "show --cert within EAP (EAP-TLS), in IKEv2 or in L2TP's PPP")
	f.StringVar(&d.ppk, "ppk", "", "post-quantum `KEY` that is added to the others, in IKEv2")
	f.StringVar(&d.ppkID, "ppk-id", "", "its `NAME`, by which the server knows it")
	f.BoolVar(&d.ppkOptional, "ppk-optional", false, "go on with a server that does not have the post-quantum key")
	f.StringVar(&d.identity, "identity", "", "`NAME` to call ourselves in IKE (default our address)")
	f.StringVar(&d.group, "group", "", "`NAME` of the group whose key --psk is: dial by aggressive mode, as Apple's clients with a group name do")
	f.StringVar(&d.persona, "persona", "", "native `CLIENT` to speak like")
	f.StringSliceVar(&d.ike, "ike", nil, "IKE `SUITE` to propose, such as aes256-sha256-modp2048, or by IKEv2 aes256gcm16-prfsha256-curve25519-mlkem768 (default the persona's); may be repeated")
	f.StringSliceVar(&d.esp, "esp", nil, "ESP `SUITE` to propose, such as aes256gcm16, aes256-sha256, or by IKEv2 chacha20poly1305; may be repeated")
	f.StringVar(&d.local, "local", "", "`ADDRESS` to dial from (default the one the route takes)")
	f.StringVar(&d.device, "device", "", "`NAME` of the TUN device (default the next free culvertN)")
	f.StringVar(&d.netns, "netns", "", "network namespace to put the device in, by `NAME` or path")
	f.StringSliceVar(&d.routes, "route", nil, "`NETWORK` to reach through the tunnel; may be repeated")
	f.BoolVar(&d.once, "once", false, "do not dial again when the connection ends")
	f.StringVar(&d.level, "log-level", "info", "`LEVEL` of the log: debug, info, warn or error")
	return c
}

// connectCommand has the flags of connect.
type connectCommand struct {
	psk, user, password, identity, persona string
	group                                  string
	l2tpSecret                             string
	ca, cert, key                          string
	ikev2, eapTLS, xauth                   bool
	local, device, netns, level            string
	routes, ike, esp                       []string
	once                                   bool
	ppk, ppkID                             string
	ppkOptional                            bool
}

// run dials.
func (d *connectCommand) run(ctx context.Context, s streams, server string) error {
	dial, err := d.values(s, server)
	if err != nil {
		return err
	}
	defer clear(dial.PSK)
	return dialer.Connect(ctx, dial)
}

// values turns the flags into what the gateway takes.
func (d *connectCommand) values(s streams, server string) (dialer.ConnectConfig, error) {
	if err := d.check(); err != nil {
		return dialer.ConnectConfig{}, usageError{err}
	}
	c := dialer.ConnectConfig{
		Server: server, Identity: d.identity, User: d.user, Persona: d.persona, XAUTH: d.xauth,
		Device: d.device, NetNS: d.netns, Once: d.once,
		OnUp:   func(a dialer.Assigned) { fmt.Fprintln(s.out, up(a)) },
		OnIPv6: func(a netip.Addr, dns []netip.Addr) { fmt.Fprintln(s.out, up6(a, dns)) },
		Group:  d.group,
	}
	err := d.secrets(&c)
	if err != nil {
		return c, err
	}
	if d.l2tpSecret != "" {
		secret, err := config.ResolveSecret(d.l2tpSecret)
		if err != nil {
			return c, fmt.Errorf("--l2tp-secret: %w", err)
		}
		c.L2TPSecret = secret.Bytes()
	}
	if d.local != "" {
		if c.Local, err = netip.ParseAddr(d.local); err != nil {
			return c, usageError{fmt.Errorf("--local is not an address: %s", d.local)}
		}
	}
	for _, r := range d.routes {
		p, err := netip.ParsePrefix(r)
		if err != nil || p != p.Masked() {
			return c, usageError{fmt.Errorf("--route is not a network, such as 10.0.0.0/8: %s", r)}
		}
		c.Routes = append(c.Routes, p)
	}
	parse := dialer.ParseSuites
	if d.ikev2 {
		parse = dialer.ParseSuites2
	}
	if c.Suites, err = parse(d.ike, d.esp); err != nil {
		return c, usageError{fmt.Errorf("--ike, --esp: %w", err)}
	}
	if c.Log, err = newLog(s.err, config.Log{Level: d.level, Format: "console"}); err != nil {
		return c, usageError{fmt.Errorf("--log-level: %w", err)}
	}
	return c, nil
}

// check refuses flags that do not make a login.
func (d *connectCommand) check() error {
	if d.ppk != "" && (!d.ikev2 || d.ppkID == "") || d.ppk == "" && (d.ppkID != "" || d.ppkOptional) {
		return errors.New("--ppk is for --ikev2 and needs --ppk-id; --ppk-id and --ppk-optional need --ppk")
	}
	byUser, byCert := d.user != "" && d.password != "", d.cert != "" && d.key != ""
	switch {
	case d.xauth && (d.ikev2 || d.eapTLS || d.l2tpSecret != ""):
		return errors.New("--xauth is a way of its own: without --ikev2, --eap-tls and --l2tp-secret")
	case d.eapTLS && (!byCert || d.ca == "" || d.password != ""):
		return errors.New("--eap-tls needs --cert, --key and --ca, and takes no --password")
	case d.group != "" && (d.ikev2 || d.psk == "" || d.identity != ""):
		return errors.New("--group goes with --psk, and not with --ikev2 and --identity")
	case d.eapTLS && !d.ikev2:
		return nil
	case !d.ikev2 && d.psk == "" && (d.ca != "" || byCert) && !(d.ca != "" && byCert && byUser):
		return errors.New("L2TP with certificates needs --ca, --cert, --key, --user and --password")
	case !d.ikev2 && d.psk != "" && (d.ca != "" || d.cert != "" || d.key != ""):
		return errors.New("--ca, --cert and --key stand in place of --psk")
	case !d.ikev2 && !(byUser && (d.psk != "" || byCert)):
		return errors.New("connect needs --psk, --user and --password")
	case d.ikev2 && d.l2tpSecret != "":
		return errors.New("--l2tp-secret is not for --ikev2")
	case d.ikev2 && d.psk != "" && (d.user != "" || d.password != "" || d.cert != "" || d.key != ""):
		return errors.New("--ikev2 with --psk takes no --user, --password, --cert and --key")
	case d.ikev2 && d.psk == "" && (byUser == byCert || d.ca == ""):
		return errors.New("--ikev2 needs --ca with --user and --password, or --ca with --cert and --key, or --psk")
	}
	return nil
}

// secrets reads what proves who we are.
func (d *connectCommand) secrets(c *dialer.ConnectConfig) error {
	if d.psk != "" {
		psk, err := config.ResolveSecret(d.psk)
		if err != nil {
			return fmt.Errorf("--psk: %w", err)
		}
		c.PSK = psk.Bytes()
	}
	if d.password != "" {
		password, err := config.ResolveSecret(d.password)
		if err != nil {
			return fmt.Errorf("--password: %w", err)
		}
		c.Password = string(password.Bytes())
		password.Zero()
	}
	if d.ca == "" && !d.ikev2 {
		return nil
	}
	return d.certificates(c)
}

// certificates reads what both sides prove who they are with.
func (d *connectCommand) certificates(c *dialer.ConnectConfig) error {
	credentials, err := d.credentials()
	if err != nil {
		return err
	}
	defer clear(credentials.Key)
	if !d.ikev2 && d.psk == "" {
		if c.Signed, err = dialer.NewDialSigned(c.Server, credentials); err != nil {
			return err
		}
	}
	if d.eapTLS {
		if c.EAPTLS, err = dialer.NewDialEAPTLS(c.Server, credentials); err != nil {
			return err
		}
		credentials.Chain = nil // the server asks for it by EAP
	}
	if d.ikev2 {
		if c.V2, err = dialer.NewDialV2(c.Server, credentials); err == nil {
			err = d.quantum(c.V2)
		}
	}
	return err
}

// quantum reads the post-quantum key.
func (d *connectCommand) quantum(v2 *dialer.DialV2) error {
	if d.ppk == "" {
		return nil
	}
	secret, err := config.ResolveSecret(d.ppk)
	if err != nil {
		return fmt.Errorf("--ppk: %w", err)
	}
	v2.PPK = &dialer.DialPPK{ID: d.ppkID, Secret: secret.Bytes(), Optional: d.ppkOptional}
	return nil
}

// credentials reads the files with certificates.
func (d *connectCommand) credentials() (c dialer.Credentials, err error) {
	if d.ca != "" {
		if c.Authorities, err = os.ReadFile(d.ca); err != nil {
			return c, fmt.Errorf("--ca: %w", err)
		}
	}
	if d.cert == "" {
		return c, nil
	}
	if c.Chain, err = os.ReadFile(d.cert); err != nil {
		return c, fmt.Errorf("--cert: %w", err)
	}
	key, err := config.ResolveSecret("file:" + d.key)
	if err != nil {
		return c, fmt.Errorf("--key: %w", err)
	}
	c.Key = key.Bytes()
	return c, nil
}

// up6 writes what a connection by L2TP was given of IPv6.
func up6(a netip.Addr, dns []netip.Addr) string {
	s := "up: IPv6 address " + a.String()
	for _, addr := range dns {
		s += ", DNS " + addr.String()
	}
	return s
}

// up writes what a connection was given in one line.
func up(a dialer.Assigned) string {
	s := fmt.Sprintf("up: address %s, server %s, MTU %d, %s", a.Local, a.Remote, a.MTU, a.Suite)
	for _, addr := range a.DNS {
		s += ", DNS " + addr.String()
	}
	for _, domain := range a.Domains {
		s += ", domain " + plain(domain)
	}
	return s
}
