package main

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/culvert-vpn/culvert/internal/admin"
)

// TestPoolsCommand: pools are a table, and who has what, of all, a tenant or a pool, and JSON
// for programs.
func TestPoolsCommand(t *testing.T) {
	prefix := netip.MustParsePrefix
	c := &crowd{
		pools: admin.PoolList{Outside: []admin.Outside{{Tenant: "acme", Sessions: 1}}, Pools: []admin.Pool{
			{Tenant: "acme", Name: "default", Ranges: []netip.Prefix{prefix("10.1.0.0/29"), prefix("10.1.1.0/30")}, Bits: 32, Size: 7, Used: 2, Static: 1, Idle: 1, Remembered: 1, Next: prefix("10.1.0.5/32")},
			{Tenant: "acme", Name: "default", IPv6: true, Ranges: []netip.Prefix{prefix("2001:db8::/60")}, Bits: 64, Size: 14, Used: 14},
			{Tenant: "acme", Name: "vip", Ranges: []netip.Prefix{prefix("10.9.0.0/24")}, Bits: 32, Size: 254, Next: prefix("10.9.0.1/32")},
			{Tenant: "globex", Name: "default", Ranges: []netip.Prefix{prefix("10.2.0.0/24")}, Bits: 32, Size: 253, Next: prefix("10.2.0.2/32")},
		}},
		leases: []admin.Lease{
			{Tenant: "acme", Pool: "default", Address: prefix("10.1.0.4/32"), User: "eve\x1b[2J", State: admin.LeasedOnce, Since: time.Now().Add(-3 * time.Hour)},
			{Tenant: "acme", Pool: "default", Address: prefix("10.1.0.3/32"), User: "carol", State: admin.LeasedIdle, Static: true},
			{Tenant: "acme", Pool: "default", Address: prefix("10.1.0.2/32"), User: "alice", State: admin.LeasedNow, Static: true, Since: time.Now().Add(-time.Minute), Session: 7},
		},
		list: []admin.Session{
			{ID: 8, Tenant: "acme", User: "bob", Address: netip.MustParseAddr("10.7.0.2"), Prefix: prefix("2001:db8:7::/64"), Outside: true, Since: time.Now().Add(-time.Hour)},
			{ID: 7, Tenant: "acme", User: "alice", Address: netip.MustParseAddr("10.1.0.2"), Since: time.Now()},
		},
	}
	conf := serveCrowd(t, c)
	want := `TENANT  POOL     RANGE                    SIZE  IN USE  REMEMBERED  STATIC  TAKEN  NEXT FREE
acme    default  10.1.0.0/29,10.1.1.0/30  7     2       1           1       42%    10.1.0.5
acme    default  2001:db8::/60            14    14      0           0       100%   none
acme    vip      10.9.0.0/24              254   0       0           0       0%     10.9.0.1
globex  default  10.2.0.0/24              253   0       0           0       0%     10.2.0.2

tenant acme: 1 session(s) with other addresses than they would be given now; --leases shows them
`
	if o := wantCall(t, exitOK, "", "", "pools", "--config", conf); o.out != want {
		t.Errorf("%s\nwant\n%s", o.out, want)
	}
	if o := wantCall(t, exitOK, "vip", "", "pools", "--tenant", "acme", "--pool", "vip", "--config", conf); strings.Count(o.out, "\n") != 2 {
		t.Error(o.out)
	}
	want = `TENANT  POOL     ADDRESS          USER          STATE           FOR    SESSION
acme    default  10.1.0.2         alice         in use, static  1m00s  7
acme    default  10.1.0.3         carol         kept            -      -
acme    default  10.1.0.4         "eve\x1b[2J"  remembered      3h00m  -
acme    -        10.7.0.2         bob           outside         1h00m  8
acme    -        2001:db8:7::/64  bob           outside         1h00m  8
`
	if o := wantCall(t, exitOK, "", "", "pools", "--leases", "--config", conf); o.out != want {
		t.Errorf("%s\nwant\n%s", o.out, want)
	}
	var pools admin.PoolList
	if o := wantCall(t, exitOK, "", "", "pools", "--json", "--config", conf); json.Unmarshal([]byte(o.out), &pools) != nil || len(pools.Pools) != 4 || pools.Pools[0].Next != prefix("10.1.0.5/32") {
		t.Error(o.out)
	}
	var leases []admin.Lease
	if o := wantCall(t, exitOK, "", "", "pools", "--json", "--leases", "--tenant", "acme", "--config", conf); json.Unmarshal([]byte(o.out), &leases) != nil || len(leases) != 5 || leases[0].Session != 7 {
		t.Error(o.out)
	}
	wantCall(t, exitFailed, "no such pool; it has acme/default, acme/vip, globex/default", "", "pools", "--pool", "none", "--config", conf)
	wantCall(t, exitUsage, "takes no arguments", "", "pools", "acme", "--config", conf)
}

// TestReloadCommand: a server that is told to reads its configuration again, and whoever told
// it knows afterwards what has changed, or every fault with its line, and that nothing has.
func TestReloadCommand(t *testing.T) {
	port := freePorts(t)
	text := fmt.Sprintf("listen: [127.0.0.1]\nstate: %s\nports: {ike: %d, nat_t: %d}\ntenants:\n"+
		"  - {name: acme, default: true, psk: a-long-enough-key, pool: 10.1.0.0/24}\n", t.TempDir(), port, port+1)
	conf := write(t, "c.yaml", text)
	wantCall(t, exitFailed, "no server is running", "", "reload", "--config", conf)
	stop, ended, log := startServe(t, conf)
	wantSoon(t, "serve", func() bool { return call(t, "", "pools", "--config", conf).code == exitOK || len(ended) > 0 })
	for _, step := range []struct {
		text string
		code int
		says []string
	}{
		{text, exitOK, []string{"no tenant has changed"}},
		{strings.Replace(text, "a-long", "a-longer", 1) + "  - {name: globex, match: {realms: [globex]}, psk: short, pool: 10.1.0.0/24}\n", exitOK,
			[]string{"tenant acme changed", "tenant globex added", "warning: " + conf + ":6:"}},
		{text + "  - {name: [}\n", exitFailed, []string{conf + ":6:", "nothing has changed"}},
		{strings.Replace(text, "10.1.0.0/24", "10.1.0.0/31", 1) + "nothing: 1\n", exitFailed, []string{conf + ":5:", "too small", conf + ":6:1:"}},
		{strings.Replace(text, "127.0.0.1", "127.0.0.2", 1), exitOK, []string{"tenant globex removed", "as it was until culvert is started anew: listen (" + conf + ":1)"}},
	} {
		if err := os.WriteFile(conf, []byte(step.text), 0o600); err != nil {
			t.Fatal(err)
		}
		args := []string{"reload", "--config", conf}
		if step.code == exitOK {
			args = append(args, "--now")
		}
		o := call(t, "", args...)
		for _, word := range step.says {
			if o.code != step.code || !strings.Contains(o.out+o.err, word) {
				t.Errorf("%q: %+v; the log: %s", word, o, log)
			}
		}
	}
	stop()
	if code := <-ended; code != exitOK {
		t.Errorf("code %d: %s", code, log)
	}
	if !strings.Contains(log.String(), "reload-refused") {
		t.Error("the log does not say that a configuration was refused")
	}
}
