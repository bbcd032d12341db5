package config

import (
	"cmp"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/culvert-vpn/culvert/tenant/policy"
)

// readTest reads one flow and what is to become of it.
func (t *tenantValues) readTest(v value) {
	var p PolicyTest
	if t.rules.tested++; t.rules.tested == maxTests+1 {
		v.refuse(fmt.Sprintf("there are more than %d tests, and this is the first one beyond", maxTests), "drop some")
	}
	if t.rules.tested > maxTests {
		return
	}
	before := len(v.r.problems)
	v.fields([]field{
		{"as", "ann", true, func(v value) { p.User, _ = v.userName() }},
		{"to", `"10.20.0.5:tcp/80"`, true, func(v value) {
			s, ok := v.text()
			if !ok {
				return
			}
			if p.To, p.Protocol, ok = ParseFlow(s); !ok {
				v.refuse(fmt.Sprintf("%s: %q is not where a flow leads", v.path, s), `write to: "10.20.0.5:tcp/80", "[2001:db8::5]:udp/53" or "10.20.0.5:icmp/8"`)
			}
		}},
		{"expect", "allow", true, func(v value) {
			word := "deny"
			v.choice(&word, "allow", "deny")
			p.Allow = word == "allow"
		}},
		{"groups", "[engineers]", false, func(v value) { p.Groups = t.readGroupNames(v) }},
		{"filters", "[web-only]", false, func(v value) { p.Filters = t.readNames(v, &t.rules.filtering) }},
		{"at", "2026-01-05T09:00:00+01:00", false, func(v value) {
			s, ok := v.text()
			if !ok {
				return
			}
			at, err := time.Parse(time.RFC3339, s)
			if err != nil {
				v.refuse(fmt.Sprintf("%s: %q is not a time", v.path, s), "write at: 2026-01-05T09:00:00+01:00")
			}
			p.At = at
		}},
	})
	if len(v.r.problems) == before {
		t.Policy.Tests = append(t.Policy.Tests, p)
		t.rules.testAt = append(t.rules.testAt, v)
	}
}

// ParseFlow reads an address with a protocol and its port, as in 10.20.0.5:tcp/80; ping
// has the type of ICMP instead.
func ParseFlow(s string) (to netip.AddrPort, protocol uint8, ok bool) {
	at := strings.LastIndexByte(s, ':')
	if at < 0 {
		return to, 0, false
	}
	a, err := netip.ParseAddr(strings.Trim(s[:at], "[]"))
	ports, ok := parsePorts(s[at+1:])
	if err != nil || !ok || a.Zone() != "" {
		return to, 0, false
	}
	p := ports[0]
	if len(ports) > 1 && a.Is6() {
		p = ports[1]
	}
	if p.All && (p.Protocol == 1 || p.Protocol == 58) {
		p.First = map[uint8]uint16{1: 8, 58: 128}[p.Protocol]
		p.All, p.Last = false, p.First
	}
	ported := slices.Contains([]uint8{1, 6, 17, 58, 132}, p.Protocol)
	if p.First != p.Last || p.All == ported {
		return to, 0, false
	}
	return netip.AddrPortFrom(a.Unmap(), p.First), p.Protocol, true
}

// FlowName writes where a flow leads as ParseFlow reads it.
func FlowName(to netip.AddrPort, protocol uint8) string {
	host := to.Addr().String()
	if to.Addr().Is6() {
		host = "[" + host + "]"
	}
	name := map[uint8]string{1: "icmp", 6: "tcp", 17: "udp", 58: "icmp6", 132: "sctp"}[protocol]
	if name == "" {
		return fmt.Sprintf("%s:proto/%d", host, protocol)
	}
	return fmt.Sprintf("%s:%s/%d", host, name, to.Port())
}

// Rules are the tenant's own, for the data plane; what its egress closes is not in them.
func (t *Tenant) Rules() policy.Config {
	c := policy.Config{Clients: t.Ranges(), Gateways: t.Gateways(), ClientToClient: t.ClientToClient}
	if t.Policy.Set != nil {
		c.Sets = append(c.Sets, *t.Policy.Set)
	}
	for _, name := range slices.Sorted(maps.Keys(t.Policy.Filters)) {
		c.Sets = append(c.Sets, *t.Policy.Filters[name])
	}
	return c
}

// identityOf is who a user is to the rules, who may be in other groups and under other
// filters than the configuration says.
func (t *Tenant) identityOf(user string, groups, filters []string, pool string) *policy.Identity {
	id := &policy.Identity{User: UserKey(user), Groups: union(t.Policy.GroupsOf(user), groups), Pool: cmp.Or(t.poolOf(user, groups, pool), DefaultPool)}
	own, _ := t.Policy.Own(user)
	id.Filters = union(own.Filters, filters)
	for _, name := range id.Groups {
		id.Filters = union(id.Filters, t.Policy.Groups[name].Filters)
	}
	return id
}

// union is what is in either list, in order.
func union(a, b []string) []string {
	all := slices.Concat(a, b)
	slices.Sort(all)
	return slices.Compact(all)
}

// PolicyAnswer says what becomes of a flow, and why.
type PolicyAnswer struct {
	policy.Decision
	Set, Rule string // what decided; empty: none of the rules
	missing   string // what the user has to have and the tenant has not
}

// AskPolicy says what would become of a flow that the client of a user of the tenant
// begins. It knows no address that only the running host has.
func (c *Config) AskPolicy(t *Tenant, p PolicyTest) (PolicyAnswer, error) {
	r, err := c.compile(t)
	if err != nil {
		return PolicyAnswer{}, err
	}
	return t.ask(r, p), nil
}

// compile compiles the rules of a tenant, with what its egress closes.
func (c *Config) compile(t *Tenant) (r *policy.Rules, err error) {
	rules := t.Rules()
	if rules.Closed, err = c.closedTo(t); err != nil {
		return nil, err
	}
	return policy.Compile(rules)
}

// ask is AskPolicy for rules that are compiled.
func (t *Tenant) ask(r *policy.Rules, p PolicyTest) PolicyAnswer {
	source := t.clientOf(p)
	if !source.IsValid() {
		return PolicyAnswer{Decision: policy.Decision{Why: policy.Crafted}}
	}
	if missing := t.Policy.Missing(p.Groups, p.Filters); missing != "" {
		return PolicyAnswer{Decision: policy.Decision{Why: policy.NoFilter}, missing: missing}
	}
	q := policy.Question{From: new(policy.Party), Source: source, Destination: p.To.Addr(), Protocol: p.Protocol, Port: p.To.Port(), At: p.At}
	if q.At.IsZero() {
		q.At = time.Now()
	}
	q.From.SetIdentity(t.identityOf(p.User, p.Groups, p.Filters, p.Pool), nil)
	for _, l := range t.Leases {
		if l.Addr == q.Destination && t.ClientToClient {
			q.To = new(policy.Party)
			q.To.SetIdentity(t.identityOf(l.User, nil, nil, ""), nil)
		}
	}
	d := r.Ask(q)
	set, rule := r.Names(d)
	return PolicyAnswer{Decision: d, Set: set, Rule: rule}
}

// clientOf is an address that the client may have that begins a flow; invalid: it has none of
// the family.
func (t *Tenant) clientOf(f PolicyTest) netip.Addr {
	user, to := f.User, f.To.Addr()
	for _, l := range t.Leases {
		if strings.EqualFold(l.User, user) && UserKey(l.User) == UserKey(user) && l.at().Is6() == to.Is6() {
			return l.at()
		}
	}
	p, _ := t.PoolNamed(t.poolOf(user, f.Groups, f.Pool))
	ranges := p.Pool
	if to.Is6() {
		ranges = p.Pool6
	}
	if len(ranges) == 0 {
		return netip.Addr{}
	}
	return ranges[0].Addr().Next().Next() // the first may be the gateway's
}

// closedTo is where a tenant's clients do not go by its egress, nil: nowhere.
func (c *Config) closedTo(t *Tenant) (*policy.Reach, error) {
	n := t.Egress.Netstack
	if n == nil {
		return c.BesideTUN(t)
	}
	deny, allow := slices.Concat(policy.NeverReached(), n.Deny), slices.Clone(n.Allow)
	for i := range c.Tenants {
		if other := &c.Tenants[i]; other.Name != t.Name {
			deny = append(deny, other.prefixes()...)
		}
	}
	for _, own := range t.Gateways() { // also where another tenant has the same pool
		allow = append(allow, netip.PrefixFrom(own, own.BitLen()))
	}
	return policy.NewReach(deny, allow)
}

// BesideTUN is where a tenant's clients do not go although the kernel would take
// them there: what belongs to tenants with devices in the same namespace, since the
// kernel forwards from one device to the other, and what else is closed. nil: there
// is no such tenant.
func (c *Config) BesideTUN(t *Tenant, also ...policy.Closer) (*policy.Reach, error) {
	var deny []netip.Prefix
	for i := range c.Tenants {
		other := &c.Tenants[i]
		if t.Egress.TUN == nil || other.Name == t.Name || other.Egress.TUN == nil || other.Egress.TUN.NetNS != t.Egress.TUN.NetNS {
			continue
		}
		deny = append(deny, other.prefixes()...)
	}
	if deny == nil {
		return nil, nil
	}
	return policy.NewReach(deny, t.Egress.TUN.Allow, also...)
}

// prefixes are the pools of a tenant.
func (t *Tenant) prefixes() (all []netip.Prefix) {
	for _, p := range t.Ranges() {
		all = append(all, p.Masked())
	}
	return all
}

// checkPolicy refuses rules that cannot be, warns of those that say nothing, and runs the
// tests of a policy that is right.
func (r *reader) checkPolicy() {
	if r.rules > maxRules || r.ends > maxEnds {
		return // it is refused, and some of it was not read
	}
	for _, t := range r.tenants {
		t.checkRules()
	}
	if len(r.problems) > 0 {
		return // tests would say what follows from those
	}
	for i, t := range r.tenants {
		t.runTests(&r.config.Tenants[i])
	}
}

// checkRules looks at the sets of a tenant: each by itself, and filters beside the rules for
// everybody.
func (t *tenantValues) checkRules() {
	for _, s := range t.rules.sets {
		s.check()
	}
	t.checkRulesBeside()
	if n := len(t.rules.sets); n > policy.MaxSets {
		t.rules.filters.refuse(fmt.Sprintf("%s: there are %d, and a tenant has at most %d beside its policy", t.rules.filters.path, len(t.Policy.Filters), policy.MaxSets-1), "have groups and users share filters")
	}
}

// warnPart says that a set is too large for all of its rules to be compared.
func (s *writtenSet) warnPart() {
	s.self.r.large++
	s.self.warn(s.self.path+" is so large that not all of its rules were compared: some may never decide", "write networks in place of single addresses, and services in place of rules")
}

// checkRulesBeside warns of rules of filters that allow nothing, since the rules for everybody
// deny all of it.
func (t *tenantValues) checkRulesBeside() {
	if t.Policy.Set == nil {
		return
	}
	all := t.rules.sets[0]
	for _, s := range t.rules.sets[1:] {
		if s.self.r.large >= maxLarge {
			return // it was said
		}
		denied, whole := all.Denies(s.Set)
		if !whole {
			s.warnPart()
		}
		for _, h := range denied {
			by, line := "the default of policy", all.initial.line()
			if h.By >= 0 {
				by, line = "rule "+all.Rules[h.By].Name+" of policy", all.at[h.By].line()
			}
			s.at[h.Rule].warn(fmt.Sprintf("rule %s of %s allows nothing: %s on line %d denies all that it is about", s.Rules[h.Rule].Name, s.self.key(), by, line),
				"allow it in policy as well, which must allow what a filter does, or drop it")
		}
	}
}

func (s *writtenSet) check() {
	seen := map[string]value{}
	for i, r := range s.Rules {
		if first, ok := seen[r.Name]; ok {
			s.at[i].refuse(fmt.Sprintf("two rules are called %s; the other is on line %d", r.Name, first.line()), "give each a name of its own")
			continue
		}
		seen[r.Name] = s.at[i]
	}
	if _, err := policy.Compile(policy.Config{Sets: []policy.Set{*s.Set}}); err != nil {
		s.self.refuse(s.self.path+": "+strings.TrimPrefix(err.Error(), "policy: "), "write fewer rules, with networks in place of single addresses")
		return
	}
	if s.self.r.large >= maxLarge {
		s.warnPart()
		return
	}
	hidden, whole := s.Lint()
	if !whole {
		s.warnPart()
	}
	for _, h := range hidden {
		rule, by := s.Rules[h.Rule], s.Rules[h.By]
		at, line := s.at[h.Rule], s.at[h.By].line()
		if h.Contrary {
			at.refuse(fmt.Sprintf("rule %s never decides: %s on line %d says the opposite of all that it is about", rule.Name, by.Name, line), "put it before that one, or drop it")
			continue
		}
		at.warn(fmt.Sprintf("rule %s never decides: %s on line %d, which comes first, has all that it is about", rule.Name, by.Name, line), "put it before that one, or drop it")
	}
}

// runTests refuses a configuration of which a test fails.
func (t *tenantValues) runTests(tenant *Tenant) {
	if len(t.Policy.Tests) == 0 {
		return
	}
	rules, err := t.self.r.config.compile(tenant)
	if err != nil {
		t.rules.tests.refuse(t.rules.tests.path+": "+err.Error(), "drop the tests")
		return
	}
	for i, p := range t.Policy.Tests {
		at, a := t.rules.testAt[i], tenant.ask(rules, p)
		if a.Allow != p.Allow {
			at.refuse(fmt.Sprintf("%s fails: %s", at.path, a.says(t)), "change the rules, or what the test expects")
		}
	}
}

// says says what decided, in the words of the file.
func (a *PolicyAnswer) says(t *tenantValues) string {
	word := map[bool]string{true: "allowed", false: "denied"}[a.Allow]
	if a.Rule == "" {
		return word + " by " + a.Reason()
	}
	s := t.rules.sets[slices.IndexFunc(t.rules.sets, func(s *writtenSet) bool { return s.Name == a.Set })]
	i := slices.IndexFunc(s.Rules, func(r policy.Rule) bool { return r.Name == a.Rule })
	return fmt.Sprintf("%s by %s on line %d", word, a.Reason(), s.at[i].line())
}

// of names the filter that decided, behind a word; empty: none did.
func (a *PolicyAnswer) of(word string) string {
	if name, ok := strings.CutPrefix(a.Set, "filter:"); ok {
		return word + "filter " + name
	}
	return ""
}

// Reason says what decided.
func (a *PolicyAnswer) Reason() string {
	switch a.Why {
	case policy.ByRule:
		return "rule " + a.Rule + a.of(" of ")
	case policy.ByDefault:
		return "default of " + cmp.Or(a.of(""), "policy")
	case policy.NoFilter:
		return a.missing + ", which the tenant does not have: such a user does not get in"
	case policy.Isolated:
		return "clients: isolated, which closes clients to each other"
	case policy.Closed:
		return "egress, or by design: metadata services, other tenants and what is no host"
	case policy.Crafted:
		return "the family: the client has no such address"
	}
	if a.Allow {
		return "design: no rule is for it"
	}
	return "design"
}
