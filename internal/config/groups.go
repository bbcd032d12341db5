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
}

// member is a user who is said to be in a group where the user is written.
type member struct {
	user, group string
	at          value
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
		v.fields([]field{
			{"users", "[ann, bob]", false, users},
		})
	} else {
		users(v)
	}
	t.Policy.Groups[name] = g
}

// readMembership reads the groups that a user is in.
func (t *tenantValues) readMembership(v value) (in []member) {
	v.items(func(item value) {
		if s, ok := item.text(); ok {
			in = append(in, member{group: s, at: item})
		}
	})
	return in
}

// joinGroups has users be in the groups that are named where they are written, and notes who is
// in which.
func (t *tenantValues) joinGroups() {
	for _, m := range t.rules.members {
		g, ok := t.Policy.Groups[m.group]
		if !ok {
			m.at.unknown("group", m.group, slices.Collect(maps.Keys(t.Policy.Groups)), "groups: {"+m.group+": []}")
			continue
		}
		g.Users = append(g.Users, UserKey(m.user))
		t.Policy.Groups[m.group] = g
	}
	t.Policy.groupsOf = map[string][]string{}
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
