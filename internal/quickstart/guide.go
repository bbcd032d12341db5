package quickstart

import (
	"fmt"
	"io"
	"net/netip"
	"strings"

	"github.com/culvert-vpn/culvert/internal/config"
)

// Guide writes what to type into which client, with the secrets in it: it is
// for the terminal of whoever starts the server, and for no log.
func (s *Setup) Guide(w io.Writer, at Addresses) error {
	t, ok := s.Config.DefaultTenant()
	if !ok {
		return fmt.Errorf("quickstart: %s has several tenants and no default; serve it with culvert serve --config %s", s.Path, s.Path)
	}
	if len(t.PSKs) == 0 {
		return fmt.Errorf("quickstart: tenant %s of %s has no psk, which this guide is about; serve it with culvert serve --config %s", t.Name, s.Path, s.Path)
	}
	user, password := firstUser(t)
	text := strings.NewReplacer(
		"{server}", at.server(),
		"{where}", at.where(),
		"{psk}", string(t.PSKs[0].Bytes()),
		"{user}", user,
		"{password}", password,
		"{path}", s.Path,
		"{again}", s.again(),
	).Replace(guideText)
	_, err := io.WriteString(w, text)
	return err
}

// firstUser returns whom to log in as.
func firstUser(t *config.Tenant) (user, password string) {
	if len(t.Auth.Users) == 0 {
		return "(one that culvert user add made)", "(the password it was given)"
	}
	u := t.Auth.Users[0]
	if u.Password.Len() == 0 {
		return u.Name, "(the password it was given)"
	}
	return u.Name, string(u.Password.Bytes())
}

// again says where the secrets come from.
func (s *Setup) again() string {
	if s.Fresh {
		return "made just now, and used again by the next run"
	}
	return "from an earlier run"
}

// server returns what to write in a client's server field.
func (a Addresses) server() string {
	switch {
	case len(a.Public) > 0:
		return a.Public[0].String()
	case len(a.Private) > 0:
		return a.Private[0].String()
	}
	return "(this host's address)"
}

// where says from where this host can be reached.
func (a Addresses) where() string {
	switch {
	case len(a.Public) > 1:
		return "  This host has more public addresses; clients may dial any: " + list(a.Public[1:]) + "\n"
	case len(a.Public) > 0:
		return ""
	case len(a.Private) > 0:
		return fmt.Sprintf(`  This host has private addresses only (%s). Clients in the same
  network dial that. Clients elsewhere dial the public address of the router or
  cloud in front, which has to forward UDP ports 500 and 4500 to this host; the
  Windows registry needs no change.
`, list(a.Private))
	}
	return "  This host has no IPv4 address that clients could dial.\n"
}

// list writes addresses with commas.
func list(all []netip.Addr) string {
	words := make([]string, len(all))
	for i, a := range all {
		words[i] = a.String()
	}
	return strings.Join(words, ", ")
}

// guideText is the guide with names in braces for what differs.
const guideText = `
Dial in with

  server            {server}
  pre-shared key    {psk}
  user name         {user}
  password          {password}

{where}  A firewall in front has to let UDP ports 500 and 4500 in.

Windows 10 and 11
  Settings > Network & internet > VPN > Add VPN
    VPN provider              Windows (built-in)
    Connection name           culvert
    Server name or address    {server}
    VPN type                  L2TP/IPsec with pre-shared key
    Pre-shared key            {psk}
    Type of sign-in info      User name and password
    User name, Password       {user}, {password}
  Save, then Connect.

macOS
  System Settings > VPN > Add VPN Configuration > L2TP over IPSec
    Server address            {server}
    Account name              {user}
    User authentication       Password: {password}
    Machine authentication    Shared secret: {psk}
  Under Options, turn on "Send all traffic over VPN connection".

iPhone and iPad
  Settings > General > VPN & Device Management > VPN > Add VPN Configuration
    Type                      L2TP
    Server                    {server}
    Account, Password         {user}, {password}
    Secret                    {psk}
    Send All Traffic          on

Android, up to version 12
  Settings > Network & internet > VPN > +
    Type                      L2TP/IPSec PSK
    Server address            {server}
    L2TP secret               (leave empty)
    IPSec identifier          (leave empty)
    IPSec pre-shared key      {psk}
    Username, Password        {user}, {password}
  It has 1024 bit groups only: write legacy: true below psk in {path}, which
  allows them, and start again. Later versions have no L2TP any more.

Linux with NetworkManager (package network-manager-l2tp-gnome)
  Settings > Network > VPN > + > Layer 2 Tunneling Protocol (L2TP)
    Gateway                   {server}
    User name, Password       {user}, {password}
    IPsec Settings            Enable IPsec tunnel, Pre-shared key: {psk}

The secrets are in {path}, {again}.
`
