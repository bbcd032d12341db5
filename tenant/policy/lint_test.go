package policy

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

// TestLint: what earlier rules leave nothing of, alone or together.
func TestLint(t *testing.T) {
	when, err := ParseSchedule("mon 08:00-18:00 UTC")
	if err != nil {
		t.Fatal(err)
	}
	ann, eng := []Peer{{Kind: IsUser, Name: "ann"}}, []Peer{{Kind: InGroup, Name: "engineers"}}
	wide, narrow := target("10.0.0.0/8"), target("10.20.0.0/16")
	for name, c := range map[string]struct {
		rules []Rule
		want  []Hidden
	}{
		"apart":           {[]Rule{{From: ann, Allow: true}, {From: eng}}, nil},
		"narrower first":  {[]Rule{{To: narrow}, {To: wide, Allow: true}}, nil},
		"wider first":     {[]Rule{{To: wide}, {To: narrow, Allow: true}}, []Hidden{{1, 0, true}}},
		"the same again":  {[]Rule{{From: ann, Allow: true}, {From: ann, Allow: true}}, []Hidden{{1, 0, false}}},
		"at times first":  {[]Rule{{From: ann, When: &when}, {From: ann, Allow: true}}, nil},
		"at times later":  {[]Rule{{From: ann}, {From: ann, When: &when, Allow: true}}, []Hidden{{1, 0, true}}},
		"everybody first": {[]Rule{{Ports: tcp(80)}, {From: eng, Ports: tcp(80), Allow: true}}, []Hidden{{1, 0, true}}},
		"other ports":     {[]Rule{{Ports: tcp(80)}, {From: eng, Ports: tcp(81), Allow: true}}, nil},
		"a service":       {[]Rule{{Ports: []Ports{{Protocol: 6, All: true}}}, {To: target("10.0.0.0/8", tcp(445)...), Allow: true}}, []Hidden{{1, 0, true}}},
		"several": {[]Rule{{From: ann}, {From: eng, Allow: true}, {From: slices.Concat(ann, eng), Allow: true}},
			[]Hidden{{2, 0, false}}},
		"several, contrary": {[]Rule{{To: wide}, {To: target("2001:db8::/32")}, {To: slices.Concat(narrow, target("2001:db8:1::/48")), Allow: true}},
			[]Hidden{{2, 0, true}}},
	} {
		s := Set{Rules: c.rules}
		if got, whole := s.Lint(); !whole || !slices.Equal(got, c.want) {
			t.Errorf("%s: %v, %v", name, got, whole)
		}
	}
}

// TestHiddenRulesDecideNothing: whatever the packets.
func TestHiddenRulesDecideNothing(t *testing.T) {
	m, hidden := maker{rand.New(rand.NewPCG(3, 4))}, 0
	clients := newRing(t, m).clients
	for range 2000 {
		s := m.set(0)
		all, _ := s.Lint()
		if hidden += len(all); len(all) == 0 {
			continue
		}
		r := compile(t, s)
		for range 50 {
			src, dst := m.addr(false), m.addr(false)
			q := Question{Source: src, Destination: dst, Protocol: of[uint8](m, 6, 17, 1, 47), Port: uint16(m.IntN(500)), At: time.Unix(int64(m.IntN(14*86400)), 0)}
			q.From, q.To = of(m, nil, clients[0], clients[1]), of(m, nil, clients[0], clients[1])
			d := r.Ask(q)
			if slices.ContainsFunc(all, func(h Hidden) bool { return d.Why == ByRule && int(d.Rule) == h.Rule }) {
				t.Fatalf("%+v: %+v decides, and is hidden: %+v", q, d, all)
			}
		}
	}
	if hidden < 100 {
		t.Errorf("%d rules are hidden", hidden)
	}
}

// TestDenies: what a set denies that must allow, too, by a rule or by its default.
func TestDenies(t *testing.T) {
	eng := []Peer{{Kind: InGroup, Name: "engineers"}}
	wide, narrow := target("10.0.0.0/8"), target("10.20.0.0/16")
	web := []Rule{{To: narrow, Ports: tcp(80), Allow: true}}
	for name, c := range map[string]struct {
		set  Set
		want []Hidden
	}{
		"by a rule":              {Set{Allow: true, Rules: []Rule{{To: wide}}}, []Hidden{{0, 0, true}}},
		"by its default":         {Set{Rules: []Rule{{To: target("10.30.0.0/16"), Allow: true}, {Ports: tcp(81), Allow: true}}}, []Hidden{{0, -1, true}}},
		"not all of it":          {Set{Allow: true, Rules: []Rule{{To: target("10.20.0.0/24")}}}, nil},
		"some of it is allowed":  {Set{Rules: []Rule{{To: target("10.20.0.0/24"), Allow: true}, {To: wide}}}, nil},
		"somebody may do it":     {Set{Rules: []Rule{{From: eng, Allow: true}}}, nil},
		"allowed by its default": {Set{Allow: true}, nil},
	} {
		if got, whole := c.set.Denies(&Set{Rules: web}); !whole || !slices.Equal(got, c.want) {
			t.Errorf("%s: %v, %v", name, got, whole)
		}
		if got, _ := c.set.Denies(&Set{Rules: []Rule{{To: narrow}}}); len(got) != 0 {
			t.Errorf("%s: a rule that denies: %v", name, got)
		}
	}
}

// TestDeniedRulesAllowNothing: whatever the packets.
func TestDeniedRulesAllowNothing(t *testing.T) {
	m, denied := maker{rand.New(rand.NewPCG(5, 6))}, 0
	clients := newRing(t, m).clients
	for range 2000 {
		s, o := m.set(0), m.set(0)
		all, _ := s.Denies(&o)
		if denied += len(all); len(all) == 0 {
			continue
		}
		first, other := compile(t, s), compile(t, o)
		for range 50 {
			src, dst := m.addr(false), m.addr(false)
			q := Question{Source: src, Destination: dst, Protocol: of[uint8](m, 6, 17, 1, 47), Port: uint16(m.IntN(500)), At: time.Unix(int64(m.IntN(14*86400)), 0)}
			q.From, q.To = of(m, nil, clients[0], clients[1]), of(m, nil, clients[0], clients[1])
			d := other.Ask(q)
			if d.Why == ByRule && slices.ContainsFunc(all, func(h Hidden) bool { return int(d.Rule) == h.Rule }) && first.Ask(q).Allow {
				t.Fatalf("%+v: rule %d allows, and all of it is denied: %+v", q, d.Rule, all)
			}
		}
	}
	if denied < 100 {
		t.Errorf("%d rules are denied", denied)
	}
}

// TestLintIsBounded: rules that would take hours to be compared are given up.
func TestLintIsBounded(t *testing.T) {
	var ends []Target
	var from []Peer
	for i := range 64 {
		ends = append(ends, target(fmt.Sprintf("10.%d.0.0/16", i))...)
		from = append(from, ends[i].Peer)
	}
	s := Set{Rules: []Rule{}}
	for i := range MaxRules {
		r := Rule{From: from, To: ends, Ports: tcp(uint16(i)), Allow: true}
		if i == MaxRules/2 {
			r.Ports = nil
		}
		s.Rules = append(s.Rules, r)
	}
	if all, whole := s.Lint(); whole {
		t.Errorf("all is compared, and %d rules are hidden", len(all))
	}
	if _, whole := s.Denies(&s); whole {
		t.Error("all is compared with all")
	}
}
