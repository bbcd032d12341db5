package gateway

import (
	"net/netip"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/culvert-vpn/culvert/dataplane"
	"github.com/culvert-vpn/culvert/internal/admin"
	"github.com/culvert-vpn/culvert/internal/dialer"
	"github.com/culvert-vpn/culvert/internal/store"
)

// inRange fails the test unless an address is of a range.
func (w *world) inRange(a netip.Addr, of string) {
	w.t.Helper()
	if !netip.MustParsePrefix(of).Contains(a) {
		w.t.Errorf("%s is not of %s", a, of)
	}
}

// everyWay is testConfig for clients of IKEv2, too, with an authority's lines behind it.
var everyWay = strings.Replace(testConfig, "auth: {", "auth: {allow: [mschapv2, eap-mschapv2], ", 1)

// TestUserOfAnotherPool: users and groups get addresses of the pool that they have, by L2TP and
// by IKEv2, and rules know them by it. When a user is of another pool he goes on, to rules as
// before, and gets an address of that one when he logs in again; also if his former pool is
// gone.
func TestUserOfAnotherPool(t *testing.T) {
	a := newAuthority(t, "a")
	lines, trusts := a.server(vpn), a.trusts(vpn)
	policy := `
    policy:
      default: deny
      rules: [{name: vip, from: "pool:vip", to: 198.18.0.0/24, allow: true}]`
	with := func(user, pools string) string {
		yaml := strings.Replace(everyWay+lines, "{name: alice,", "{"+user+"name: alice,", 1)
		return strings.Replace(yaml, "pool: [10.100.1.0/24]", "pool: [10.100.1.0/24, \"2001:db8:1::/48\"]\n"+pools+policy, 1)
	}
	const both = "    pools: {vip: [10.100.9.0/24, \"2001:db8:9::/48\"], guests: [10.100.8.0/24]}\n    groups: {visitors: {users: [bob], pool: guests}}"
	first := with("pool: vip, ", both)
	for name, edit := range map[string]func(*dialer.DialConfig){"L2TP": withIPv6, "IKEv2": trusts} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, goodRoad, first, func(t *testing.T, w *world) {
				c := w.client(nil)
				conn := c.mustDial(edit)
				w.inRange(conn.Local, "10.100.9.0/24")
				guest := w.client(nil)
				other := guest.mustDial(edit, bob)
				w.inRange(other.Local, "10.100.8.0/24")
				time.Sleep(2 * time.Second)
				for _, s := range w.sessions() {
					if s.User == "alice" {
						w.inRange(s.Prefix.Addr(), "2001:db8:9::/48")
					} else if s.Prefix.IsValid() {
						t.Errorf("of a pool without IPv6 is %s", s.Prefix)
					}
				}
				if c.wantPing(conn, "198.18.0.2"); guest.ping(other, w.addr("198.18.0.2"), time.Second) {
					t.Error("a rule of another pool lets him out")
				}
				stop := c.stream(conn)
				for _, next := range []string{
					with("", both), // of another pool
					with("", "    pools: {guests: [10.100.8.0/24]}\n    groups: {visitors: {users: [bob], pool: guests}}\n    #"), // which there is none of
					first,
					with("pool: guests, ", strings.Replace(both, "10.100.9.0/24", "10.100.9.128/25", 1)),
				} {
					if strings.Contains(next, "#") { // no rule can name it
						next = strings.Replace(next, `"pool:vip"`, "pool", 1)
					}
					want := []admin.Outside{{Tenant: "acme", Sessions: 1}}
					if next == first {
						want = nil
					}
					if got := w.apply(next).Outside; !reflect.DeepEqual(got, want) {
						t.Errorf("%+v, want %+v", got, want)
					}
					time.Sleep(time.Second)
				}
				if lost, sent := stop(); lost > 0 {
					t.Errorf("lost %d of %d packets", lost, sent)
				}
				conn.Close(t.Context())
				<-conn.Done()
				w.inRange(c.mustDial(edit).Local, "10.100.8.0/24")
			})
		})
	}
}

// TestUnpooledIsNobodyElses: an address that no pool has any more is its client's until he
// leaves, to nobody else; and then nothing is kept of it.
func TestUnpooledIsNobodyElses(t *testing.T) {
	small, big := pooled("10.100.1.0/30"), pooled("10.100.1.0/30, 10.100.9.0/24")
	inWorld(t, goodRoad, big, func(t *testing.T, w *world) {
		one, two, three := w.client(nil), w.client(nil), w.client(nil)
		one.mustDial()
		conn := two.mustDial(bob)
		w.apply(small)
		three.wantRefused()
		one.wantNeighbourClosed(t, two, conn)
		conn.Close(t.Context())
		<-conn.Done()
		time.Sleep(time.Minute)
		err := w.server.server.engine.Work.Do(t.Context(), func(time.Time) {
			s := w.server.server.tenants[0]
			if s.unpooled != 0 || s.vacated || s.outside != 0 {
				t.Errorf("%d, %v, %d", s.unpooled, s.vacated, s.outside)
			}
			if _, closed := s.reach.Closes(conn.Local); closed {
				t.Errorf("%s is closed to others still", conn.Local)
			}
		})
		if err != nil {
			t.Error(err)
		}
	})
}

// wantNeighbourClosed fails the test unless what a client sends to another one's address is
// dropped as from one client to another.
func (c *client) wantNeighbourClosed(t *testing.T, other *client, conn *dialer.Connection) {
	t.Helper()
	port := c.w.server.server.tenants[0].way.Load().port
	before := port.Drops()[dataplane.DropNeighbour]
	for _, s := range c.w.sessions() {
		if s.Address != conn.Local && c.dev.echo(s.Address, conn.Local, time.Second) {
			t.Error("one client reaches another")
		}
	}
	if after := port.Drops()[dataplane.DropNeighbour]; after == before {
		t.Errorf("what goes to %s is not taken for a client's", conn.Local)
	}
	other.wantPing(conn, "198.18.0.2")
}

// TestStaticOfBothFamilies: a user with addresses of his own gets them by each protocol, the
// prefix of a link with what is delegated.
func TestStaticOfBothFamilies(t *testing.T) {
	a := newAuthority(t, "a")
	yaml := strings.Replace(everyWay+a.server(vpn), "pool: [10.100.1.0/24]", `pool: [10.100.1.0/24, "2001:db8:1::/48"]
    delegate: 56
    leases: {alice: [10.100.1.77, "2001:db8:1:500::/56"]}`, 1)
	for name, edit := range map[string]func(*dialer.DialConfig){"L2TP": withIPv6, "IKEv2": a.trusts(vpn)} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, goodRoad, yaml, func(t *testing.T, w *world) {
				w.client(nil).mustDial(edit, bob)
				w.client(nil).mustDial(edit)
				time.Sleep(time.Second)
				for _, s := range w.sessions() {
					own := s.Address.String() == "10.100.1.77" && s.Prefix.String() == "2001:db8:1:400::/55"
					if own != (s.User == "alice") {
						t.Errorf("%s has %s and %s", s.User, s.Address, s.Prefix)
					}
				}
			})
		})
	}
}

// TestAddressesOutliveTheServer: who has had an address, a prefix, of whichever pool, has it
// again from a server that was started anew, in whatever order clients come back.
func TestAddressesOutliveTheServer(t *testing.T) {
	a := newAuthority(t, "a")
	kept, err := store.Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer kept.Close()
	yaml := strings.Replace(everyWay+a.server(vpn), "pool: [10.100.1.0/24]", `pool: [10.100.1.0/24, "2001:db8:1::/48"]
    pools: {vip: [10.100.9.0/24, "2001:db8:9::/48"]}
    groups: {vips: {users: [bob], pool: vip}}
    delegate: 56`, 1)
	trusts := a.trusts(vpn)
	had := map[string][2]string{}
	for _, round := range [][]func(*dialer.DialConfig){{func(*dialer.DialConfig) {}, bob}, {bob, func(*dialer.DialConfig) {}}} {
		inWorldWith(t, kept, goodRoad, yaml, func(t *testing.T, w *world) {
			for _, who := range round {
				w.client(nil).mustDial(trusts, who)
			}
			for _, s := range w.sessions() {
				now := [2]string{s.Address.String(), s.Prefix.String()}
				if before, ok := had[s.User]; ok && before != now {
					t.Errorf("%s has %v and had %v", s.User, now, before)
				}
				had[s.User] = now
			}
		})
	}
	if len(had) != 2 || !strings.HasPrefix(had["bob"][0], "10.100.9.") || !strings.HasPrefix(had["bob"][1], "2001:db8:9:") {
		t.Errorf("%v", had)
	}
}

// TestPoolsAreShown: how full pools are, and who has what since when, as it is.
func TestPoolsAreShown(t *testing.T) {
	yaml := strings.Replace(testConfig, "pool: [10.100.1.0/24]", `pool: [10.100.1.0/29, "2001:db8:1::/60"]
    pools: {vip: [10.100.9.0/28]}
    leases: {carol: 10.100.1.6, dave: 10.100.9.7}`, 1)
	inWorld(t, goodRoad, yaml, func(t *testing.T, w *world) {
		c, other := w.client(nil), w.client(nil)
		conn := c.mustDial()
		began := time.Now()
		time.Sleep(time.Minute)
		gone := other.mustDial(bob)
		gone.Close(t.Context())
		<-gone.Done()
		time.Sleep(time.Second)
		list, err := w.server.Pools(t.Context())
		if err != nil || len(list.Pools) != 3 || len(list.Outside) != 0 {
			t.Fatalf("%+v, %v", list, err)
		}
		four, six, vip := list.Pools[0], list.Pools[1], list.Pools[2]
		if four.Size != 5 || four.Used != 1 || four.Static != 1 || four.Idle != 1 || four.Remembered != 1 || four.Percent() != 40 || four.Next.String() != "10.100.1.4/32" {
			t.Errorf("%+v", four)
		}
		if !six.IPv6 || six.Used != 1 || six.Size != 14 || six.Bits != 64 || vip.Name != "vip" || vip.Size != 14 || vip.Idle != 1 || vip.Used != 0 {
			t.Errorf("%+v\n%+v", six, vip)
		}
		page, err := w.server.Leases(t.Context(), admin.LeasesQuery{Tenant: "acme", Pool: "default"})
		if err != nil || page.Next != 0 || len(page.Leases) != 3 {
			t.Fatalf("%+v, %v", page, err)
		}
		for _, l := range page.Leases {
			got := l.User + " " + l.State
			switch l.Address.Addr() {
			case conn.Local:
				if got != "alice in use" || l.Session == 0 || began.Sub(l.Since).Abs() > 5*time.Second {
					t.Errorf("%+v", l)
				}
			case gone.Local:
				if got != "bob remembered" || time.Since(l.Since).Abs() > 5*time.Second {
					t.Errorf("%+v", l)
				}
			default:
				if got != "carol kept" || !l.Static || !l.Since.IsZero() {
					t.Errorf("%+v", l)
				}
			}
		}
		for _, q := range []admin.LeasesQuery{{Tenant: "acme", Pool: "none"}, {Tenant: "none", Pool: "default"}, {Tenant: "acme", Pool: "vip", IPv6: true}} {
			if _, err := w.server.Leases(t.Context(), q); err != admin.ErrNoPool {
				t.Errorf("%+v: %v", q, err)
			}
		}
		f, err := w.server.Figures(t.Context())
		if err != nil || f.Tenants[0].Addresses != (admin.Addresses{InUse: 1, Free: 18}) || len(f.Tenants[0].Pools) != 3 {
			t.Errorf("%+v, %v", f.Tenants[0], err)
		}
	})
}

// TestPoolThatFills: a pool that is nearly full, full, and that has room again, is told of once
// each, however many log in.
func TestPoolThatFills(t *testing.T) {
	yaml := strings.Replace(pooled("10.100.1.0/28"), "bobpw}]", "bobpw}, {name: carol, password: carolpw, address: 10.100.1.14}]", 1)
	inWorld(t, goodRoad, yaml+"    limits: {sessions_per_user: 100}\n", func(t *testing.T, w *world) {
		count := func(nearly, full, room int) {
			t.Helper()
			for event, want := range map[string]int{"pool-nearly-full": nearly, "pool-full": full, "pool-has-room": room} {
				if n := w.log.FilterMessage(event).Len(); n != want {
					t.Errorf("%s %d times, want %d", event, n, want)
				}
			}
		}
		var conns []*dialer.Connection
		dial := func(n int) {
			for range n {
				conns = append(conns, w.client(nil).mustDial())
			}
		}
		hangUp := func(n int) {
			for range n {
				conns[0].Close(t.Context())
				<-conns[0].Done()
				conns = conns[1:]
			}
		}
		dial(10) // of 13, one of which is carol's
		count(0, 0, 0)
		dial(1)
		count(1, 0, 0)
		w.wantLog("pool-nearly-full", "taken", "12")
		dial(1)
		count(1, 1, 0)
		w.client(nil).wantRefused()
		w.client(nil).wantRefused()
		for range 5 {
			hangUp(1)
			dial(1)
		}
		count(1, 1, 0)
		hangUp(5)
		time.Sleep(3 * time.Minute)
		count(1, 1, 1)
		dial(5) // and at once again
		count(1, 1, 1)
		time.Sleep(15 * time.Minute)
		count(1, 2, 1)
		time.Sleep(time.Hour)
		count(1, 2, 1)
	})
}

// TestPoolOfAStoredUser: a user of the store gets addresses of the pool that he has there; one
// of a pool that there is not is refused, and the log says what to do. A change counts when he
// logs in again.
func TestPoolOfAStoredUser(t *testing.T) {
	a := newAuthority(t, "a")
	kept, err := store.Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer kept.Close()
	if err := kept.AddUser("acme", store.User{Name: "dora", Hash: store.HashPassword("dorapw"), Attributes: store.Attributes{Pool: "vip"}}); err != nil {
		t.Fatal(err)
	}
	dora := func(d *dialer.DialConfig) { d.User, d.Password = "dora", "dorapw" }
	yaml := strings.Replace(everyWay+a.server(vpn), "pool: [10.100.1.0/24]", "pool: [10.100.1.0/24]\n    pools: {vip: [10.100.9.0/24]}", 1)
	for name, edit := range map[string]func(*dialer.DialConfig){"L2TP": func(*dialer.DialConfig) {}, "IKEv2": a.trusts(vpn)} {
		t.Run(name, func(t *testing.T) {
			if err := kept.SetAttributes("acme", "dora", func(a *store.Attributes) { a.Pool = "vip" }); err != nil {
				t.Fatal(err)
			}
			inWorldWith(t, kept, goodRoad, yaml, func(t *testing.T, w *world) {
				c := w.client(nil)
				conn := c.mustDial(edit, dora)
				w.inRange(conn.Local, "10.100.9.0/24")
				if err := kept.SetAttributes("acme", "dora", func(a *store.Attributes) { a.Pool = "gone" }); err != nil {
					t.Fatal(err)
				}
				time.Sleep(time.Minute)
				c.wantPing(conn, "198.18.0.2")
				w.client(nil).wantRefused(edit, dora)
				w.wantLog("login-refused", "cause", "no such pool")
				c.wantPing(conn, "198.18.0.2")
				if got, want := w.applyNow(yaml).Outside, []admin.Outside{{Tenant: "acme", Sessions: 1}}; !reflect.DeepEqual(got, want) {
					t.Errorf("%+v, want %+v", got, want)
				}
				<-conn.Done()
			})
		})
	}
}
