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
