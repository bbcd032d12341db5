package config

import (
	"fmt"
	"math"
	"net/netip"
	"slices"
	"strings"
	"time"
	"unicode"
)

// defaults is the configuration of a file that says nothing.
func defaults() *Config {
	return &Config{
		Ports: Ports{IKE: DefaultPortIKE, NATT: DefaultPortNATT},
		State: DefaultState,
		Log:   Log{Level: DefaultLogLevel, Format: DefaultLogFormat},
	}
}

// defaultTenant is the tenant of an entry that says nothing.
func defaultTenant() Tenant {
	return Tenant{
		Auth: Auth{Allow: Methods{MSCHAPv2: true}},
		IKE: IKE{
			Lifetime:      DefaultIKELifetime,
			ChildLifetime: DefaultChildLifetime,
			DPD:           DPD{Interval: DefaultDPDInterval, Tries: DefaultDPDTries},
		},
		Limits: Limits{Flows: DefaultFlows, SessionsPerUser: DefaultSessionsPerUser, LoginFailures: DefaultLoginFailures, Lockout: DefaultLockout()},
		Egress: Egress{Netstack: &Netstack{}},
	}
}

// readConfig reads the top of the file.
func (r *reader) readConfig(root value) {
	c := r.config
	var listen []value
	redirect := root
	root.fields([]field{
		{"listen", `["0.0.0.0", "::"]`, false, func(v value) { listen = r.readListen(v) }},
		{"ports", "{ike: 500, nat_t: 4500}", false, r.readPorts},
		{"state", DefaultState, false, func(v value) { v.directory(&c.State) }},
		{"log", "{level: info, format: console}", false, r.readLog},
		{"redirect", "{to: vpn2.example.com, when: always}", false, func(v value) { redirect = v; r.readRedirect(v) }},
		{"block", "[file:drop.txt]", false, func(v value) { c.Block = r.readBlock(v) }},
		{"workers", "4", false, func(v value) { v.integer(&c.Workers, 0, 1024) }},
		{"tenants", "[{name: office, psk: [file:office.psk], pool: [10.100.1.0/24]}]", true, r.readTenants},
	})
	if len(listen) == 0 {
		c.Listen = []netip.Addr{netip.IPv4Unspecified(), netip.IPv6Unspecified()}
	}
	r.checkListen(listen)
	r.checkRedirect(redirect)
}

// readListen reads the addresses to bind.
func (r *reader) readListen(v value) (at []value) {
	v.items(func(item value) {
		a, ok := item.address()
		if !ok {
			return
		}
		if a.IsMulticast() {
			item.refuseValue("is a multicast address")
			return
		}
		r.config.Listen = append(r.config.Listen, a)
		at = append(at, item)
	})
	return at
}

// readPorts reads the two ports.
func (r *reader) readPorts(v value) {
	ike, natt := DefaultPortIKE, DefaultPortNATT
	v.fields([]field{
		{"ike", "500", false, func(v value) { v.integer(&ike, 1, 65535) }},
		{"nat_t", "4500", false, func(v value) { v.integer(&natt, 1, 65535) }},
	})
	r.config.Ports = Ports{IKE: uint16(ike), NATT: uint16(natt)}
	switch {
	case ike == natt:
		v.refuse("ports.ike and ports.nat_t are the same", "write ports: {ike: 500, nat_t: 4500}")
	case ike != DefaultPortIKE || natt != DefaultPortNATT:
		v.warn("the clients built into Windows, macOS, iOS and Android dial ports 500 and 4500 only",
			"leave ports out, unless something in front of culvert maps them")
	}
}

// readLog reads what is logged and how.
func (r *reader) readLog(v value) {
	v.fields([]field{
		{"level", "info", false, func(v value) { v.choice(&r.config.Log.Level, "debug", "info", "warn", "error") }},
		{"format", "console", false, func(v value) { v.choice(&r.config.Log.Format, "console", "json") }},
	})
}

// readTenants reads the list of tenants.
func (r *reader) readTenants(v value) {
	if v.isNull() || v.isEmptyList() {
		v.refuse("tenants is empty: nobody could dial in", "write at least one: - {name: office, psk: [file:office.psk], pool: [10.100.1.0/24]}")
		return
	}
	v.items(func(item value) { r.tenants = append(r.tenants, r.readTenant(item)) })
	for _, t := range r.tenants {
		r.config.Tenants = append(r.config.Tenants, t.Tenant)
	}
}

// tenantValues is a tenant with the places of what is checked across values.
type tenantValues struct {
	Tenant
	self, name, isDefault value
	realms, local, psks   []value
	groups                []value
	ranges                []rangeAt  // of all pools
	wishes                []poolWish // of users
	poolAt                map[*Attributes]value
	fixed                 []fixedAt
	leases, users, routes []value
	egress, shared        value
	opens                 []value // of egress.netstack.allow
	identity, ca          value
	allowed, hasPSK       bool            // auth.allow, psk are written
	meant                 map[string]bool // keys that others were probably meant to be
	certified             bool            // certificate is
	authorities           bool            // ca is
	rules                 policyValues
	clients               value // clients is written, and client_to_client
	formerClients         value
	formerOpen            bool // what the latter says
}

// readTenant reads one tenant.
func (r *reader) readTenant(v value) *tenantValues {
	t := &tenantValues{Tenant: defaultTenant(), poolAt: map[*Attributes]value{}, self: v, name: v, isDefault: v, egress: v, shared: v}
	t.meant = v.fields(append([]field{
		{"name", "office", true, t.readName},
		{"default", "true", false, func(v value) { t.isDefault = v; v.boolean(&t.Default) }},
		{"legacy", "true", false, func(v value) { v.boolean(&t.Legacy) }},
		{"match", "{realms: [office], local: [203.0.113.10]}", false, t.readMatch},
		{"psk", "[file:office.psk]", false, func(v value) { t.hasPSK = true; t.readPSKs(v) }},
		{"ppk", "{keys: [{id: office, secret: file:office.ppk}]}", false, func(v value) { t.shared = v; t.readPPK(v) }},
		{"redirect", "vpn2.example.com", false, func(v value) { t.Redirect, _ = v.gateway() }},
		{"certificate", "{chain: vpn.crt, key: vpn.key}", false, t.readCertificate},
		{"identity", "vpn.example.com", false, func(v value) { t.identity = v; t.Identity, _ = v.text() }},
		{"ca", "[ca.crt]", false, t.readAuthorities},
		{"crl", "[crl.pem]", false, t.readCRLs},
		{"strict_revocation", "false", false, func(v value) { v.boolean(&t.StrictRevocation) }},
		{"l2tp_secret", "file:office.l2tp", false, func(v value) { t.L2TPSecret, _ = v.secret() }},
		{"auth", "{local: {users: [{name: alice, password: file:alice.password}]}}", false, t.readAuth},
		{"pool", "[10.100.1.0/24]", true, t.readPool},
		{"pools", "{vip: [10.100.9.0/24]}", false, t.readPools},
		{"delegate", "56", false, func(v value) { v.integer(&t.Delegate, 34, 64) }},
		{"leases", "{alice: 10.100.1.10}", false, t.readLeases},
		{"dns", "[10.100.0.53]", false, func(v value) { t.DNS = hosts(v) }},
		{"nbns", "[10.100.0.54]", false, func(v value) { t.NBNS = listOf(v, value.address4) }},
		{"domains", "[office.example]", false, t.readDomains},
		{"routes", "[10.100.0.0/16]", false, t.readRoutes},
		{"clients", "isolated", false, t.readClients},
		{"client_to_client", "", false, t.readClientToClient},
		{"mtu", "1400", false, func(v value) { v.integer(&t.MTU, 576, 1500) }},
		{"ike", "{lifetime: 24h, child_lifetime: 8h}", false, t.readIKE},
		{"limits", "{sessions: 100, idle_timeout: 1h}", false, t.readLimits},
		{"egress", "netstack", false, t.readEgress},
		{"block", "[file:drop.txt]", false, func(v value) { t.Block = r.readBlock(v) }},
	}, t.policyFields()...))
	t.settleClients()
	t.settleLeases()
	t.readPolicy()
	t.allowByDefault()
	return t
}

// readName reads the tenant's name.
func (t *tenantValues) readName(v value) {
	t.name = v
	s, ok := v.text()
	if !ok {
		return
	}
	if !isName(s) {
		v.refuse(fmt.Sprintf("%s: %q is not a name", v.path, s), "write up to 63 letters, digits, dots, dashes and underscores")
		return
	}
	t.Name = s
}

// isName reports whether s can name a tenant or be a realm.
func isName(s string) bool {
	if len(s) == 0 || len(s) > 63 {
		return false
	}
	for _, c := range []byte(s) {
		if !isWordByte(c) && c != '.' && c != '-' {
			return false
		}
	}
	return s[0] != '.' && s[0] != '-'
}

// isWordByte reports whether c is an ASCII letter, digit or underscore.
func isWordByte(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '_'
}

// readMatch reads how clients are recognised.
func (t *tenantValues) readMatch(v value) {
	v.fields([]field{
		{"realms", "[office]", false, t.readRealms},
		{"groups", "[field-staff]", false, t.readGroups},
		{"certificate_identity", "any", false, func(v value) {
			identity := "any"
			v.choice(&identity, "any", "strict")
			t.Match.StrictIdentity = identity == "strict"
		}},
		{"local", "[203.0.113.10]", false, func(v value) {
			v.items(func(item value) {
				if a, ok := item.address(); ok {
					t.Match.Local = append(t.Match.Local, a)
					t.local = append(t.local, item)
				}
			})
		}},
	})
}

// readRealms reads the realms that are this tenant's.
func (t *tenantValues) readRealms(v value) {
	v.items(func(item value) {
		s, ok := item.text()
		if !ok {
			return
		}
		if !isName(s) {
			item.refuse(fmt.Sprintf("%s: %q is not a realm", item.path, s), "write the acme of alice@acme and acme\\alice, and nothing around it")
			return
		}
		t.Match.Realms = append(t.Match.Realms, strings.ToLower(s))
		t.realms = append(t.realms, item)
	})
}

// readGroups reads the names of groups, as clients have them typed in.
func (t *tenantValues) readGroups(v value) {
	v.items(func(item value) {
		s, ok := item.text()
		switch {
		case !ok:
		case s == "" || len(s) > 128 || strings.TrimSpace(s) != s || strings.ContainsFunc(s, unicode.IsControl):
			item.refuse(fmt.Sprintf("%s: %q is not the name of a group", item.path, s), "write what clients have as group name, up to 128 bytes, as in field-staff")
		case slices.Contains(t.Match.Groups, s):
			item.refuse(fmt.Sprintf("%s: %s is listed twice", item.path, s), "drop one of the two")
		default:
			t.Match.Groups = append(t.Match.Groups, s)
			t.groups = append(t.groups, item)
		}
	})
}

// readPSKs reads the pre-shared keys.
func (t *tenantValues) readPSKs(v value) {
	v.items(func(item value) {
		s, ok := item.secret()
		if !ok {
			return
		}
		if slices.ContainsFunc(t.PSKs, s.Equal) {
			item.refuse(item.path+" is the same key as one before it", "drop it, or write the next key in its place")
			return
		}
		item.judgePSK(s)
		t.PSKs = append(t.PSKs, s)
		t.psks = append(t.psks, item)
	})
	if v.isEmptyList() {
		v.refuse(v.path+" is empty: nobody could dial in", "write psk: [file:office.psk]")
	}
}

// judgePSK warns of keys that are easily guessed or typed wrong.
func (v value) judgePSK(s Secret) {
	if s.Len() < 8 {
		v.warn(fmt.Sprintf("%s is %d bytes long: whoever records one dial-in can guess it", v.path, s.Len()), "use 20 random characters or more")
	}
	for _, c := range s.Bytes() {
		if c == '\n' {
			v.warn(v.path+" has more than one line: nobody types that into a client", "write the key on one line, and nothing else")
			return
		}
		if c < 0x20 || c > 0x7e {
			v.warn(v.path+" has characters beyond plain ASCII: clients encode them differently", "use letters, digits and signs of the English keyboard")
			return
		}
	}
}

// readDomains reads the domains that clients search.
func (t *tenantValues) readDomains(v value) {
	v.items(func(item value) {
		s, ok := item.text()
		if !ok {
			return
		}
		if s = strings.TrimSuffix(s, "."); !isDomain(s) {
			item.refuse(fmt.Sprintf("%s: %q is not a domain", item.path, s), "write it as in office.example")
			return
		}
		t.Domains = append(t.Domains, s)
	})
}

// isDomain reports whether s is a domain name (RFC 1035 section 2.3.4).
func isDomain(s string) bool {
	if len(s) > 253 {
		return false
	}
	for label := range strings.SplitSeq(s, ".") {
		if len(label) == 0 || len(label) > 63 || label[0] == '-' || label[len(label)-1] == '-' {
			return false
		}
		for _, c := range []byte(label) {
			if !isWordByte(c) && c != '-' {
				return false
			}
		}
	}
	return true
}

// readRoutes reads the routes pushed to clients.
func (t *tenantValues) readRoutes(v value) {
	v.items(func(item value) {
		if p, ok := item.prefix(); ok {
			t.Routes = append(t.Routes, p)
			t.routes = append(t.routes, item)
		}
	})
}

// readIKE reads lifetimes and liveness.
func (t *tenantValues) readIKE(v value) {
	const least, most = 10 * time.Second, 7 * 24 * time.Hour
	t.shared = v
	v.fields([]field{
		{"lifetime", "24h", false, func(v value) { v.duration(&t.IKE.Lifetime, least, most, false) }},
		{"child_lifetime", "8h", false, func(v value) { v.duration(&t.IKE.ChildLifetime, least, most, false) }},
		{"rekey", "{initiate: true}", false, func(v value) {
			v.fields([]field{{"initiate", "true", true, func(v value) { v.boolean(&t.IKE.InitiateRekey) }}})
		}},
		{"dpd", "{interval: 30s, tries: 5}", false, t.readDPD},
	})
}

// readDPD reads dead peer detection.
func (t *tenantValues) readDPD(v value) {
	v.fields([]field{
		{"interval", "30s", false, func(v value) { v.duration(&t.IKE.DPD.Interval, time.Second, time.Hour, true) }},
		{"tries", "5", false, func(v value) { v.integer(&t.IKE.DPD.Tries, 1, 100) }},
	})
}

// readLimits reads the bounds of the tenant and its sessions.
func (t *tenantValues) readLimits(v value) {
	const most = 366 * 24 * time.Hour
	v.fields([]field{
		{"sessions", "100", false, func(v value) { v.integer(&t.Limits.Sessions, 0, math.MaxInt32) }},
		{"sessions_per_user", "16", false, func(v value) { v.integer(&t.Limits.SessionsPerUser, 0, math.MaxInt32) }},
		{"login_failures", "5", false, func(v value) { v.integer(&t.Limits.LoginFailures, 0, 1000) }},
		{"lockout", "{for: 15m, users: 50, brute_force: 50, spraying: 100}", false, t.readLockout},
		{"session_timeout", "12h", false, func(v value) { v.duration(&t.Limits.SessionTimeout, time.Second, most, true) }},
		{"idle_timeout", "1h", false, func(v value) { v.duration(&t.Limits.IdleTimeout, time.Second, most, true) }},
		{"flows", "4096", false, func(v value) { v.integer(&t.Limits.Flows, 1, 1<<20) }},
	})
}

// readLockout reads when guessing is seen, and what follows.
func (t *tenantValues) readLockout(v value) {
	l := &t.Limits.Lockout
	v.fields([]field{
		{"for", "15m", false, func(v value) { v.duration(&l.For, time.Minute, 30*24*time.Hour, true) }},
		{"users", "50", false, func(v value) { v.integer(&l.Users, 0, 256) }},
		{"brute_force", "50", false, func(v value) { v.integer(&l.BruteForce, 0, 1_000_000) }},
		{"spraying", "100", false, func(v value) { v.integer(&l.Spraying, 0, 8192) }},
	})
}

// hosts reads a list of hosts of both families.
func hosts(v value) []netip.Addr {
	return listOf(v, func(item value) (netip.Addr, bool) {
		a, ok := item.address()
		if ok && a.Is4() {
			return item.address4()
		}
		if ok && (a.IsUnspecified() || a.IsMulticast() || a.IsLinkLocalUnicast()) {
			item.refuseValue(fmt.Sprintf("is not the address of a host that clients reach: %s", a))
			return a, false
		}
		return a, ok
	})
}

// listOf reads a list of which each item is read by one; what that refuses is left out.
func listOf[T any](v value, one func(value) (T, bool)) (list []T) {
	v.items(func(item value) {
		if x, ok := one(item); ok {
			list = append(list, x)
		}
	})
	return list
}
