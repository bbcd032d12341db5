package config

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// What is silent is kept for as long as the operator says.
func TestTimeouts(t *testing.T) {
	for text, want := range map[string]Timeouts{
		"{}":                            {},
		"{udp: 2m, dns: 5s, icmp: 60s}": {UDP: 2 * time.Minute, DNS: 5 * time.Second, ICMP: time.Minute},
		"{tcp: 3h, tcp_half_closed: 4m, tcp_connect: 30s}": {TCP: 3 * time.Hour, TCPHalfClosed: 4 * time.Minute, TCPConnect: 30 * time.Second},
		"{tcp: 30m}": {TCP: 30 * time.Minute},
	} {
		c, err := Parse("x.yaml", []byte(fmt.Sprintf(`{tenants: [{name: a, default: true, psk: long-enough-for-a-key-of-ours, pool: [10.1.0.0/24],
			auth: {local: {users: [{name: u, password: sufficient-password}]}}, egress: {netstack: {timeouts: %s}}}]}`, text)))
		if err != nil {
			t.Fatal(err)
		}
		if got := c.Tenants[0].Egress.Netstack.Timeouts; got != want {
			t.Errorf("%s: %+v", text, got)
		}
		if warned := strings.Contains(c.Warnings.Error(), "2h4m or more (RFC 5382)"); warned != (want.TCP == 30*time.Minute) {
			t.Errorf("%s: warnings %v", text, c.Warnings)
		}
	}
}
