package gateway

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/culvert-vpn/culvert/internal/admin"
	"github.com/culvert-vpn/culvert/internal/dialer"
)

// seenConfig has two tenants with the same addresses, a user of the same name, and rules.
const seenConfig = figuresConfig + `    policy: {default: deny, rules: [{name: other, to: 198.18.0.0/24, allow: true}]}
`

const seenRules = `    groups: {pingers: [Alice, bob]}
    schedules: {night: "mon-sun 22:00-06:00 UTC"}
    policy:
      default: deny
      rules:
        - {name: late, to: 198.18.0.9, when: night, allow: true}
        - {name: ping, from: group:pingers, to: 198.18.0.0/24, ports: icmp, allow: true}
    filters:
      echo: {default: deny, rules: [{name: echo, from: pool, ports: icmp, allow: true, log: first}]}
    limits: {flows: 4}
`

// seenYAML puts rules into the first tenant.
func seenYAML() string {
	yaml := strings.Replace(seenConfig, "  - name: globex", seenRules+"  - name: globex", 1)
	return strings.Replace(yaml, "{name: bob, password: bobpw}", "{name: bob, password: bobpw, filters: [echo]}", 1)
}

func (w *world) flows(q admin.FlowQuery) admin.FlowList {
	w.t.Helper()
	if q.Limit == 0 {
		q.Limit = 100
	}
	list, err := w.server.Flows(context.Background(), q)
	if err != nil {
		w.t.Fatal(err)
	}
	return list
}

func (w *world) policy(tenant string) admin.Policy {
	w.t.Helper()
	p, err := w.server.Policy(context.Background(), tenant)
	if err != nil {
		w.t.Fatal(err)
	}
	return p
}

// TestFlowsAreSeen: flows of two users are told apart, and what is seen of a tenant has
// nothing of another, who has the same addresses and a user of the same name.
func TestFlowsAreSeen(t *testing.T) {
	inWorld(t, goodRoad, seenYAML(), func(t *testing.T, w *world) {
		alice, bob, other := w.client(nil), w.client(nil), w.client(nil)
		a, b := alice.mustDial(ofAcme), bob.mustDial(ofAcme, func(d *dialer.DialConfig) { d.User, d.Password = "bob", "bobpw" })
		o := other.mustDial(ofGlobex)
		alice.wantPing(a, "198.18.0.2")
		bob.wantPing(b, "198.18.0.3")
		other.wantPing(o, "198.18.0.4")
		time.Sleep(7 * time.Second)
		alice.wantPing(a, "198.18.0.5")
		text := func(l admin.FlowList) (s string) {
			for _, f := range l.Flows {
				s += fmt.Sprintf("%s %s by %s %s, %d s, %s; ", f.User, f.To, f.Set, f.Rule, f.Age, f.State)
				if f.Session == 0 || f.Up == 0 || f.Down == 0 {
					t.Errorf("%+v", f)
				}
			}
			return fmt.Sprint(s, l.More)
		}
		for _, c := range []struct {
			q    admin.FlowQuery
			want string
		}{
			{admin.FlowQuery{Tenant: "acme"}, "alice 198.18.0.5:icmp/8 by policy ping, 0 s, answered; alice 198.18.0.2:icmp/8 by policy ping, 7 s, answered; bob 198.18.0.3:icmp/8 by policy ping, 7 s, answered; 0"},
			{admin.FlowQuery{Tenant: "acme", User: "ALICE", Limit: 1}, "alice 198.18.0.5:icmp/8 by policy ping, 0 s, answered; 1"},
			{admin.FlowQuery{Tenant: "acme", User: "bob"}, "bob 198.18.0.3:icmp/8 by policy ping, 7 s, answered; 0"},
			{admin.FlowQuery{Tenant: "acme", To: netip.MustParsePrefix("198.18.0.2/31")}, "alice 198.18.0.2:icmp/8 by policy ping, 7 s, answered; bob 198.18.0.3:icmp/8 by policy ping, 7 s, answered; 0"},
			{admin.FlowQuery{Tenant: "acme", To: netip.MustParsePrefix("198.18.0.4/32")}, "0"},
			{admin.FlowQuery{Tenant: "globex"}, "alice 198.18.0.4:icmp/8 by policy other, 7 s, answered; 0"},
		} {
			if got := text(w.flows(c.q)); got != c.want {
				t.Errorf("%+v:\n%s\nwant\n%s", c.q, got, c.want)
			}
		}
		sessions, err := w.server.Sessions(context.Background())
		if err != nil {
			t.Fatal(err)
		}
		for _, s := range sessions {
			for _, f := range w.flows(admin.FlowQuery{Tenant: s.Tenant, User: s.User}).Flows {
				if f.Session != s.ID || f.Source.Addr() != s.Address {
					t.Errorf("%+v of %+v", f, s)
				}
			}
		}
		if _, err := w.server.Flows(context.Background(), admin.FlowQuery{Tenant: "initech", Limit: 1}); !errors.Is(err, admin.ErrNoTenant) {
			t.Error(err)
		}
		w.become(figuresConfig)
		if l := w.flows(admin.FlowQuery{Tenant: "acme"}); l.Rules || len(l.Flows) > 0 {
			t.Errorf("without rules: %+v", l)
		}
	})
}

// TestPolicyIsSeen: the rules in force stand in the words of the file, with what they have
// decided, and whether their schedule has them decide now; and so they do without a server.
func TestPolicyIsSeen(t *testing.T) {
	inWorld(t, goodRoad, seenYAML(), func(t *testing.T, w *world) { // at midnight
		alice, bob, other := w.client(nil), w.client(nil), w.client(nil)
		a, b := alice.mustDial(ofAcme), bob.mustDial(ofAcme, func(d *dialer.DialConfig) { d.User, d.Password = "bob", "bobpw" })
		other.wantPing(other.mustDial(ofGlobex), "198.18.0.4")
		alice.wantPing(a, "198.18.0.2")
		alice.wantPing(a, "198.18.0.9")
		bob.wantPing(b, "198.18.0.3")
		bob.ping(b, netip.MustParseAddr("198.19.0.3"), time.Second)
		text := func(p admin.Policy) (s string) {
			for _, set := range p.Sets {
				s += fmt.Sprintf("%s %v: ", set.Name, set.For)
				for _, r := range append(set.Rules, set.Default) {
					s += fmt.Sprintf("%s %v>%v %v %q %v %v %s %d", r.Name, r.From, r.To, r.Ports, r.When, r.Now, r.Allow, r.Log, r.Flows)
					if !r.Last.IsZero() {
						s += fmt.Sprint(" ", p.At.Sub(r.Last).Round(time.Hour))
					}
					s += "; "
				}
			}
			return s
		}
		time.Sleep(7 * time.Hour)
		now := w.policy("acme")
		want := `policy []: late []>[198.18.0.9] [] "night" false true none 1 7h0m0s; ` +
			`ping [group:pingers]>[198.18.0.0/24] [icmp] "" true true none 2 7h0m0s; default []>[] [] "" true false none 1 7h0m0s; ` +
			`filter:echo [user:bob]: echo [pool]>[] [icmp] "" true true first 1 7h0m0s; default []>[] [] "" true false none 0; `
		if got := text(now); got != want || !now.InForce || now.Clients != "isolated" {
			t.Errorf("%s\nwant\n%s", got, want)
		}
		if got, want := text(w.policy("globex")), "policy []: other "; !strings.HasPrefix(got, want) || strings.Contains(got, "ping") {
			t.Error(got)
		}
		conf := w.conf
		written := WrittenPolicy(&conf.Tenants[0], now.At)
		if got := text(written); written.InForce || !strings.Contains(got, `"night" false true none 0; ping [group:pingers]>[198.18.0.0/24] [icmp] "" true true none 0; `) {
			t.Errorf("of the file: %s", got)
		}
		w.become(figuresConfig)
		if p := w.policy("acme"); len(p.Sets) != 0 || !p.InForce {
			t.Errorf("without rules: %+v", p)
		}
		if _, err := w.server.Policy(context.Background(), "initech"); !errors.Is(err, admin.ErrNoTenant) {
			t.Error(err)
		}
	})
}

// TestLimitIsTold: a limit that was reached is an event, with whose it is and what followed,
// however many flows there are beyond it; another tenant's is not.
func TestLimitIsTold(t *testing.T) {
	inWorld(t, goodRoad, seenYAML(), func(t *testing.T, w *world) {
		alice, other := w.client(nil), w.client(nil)
		a := alice.mustDial(ofAcme)
		other.wantPing(other.mustDial(ofGlobex), "198.18.0.4")
		for n := range 10 {
			alice.wantPing(a, fmt.Sprint("198.18.0.", 10+n))
		}
		time.Sleep(2 * time.Minute)
		told, times := w.log.FilterMessage("limit-hit").All(), uint64(0)
		for _, line := range told {
			m := line.ContextMap()
			if times += m["times"].(uint64); m["tenant"] != "acme" || m["user"] != "alice" || m["limit"] != "limits.flows" || m["most"] != int64(4) || m["session"] == nil || m["then"] == "" {
				t.Error(m)
			}
		}
		if times != 6 || len(told) > 4 {
			t.Errorf("%d lines of %d flows", len(told), times)
		}
	})
}

// TestFlowsAreCounted: what became of flows is in the figures of their tenant, and stays there
// when its rules go; so are packets that rules drop, and limits that were reached.
func TestFlowsAreCounted(t *testing.T) {
	inWorld(t, goodRoad, seenYAML(), func(t *testing.T, w *world) {
		alice, other := w.client(nil), w.client(nil)
		a := alice.mustDial(ofAcme)
		other.wantPing(other.mustDial(ofGlobex), "198.18.0.4")
		for n := range 10 {
			alice.wantPing(a, fmt.Sprint("198.18.0.", 10+n))
			alice.ping(a, netip.MustParseAddr("198.19.0.1"), time.Second)
		}
		time.Sleep(2 * time.Minute)
		f := w.figures()
		acme, globex := wantTenant(t, f, "acme"), wantTenant(t, f, "globex")
		if c := acme.Flows; c == nil || c.Begun != 10 || c.Live != 4 || c.PushedBySession != 6 || c.Denied != 10 || acme.Dropped["denied"] != 10 || acme.Events["limit-hit"] == 0 {
			t.Errorf("%+v, %v", c, acme.Dropped)
		}
		if c := globex.Flows; c == nil || c.Begun != 1 || c.Denied != 0 || globex.Dropped["denied"] != 0 || globex.Events["limit-hit"] != 0 {
			t.Errorf("%+v, %v", c, globex.Dropped)
		}
		w.become(figuresConfig)
		if c := wantTenant(t, w.figures(), "acme").Flows; c == nil || c.Begun != 10 {
			t.Errorf("what was counted is gone with the rules: %+v", c)
		}
		if c := wantTenant(t, w.figures(), "globex").Flows; c == nil || c.Begun != 1 {
			t.Errorf("%+v", c)
		}
	})
}
