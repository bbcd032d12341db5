package v2

import (
	"slices"
	"strings"
	"testing"

	"github.com/culvert-vpn/culvert/ike/wire"
)

// TestServersDomainsAreDomains: of what a server says that its DNS servers are for, only
// what can be a domain reaches who reads it, line by line or word by word.
func TestServersDomainsAreDomains(t *testing.T) {
	c := wire.Config{Type: wire.ConfigReply}
	for _, d := range []string{"corp.example.org", "", "a\nup: address 192.0.2.1", "x, DNS 192.0.2.66", "\x1b]0;x\a", "\u009b2J.example", strings.Repeat("x", 256), "xn--mnchen-3ya.example."} {
		c.Attributes = append(c.Attributes, wire.ConfigAttribute{Type: wire.ConfigDNSDomain, Value: []byte(d)})
	}
	if a := assignmentOf(c); !slices.Equal(a.Domains, []string{"corp.example.org", "xn--mnchen-3ya.example."}) {
		t.Errorf("%q", a.Domains)
	}
}
