package config

import (
	"encoding/hex"
	"fmt"
	"net/netip"
	"path/filepath"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/goccy/go-yaml/ast"
)

// directory reads the path of a directory.
func (v value) directory(into *string) {
	s, ok := v.text()
	if !ok {
		return
	}
	if !filepath.IsAbs(s) {
		v.refuse(fmt.Sprintf("%s: %s depends on where culvert is started", v.path, s), "write the whole path, from /")
		return
	}
	*into = filepath.Clean(s)
}

// readAuth reads who may log in and how.
func (t *tenantValues) readAuth(v value) {
	v.fields([]field{
		{"allow", "[mschapv2]", false, t.readAllow},
		{"local", "{users: [{name: alice, password: file:alice.password}]}", false, func(v value) {
			v.fields([]field{{"users", "[{name: alice, password: file:alice.password}]", false, func(v value) { v.items(t.readUser) }}})
		}},
	})
}

// readAllow reads the methods clients may log in with.
func (t *tenantValues) readAllow(v value) {
	var m Methods
	v.items(func(item value) {
		var word string
		item.choice(&word, "mschapv2", "eap-mschapv2", "chap", "pap", "eap-tls", "certificate", "ikev2-psk", "xauth")
		m.MSCHAPv2 = m.MSCHAPv2 || word == "mschapv2"
		m.EAP = m.EAP || word == "eap-mschapv2"
		m.CHAP = m.CHAP || word == "chap"
		m.PAP = m.PAP || word == "pap"
		m.EAPTLS = m.EAPTLS || word == "eap-tls"
		m.Certificate = m.Certificate || word == "certificate"
		m.PSK = m.PSK || word == "ikev2-psk"
		m.XAUTH = m.XAUTH || word == "xauth"
	})
	if v.isEmptyList() {
		v.refuse(v.path+" is empty: nobody could log in", "write allow: [mschapv2], or leave it out")
	}
	t.Auth.Allow, t.allowed = m, true
}

// readUser reads one user.
func (t *tenantValues) readUser(v value) {
	u := new(User)
	var proofs int
	var in []named
	at := v
	v.fields(append([]field{
		{"name", "alice", true, func(v value) { at = v; u.Name, _ = v.userName() }},
		{"password", "file:alice.password", false, func(v value) { proofs++; u.Password, _ = v.secret() }},
		{"nt_hash", "file:alice.nthash", false, func(v value) { proofs++; u.NTHash, _ = v.ntHash() }},
		{"address", "10.100.1.10", false, func(v value) { t.readFixed(v, &u.Name) }},
		{"groups", "[engineers]", false, func(v value) { t.readNames(v, &in) }},
	}, t.attributes(&u.Attributes)...))
	switch proofs {
	case 0:
		v.refuse(v.path+" has neither password nor nt_hash", "write one of them, as in password: file:alice.password")
	case 2:
		v.refuse(v.path+" has both password and nt_hash", "keep one of the two")
	}
	if u.Name == "" {
		return
	}
	t.rules.members = append(t.rules.members, member{u.Name, in, u.Attributes})
	if u.Pool != "" {
		t.wishes = append(t.wishes, poolWish{UserKey(u.Name), u.Pool, t.poolAt[&u.Attributes]})
	}
	t.Auth.Users = append(t.Auth.Users, *u)
	t.users = append(t.users, at)
}

// userName reads the name of a user, without a realm.
func (v value) userName() (string, bool) {
	s, ok := v.text()
	if !ok {
		return "", false
	}
	if err := CheckUserName(s); err != nil {
		v.refuse(fmt.Sprintf("%s: %q: %s", v.path, s, strings.TrimPrefix(err.Error(), "config: ")), "write the name alone, as in alice")
		return "", false
	}
	return s, true
}

// CheckUserName refuses names that no client could log in with: empty ones,
// those over 128 bytes, and those with a domain in them.
func CheckUserName(s string) error {
	switch {
	case s == "" || len(s) > 128:
		return fmt.Errorf("config: a user's name has 1 to 128 bytes")
	case strings.ContainsRune(s, '\\'):
		return fmt.Errorf(`config: what stands before a \ is a realm or a domain, and no part of a user's name`)
	case !utf8.ValidString(s) || strings.ContainsFunc(s, unicode.IsControl) || strings.TrimSpace(s) != s:
		return fmt.Errorf("config: a user's name has no control characters, and no space at its ends")
	}
	return nil
}

// ntHash reads 32 hexadecimal digits, secret as they are.
func (v value) ntHash() (Secret, bool) {
	s, ok := v.secret()
	if !ok || v.r.outside.outline {
		return s, ok
	}
	hash := make([]byte, hex.DecodedLen(s.Len()))
	_, err := hex.Decode(hash, s.Bytes())
	s.Zero()
	if err != nil || len(hash) != 16 {
		v.refuse(v.path+" is not an NT hash", "write its 32 hexadecimal digits, or password: instead")
		return Secret{}, false
	}
	defer clear(hash)
	return NewSecret(hash), true
}

// checkRange6 refuses ranges that clients cannot have prefixes of.
func (v value) checkRange6(p netip.Prefix) bool {
	usable := netip.MustParsePrefix("2000::/3").Overlaps(p) || netip.MustParsePrefix("fc00::/7").Overlaps(p)
	switch {
	case !usable:
		v.refuse(fmt.Sprintf("%s: hosts cannot have addresses of %s", v.path, p), "write a range of your own, as in 2001:db8:1::/48")
	case p.Bits() < 16:
		v.refuse(fmt.Sprintf("%s: %s is too large", v.path, p), "write a /16 or smaller, as in 2001:db8:1::/48")
	default:
		return true
	}
	return false
}

// checkRange refuses ranges that hosts cannot have addresses of.
func (v value) checkRange(p netip.Prefix) bool {
	switch {
	case p.Bits() > 30:
		v.refuse(fmt.Sprintf("%s: %s is too small: its network, gateway and broadcast addresses leave none for clients", v.path, p), "write a /29 or larger, as in 10.100.1.0/24")
	case p.Bits() < 8:
		v.refuse(fmt.Sprintf("%s: %s is too large", v.path, p), "write a /8 or smaller, as in 10.100.0.0/16")
	case !isUnicast(p):
		v.refuse(fmt.Sprintf("%s: hosts cannot have addresses of %s", v.path, p), "write a private range, as in 10.100.1.0/24")
	default:
		return true
	}
	return false
}

// isUnicast reports whether hosts may have addresses of an IPv4 range.
func isUnicast(p netip.Prefix) bool {
	for _, forbidden := range []string{"0.0.0.0/8", "127.0.0.0/8", "169.254.0.0/16", "224.0.0.0/3"} {
		if p.Overlaps(netip.MustParsePrefix(forbidden)) {
			return false
		}
	}
	return true
}

// readEgress reads how the tenant's traffic leaves.
func (t *tenantValues) readEgress(v value) {
	t.egress = v
	if s, ok := v.node.(*ast.StringNode); ok {
		if s.Value != "netstack" {
			v.refuse(fmt.Sprintf("%s: %q is not a choice", v.path, s.Value), "write egress: netstack, or egress: {tun: {device: tun-office}}")
		}
		return
	}
	var e Egress
	v.fields([]field{
		{"netstack", "{allow: [10.0.0.0/8]}", false, func(v value) { e.Netstack = t.readNetstack(v) }},
		{"tun", "{device: tun-office}", false, func(v value) { e.TUN = readTUN(v) }},
	})
	switch {
	case e.Netstack != nil && e.TUN != nil:
		v.refuse(v.path+" has both netstack and tun", "keep one of the two")
	case e.Netstack == nil && e.TUN == nil:
		v.refuse(v.path+" chooses nothing", "write egress: netstack, or egress: {tun: {device: tun-office}}")
	default:
		t.Egress = e
	}
}

// readTUN reads the device a tenant leaves by.
func readTUN(v value) *TUN {
	t := &TUN{}
	v.fields([]field{
		{"device", "tun-office", true, func(v value) { t.Device = readDevice(v) }},
		{"netns", "office", false, func(v value) { t.NetNS = readNetNS(v) }},
		{"allow", "[10.200.0.0/16]", false, func(v value) { t.Allow = listOf(v, value.prefix) }},
	})
	return t
}

// readDevice reads the name of a network interface.
func readDevice(v value) string {
	s, ok := v.text()
	switch {
	case !ok:
		return ""
	case len(s) > 15:
		v.refuse(fmt.Sprintf("%s: %s has %d bytes, and Linux takes 15", v.path, s, len(s)), "write device: "+s[:15])
	case s == "." || s == ".." || strings.ContainsAny(s, "/: %\t") || !isPrintable(s):
		v.refuse(fmt.Sprintf("%s: %q is not the name of a device", v.path, s), "write letters, digits and dashes, as in tun-office")
	}
	return s
}

// readNetNS reads the name or the path of a network namespace.
func readNetNS(v value) string {
	s, ok := v.text()
	if !ok {
		return ""
	}
	named := !strings.Contains(s, "/") && isName(s)
	if !named && !filepath.IsAbs(s) {
		v.refuse(fmt.Sprintf("%s: %q is not a namespace", v.path, s), "write a name that `ip netns list` shows, or a whole path such as /proc/1234/ns/net")
	}
	return s
}

// isPrintable reports whether s is printable ASCII.
func isPrintable(s string) bool {
	return !strings.ContainsFunc(s, func(r rune) bool { return r <= ' ' || r > '~' })
}
