package config

import (
	"fmt"
	"strings"
	"testing"
)

// allow opens what is closed, and closes nothing: who relies on that is told.
func TestAllowWithoutDenyIsWarnedOf(t *testing.T) {
	for egress, warned := range map[string]string{
		`{allow: [192.168.7.0/24]}`:                            "192.168.7.0/24 is open without allow, which closes nothing else",
		`{allow: ["2001:db8:7::/48"], deny: [192.168.0.0/16]}`: "2001:db8:7::/48 is open without allow",
		`{allow: [192.168.7.0/24], deny: [192.168.0.0/16]}`:    "",
		`{allow: [192.168.7.0/24], deny: [0.0.0.0/0, "::/0"]}`: "",
		`{allow: [169.254.7.0/24, 127.0.0.0/8]}`:               "", // closed by default
		`{allow: [192.0.2.1]}`:                                 "", // an address of the host
		`{allow: [10.1.0.0/16]}`:                               "", // where tenants have clients
	} {
		c, err := Parse("x.yaml", []byte(fmt.Sprintf(`{tenants: [{name: a, default: true, psk: long-enough-for-a-key-of-ours, pool: [10.1.0.0/24],
			auth: {local: {users: [{name: u, password: sufficient-password}]}}, egress: {netstack: %s}}]}`, egress)))
		if err != nil {
			t.Fatal(err)
		}
		switch {
		case warned == "" && len(c.Warnings) != 0:
			t.Errorf("%s: %v", egress, c.Warnings)
		case warned != "" && (len(c.Warnings) != 1 || !strings.Contains(c.Warnings.Error(), warned) || !strings.Contains(c.Warnings.Error(), `deny: [0.0.0.0/0, "::/0"]`)):
			t.Errorf("%s: %v, want %q", egress, c.Warnings, warned)
		}
	}
}
