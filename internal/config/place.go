package config

import (
	"fmt"
	"slices"

	"github.com/goccy/go-yaml/ast"
)

// Place is where the configuration says something, as FILE:LINE: of the tenant of that
// name, or, if that is empty, of the whole. keys lead to it; the last of them that is
// written counts. Empty: it was not read from a file, or says nothing of that.
func (c *Config) Place(tenant string, keys ...string) string {
	r := &reader{file: c.name, src: newSource(string(c.text)), anchors: map[string]ast.Node{}}
	at, ok := r.tree(c.text)
	if !ok {
		return ""
	}
	if tenant != "" {
		if at, ok = c.tenantAt(at, tenant); !ok {
			return ""
		}
	}
	found := tenant != ""
	for _, key := range keys {
		next, written := at.get(key)
		if !written {
			break
		}
		at, found = next, true
	}
	if !found {
		return ""
	}
	return fmt.Sprintf("%s:%d", c.name, at.line())
}

// tenantAt is where a tenant's keys are.
func (c *Config) tenantAt(root value, name string) (at value, ok bool) {
	i := slices.IndexFunc(c.Tenants, func(t Tenant) bool { return t.Name == name })
	list, _ := root.get("tenants")
	seq, is := list.node.(*ast.SequenceNode)
	if !is || i < 0 || i >= len(seq.Values) {
		return value{}, false
	}
	return list.child(seq.Values[i], "", ""), true
}

// get is what a key of a mapping says.
func (v value) get(key string) (value, bool) {
	m, ok := v.node.(*ast.MappingNode)
	if !ok {
		return value{}, false
	}
	for _, e := range m.Values {
		if e.Key.GetToken().Value == key {
			return v.child(e.Value, "", ""), true
		}
	}
	return value{}, false
}
