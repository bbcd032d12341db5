package config

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/culvert-vpn/culvert/tenant/policy"
)

// TestHiddenRuleIsWarnedOf: with both lines, where it says what earlier ones say.
func TestHiddenRuleIsWarnedOf(t *testing.T) {
	c := wantConfig(t, `tenants:
  - name: a
    psk: a-long-enough-secret
    pool: 10.1.0.0/24
    policy:
      default: deny
      rules:
        - {name: all, to: 10.0.0.0/8, allow: true}
        - {name: some, to: 10.20.0.0/16, allow: true}
`)
	if len(c.Warnings) != 1 || c.Warnings[0].Line != 9 || !strings.Contains(c.Warnings[0].Text, "all on line 8") {
		t.Errorf("%v", c.Warnings)
	}
}

// TestFlowsAsTheyAreWritten: what ParseFlow takes, and what it does not.
func TestFlowsAsTheyAreWritten(t *testing.T) {
	for text, want := range map[string]string{
		"10.0.0.1:tcp/80": "6 10.0.0.1:80", "[2001:db8::1]:udp/53": "17 [2001:db8::1]:53", "2001:db8::1:udp/53": "17 [2001:db8::1]:53",
		"10.0.0.1:icmp": "1 10.0.0.1:8", "[::5]:icmp": "58 [::5]:128", "10.0.0.1:gre": "47 10.0.0.1:0", "10.0.0.1:icmp/13": "1 10.0.0.1:13",
		"10.0.0.1": "", "10.0.0.1:tcp": "", "10.0.0.1:80": "", "host:tcp/80": "", "10.0.0.1:tcp/1-2": "", "fe80::1%eth0:tcp/1": "", "": "",
	} {
		to, protocol, ok := ParseFlow(text)
		if got := fmt.Sprint(protocol, " ", to); ok != (want != "") || ok && got != want {
			t.Errorf("%q: %v, %s", text, ok, got)
		}
		if again, p, _ := ParseFlow(FlowName(to, protocol)); ok && (again != to || p != protocol) {
			t.Errorf("%q is written %q", text, FlowName(to, protocol))
		}
	}
}

// TestClientsByBothNames: the former name of clients is understood, and told of; where both
// are written and say the contrary, both lines are named.
func TestClientsByBothNames(t *testing.T) {
	for _, c := range []struct {
		lines   string
		open    bool
		warning string
	}{
		{"", false, ""},
		{"    clients: isolated\n", false, ""},
		{"    clients: open\n", true, ""},
		{"    client_to_client: true\n", true, "clients: open"},
		{"    client_to_client: false\n", false, "clients: isolated"},
		{"    clients: open\n    client_to_client: true\n", true, "clients: open"},
	} {
		config := wantConfig(t, "tenants:\n  - name: a\n    psk: a-long-enough-secret\n    pool: 10.1.0.0/24\n"+c.lines)
		if open := config.Tenants[0].ClientToClient; open != c.open {
			t.Errorf("%q: open: %v", c.lines, open)
		}
		told := ""
		for _, w := range config.Warnings {
			told += w.Headline()
		}
		if c.warning == "" && told != "" || !strings.Contains(told, c.warning) {
			t.Errorf("%q: warned %q", c.lines, told)
		}
	}
}

// TestGroups: users are in the groups that name them, in whatever way, and in those that
// they name.
func TestGroups(t *testing.T) {
	c := wantConfig(t, `tenants:
  - name: a
    psk: a-long-enough-secret
    pool: 10.1.0.0/24
    auth: {local: {users: [{name: Ann, password: anns-password, groups: [engineers, guests]}, {name: bob, password: bobs-password}]}}
    groups:
      engineers: [ann, Carol]
      guests: {users: [BOB]}
      nobody: {}
      none: []
`)
	p := &c.Tenants[0].Policy
	for user, want := range map[string]string{"ann": "[engineers guests]", "ANN": "[engineers guests]", "bob": "[guests]", "carol": "[engineers]", "eve": "[]"} {
		if got := fmt.Sprint(p.GroupsOf(user)); got != want {
			t.Errorf("%s: %s", user, got)
		}
	}
	if got := fmt.Sprint(p.Groups["engineers"].Users, p.Groups["guests"].Users, len(p.Groups)); got != "[ann carol] [ann bob] 4" {
		t.Error(got)
	}
}

// TestRulesAreBounded: a file may repeat itself by aliases and services; what its rules come
// to is refused with the line where it is too much, and reading it takes no more than that.
func TestRulesAreBounded(t *testing.T) {
	head := "tenants:\n  - name: a\n    psk: a-long-enough-secret\n    pool: 10.1.0.0/24\n"
	rules := func(n int, to string) string {
		var b strings.Builder
		b.WriteString("    policy: &p\n      default: deny\n      rules:\n")
		for i := range n {
			fmt.Fprintf(&b, "        - {name: r%d, to: %s, ports: tcp/%d, allow: true}\n", i, to, i+1)
		}
		return b.String()
	}
	tenants := ""
	for i := range 64 {
		tenants += fmt.Sprintf("  - {name: t%d, psk: a-long-enough-secret-%d, pool: 10.1.0.0/24, policy: *p}\n", i, i)
	}
	tests := "    tests:\n" + strings.Repeat("      - {as: ann, to: \"10.0.0.1:tcp/80\", expect: allow}\n", maxTests+2)
	service := "    services: {s: [" + strings.Repeat("10.0.0.1 tcp/80, ", 2000) + "10.0.0.1]}\n"
	for name, c := range map[string]struct {
		text, says string
		line       int
	}{
		"rules of a set":     {head + rules(policy.MaxRules+5, "10.0.0.0/8"), "more than 4096 rules", 4 + 3 + policy.MaxRules + 1},
		"rules of the file":  {head + rules(policy.MaxRules, "10.0.0.0/8") + tenants, "more than 262144 rules", 4 + 3 + 1},
		"targets of a rule":  {head + service + rules(1000, "service:s"), "more than 1048576 networks", 4 + 1 + 3 + 525},
		"tests of a tenant":  {head + tests, "more than 4096 tests", 4 + 1 + maxTests + 1},
		"filters of tenants": {head + "    filters:\n" + filters(policy.MaxSets+1), "at most 255", 6},
	} {
		_, err := Parse("test.yaml", []byte(c.text))
		var all Problems
		if !errors.As(err, &all) {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if !strings.Contains(all[0].Text, c.says) || all[0].Line != c.line || len(all) > 3 {
			t.Errorf("%s: %d problems, the first %q on line %d, want %d", name, len(all), all[0].Text, all[0].Line, c.line)
		}
	}
}

func filters(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, "      f%d: {default: deny}\n", i)
	}
	return b.String()
}

// TestFilterThatAllowsNothing: what policy denies anyway is warned of, with both lines.
func TestFilterThatAllowsNothing(t *testing.T) {
	c := wantConfig(t, `tenants:
  - name: a
    psk: a-long-enough-secret
    pool: 10.1.0.0/24
    policy:
      default: deny
      rules:
        - {name: closed, to: 10.30.0.0/16, allow: false}
        - {name: web, ports: [tcp/80, tcp/443], allow: true}
    filters:
      some:
        default: deny
        rules:
          - {name: inside, to: 10.30.1.0/24, ports: tcp/80, allow: true}
          - {name: web, to: 10.20.0.0/16, ports: tcp/80, allow: true}
          - {name: mail, ports: tcp/25, allow: true}
`)
	said := ""
	for _, w := range c.Warnings {
		said += fmt.Sprintf("%d: %s\n", w.Line, w.Text)
	}
	if said != `14: rule inside of some allows nothing: rule closed of policy on line 8 denies all that it is about
16: rule mail of some allows nothing: the default of policy on line 6 denies all that it is about
` {
		t.Error(said)
	}
}

// TestAskPolicyWhereTenantsAreAlike: a client reaches its own gateway, also where another
// tenant has the same addresses, and not what a tenant in the same kernel has.
func TestAskPolicyWhereTenantsAreAlike(t *testing.T) {
	const two = `tenants:
  - {name: a, default: true, psk: a-long-enough-secret, pool: 10.1.0.0/24, policy: {default: allow}, egress: %s}
  - {name: b, match: {realms: [b]}, psk: another-long-secret, pool: %s, egress: %s}
`
	for _, c := range []struct {
		egress, pool, beside, to string
		allow                    bool
	}{
		{"netstack", "10.1.0.0/24", "netstack", "10.1.0.1:udp/53", true},
		{"netstack", "10.2.0.0/24", "netstack", "10.2.0.1:udp/53", false},
		{"{tun: {device: a0}}", "10.2.0.0/24", "{tun: {device: b0}}", "10.2.0.7:tcp/80", false},
		{"{tun: {device: a0, allow: [10.2.0.0/28]}}", "10.2.0.0/24", "{tun: {device: b0}}", "10.2.0.7:tcp/80", true},
		{"{tun: {device: a0, netns: a}}", "10.2.0.0/24", "{tun: {device: b0}}", "10.2.0.7:tcp/80", true},
	} {
		conf := wantConfig(t, fmt.Sprintf(two, c.egress, c.pool, c.beside))
		var ask PolicyTest
		ask.User = "ann"
		ask.To, ask.Protocol, _ = ParseFlow(c.to)
		if a, err := conf.AskPolicy(&conf.Tenants[0], ask); err != nil || a.Allow != c.allow {
			t.Errorf("%s beside %s of %s, to %s: %+v, %v", c.egress, c.beside, c.pool, c.to, a, err)
		}
	}
}
