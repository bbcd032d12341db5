package gateway

import (
	"context"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/culvert-vpn/culvert/internal/config"
	"github.com/culvert-vpn/culvert/internal/dialer"
	"github.com/culvert-vpn/culvert/internal/store"
)

const filtersOfAcme = `    groups: {guests: {users: [alice], filters: [closed]}, staff: []}
    filters:
      closed: {default: allow, rules: [{name: network, to: 198.18.0.0/24, allow: false}]}
      pings: {default: deny, rules: [{name: ping, ports: icmp, allow: true}]}
`

// become applies another configuration.
func (w *world) become(yaml string) {
	w.t.Helper()
	next, err := config.Parse("test.yaml", []byte(yaml))
	if err != nil {
		w.t.Fatal(err)
	}
	next.Workers = 1
	if _, err := w.server.Apply(context.Background(), next); err != nil {
		w.t.Fatal(err)
	}
}

// TestFilters: groups and filters of the configuration and of the store hold for sessions of
// every way in, and a change of either for those that are up.
func TestFilters(t *testing.T) {
	kept, err := store.Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer kept.Close()
	for _, name := range []string{"dora", "emil"} {
		if err := kept.AddUser("acme", store.User{Name: name, Hash: store.HashPassword("right")}); err != nil {
			t.Fatal(err)
		}
	}
	inWorldWith(t, kept, goodRoad, neighboursConfig+filtersOfAcme, func(t *testing.T, w *world) {
		names := []string{"alice", "dora", "emil", "carol"}
		var clients []*client
		var conns []*dialer.Connection
		for _, edit := range []func(*dialer.DialConfig){
			func(*dialer.DialConfig) {},
			func(d *dialer.DialConfig) { d.User, d.Password = "dora", "right" },
			func(d *dialer.DialConfig) { byXAUTH(d); d.User, d.Password = "emil", "right" },
			byKeyAs("carol"),
		} {
			c := w.client(nil)
			clients, conns = append(clients, c), append(conns, c.mustDial(edit))
		}
		check := func(when string, reach ...bool) {
			t.Helper()
			for i, c := range clients {
				if got := c.ping(conns[i], netip.MustParseAddr("198.18.0.2"), time.Second); got != reach[i] {
					t.Errorf("%s: %s reaches the network: %v", when, names[i], got)
				}
			}
		}
		have := func(groups, filters string) {
			t.Helper()
			for _, name := range names[1:3] {
				if err := kept.SetAttributes("acme", name, func(a *store.Attributes) {
					a.Groups, a.Filters = strings.Fields(groups), strings.Fields(filters)
				}); err != nil {
					t.Fatal(err)
				}
			}
			time.Sleep(watchInterval + time.Second)
		}
		check("at first", false, true, true, true)
		have("guests staff", "")
		check("as guests", false, false, false, true)
		have("staff", "pings")
		check("with pings alone", false, true, true, true)
		have("", "pings closed")
		check("with two filters", false, false, false, true)
		list, err := w.server.Sessions(context.Background())
		if text := fmt.Sprint(list); err != nil || !strings.Contains(text, "{filters closed, pings user}") && !strings.Contains(text, "{filters pings, closed user}") || !strings.Contains(text, "{filters closed group:guests}") {
			t.Errorf("%v, %v", text, err)
		}
		w.become(neighboursConfig + strings.Replace(filtersOfAcme, "198.18.0.0/24", "198.19.0.0/24", 1))
		check("with another rule", true, true, true, true)
		w.become(neighboursConfig + filtersOfAcme)
		have("", "")
		check("without", false, true, true, true)
	})
}

// TestFilterThatIsGone: who has one that the tenant does not have any more is ended and does
// not get in, and the log says what to do.
func TestFilterThatIsGone(t *testing.T) {
	for _, has := range []store.Attributes{{Filters: []string{"pings"}}, {Groups: []string{"staff"}}} {
		kept, err := store.Open(t.TempDir())
		if err != nil {
			t.Fatal(err)
		}
		defer kept.Close()
		if err := kept.AddUser("acme", store.User{Name: "dora", Hash: store.HashPassword("right"), Attributes: has}); err != nil {
			t.Fatal(err)
		}
		dora := func(d *dialer.DialConfig) { d.User, d.Password = "dora", "right" }
		for name, edit := range map[string]func(*dialer.DialConfig){"L2TP": dora, "XAUTH": func(d *dialer.DialConfig) { byXAUTH(d); dora(d) }} {
			inWorldWith(t, kept, goodRoad, neighboursConfig+filtersOfAcme, func(t *testing.T, w *world) {
				c, other := w.client(nil), w.client(nil)
				conn, untouched := c.mustDial(edit), other.mustDial(byKeyAs("carol"))
				c.wantPing(conn, "198.18.0.2")
				w.become(neighboursConfig)
				select {
				case <-conn.Done():
				case <-time.After(time.Minute):
					t.Fatal(name, "the session is still there")
				}
				other.wantPing(untouched, "198.18.0.2")
				if gone := w.log.FilterMessage("filter-missing").All(); len(gone) != 1 || !strings.Contains(fmt.Sprint(gone[0].ContextMap()), "user:dora") || !strings.Contains(fmt.Sprint(gone[0].ContextMap()), "culvert user set") {
					t.Errorf("%s: %v", name, gone)
				}
				ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
				defer cancel()
				if _, err := w.client(nil).dial(ctx, edit); err == nil {
					t.Error(name, "it got in again")
				}
				if told := fmt.Sprint(w.log.FilterMessage("login-refused").All()); !strings.Contains(told, "group or filter unknown") || !strings.Contains(told, "culvert user set") {
					t.Errorf("%s: %s", name, told)
				}
				w.become(neighboursConfig + filtersOfAcme)
				again := w.client(nil)
				again.wantPing(again.mustDial(edit), "198.18.0.2")
			})
		}
	}
}

// TestFiltersOfEveryRoad: a user of the store is held by what he has there, whichever way he
// logs in, and by what he has a moment later.
func TestFiltersOfEveryRoad(t *testing.T) {
	a, lines := newRSAAuthority(t)
	server := lines[strings.Index(lines, "    certificate:"):]
	for _, r := range a.roads() {
		if !r.account || !r.hash {
			continue // it leads to no account of the store
		}
		t.Run(r.name, func(t *testing.T) {
			kept, err := store.Open(t.TempDir())
			if err != nil {
				t.Fatal(err)
			}
			defer kept.Close()
			if err := kept.AddUser("acme", store.User{Name: "dora", Hash: store.HashPassword("dorapw"), Attributes: store.Attributes{Groups: []string{"guests"}}}); err != nil {
				t.Fatal(err)
			}
			yaml := strings.Replace(testConfig, "auth: {", "auth: {allow: ["+r.allow+"], ", 1) + server + filtersOfAcme
			inWorldWith(t, kept, goodRoad, yaml, func(t *testing.T, w *world) {
				c := w.client(nil)
				conn, err := r.dial(c, "dora", "dorapw")
				if err != nil {
					t.Fatal(err)
				}
				network := netip.MustParseAddr("198.18.0.2")
				if c.ping(conn, network, time.Second) {
					t.Error("the filter of its group does not hold it")
				}
				if err := kept.SetAttributes("acme", "dora", func(a *store.Attributes) { a.Groups = nil }); err != nil {
					t.Fatal(err)
				}
				time.Sleep(watchInterval + time.Second)
				if !c.ping(conn, network, time.Second) {
					t.Error("what it had then holds it")
				}
			})
		})
	}
}
