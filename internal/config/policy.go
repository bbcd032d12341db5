package config

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/goccy/go-yaml/ast"

	"github.com/culvert-vpn/culvert/tenant/policy"
)

// Policy says which flows of a tenant may begin.
type Policy struct {
	// Groups by their names.
	Groups map[string]Group
	// Set are the rules; nil: all that is not closed by design may be. Users in them are
	// named by UserKey.
	Set *policy.Set
	// Filters are rules besides, by their names, for whoever is under them.
	Filters map[string]*policy.Set
	// Tests are flows of which the file says what becomes of them.
	Tests []PolicyTest

	groupsOf map[string][]string   // of users, by UserKey
	written  map[string]Attributes // of users that are written, likewise
}

// PolicyTest is a flow that must be allowed, or must not.
type PolicyTest struct {
	// User whose client begins it.
	User string
	// Groups and Filters that he has besides: those of the store, or of who knows him.
	Groups, Filters []string
	// Pool that he gets addresses of, where the configuration does not write him; empty:
	// nobody else says so.
	Pool string
	// To is where it leads: the port, or the type of ICMP, is of the protocol.
	To       netip.AddrPort
	Protocol uint8
	// At is when; zero: now.
	At time.Time
	// Allow is what is expected.
	Allow bool
}

// policyValues are the places of what a policy is made of, which may stand in any order.
type policyValues struct {
	groups, services, schedules, rules, filters, tests value

	written   map[string]bool
	targets   map[string][]policy.Target
	whens     map[string]*policy.Schedule
	sets      []*writtenSet
	tested    int // tests that are read, those that are wrong among them
	testAt    []value
	members   []member
	filtering []named // where filters are named
}

// writtenSet is a set of rules with their places.
type writtenSet struct {
	*policy.Set
	self    value
	initial value   // of its default
	at      []value // of each rule
	read    int     // rules, those that are wrong among them
}

// Bounds of what a file may say of rules, so that its size bounds what reading it takes, also
// where it repeats itself by aliases and services.
const (
	maxRules = 1 << 18 // of all sets
	maxEnds  = 1 << 20 // networks, users, groups and targets that rules name
	maxTests = 1 << 12 // of a tenant
	maxLarge = 8       // sets that are too large for their rules to be compared; further ones are not
)

// hasRoom counts a rule, and reports whether it is to be read. The first one that is not is
// refused.
func (s *writtenSet) hasRoom(v value) bool {
	s.read++
	v.r.rules++
	switch {
	case s.read == policy.MaxRules+1:
		v.refuse(fmt.Sprintf("%s has more than %d rules, and this is the first one beyond", s.self.path, policy.MaxRules), "write networks in place of single addresses, and services in place of rules")
	case v.r.rules == maxRules+1:
		v.refuse(fmt.Sprintf("the file has more than %d rules, and this is the first one beyond", maxRules), "write networks in place of single addresses, and services in place of rules")
	}
	return s.read <= policy.MaxRules && v.r.rules <= maxRules
}

// hasEnds counts ends that a rule names, and reports whether there may be as many. The first
// that are too many are refused.
func (v value) hasEnds(n int) bool {
	before := v.r.ends
	if v.r.ends += n; before <= maxEnds && v.r.ends > maxEnds {
		v.refuse(fmt.Sprintf("the rules of the file name more than %d networks, users, groups and targets of services; this is the first one beyond", maxEnds), "write networks in place of single addresses")
	}
	return v.r.ends <= maxEnds
}

// policyFields are the keys of a tenant that say what its flows may do.
func (t *tenantValues) policyFields() []field {
	t.rules.written = map[string]bool{}
	keep := func(key string, into *value) func(value) {
		return func(v value) { t.rules.written[key], *into = true, v }
	}
	return []field{
		{"groups", "{engineers: [ann, bob]}", false, keep("groups", &t.rules.groups)},
		{"services", `{files: ["10.20.0.5 tcp/445"]}`, false, keep("services", &t.rules.services)},
		{"schedules", `{office: "mon-fri 08:00-18:00 Europe/Berlin"}`, false, keep("schedules", &t.rules.schedules)},
		{"policy", "{default: deny, rules: [{name: web, to: 10.20.0.0/16, ports: [tcp/80], allow: true}]}", false, keep("policy", &t.rules.rules)},
		{"filters", "{web-only: {default: deny, rules: [{name: web, ports: [tcp/443], allow: true}]}}", false, keep("filters", &t.rules.filters)},
		{"tests", `[{as: ann, to: "10.20.0.5:tcp/80", expect: allow}]`, false, keep("tests", &t.rules.tests)},
	}
}

// readPolicy reads them: names before what names them.
func (t *tenantValues) readPolicy() {
	p := &t.rules
	if t.Policy.Groups = map[string]Group{}; p.written["groups"] {
		p.groups.pairs("names of groups and their users", "[ann, bob]", t.readGroup)
	}
	t.joinGroups()
	if p.targets = map[string][]policy.Target{}; p.written["services"] {
		p.services.pairs("names of services and where they are", `["10.20.0.5 tcp/445"]`, func(name string, v value) {
			p.targets[name] = listOf(v, value.serviceTarget)
		})
	}
	if p.whens = map[string]*policy.Schedule{}; p.written["schedules"] {
		p.schedules.pairs("names of schedules and their times", "mon-fri 08:00-18:00 Europe/Berlin", func(name string, v value) {
			if s, ok := v.text(); ok {
				p.whens[name] = v.schedule(s)
			}
		})
	}
	if p.written["policy"] {
		t.Policy.Set = t.readRules("tenant", p.rules)
	}
	if t.Policy.Filters = map[string]*policy.Set{}; p.written["filters"] {
		p.filters.pairs("names of sets of rules", "{default: deny, rules: [{name: web, ports: [tcp/443], allow: true}]}", func(name string, v value) {
			set := t.readRules("filter:"+name, v)
			set.Who = []policy.Peer{{Kind: policy.UnderFilter, Name: name}}
			t.Policy.Filters[name] = set
		})
	}
	if p.written["tests"] {
		p.tests.items(t.readTest)
	}
	t.checkFilters()
}

// pairs reads a mapping whose keys are names.
func (v value) pairs(what, example string, read func(name string, v value)) {
	m, ok := v.node.(*ast.MappingNode)
	if !ok {
		if !v.isNull() {
			v.refuse(v.path+" wants "+what+", and has "+v.kind(), "write "+v.key()+": "+v.example)
		}
		return
	}
	for _, e := range m.Values {
		key := value{v.r, e.Key, v.path, v.example}
		name := e.Key.GetToken().Value
		if !isName(name) {
			key.refuse(fmt.Sprintf("%s: %q is not a name", v.path, name), "write up to 63 letters, digits, dots, dashes and underscores")
			continue
		}
		read(name, v.child(e.Value, v.join(name), example))
	}
}

// readRules reads the default and the rules of a set.
func (t *tenantValues) readRules(name string, v value) *policy.Set {
	set := &writtenSet{Set: &policy.Set{Name: name}, self: v, initial: v}
	t.rules.sets = append(t.rules.sets, set)
	v.fields([]field{
		{"default", "deny", true, func(v value) {
			word := "deny"
			set.initial = v
			v.choice(&word, "deny", "allow")
			set.Allow = word == "allow"
		}},
		{"rules", "[{name: web, to: 10.20.0.0/16, ports: [tcp/80], allow: true}]", false, func(v value) {
			v.items(func(item value) {
				if !set.hasRoom(item) {
					return
				}
				if r, ok := t.readRule(item); ok {
					set.Rules = append(set.Rules, r)
					set.at = append(set.at, item)
				}
			})
		}},
	})
	return set.Set
}

// readRule reads one rule; ok: nothing is wrong with it.
func (t *tenantValues) readRule(v value) (r policy.Rule, ok bool) {
	before := len(v.r.problems)
	v.fields([]field{
		{"name", "web", true, func(v value) { r.Name = v.ruleName() }},
		{"from", "group:engineers", false, func(v value) {
			v.items(func(item value) {
				if ends := t.peers(item); item.hasEnds(len(ends)) {
					r.From, r.Words.From = append(r.From, ends...), append(r.Words.From, item.word())
				}
			})
		}},
		{"to", "10.20.0.0/16", false, func(v value) {
			v.items(func(item value) {
				if ends := t.ends(item); item.hasEnds(len(ends)) {
					r.To, r.Words.To = append(r.To, ends...), append(r.Words.To, item.word())
				}
			})
		}},
		{"ports", "[tcp/80, icmp]", false, func(v value) {
			v.items(func(item value) {
				r.Ports, r.Words.Ports = append(r.Ports, item.ports()...), append(r.Words.Ports, item.word())
			})
		}},
		{"when", "mon-fri 08:00-18:00 Europe/Berlin", false, func(v value) { r.When, r.Words.When = t.when(v), v.word() }},
		{"allow", "true", true, func(v value) { v.boolean(&r.Allow) }},
		{"log", "first", false, func(v value) {
			word := "none"
			if v.choice(&word, "none", "first"); word == "first" {
				r.Log = policy.LogFirst
			}
		}},
	})
	return r, len(v.r.problems) == before
}

func (v value) ruleName() string {
	s, ok := v.text()
	if ok && !isName(s) {
		v.refuse(fmt.Sprintf("%s: %q is not a name", v.path, s), "write up to 63 letters, digits, dots, dashes and underscores")
	}
	return s
}

// peers reads one end of flows: everybody, the clients, a user, a group or a network.
func (t *tenantValues) peers(v value) []policy.Peer {
	s, ok := v.text()
	if !ok {
		return nil
	}
	kind, name, named := strings.Cut(s, ":")
	switch {
	case s == "*":
		return []policy.Peer{{}}
	case s == "pool":
		return append(networks(t.Ranges()), policy.Peer{Kind: policy.InPool})
	case named && kind == "pool":
		p, ok := t.PoolNamed(name)
		if !ok {
			t.unknownPool(v, name)
		}
		return append(networks(p.Ranges()), policy.Peer{Kind: policy.InPool, Name: name})
	case named && kind == "user":
		if err := CheckUserName(name); err != nil {
			v.refuse(fmt.Sprintf("%s: %q: %s", v.path, name, strings.TrimPrefix(err.Error(), "config: ")), "write user:alice")
		}
		return []policy.Peer{{Kind: policy.IsUser, Name: UserKey(name)}}
	case named && kind == "group":
		if _, ok := t.Policy.Groups[name]; !ok {
			unknown(v, "group", name, t.Policy.Groups, "groups: {"+name+": [ann, bob]}")
		}
		return []policy.Peer{{Kind: policy.InGroup, Name: name}}
	}
	if _, err := netip.ParseAddr(s); err != nil && !strings.Contains(s, "/") {
		v.refuse(fmt.Sprintf("%s: %q is nobody that rules know", v.path, s), `write "*", pool, user:ann, group:engineers or a network as in 10.20.0.0/16`)
		return nil
	}
	if p, ok := v.prefix(); ok {
		return networks([]netip.Prefix{p})
	}
	return nil
}

// networks are peers by their addresses.
func networks(list []netip.Prefix) (all []policy.Peer) {
	for _, p := range list {
		all = append(all, policy.Peer{Kind: policy.InNetwork, Network: p.Masked()})
	}
	return all
}

// unknown refuses a name of what does not exist.
func unknown[T any](v value, what, name string, known map[string]T, example string) {
	remedy := "add " + example + " to the tenant"
	var table []field
	if len(known) > 1000 || len(v.r.problems) > 100 {
		known = nil // comparing names takes its time, and nobody reads so many
	}
	for _, k := range slices.Sorted(maps.Keys(known)) {
		table = append(table, field{key: k})
	}
	if near, meant := suggest(name, table); near != "" {
		remedy = meant
	}
	v.refuse(fmt.Sprintf("%s: there is no %s %s", v.path, what, name), remedy)
}

// ends is peers for where flows lead to, which may be a service.
func (t *tenantValues) ends(v value) (all []policy.Target) {
	if s, ok := v.node.(*ast.StringNode); ok {
		if name, ok := strings.CutPrefix(s.Value, "service:"); ok {
			list, ok := t.rules.targets[name]
			if !ok {
				unknown(v, "service", name, t.rules.targets, `services: {`+name+`: ["10.20.0.5 tcp/445"]}`)
			}
			return list
		}
	}
	for _, p := range t.peers(v) {
		all = append(all, policy.Target{Peer: p})
	}
	return all
}

// serviceTarget reads a network and its ports, as in 10.20.0.5/32 tcp/445.
func (v value) serviceTarget() (t policy.Target, ok bool) {
	s, ok := v.text()
	if !ok {
		return t, false
	}
	parts := strings.Fields(s)
	p, err := netip.ParsePrefix(parts[0])
	if a, bad := netip.ParseAddr(parts[0]); bad == nil && a.Zone() == "" {
		p, err = netip.PrefixFrom(a, a.BitLen()), nil
	}
	if err != nil || p.Masked() != p {
		v.refuse(fmt.Sprintf("%s: %q is not a network", v.path, parts[0]), "write a network and its ports, as in 10.20.0.5/32 tcp/445")
		return t, false
	}
	t.Peer = policy.Peer{Kind: policy.InNetwork, Network: p}
	for _, word := range parts[1:] {
		ports, ok := parsePorts(word)
		if !ok {
			v.refusePorts(word)
			return t, false
		}
		t.Ports = append(t.Ports, ports...)
	}
	return t, true
}

func (v value) refusePorts(word string) {
	v.refuse(fmt.Sprintf("%s: %q are no ports", v.path, word), "write tcp/443, udp/5000-5100, tcp, icmp, icmp/8, icmp6/128, sctp/3868, esp, gre or proto/89")
}

// ports reads ports of a protocol.
func (v value) ports() []policy.Ports {
	s, ok := v.text()
	if !ok {
		return nil
	}
	p, ok := parsePorts(s)
	if !ok {
		v.refusePorts(s)
	}
	return p
}

// parsePorts reads a protocol with a port, a range or a type of ICMP. icmp is that of both
// families, icmp/8 a type of IPv4's.
func parsePorts(s string) (all []policy.Ports, ok bool) {
	name, rest, some := strings.Cut(s, "/")
	protocol, known := map[string]uint8{"icmp": 1, "tcp": 6, "udp": 17, "gre": 47, "esp": 50, "ah": 51, "icmp6": 58, "sctp": 132, "proto": 0}[name]
	p := policy.Ports{Protocol: protocol, All: true}
	switch {
	case !known, name == "proto" && !some, (name == "gre" || name == "esp" || name == "ah") && some:
		return nil, false
	case name == "proto":
		n, err := strconv.ParseUint(rest, 10, 8)
		p.Protocol = uint8(n)
		return []policy.Ports{p}, err == nil && n > 0
	case s == "icmp":
		return []policy.Ports{p, {Protocol: 58, All: true}}, true
	case rest == "echo" && name == "icmp":
		return []policy.Ports{{Protocol: 1, First: 8, Last: 8}, {Protocol: 58, First: 128, Last: 128}}, true
	case !some:
		return []policy.Ports{p}, true
	}
	bits := 16
	if protocol == 1 || protocol == 58 {
		bits = 8
	}
	first, last, span := strings.Cut(rest, "-")
	if !span {
		last = first
	}
	a, errA := strconv.ParseUint(first, 10, bits)
	b, errB := strconv.ParseUint(last, 10, bits)
	return []policy.Ports{{Protocol: protocol, First: uint16(a), Last: uint16(b)}}, errA == nil && errB == nil && a <= b
}

// when reads a schedule, or the name of one.
func (t *tenantValues) when(v value) *policy.Schedule {
	s, ok := v.text()
	if !ok {
		return nil
	}
	if strings.Contains(s, " ") {
		return v.schedule(s)
	}
	named, ok := t.rules.whens[s]
	if !ok {
		unknown(v, "schedule", s, t.rules.whens, `schedules: {`+s+`: "mon-fri 08:00-18:00 Europe/Berlin"}`)
	}
	return named
}

// schedule reads days, a span and a zone.
func (v value) schedule(s string) *policy.Schedule {
	when, err := policy.ParseSchedule(s)
	if err != nil {
		v.refuse(fmt.Sprintf("%s: %s", v.path, strings.TrimPrefix(err.Error(), policy.ErrSchedule.Error()+": ")), "write "+v.key()+": mon-fri 08:00-18:00 Europe/Berlin")
		return nil
	}
	return &when
}
