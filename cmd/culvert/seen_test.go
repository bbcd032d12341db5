package main

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/culvert-vpn/culvert/internal/admin"
)

// TestPolicyShow: the rules in force are a table a set, and JSON for programs.
func TestPolicyShow(t *testing.T) {
	now := time.Now()
	c := &crowd{policy: admin.Policy{Tenant: "acme", At: now, InForce: true, Clients: "isolated", Sets: []admin.RuleSet{
		{Name: "policy", Default: admin.Rule{Name: "default", Now: true, Log: "none", Flows: 7, Last: now.Add(-75 * time.Second)}, Rules: []admin.Rule{
			{Name: "web", From: []string{"group:engineers", "10.1.0.0/28"}, To: []string{"198.18.0.0/24"}, Ports: []string{"tcp/80", "icmp"}, Now: true, Allow: true, Log: "first", Flows: 12, Last: now.Add(-3 * time.Second)},
			{Name: "share", To: []string{"service:files"}, When: "office", Allow: true, Log: "none"},
		}},
		{Name: "filter:guests", For: []string{"group:guests"}, Default: admin.Rule{Name: "default", Now: true, Allow: true, Log: "none"}},
	}}}
	conf := serveCrowd(t, c)
	want := `tenant acme, clients: isolated

policy, for everybody
RULE     VERDICT  FROM                         TO             PORTS        WHEN              LOG    FLOWS  LAST
web      allow    group:engineers,10.1.0.0/28  198.18.0.0/24  tcp/80,icmp  always            first  12     3s ago
share    allow    *                            service:files  *            office (not now)  none   0      never
default  deny     *                            *              *            always            none   7      1m15s ago

filter:guests, for group:guests and users of the state store who are under it
RULE     VERDICT  FROM  TO  PORTS  WHEN    LOG   FLOWS  LAST
default  allow    *     *   *      always  none  0      never
`
	if o := wantCall(t, exitOK, "", "", "policy", "show", "--tenant", "acme", "--config", conf); o.out != want {
		t.Errorf("%s\nwant\n%s", o.out, want)
	}
	var p admin.Policy
	if o := wantCall(t, exitOK, "", "", "policy", "show", "--json", "--tenant", "acme", "--config", conf); json.Unmarshal([]byte(o.out), &p) != nil || p.Sets[0].Rules[0].Flows != 12 {
		t.Error(o.out)
	}
	wantCall(t, exitFailed, "the server has no tenant globex", "", "policy", "show", "--tenant", "globex", "--config", conf)
	wantCall(t, exitUsage, "--tenant says whose", "", "policy", "show", "--config", conf)
	wantCall(t, exitUsage, "takes no arguments", "", "policy", "show", "acme", "--config", conf)
}

// TestFlows: flows are a table, with how many more there are, and JSON for programs.
func TestFlows(t *testing.T) {
	c := &crowd{flows: admin.FlowList{Tenant: "acme", Rules: true, More: 1234, Counted: admin.FlowCounts{Live: 1236, Begun: 5000, Denied: 3, PushedBySession: 4, PushedByTenant: 5, PushedByAll: 6, Full: 7, Lost: 8, Stray: 9, Forged: 10},
		Flows: []admin.Flow{
			{Session: 7, User: "ann", Protocol: 6, Source: netip.MustParseAddrPort("10.1.0.7:51000"), To: "198.18.0.2:tcp/80", Set: "policy", Rule: "web", Age: 75, Idle: 3, Up: 1000, Down: 51249152, State: "answered"},
			{Session: 9, User: "eve\x1b[2J", Protocol: 1, Source: netip.MustParseAddrPort("10.1.0.8:77"), To: "198.18.0.2:icmp/8", Set: "filter:guests", Rule: "default", State: "unanswered"},
			{Session: 9, Protocol: 17, Source: netip.MustParseAddrPort("10.1.0.8:53"), To: "198.18.0.2:udp/53", State: "answered"},
		}}}
	conf := serveCrowd(t, c)
	want := `SESSION  USER          FROM            TO                 RULE                   AGE    IDLE  UP     DOWN     STATE
7        ann           10.1.0.7:51000  198.18.0.2:tcp/80  web                    1m15s  3s    1000B  48.9MiB  answered
9        "eve\x1b[2J"  10.1.0.8        198.18.0.2:icmp/8  filter:guests default  0s     0s    0B     0B       unanswered
9                      10.1.0.8:53     198.18.0.2:udp/53  -                      0s     0s    0B     0B       answered
and 1234 more: --limit shows up to 10000, --user and --to choose

live 1236, begun 5000, denied 3, ended by changed rules 8
made room for others: of their session 4, of their tenant 5, of all tenants 6; found no room 7
packets of no flow 9, forged 10
`
	if o := wantCall(t, exitOK, "", "", "flows", "--tenant", "acme", "--config", conf); o.out != want {
		t.Errorf("%s\nwant\n%s", o.out, want)
	}
	var l admin.FlowList
	if o := wantCall(t, exitOK, "", "", "flows", "--json", "--tenant", "acme", "--user", "ann", "--to", "198.18.0.2", "--limit", "5", "--config", conf); json.Unmarshal([]byte(o.out), &l) != nil || len(l.Flows) != 3 || l.More != 1234 {
		t.Error(o.out)
	}
	if got, want := fmt.Sprint(c.asked), "[{acme  invalid Prefix 100} {acme ann 198.18.0.2/32 5}]"; got != want {
		t.Errorf("asked %s, want %s", got, want)
	}
	c.flows.Rules = false
	wantCall(t, exitOK, "tenant acme has no rules of flows", "", "flows", "--tenant", "acme", "--config", conf)
	wantCall(t, exitFailed, "the server has no tenant globex", "", "flows", "--tenant", "globex", "--config", conf)
	wantCall(t, exitUsage, "--tenant says whose", "", "flows", "--config", conf)
	wantCall(t, exitUsage, "--limit is from", "", "flows", "--limit", "0", "--config", conf)
	wantCall(t, exitUsage, "--limit is from", "", "flows", "--limit", "10001", "--config", conf)
	wantCall(t, exitUsage, "--to is no network", "", "flows", "--to", "host", "--config", conf)
}

// TestSeenOfAServer: a real server shows the rules that it has and its flows; where none
// runs, the rules of the configuration are shown, and that is said.
func TestSeenOfAServer(t *testing.T) {
	port := freePorts(t)
	conf := write(t, "c.yaml", fmt.Sprintf(`listen: [127.0.0.1]
state: %s
ports: {ike: %d, nat_t: %d}
tenants:
  - name: acme
    default: true
    psk: a-long-enough-key
    pool: 10.1.0.0/24
    groups: {engineers: [ann]}
    policy: {default: deny, rules: [{name: web, from: group:engineers, to: 10.20.0.0/16, ports: tcp/80, allow: true}]}
  - {name: globex, match: {realms: [globex]}, psk: another-long-key, pool: 10.2.0.0/24}
`, t.TempDir(), port, port+1))
	o := wantCall(t, exitOK, "web      allow    group:engineers  10.20.0.0/16  tcp/80  always  none\n", "", "policy", "show", "--config", conf)
	if !strings.Contains(o.err, "no server is running") || strings.Contains(o.out, "FLOWS") {
		t.Errorf("%+v", o)
	}
	var p admin.Policy
	if o := wantCall(t, exitOK, "", "", "policy", "show", "--json", "--config", conf); json.Unmarshal([]byte(o.out), &p) != nil || p.InForce || len(p.Sets) != 1 {
		t.Errorf("%+v", o)
	}
	wantCall(t, exitFailed, "no server is running", "", "flows", "--config", conf)
	stop, ended, log := startServe(t, conf)
	wantSoon(t, "answer", func() bool { return call(t, "", "status", "--config", conf).code == exitOK || len(ended) > 0 })
	o = wantCall(t, exitOK, "FLOWS  LAST\nweb      allow    group:engineers  10.20.0.0/16  tcp/80  always  none  0      never\n", "", "policy", "show", "--config", conf)
	if strings.Contains(o.err, "no server") {
		t.Errorf("%+v", o)
	}
	wantCall(t, exitOK, "no rules of flows", "", "policy", "show", "--tenant", "globex", "--config", conf)
	wantCall(t, exitOK, "live 0, begun 0, denied 0", "", "flows", "--config", conf)
	wantCall(t, exitOK, "tenant globex has no rules of flows", "", "flows", "--tenant", "globex", "--config", conf)
	wantCall(t, exitFailed, "the server has no tenant initech", "", "flows", "--tenant", "initech", "--config", conf)
	if o := wantCall(t, exitOK, "acme    0      0      0", "", "status", "--config", conf); strings.Contains(o.out, "globex  0      0      0") {
		t.Error(o.out)
	}
	stop()
	if code := <-ended; code != exitOK {
		t.Errorf("code %d: %s", code, log)
	}
}
