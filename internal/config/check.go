package config

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
)

// check finds the faults that are between values.
func (r *reader) check() {
	r.checkNames()
	r.checkDefault()
	r.checkRealms()
	for _, t := range r.tenants {
		t.checkLocal()
		t.checkPools()
		t.checkUsers()
		t.checkLeases()
		t.checkCertificate()
		t.checkGroups()
	}
	r.checkSharedGroups()
	r.checkApart()
	r.checkDevices()
	r.checkAllow()
	r.checkPolicy()
}

// checkListen refuses addresses that cannot be bound beside each other.
func (r *reader) checkListen(at []value) {
	for i, v := range at {
		a := r.config.Listen[i]
		for j, b := range r.config.Listen[:i] {
			switch {
			case a == b:
				v.refuse(fmt.Sprintf("%s: %s is listed twice", v.path, a), "drop one of the two")
			case a.Is4() == b.Is4() && (a.IsUnspecified() || b.IsUnspecified()):
				v.refuse(fmt.Sprintf("%s: %s and %s (line %d) share a port", v.path, a, b, at[j].line()), "keep the wildcard alone, or the addresses alone")
			}
		}
	}
}

// checkNames refuses two tenants with one name.
func (r *reader) checkNames() {
	seen := map[string]*tenantValues{}
	for _, t := range r.tenants {
		key := strings.ToLower(t.Name)
		if first, ok := seen[key]; ok && key != "" {
			t.name.refuse(fmt.Sprintf("two tenants are called %s; the other is on line %d", t.Name, first.name.line()), "give each a name of its own")
			continue
		}
		seen[key] = t
	}
}

// checkDefault refuses two tenants that both take whoever names no realm.
func (r *reader) checkDefault() {
	var first *tenantValues
	for _, t := range r.tenants {
		switch {
		case !t.Default:
		case first == nil:
			first = t
		default:
			t.isDefault.refuse(fmt.Sprintf("tenants %s and %s are both the default; the other is on line %d", first.Name, t.Name, first.isDefault.line()),
				"keep default: true on the one that takes users who name no realm")
		}
	}
}

// checkRealms refuses two tenants with one realm.
func (r *reader) checkRealms() {
	type owner struct {
		tenant *tenantValues
		at     value
	}
	seen := map[string]owner{}
	for _, t := range r.tenants {
		for i, realm := range t.Match.Realms {
			if first, ok := seen[realm]; ok {
				t.realms[i].refuse(fmt.Sprintf("realm %s is tenant %s's already, on line %d", realm, first.tenant.Name, first.at.line()), "keep it with one of the two")
				continue
			}
			seen[realm] = owner{t, t.realms[i]}
		}
	}
}

// checkGroups refuses groups without a key, and warns where the key is short: unlike
// main mode, aggressive mode shows a hash of it to whoever knows a name of a group.
func (t *tenantValues) checkGroups() {
	switch {
	case len(t.groups) == 0:
	case len(t.psks) == 0 && !t.hasPSK:
		t.groups[0].refuse("tenant "+t.Name+" has match.groups and no psk", "add psk: [file:office.psk]; groups are for clients with a pre-shared key")
	case len(t.PSKs) > 0 && t.PSKs[0].Len() < 20:
		t.psks[0].warn(fmt.Sprintf("tenant %s has match.groups, and whoever knows the name of a group can try keys at home until this one of %d bytes is found", t.Name, t.PSKs[0].Len()),
			"use 20 random characters or more, or drop match.groups")
	}
}

// checkSharedGroups refuses two tenants with one group that clients may mean at once.
func (r *reader) checkSharedGroups() {
	for n, t := range r.tenants {
		for _, other := range r.tenants[:n] {
			for i, name := range t.Match.Groups {
				j := slices.Index(other.Match.Groups, name)
				if j >= 0 && t.meets(other) {
					t.groups[i].refuse(fmt.Sprintf("group %s is tenant %s's already, on line %d", name, other.Name, other.groups[j].line()), "keep it with one of the two")
				}
			}
		}
	}
}

// checkLocal refuses local addresses on which nothing listens.
func (t *tenantValues) checkLocal() {
	for i, a := range t.Match.Local {
		v := t.local[i]
		covers := func(l netip.Addr) bool { return l == a || l.IsUnspecified() && l.Is4() == a.Is4() }
		if !slices.ContainsFunc(v.r.config.Listen, covers) {
			v.refuse(fmt.Sprintf("%s: culvert does not listen on %s", v.path, a), fmt.Sprintf("add it, as in listen: [%q]", a))
		}
		if slices.Contains(t.Match.Local[:i], a) {
			v.refuse(fmt.Sprintf("%s: %s is listed twice", v.path, a), "drop one of the two")
		}
	}
}

// checkUsers refuses two users of one name, and those that no allowed method
// could let in.
func (t *tenantValues) checkUsers() {
	seen := map[string]value{}
	for i, u := range t.Auth.Users {
		if realm, ok := t.users[i].r.config.realmIn(u.Name); ok {
			t.users[i].refuse(fmt.Sprintf("user %s could never log in: @%s is taken for the realm of a tenant", u.Name, realm), "write the name alone, under the tenant that has the realm")
		}
		v, key := t.users[i], UserKey(u.Name)
		if first, ok := seen[key]; ok {
			v.refuse(fmt.Sprintf("user %s of tenant %s is written twice; the other is on line %d", u.Name, t.Name, first.line()), "keep one of the two; case does not count in names")
		}
		seen[key] = v
		if u.NTHash.Len() > 0 && !t.Auth.Allow.MSCHAPv2 && !t.Auth.Allow.EAP && !t.Auth.Allow.PAP && !t.Auth.Allow.XAUTH {
			v.refuse(fmt.Sprintf("user %s could never log in: chap needs the password, and nt_hash does not hold it", u.Name), "allow mschapv2, or write password: instead")
		}
	}
}

// checkDevices refuses two tenants with one device, and two whose addresses
// would meet in one routing table.
func (r *reader) checkDevices() {
	for i, t := range r.tenants {
		for _, other := range r.tenants[:i] {
			if t.Egress.TUN != nil && other.Egress.TUN != nil && t.Egress.TUN.NetNS == other.Egress.TUN.NetNS {
				t.checkBeside(other)
			}
		}
	}
}

// checkBeside compares two tenants with devices in one namespace.
func (t *tenantValues) checkBeside(other *tenantValues) {
	if t.Egress.TUN.Device == other.Egress.TUN.Device && t.Egress.TUN.Device != "" {
		t.egress.refuse(fmt.Sprintf("device %s is tenant %s's already, on line %d", t.Egress.TUN.Device, other.Name, other.egress.line()), "give each tenant a device, or a netns, of its own")
		return
	}
	for _, p := range t.ranges {
		for _, q := range other.ranges {
			if p.Overlaps(q.Prefix) {
				p.at.refuse(fmt.Sprintf("pools %s and, of tenant %s on line %d, %s would meet in one routing table", p, other.Name, q.at.line(), q),
					"put one of the devices into a netns of its own, or change the pool")
				return
			}
		}
	}
}
