package config

import (
	"crypto/x509"
	"fmt"
	"net/netip"
	"slices"
	"strings"
)

// What tells tenants apart: a client shows a pre-shared key or a certificate before it
// says its name, so that decides which tenants it may reach at all. Where several share
// a key, the realm in the user's name chooses among them; where clients ask for a
// server's name, that does.

// checkApart refuses tenants of which a client could not say which one it means.
func (r *reader) checkApart() {
	for i, t := range r.tenants {
		for _, other := range r.tenants[:i] {
			if !t.meets(other) {
				continue
			}
			if at, ok := t.sharedKey(other); ok {
				t.checkShared(other, at)
			}
			if at, ok := t.sharedAuthority(other); ok {
				t.checkSharedAuthority(other, at)
			}
		}
	}
}

// meets reports whether a client may dial an address that both tenants take.
func (t *tenantValues) meets(other *tenantValues) bool {
	if len(t.Match.Local) == 0 || len(other.Match.Local) == 0 {
		return true
	}
	return slices.ContainsFunc(t.Match.Local, func(a netip.Addr) bool { return slices.Contains(other.Match.Local, a) })
}

// sharedKey returns the first key of t that other has too.
func (t *tenantValues) sharedKey(other *tenantValues) (value, bool) {
	for i, psk := range t.PSKs {
		if slices.ContainsFunc(other.PSKs, psk.Equal) {
			return t.psks[i], true
		}
	}
	return value{}, false
}

// checkShared refuses two tenants behind one key of which one could not be
// reached, or that differ in what is needed before the realm is known.
func (t *tenantValues) checkShared(other *tenantValues, at value) {
	for _, x := range []*tenantValues{t, other} {
		if len(x.Match.Realms) == 0 && !x.Default {
			at.refuse(fmt.Sprintf("tenants %s and %s share this key and take clients on the same addresses (%s is on line %d), and nothing says who is %s's", other.Name, t.Name, other.Name, other.self.line(), x.Name),
				"give "+x.Name+" a key of its own, or match: {realms: [...]}, or default: true")
			return
		}
	}
	if !t.PPK.sameAs(other.PPK) {
		t.shared.refuse(fmt.Sprintf("tenants %s and %s share a key and differ in ppk, which is needed before the realm is known", other.Name, t.Name),
			"require it of both or of none, give each ppk an id of its own, or give one tenant a psk of its own")
	}
	if t.Legacy != other.Legacy || t.IKE != other.IKE {
		t.shared.refuse(fmt.Sprintf("tenants %s and %s share a key and differ in legacy or ike, which are needed before the realm is known", other.Name, t.Name),
			"write the same for both, or give one a key of its own")
	}
}

// sharedAuthority returns where t names authorities whose certificates let clients into
// other too.
func (t *tenantValues) sharedAuthority(other *tenantValues) (value, bool) {
	if !t.Auth.Allow.Certificate || !other.Auth.Allow.Certificate || t.Certificate == nil || other.Certificate == nil {
		return value{}, false
	}
	return t.ca, slices.ContainsFunc(t.CA, func(c *x509.Certificate) bool { return slices.ContainsFunc(other.CA, c.Equal) })
}

// checkSharedAuthority refuses two tenants that take the same clients' certificates under
// one name of the server's: all of them would be the first one's. IKEv1 has no name of
// the server's at all.
func (t *tenantValues) checkSharedAuthority(other *tenantValues, at value) {
	text := fmt.Sprintf("tenants %s and %s take certificates of one authority on the same addresses (%s names it on line %d)", other.Name, t.Name, other.Name, other.ca.line())
	const remedy = "give each an authority of its own, or match: {local: [...]}, or auth: {allow: [...]} without certificate"
	if name, ok := t.sharedName(other); ok {
		at.refuse(text+", and both are "+name+": every client with such a certificate would be "+other.Name+"'s",
			remedy+", or a server certificate with a name of its own, or, under one with several names, identity")
		return
	}
	if t.Certificate.forIKEv1() && other.Certificate.forIKEv1() {
		at.warn(text+": by IKEv1, where clients do not say which server they mean, all of them are "+other.Name+"'s", remedy+", or ECDSA keys where IKEv2 is enough")
	}
}

// sharedName returns a name that clients may ask for and mean either tenant.
func (t *tenantValues) sharedName(other *tenantValues) (string, bool) {
	names := other.serverNames()
	for _, name := range t.serverNames() {
		if slices.ContainsFunc(names, func(s string) bool { return strings.EqualFold(s, name) }) {
			return name, true
		}
	}
	return "", false
}

// serverNames are the names of the server's that lead to the tenant.
func (t *tenantValues) serverNames() []string {
	if t.Identity != "" {
		return []string{t.Identity}
	}
	leaf := t.Certificate.Chain[0]
	list := slices.Clone(leaf.DNSNames)
	for _, a := range leaf.IPAddresses {
		list = append(list, a.String())
	}
	if s := leaf.Subject.String(); s != "" {
		list = append(list, s)
	}
	return list
}
