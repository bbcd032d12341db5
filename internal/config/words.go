package config

import (
	"maps"
	"slices"
)

// word is a value as it is written. What is wrong with it is said by whoever reads what it
// means.
func (v value) word() string {
	before := len(v.r.problems)
	s, _ := v.text()
	v.r.problems = v.r.problems[:before]
	return s
}

// Under are those whom the configuration has under a filter: groups and users, as rules name
// them, in order. Users of the store may be under it, too.
func (p *Policy) Under(filter string) (all []string) {
	for _, name := range slices.Sorted(maps.Keys(p.Groups)) {
		if slices.Contains(p.Groups[name].Filters, filter) {
			all = append(all, "group:"+name)
		}
	}
	for _, user := range slices.Sorted(maps.Keys(p.written)) {
		if slices.Contains(p.written[user].Filters, filter) {
			all = append(all, "user:"+user)
		}
	}
	return all
}
