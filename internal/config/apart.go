package config

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
)

// Gate is one pre-shared key and the tenants it opens.
//
// IKEv1 main mode knows a client by its key alone, so the key decides which
// tenants it may reach at all: a realm outside of the gate is unknown, however
// right its password. One gate has several tenants only where they share the
// key; then each has a realm, or is the default, and the realm in the user's
// name chooses. Tenants that share a key have the same Legacy and IKE, which
// are needed before the name is known.
type Gate struct {
	// PSK opens the gate. It is the tenants' own: not to be zeroed here.
	PSK Secret
	// Tenants behind it, in the order of the file; at least one.
	Tenants []*Tenant
}

// Default returns the tenant behind the gate that takes users who name no
// realm: the only one, or the one that says default.
func (g Gate) Default() (*Tenant, bool) {
	if len(g.Tenants) == 1 {
		return g.Tenants[0], true
	}
	for _, t := range g.Tenants {
		if t.Default {
			return t, true
		}
	}
	return nil, false
}

// Realm returns the tenant behind the gate that a realm belongs to, in any
// case of letters.
func (g Gate) Realm(realm string) (*Tenant, bool) {
	for _, t := range g.Tenants {
		if slices.ContainsFunc(t.Match.Realms, func(r string) bool { return strings.EqualFold(r, realm) }) {
			return t, true
		}
	}
	return nil, false
}

// Gates returns what may be tried for a client that dials a local address:
// first the keys of tenants that name the address, then those of tenants that
// take any. The tenants are c's own.
func (c *Config) Gates(local netip.Addr) []Gate {
	local = local.Unmap()
	var gates []Gate
	for _, named := range []bool{true, false} {
		for i := range c.Tenants {
			t := &c.Tenants[i]
			if named && slices.Contains(t.Match.Local, local) || !named && len(t.Match.Local) == 0 {
				gates = addTenant(gates, t)
			}
		}
	}
	return gates
}

// addTenant puts a tenant behind each of its keys.
func addTenant(gates []Gate, t *Tenant) []Gate {
	for _, psk := range t.PSKs {
		i := slices.IndexFunc(gates, func(g Gate) bool { return g.PSK.Equal(psk) })
		if i < 0 {
			gates = append(gates, Gate{PSK: psk, Tenants: []*Tenant{t}})
			continue
		}
		gates[i].Tenants = append(gates[i].Tenants, t)
	}
	return gates
}

// checkKeys refuses tenants that one key opens and no realm tells apart.
func (r *reader) checkKeys() {
	for i, t := range r.tenants {
		for _, other := range r.tenants[:i] {
			if at, ok := t.sharedKey(other); ok && t.meets(other) {
				t.checkShared(other, at)
			}
		}
	}
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

// meets reports whether a client may dial an address that both tenants take.
func (t *tenantValues) meets(other *tenantValues) bool {
	if len(t.Match.Local) == 0 || len(other.Match.Local) == 0 {
		return true
	}
	return slices.ContainsFunc(t.Match.Local, func(a netip.Addr) bool { return slices.Contains(other.Match.Local, a) })
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
