package config

import (
	"fmt"
	"math"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/token"
)

// value is one node of the file, with its place and its name.
type value struct {
	r       *reader
	node    ast.Node
	path    string // tenants[0].match.realms
	example string // a correct value, as it would be written
}

// field is one key of a mapping.
type field struct {
	key      string
	example  string // empty: the key is understood, and nobody is told to write it
	required bool
	read     func(value)
}

// former reports whether the key is another's name of once.
func (f field) former() bool { return f.example == "" && f.read != nil }

// child returns a value at a node, with aliases followed.
func (v value) child(node ast.Node, path, example string) value {
	for range 16 {
		switch n := node.(type) {
		case *ast.AnchorNode:
			node = n.Value
		case *ast.AliasNode:
			target, ok := v.r.anchors[n.Value.GetToken().Value]
			if !ok {
				return value{v.r, node, path, example}
			}
			node = target
		default:
			return value{v.r, node, path, example}
		}
	}
	return value{v.r, node, path, example}
}

// position returns where the value begins.
func (v value) position() *token.Position {
	n := v.node
	if m, ok := n.(*ast.MappingNode); ok && !m.IsFlowStyle && len(m.Values) > 0 {
		n = m.Values[0].Key
	}
	if n == nil {
		return &token.Position{Line: 1, Column: 1}
	}
	t := n.GetToken()
	if t == nil || t.Position == nil {
		return &token.Position{Line: 1, Column: 1}
	}
	return t.Position
}

// line returns the number of the line the value begins on.
func (v value) line() int { return v.position().Line }

// key returns the last part of the path: what to write before the example.
func (v value) key() string {
	k := v.path[strings.LastIndexByte(v.path, '.')+1:]
	if i := strings.IndexByte(k, '['); i >= 0 {
		k = k[:i]
	}
	return k
}

// refuse records a fault at the value.
func (v value) refuse(text, remedy string) {
	p := v.position()
	v.r.problems = append(v.r.problems, v.r.problem(p, text, remedy))
}

// refuseValue records that the value is no X, and shows the example.
func (v value) refuseValue(text string) {
	v.refuse(v.path+" "+text, "write "+v.key()+": "+v.example)
}

// warn records something legal and unwise at the value.
func (v value) warn(text, remedy string) {
	p := v.position()
	v.r.warnings = append(v.r.warnings, v.r.problem(p, text, remedy))
}

// isNull reports whether nothing is written.
func (v value) isNull() bool {
	_, null := v.node.(*ast.NullNode)
	return null || v.node == nil
}

// isEmptyList reports whether a list is written with nothing in it.
func (v value) isEmptyList() bool {
	n, ok := v.node.(*ast.SequenceNode)
	return ok && len(n.Values) == 0
}

// kind names what is written, for messages.
func (v value) kind() string {
	switch v.node.(type) {
	case *ast.NullNode, nil:
		return "nothing"
	case *ast.MappingNode:
		return "a mapping"
	case *ast.SequenceNode:
		return "a list"
	case *ast.TagNode:
		return "a tag"
	case *ast.AliasNode:
		return "an alias of nothing"
	default:
		return "a single value"
	}
}

// fields reads a mapping by a table of its keys. Nothing written is an empty
// mapping. It returns the keys that others were probably meant to be, which are told.
func (v value) fields(table []field) (meant map[string]bool) {
	var entries []*ast.MappingValueNode
	if m, ok := v.node.(*ast.MappingNode); ok {
		entries = m.Values
	} else if !v.isNull() {
		if v.path == "" {
			v.refuse("the file wants keys, and has "+v.kind(), "write tenants: and the tenants below it; `culvert config example` prints a file to start from")
			return nil
		}
		v.refuse(v.path+" wants keys, and has "+v.kind(), "write "+v.key()+": "+v.example)
		return nil
	}
	seen := map[string]bool{}
	meant = map[string]bool{}
	for _, e := range entries {
		v.entry(e, table, seen, meant)
	}
	for _, f := range table {
		if f.required && !seen[f.key] && !meant[f.key] {
			v.refuse(v.label()+" has no "+f.key, "add "+f.key+": "+f.example)
		}
	}
	return meant
}

// entry reads one key of a mapping, and notes it as seen, or else which one
// was probably meant.
func (v value) entry(e *ast.MappingValueNode, table []field, seen, meant map[string]bool) {
	key := e.Key.GetToken().Value
	at := value{v.r, e.Key, v.join(key), ""}
	i := slices.IndexFunc(table, func(f field) bool { return f.key == key })
	switch {
	case key == "<<":
		at.refuse("keys cannot be merged with <<", "write them out; &name and *name repeat a single value")
	case i < 0:
		p := at.position()
		v.r.src.cutAt(p.Line, p.Column+len([]rune(key)))
		near, remedy := suggest(key, table)
		meant[near] = true
		at.refuse(fmt.Sprintf("%s has no key %q", v.label(), key), remedy)
	case seen[key]:
		at.refuse(at.path+" is written twice", "keep one of the two")
	default:
		seen[key] = true
		table[i].read(v.child(e.Value, at.path, table[i].example))
	}
}

// label names a mapping in messages.
func (v value) label() string {
	if v.path == "" {
		return "the file"
	}
	return v.path
}

// join returns the path of a key of this mapping.
func (v value) join(key string) string {
	if v.path == "" {
		return key
	}
	return v.path + "." + key
}

// items reads a list; of a list of single values one may stand alone.
func (v value) items(read func(value)) {
	switch n := v.node.(type) {
	case *ast.SequenceNode:
		for i, item := range n.Values {
			read(v.child(item, fmt.Sprintf("%s[%d]", v.path, i), v.example))
		}
	case *ast.MappingNode, *ast.NullNode, *ast.TagNode, *ast.AliasNode, nil:
		v.refuse(v.path+" wants a list, and has "+v.kind(), "write "+v.key()+": "+v.example)
	default:
		read(v)
	}
}

// text reads a single value that is not empty, as it is written.
func (v value) text() (string, bool) {
	var s string
	switch n := v.node.(type) {
	case *ast.StringNode:
		s = n.Value
	case *ast.LiteralNode:
		s = n.Value.Value
	case *ast.IntegerNode, *ast.FloatNode, *ast.BoolNode, *ast.InfinityNode, *ast.NanNode:
		s = n.GetToken().Value
	default:
		var ok bool
		if s, ok = glued(v.node); !ok {
			v.refuseValue("wants a single value, and has " + v.kind())
			return "", false
		}
	}
	if s == "" {
		v.refuse(v.path+" is empty", "write "+v.key()+": "+v.example)
		return "", false
	}
	return s, true
}

// glued returns the text of a plain value with a colon in it, such as env:PSK,
// that the parser took for a mapping. It does so with the first item of a list
// within braces, where YAML 1.2 wants a space behind the colon of a mapping.
func glued(n ast.Node) (string, bool) {
	m, ok := n.(*ast.MappingNode)
	if !ok || m.IsFlowStyle || len(m.Values) != 1 {
		return "", false
	}
	key, val := m.Values[0].Key.GetToken(), m.Values[0].Value.GetToken()
	if _, ok := m.Values[0].Value.(ast.ScalarNode); !ok || key.Position.Line != val.Position.Line {
		return "", false
	}
	return key.Value + ":" + val.Value, val.Position.Column == key.Position.Column+len([]rune(key.Value))+1
}

// boolean reads true or false.
func (v value) boolean(into *bool) {
	if n, ok := v.node.(*ast.BoolNode); ok {
		*into = n.Value
		return
	}
	v.refuse(v.path+" is neither true nor false", "write "+v.key()+": true or "+v.key()+": false")
}

// integer reads a whole number of the range given.
func (v value) integer(into *int, least, most int) {
	s, ok := v.text()
	if !ok {
		return
	}
	n, err := strconv.Atoi(s)
	if err != nil || n < least || n > most {
		limit := fmt.Sprintf("at least %d", least)
		if most != math.MaxInt32 {
			limit = fmt.Sprintf("%d to %d", least, most)
		}
		v.refuseValue(fmt.Sprintf("is not a whole number of %s", limit))
		return
	}
	*into = n
}

// duration reads a span of time; zero is allowed where off says so.
func (v value) duration(into *time.Duration, least, most time.Duration, off bool) {
	s, ok := v.text()
	if !ok {
		return
	}
	d, err := time.ParseDuration(s)
	switch {
	case err != nil:
		v.refuse(fmt.Sprintf("%s: %q is not a span of time", v.path, s), "write a number with its unit, as in "+v.key()+": "+v.example)
	case d == 0 && off:
		*into = 0
	case d < least || d > most:
		v.refuse(fmt.Sprintf("%s: %s is out of range", v.path, s), fmt.Sprintf("write %s to %s", short(least), short(most)))
	default:
		*into = d
	}
}

// short writes a span of time without its empty parts.
func short(d time.Duration) string {
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}

// choice reads one of a few words.
func (v value) choice(into *string, words ...string) {
	s, ok := v.text()
	if !ok {
		return
	}
	if !slices.Contains(words, s) {
		v.refuse(fmt.Sprintf("%s: %q is not a choice", v.path, s), "write one of "+strings.Join(words, ", "))
		return
	}
	*into = s
}

// address reads an IP address.
func (v value) address() (netip.Addr, bool) {
	s, ok := v.text()
	if !ok {
		return netip.Addr{}, false
	}
	a, err := netip.ParseAddr(s)
	if err != nil {
		v.refuseValue(fmt.Sprintf("is not an IP address: %q", s))
		return netip.Addr{}, false
	}
	return a.Unmap(), true
}

// address4 reads an IPv4 address of one host.
func (v value) address4() (netip.Addr, bool) {
	a, ok := v.address()
	if !ok {
		return a, false
	}
	if !a.Is4() || a.IsUnspecified() || a.IsMulticast() || a == netip.AddrFrom4([4]byte{255, 255, 255, 255}) {
		v.refuseValue(fmt.Sprintf("is not the IPv4 address of a host: %s", a))
		return a, false
	}
	return a, true
}

// prefix reads a range of IP addresses; one address is a range of one.
func (v value) prefix() (netip.Prefix, bool) {
	s, ok := v.text()
	if !ok {
		return netip.Prefix{}, false
	}
	if a, err := netip.ParseAddr(s); err == nil && a.Zone() == "" {
		return netip.PrefixFrom(a, a.BitLen()), true
	}
	p, err := netip.ParsePrefix(s)
	if err != nil {
		v.refuseValue(fmt.Sprintf("is not a range of addresses: %q", s))
		return netip.Prefix{}, false
	}
	if p.Masked() != p {
		v.refuse(fmt.Sprintf("%s: %s names a host, not a range", v.path, s), "write "+p.Masked().String())
		return netip.Prefix{}, false
	}
	return p, true
}
