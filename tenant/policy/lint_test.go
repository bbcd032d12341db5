package policy

import (
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
		if got := s.Lint(); !slices.Equal(got, c.want) {
			t.Errorf("%s: %v", name, got)
		}
	}
}

// TestHiddenRulesDecideNothing: whatever the packets.
func TestHiddenRulesDecideNothing(t *testing.T) {
	m, hidden := maker{rand.New(rand.NewPCG(3, 4))}, 0
	clients := newRing(t, m).clients
	for range 2000 {
		s := m.set(0)
		all := s.Lint()
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
