package access

import (
	"slices"

	"github.com/culvert-vpn/culvert/internal/config"
	"github.com/culvert-vpn/culvert/internal/store"
)

// Own is what whoever knows somebody has of him beside his secret: the account of a user of
// the store. It is never changed.
type Own struct {
	Groups  []string // of the tenant, beside those that the configuration has him in
	Filters []string // of the tenant
	Pool    string   // of the tenant; empty: the configuration says which
}

// OwnOf is what a user of the store has of his own; nil: nothing.
func OwnOf(u store.User) *Own {
	if len(u.Groups)+len(u.Filters) == 0 && u.Pool == "" {
		return nil
	}
	return &Own{Groups: u.Groups, Filters: u.Filters, Pool: u.Pool}
}

// OwnNow is what somebody who is in has of his own by now, as Shown finds it; known: one of
// his names has an account. It reads the store, from a disk.
func OwnNow(stored Users, who Who) (own *Own, known bool, err error) {
	for n, name := range who.names() {
		a, why, err := find(stored, who.Tenant, name)
		clear(a.hash[:])
		if why == StoreFailed {
			return nil, false, err
		}
		known = known || why == None
		if n == 0 {
			own = a.own
		} else {
			own = own.holds(who.Tenant, name, a.own)
		}
	}
	return own, known, nil
}

// Equal reports whether both are the same; nil is nothing.
func (o *Own) Equal(other *Own) bool {
	if o == nil || other == nil {
		return o == other
	}
	return slices.Equal(o.Groups, other.Groups) && slices.Equal(o.Filters, other.Filters) && o.Pool == other.Pool
}

// FromGroup is the origin of what a group has.
func FromGroup(name string) Origin { return Origin("group:" + name) }

// LayersOf is what somebody is granted beside what his tenant grants everybody: what each of
// his groups has, in the order of their names, and what he has himself. own may be nil.
func LayersOf(t *config.Tenant, user string, own *Own) (layers []Layer) {
	if own == nil {
		own = new(Own)
	}
	written := t.Policy.GroupsOf(user)
	if len(written) > 0 {
		layers = append(layers, Layer{FromTenant, Terms{Groups: written}})
	}
	groups := slices.Concat(written, own.Groups)
	slices.Sort(groups)
	for _, name := range slices.Compact(groups) {
		if g := t.Policy.Groups[name]; len(g.Filters) > 0 || g.Pool != "" {
			layers = append(layers, Layer{FromGroup(name), termsOf(g.Attributes)})
		}
	}
	himself, _ := t.Policy.Own(user)
	for _, terms := range [...]Terms{termsOf(himself), {Groups: own.Groups, Filters: own.Filters, Pool: own.Pool}} {
		if len(terms.Groups)+len(terms.Filters) > 0 || terms.Pool != "" {
			layers = append(layers, Layer{FromUser, terms})
		}
	}
	return layers
}

// termsOf are the terms that the configuration has of a group, or of a user.
func termsOf(a config.Attributes) Terms { return Terms{Filters: a.Filters, Pool: a.Pool} }

// holds adds the filters that somebody is under by another of his names: he has the choice
// of the name, and not of what holds him.
func (o *Own) holds(t *config.Tenant, user string, by *Own) *Own {
	all := new(Own)
	if o != nil {
		*all = *o
	}
	for _, l := range LayersOf(t, user, by) {
		all.Filters = slices.Concat(all.Filters, l.Filters)
	}
	if len(all.Groups)+len(all.Filters) == 0 && all.Pool == "" {
		return nil
	}
	return all
}
