package config

import (
	"fmt"
	"maps"
	"slices"

	"github.com/goccy/go-yaml/ast"
)

// Group is what the configuration says of a group of users.
type Group struct {
	// Users are those that it names, by UserKey. Users of the store may be in it, too.
	Users []string
	Attributes
}

// Attributes are what a group, or a user, has beside what the tenant grants everybody.
type Attributes struct {
	// Filters are names of Policy.Filters, all of which must allow what its sessions do.
	Filters []string
	// Pool is the name of the pool that they have addresses of; empty: nobody says so
	// here.
	Pool string
}

// attributes are the keys of a group and of a user that say so.
func (t *tenantValues) attributes(a *Attributes) []field {
	return []field{
		{"pool", "vip", false, func(v value) { t.readPoolOf(v, a) }},
		{"filters", "[web-only]", false, func(v value) { a.Filters = t.readNames(v, &t.rules.filtering) }},
	}
}

// named is where something names what is elsewhere.
type named struct {
	name string
	at   value
}

// readNames reads names of what may stand further down.
func (t *tenantValues) readNames(v value, all *[]named) (names []string) {
	return listOf(v, func(v value) (string, bool) {
		s, ok := v.text()
		if ok {
			*all = append(*all, named{s, v})
		}
		return s, ok
	})
}

// member is a user as he is written, with the groups that he says he is in.
type member struct {
	user   string
	groups []named
	own    Attributes
}

// readGroup reads a group: its users, or these and what the group has besides.
func (t *tenantValues) readGroup(name string, v value) {
	var g Group
	users := func(v value) {
		g.Users = listOf(v, func(v value) (string, bool) {
			s, ok := v.userName()
			return UserKey(s), ok
		})
	}
	if _, ok := v.node.(*ast.MappingNode); ok {
		v.fields(append([]field{
			{"users", "[ann, bob]", false, users},
		}, t.attributes(&g.Attributes)...))
	} else {
		users(v)
	}
	t.Policy.Groups[name] = g
}

// joinGroups has users be in the groups that are named where they are written, and notes who is
// in which.
func (t *tenantValues) joinGroups() {
	t.Policy.written, t.Policy.groupsOf = map[string]Attributes{}, map[string][]string{}
	for _, m := range t.rules.members {
		t.Policy.written[UserKey(m.user)] = m.own
		for _, in := range m.groups {
			g, ok := t.Policy.Groups[in.name]
			if !ok {
				unknown(in.at, "group", in.name, t.Policy.Groups, "groups: {"+in.name+": []}")
				continue
			}
			g.Users = append(g.Users, UserKey(m.user))
			t.Policy.Groups[in.name] = g
		}
	}
	for _, name := range slices.Sorted(maps.Keys(t.Policy.Groups)) {
		g := t.Policy.Groups[name]
		slices.Sort(g.Users)
		g.Users = slices.Compact(g.Users)
		t.Policy.Groups[name] = g
		for _, user := range g.Users {
			t.Policy.groupsOf[user] = append(t.Policy.groupsOf[user], name)
		}
	}
}

// readGroupNames reads names of groups that are known by now.
func (t *tenantValues) readGroupNames(v value) []string {
	var all []named
	names := t.readNames(v, &all)
	for _, g := range all {
		if _, ok := t.Policy.Groups[g.name]; !ok {
			unknown(g.at, "group", g.name, t.Policy.Groups, "groups: {"+g.name+": []}")
		}
	}
	return names
}

// checkFilters refuses names of filters that there are none of.
func (t *tenantValues) checkFilters() {
	for _, f := range t.rules.filtering {
		if _, ok := t.Policy.Filters[f.name]; !ok {
			unknown(f.at, "filter", f.name, t.Policy.Filters, "filters: {"+f.name+": {default: deny, rules: []}}")
		}
	}
}

// Own is what the configuration has of a user whom it writes; ok: it does.
func (p *Policy) Own(user string) (own Attributes, ok bool) {
	own, ok = p.written[UserKey(user)]
	return own, ok
}

// Missing names the first group or filter of some that the tenant does not have; empty: it
// has them all. Users of the store may name what was taken out of the configuration since.
func (p *Policy) Missing(groups, filters []string) string {
	for _, name := range groups {
		if _, ok := p.Groups[name]; !ok {
			return "group " + name
		}
	}
	for _, name := range filters {
		if _, ok := p.Filters[name]; !ok {
			return "filter " + name
		}
	}
	return ""
}

// GroupsOf are the groups that the configuration has a user in, in the order of their names.
// They are borrowed.
func (p *Policy) GroupsOf(user string) []string { return p.groupsOf[UserKey(user)] }

// readClients reads whether clients reach each other.
func (t *tenantValues) readClients(v value) {
	word := "isolated"
	v.choice(&word, "isolated", "open")
	t.clients, t.ClientToClient = v, word == "open"
}

// readClientToClient reads the same by the name that it had.
func (t *tenantValues) readClientToClient(v value) {
	open := false
	v.boolean(&open)
	t.formerClients, t.formerOpen = v, open
	v.warn("client_to_client is called clients by now", "write clients: "+map[bool]string{true: "open", false: "isolated"}[open])
}

// settleClients refuses two names that say the contrary.
func (t *tenantValues) settleClients() {
	switch {
	case t.formerClients.node == nil:
	case t.clients.node == nil:
		t.ClientToClient = t.formerOpen
	case t.ClientToClient != t.formerOpen:
		t.formerClients.refuse(fmt.Sprintf("%s says the contrary of clients on line %d", t.formerClients.path, t.clients.line()), "drop it: clients is what it is called by now")
	}
}
