package access

import (
	"fmt"
	"net/netip"
	"testing"
	"time"

	"github.com/culvert-vpn/culvert/internal/config"
)

// TestGrantIsMerged: of each term the last one counts that says it, and the grant knows
// whose that was; what nobody says is as the tenant has it.
func TestGrantIsMerged(t *testing.T) {
	far, own := netip.MustParseAddr("192.0.2.53"), netip.MustParseAddr("10.0.0.9")
	tenant := &config.Tenant{
		Pool: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/24")}, MTU: 1300, Domains: []string{"a.example", "b.example"},
		Limits: config.Limits{SessionTimeout: time.Hour, IdleTimeout: time.Minute},
	}
	group := Layer{"group", Terms{SessionTimeout: 2 * time.Hour, DNS: []netip.Addr{far}}}
	user := Layer{FromUser, Terms{SessionTimeout: 3 * time.Hour, Address: own}}
	for _, c := range []struct {
		layers []Layer
		want   string
	}{
		{nil, "[{session_timeout 1h0m0s tenant} {idle_timeout 1m0s tenant} {mtu 1300 tenant} {dns 10.0.0.1 tenant} {domains a.example, b.example tenant}]"},
		{[]Layer{group}, "[{session_timeout 2h0m0s group} {idle_timeout 1m0s tenant} {mtu 1300 tenant} {dns 192.0.2.53 group} {domains a.example, b.example tenant}]"},
		{[]Layer{group, user}, "[{address 10.0.0.9 user} {session_timeout 3h0m0s user} {idle_timeout 1m0s tenant} {mtu 1300 tenant} {dns 192.0.2.53 group} {domains a.example, b.example tenant}]"},
	} {
		g := GrantOf(tenant, c.layers...)
		if got := fmt.Sprint(g.Said()); got != c.want {
			t.Errorf("%v\nwant %s", got, c.want)
		}
	}
	g := GrantOf(tenant, group, user)
	if g.Address != own || g.SessionTimeout != 3*time.Hour || g.IdleTimeout != time.Minute || g.DNS[0] != far || g.MTU != 1300 {
		t.Errorf("%+v", g)
	}
	if len(tenant.DNS) != 0 || tenant.Limits.SessionTimeout != time.Hour {
		t.Error("the configuration was changed")
	}
}
