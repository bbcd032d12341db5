package config

import (
	"fmt"
	"strings"
	"testing"
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
