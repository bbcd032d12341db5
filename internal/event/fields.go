package event

import (
	"reflect"
	"strings"
	"sync"
)

// Field is one thing that an event says.
type Field struct {
	Name  string
	Value any // of the types that the events have
}

// kind is what is known of a type of Event.
type kind struct {
	name   string
	fields []field
	tenant []int // where the field tenant is; nil: there is none
	cause  []int // likewise
}

// field is where a field is, and what it is called.
type field struct {
	name  string
	index []int
	omit  bool // when it says nothing
}

// kinds are those that were seen; reading a type is dear, and there are few.
type kinds struct{ seen sync.Map }

// of returns what is known of an event's type.
func (k *kinds) of(e Event) *kind {
	t := reflect.TypeOf(e)
	if found, ok := k.seen.Load(t); ok {
		return found.(*kind)
	}
	found := new(kind)
	found.read(t, nil)
	k.seen.Store(t, found)
	return found
}

// read adds the fields of a struct.
func (k *kind) read(t reflect.Type, at []int) {
	for i := range t.NumField() {
		f := t.Field(i)
		index := append(at[:len(at):len(at)], i)
		if name, ok := f.Tag.Lookup("event"); ok {
			k.name = name
			continue
		}
		if f.Anonymous {
			k.read(f.Type, index)
			continue
		}
		name, how, _ := strings.Cut(f.Tag.Get("json"), ",")
		if name == "-" {
			continue
		}
		k.fields = append(k.fields, field{name, index, how != ""})
		switch name {
		case "tenant":
			k.tenant = index
		case "cause":
			k.cause = index
		}
	}
}

// text returns a field of an event; empty: it has none there.
func (k *kind) text(e Event, at []int) string {
	if at == nil {
		return ""
	}
	return reflect.ValueOf(e).FieldByIndex(at).String()
}

// values returns what the event says, in the order of its type.
func (k *kind) values(e Event) []Field {
	v := reflect.ValueOf(e)
	list := make([]Field, 0, len(k.fields))
	for _, f := range k.fields {
		if x := v.FieldByIndex(f.index); !f.omit || !x.IsZero() {
			list = append(list, Field{f.name, x.Interface()})
		}
	}
	return list
}
