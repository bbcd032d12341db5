package policy

import (
	"strings"
	"testing"
	"time"
)

// TestFilters: a session is held by the filters that it is under, on either end of a flow,
// beside the rules for everybody; under one that there is none of it may do nothing.
func TestFilters(t *testing.T) {
	sets := []Set{
		{Name: "tenant", Allow: true, Rules: []Rule{{Name: "no-mail", Ports: tcp(25)}}},
		{Name: "filter:web", Who: []Peer{{Kind: UnderFilter, Name: "web"}}, Rules: []Rule{{Name: "web", Ports: append(tcp(80), tcp(25)...), Allow: true}}},
		{Name: "filter:day", Who: []Peer{{Kind: UnderFilter, Name: "day"}}, Allow: true, Rules: []Rule{{Name: "no-web", Ports: tcp(80)}}},
	}
	for _, c := range []struct {
		filters []string
		ports   string // those that may be reached
	}{
		{nil, "22 80"}, {[]string{"web"}, "80"}, {[]string{"day"}, "22"}, {[]string{"web", "day"}, ""}, {[]string{"web", "gone"}, ""}, {[]string{"gone"}, ""},
	} {
		f := NewFlows(Bounds{Session: 100, Tenant: 100}, compile(t, sets...))
		ann, bob := client("10.1.0.7", &Identity{User: "ann", Filters: c.filters}), client("10.1.0.8", &Identity{User: "bob"})
		for _, ends := range [][2]*Party{{ann, nil}, {nil, ann}, {ann, bob}, {bob, ann}} {
			src, dst, reached := map[*Party]string{ann: "10.1.0.7", bob: "10.1.0.8", nil: "10.20.0.5"}[ends[0]], map[*Party]string{ann: "10.1.0.7", bob: "10.1.0.8", nil: "10.20.0.5"}[ends[1]], []string{}
			for _, port := range []string{"22", "25", "80"} {
				if f.Judge(Now{1, 1}, ends[0], ends[1], segment(t, src+":9", dst+":"+port, syn)).Allow {
					reached = append(reached, port)
				}
			}
			if got := strings.Join(reached, " "); got != c.ports {
				t.Errorf("under %v, from %s to %s: %q, want %q", c.filters, src, dst, got, c.ports)
			}
		}
	}
}

// TestHitsOfEverySet: what each set says of a flow counts with its rule.
func TestHitsOfEverySet(t *testing.T) {
	sets := []Set{web(), {Name: "filter:web", Who: []Peer{{Kind: UnderFilter, Name: "web"}}, Rules: []Rule{{Name: "web", Ports: tcp(80), Allow: true}}}}
	f := NewFlows(Bounds{Session: 100, Tenant: 100}, compile(t, sets...))
	ann, bob := client("10.1.0.7", &Identity{User: "ann", Filters: []string{"web"}}), client("10.1.0.8", &Identity{User: "bob"})
	f.Judge(Now{1, 1}, ann, nil, segment(t, annWeb, webAnn, syn))
	f.Judge(Now{1, 1}, bob, nil, segment(t, "10.1.0.8:1", webAnn, syn))
	for i, set := range f.force.Load().rules.Hits(time.Unix(1, 0)) {
		want := []uint64{2, 1}[i]
		if set.Hits[0].Flows != want || set.Hits[1].Flows != 0 {
			t.Errorf("%s: %+v", set.Name, set.Hits)
		}
	}
}

// TestIdentityAndRulesChangeAtOnce: who a session is by a new configuration, and its rules,
// hold from the same packet on.
func TestIdentityAndRulesChangeAtOnce(t *testing.T) {
	filter := func(name string, port uint16) Set {
		return Set{Name: name, Who: []Peer{{Kind: UnderFilter, Name: name}}, Rules: []Rule{{Ports: tcp(port), Allow: true}}}
	}
	old, next := compile(t, filter("old", 80)), compile(t, filter("new", 22))
	ann := client("10.1.0.7", &Identity{User: "ann", Filters: []string{"old"}})
	f := NewFlows(Bounds{Session: 100, Tenant: 100}, old)
	want := func(when string, web, ssh bool) {
		t.Helper()
		for to, allow := range map[string]bool{"10.20.0.5:80": web, "10.20.0.5:22": ssh} {
			if d := f.Judge(Now{1, 1}, ann, nil, segment(t, annWeb, to, syn)); d.Allow != allow {
				t.Errorf("%s: %s: %+v", when, to, d)
			}
		}
	}
	want("at first", true, false)
	ann.SetIdentity(&Identity{User: "ann", Filters: []string{"new"}}, old)
	want("before the rules are set", true, false)
	f.SetRules(next)
	want("with the rules", false, true)
	f.SetRules(compile(t, filter("new", 80)))
	want("and with those after them", true, false)
	ann.SetIdentity(&Identity{User: "ann"}, nil)
	want("without a filter", true, true)
}
