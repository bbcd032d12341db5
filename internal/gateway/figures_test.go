package gateway

import (
	"context"
	"fmt"
	"maps"
	"net/netip"
	"reflect"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/culvert-vpn/culvert/dataplane"
	"github.com/culvert-vpn/culvert/dataplane/simnet"
	"github.com/culvert-vpn/culvert/internal/admin"
	"github.com/culvert-vpn/culvert/internal/config"
	"github.com/culvert-vpn/culvert/internal/dialer"
	"github.com/culvert-vpn/culvert/internal/engine"
	"github.com/culvert-vpn/culvert/tenant"
)

// figuresConfig has two tenants, told apart by their keys.
const figuresConfig = `
listen: [203.0.113.1]
tenants:
  - name: acme
    match: {realms: [acme]}
    psk: ["the first tenant's key"]
    auth: {local: {users: [{name: alice, password: one}, {name: bob, password: bobpw}]}}
    pool: [10.0.0.0/24, "2001:db8:1::/48"]
  - name: globex
    match: {realms: [globex]}
    psk: ["the second tenant's key"]
    auth: {local: {users: [{name: alice, password: two}]}}
    pool: [10.0.0.0/25]
`

func ofAcme(d *dialer.DialConfig) { d.PSK, d.Password = []byte("the first tenant's key"), "one" }
func ofGlobex(d *dialer.DialConfig) {
	d.PSK, d.User, d.Password = []byte("the second tenant's key"), "alice", "two"
}

func (w *world) figures() admin.Figures {
	w.t.Helper()
	f, err := w.server.Figures(context.Background())
	if err != nil {
		w.t.Fatal(err)
	}
	return f
}

func wantTenant(t *testing.T, f admin.Figures, name string) admin.Tenant {
	t.Helper()
	of, ok := f.Tenant(name)
	if !ok {
		t.Fatalf("no figures of %s", name)
	}
	return of
}

// TestFigures: what a server and each of its tenants have, and have counted: who is in,
// addresses, traffic also of those who have left, drops, refusals. A tenant has its own.
func TestFigures(t *testing.T) {
	inWorld(t, goodRoad, figuresConfig, func(t *testing.T, w *world) {
		time.Sleep(time.Minute)
		f := w.figures()
		if f.At.Sub(f.Since) != time.Minute || len(f.Listen) != 1 || f.IKEPort != 500 || f.NATTPort != 4500 || f.Peers != 0 || f.All.Sessions != 0 {
			t.Errorf("of a server that nobody has dialled: %+v", f)
		}
		one, two, guesser := w.client(nil), w.client(nil), w.client(nil)
		a, b := one.mustDial(ofAcme), two.mustDial(ofGlobex)
		one.wantPing(a, "198.18.0.2")
		one.wantPing(a, "198.18.0.2")
		two.wantPing(b, "198.18.0.2")
		guesser.wantRefused(ofGlobex, func(d *dialer.DialConfig) { d.Password = "wrong" })
		one.ping(a, netip.MustParseAddr("10.0.0.77"), time.Second)                    // a neighbour's
		w.nets["globex"].echo(w.addr("198.18.0.2"), w.addr("10.0.0.99"), time.Second) // nobody's
		f = w.figures()
		acme, globex := wantTenant(t, f, "acme"), wantTenant(t, f, "globex")
		if f.All.Sessions != 2 || acme.Sessions != 1 || globex.Sessions != 1 || acme.Protocols["l2tp/ikev1"] != 1 || f.All.Protocols["l2tp/ikev1"] != 2 {
			t.Errorf("sessions: %+v", f.All)
		}
		if f.Peers < 2 || f.IKE.Children != f.Peers || f.IKE.SAs < 2 || f.IKE.Received == 0 || f.IKE.Sent == 0 || f.L2TP.Calls != 2 || f.L2TP.Received == 0 {
			t.Errorf("%d peers, %+v, %+v", f.Peers, f.IKE, f.L2TP)
		}
		if acme.Addresses != (admin.Addresses{InUse: 1, Free: 252}) || globex.Addresses != (admin.Addresses{InUse: 1, Free: 124}) ||
			acme.Prefixes == nil || acme.Prefixes.InUse != 1 || acme.Prefixes.Free < 60_000 || globex.Prefixes != nil {
			t.Errorf("addresses %+v, %+v; prefixes %+v, %+v", acme.Addresses, globex.Addresses, acme.Prefixes, globex.Prefixes)
		}
		if got := globex.Up; got != (admin.Traffic{Packets: 1, Bytes: 84}) || globex.Down != got {
			t.Errorf("globex: %+v up, %+v down", globex.Up, globex.Down)
		}
		if acme.Up.Packets < 3 || acme.Down.Packets < 2 || f.All.Up.Packets != acme.Up.Packets+1 || f.All.Down.Bytes != acme.Down.Bytes+84 {
			t.Errorf("acme: %+v up, %+v down; all: %+v", acme.Up, acme.Down, f.All)
		}
		if acme.Dropped["neighbour"] != 1 || acme.Dropped["no-route"] != 0 || globex.Dropped["no-route"] != 1 || globex.Dropped["neighbour"] != 0 ||
			f.All.Dropped["neighbour"] != 1 || f.All.Dropped["no-route"] != 1 {
			t.Errorf("dropped %v, %v; %v", acme.Dropped, globex.Dropped, f.All.Dropped)
		}
		if globex.Causes["login-refused"]["wrong password"] != 1 || acme.Events["login-refused"] != 0 || f.All.Causes["login-refused"]["wrong password"] != 1 ||
			acme.Events["session-up"] != 1 || f.All.Events["session-up"] != 2 || f.All.Events["serving"] != 1 {
			t.Errorf("acme %v, globex %v %v, all %v", acme.Events, globex.Events, globex.Causes, f.All.Events)
		}
		a.Close(context.Background())
		<-a.Done()
		time.Sleep(time.Minute)
		later := w.figures()
		now := wantTenant(t, later, "acme")
		if now.Sessions != 0 || now.Addresses.InUse != 0 || now.Prefixes.InUse != 0 || now.Up != acme.Up || now.Events["session-down"] != 1 || later.All.Sessions != 1 {
			t.Errorf("after alice has left: %+v", now)
		}
		wantNoneFell(t, f, later)
	})
}

// wantNoneFell fails the test if a counter of what is later is less than it was.
func wantNoneFell(t *testing.T, before, after admin.Figures) {
	t.Helper()
	fell := func(what string, a, b uint64) {
		if b < a {
			t.Errorf("%s fell from %d to %d", what, a, b)
		}
	}
	counted := func(whose string, a, b admin.Counted) {
		for what, pair := range map[string][2]admin.Traffic{"up": {a.Up, b.Up}, "down": {a.Down, b.Down}} {
			fell(whose+" packets "+what, pair[0].Packets, pair[1].Packets)
			fell(whose+" bytes "+what, pair[0].Bytes, pair[1].Bytes)
		}
		for _, cause := range slices.Collect(maps.Keys(a.Dropped)) {
			fell(whose+" "+cause, a.Dropped[cause], b.Dropped[cause])
		}
		for event, n := range a.Events {
			fell(whose+" "+event, n, b.Events[event])
		}
	}
	counted("all", before.All, after.All)
	for _, was := range before.Tenants {
		counted(was.Name, was.Counted, wantTenant(t, after, was.Name).Counted)
	}
	fell("IKE messages", before.IKE.Received, after.IKE.Received)
	fell("L2TP messages", before.L2TP.Received, after.L2TP.Received)
}

// TestFiguresNeverFall: while sessions come, carry and end, at whatever moment of it the
// figures are taken.
func TestFiguresNeverFall(t *testing.T) {
	inWorld(t, goodRoad, figuresConfig, func(t *testing.T, w *world) {
		var all sync.WaitGroup
		ctx, stop := context.WithCancel(context.Background())
		for n := range 6 {
			c, how := w.client(nil), ofAcme
			if n%2 == 1 {
				how = ofGlobex
			}
			all.Go(func() {
				for range 10 {
					conn := c.mustDial(how)
					for range 3 {
						c.ping(conn, w.addr("198.18.0.2"), time.Second)
					}
					conn.Close(context.Background())
					<-conn.Done()
				}
			})
		}
		all.Go(func() {
			before := w.figures()
			for ctx.Err() == nil {
				time.Sleep(7 * time.Millisecond)
				now := w.figures()
				wantNoneFell(t, before, now)
				before = now
			}
		})
		for w.figures().All.Events["session-down"] < 60 && !t.Failed() {
			time.Sleep(time.Second)
		}
		stop()
		all.Wait()
		if f := w.figures(); f.All.Up.Packets < 180 || f.All.Sessions != 0 {
			t.Errorf("%+v", f.All)
		}
	})
}

// TestFiguresOfWhoEndsMeanwhile: a session that ends while figures are taken is counted
// in them, once.
func TestFiguresOfWhoEndsMeanwhile(t *testing.T) {
	inWorld(t, goodRoad, figuresConfig, func(t *testing.T, w *world) {
		c := w.client(nil)
		conn := c.mustDial(ofAcme)
		c.wantPing(conn, "198.18.0.2")
		before := w.figures()
		taken := taking{ended: map[*session]carried{}}
		do := func(f func(now time.Time)) {
			if err := w.server.server.engine.Work.Do(context.Background(), f); err != nil {
				t.Fatal(err)
			}
		}
		do(func(now time.Time) { taken.begin(w.server, now) })
		taken.open()
		c.wantPing(conn, "198.18.0.2")
		conn.Close(context.Background())
		<-conn.Done()
		time.Sleep(time.Minute)
		do(func(time.Time) {
			for _, s := range taken.sessions {
				taken.session(s)
			}
		})
		w.server.server.countDrops(&taken.f, taken.tenants)
		taken.events(w.server)
		wantNoneFell(t, before, taken.f)
		do(func(time.Time) { // nothing is left of it
			if len(w.server.server.taken) != 1 || w.server.server.taken[0] != &taken {
				t.Errorf("%d figures are being taken", len(w.server.server.taken))
			}
		})
		if taken.f.All.Up != w.figures().All.Up || taken.f.All.Sessions != 0 {
			t.Errorf("%+v; afterwards %+v", taken.f.All, w.figures().All)
		}
	})
}

// TestFiguresCountWhatTheLogLeavesOut: where more logins fail than are worth a line each,
// every one of them is counted, with its tenant and its cause.
func TestFiguresCountWhatTheLogLeavesOut(t *testing.T) {
	a := newAuthority(t, "a")
	eve := a.client("eve")
	inWorld(t, goodRoad, testConfig+a.server(vpn), func(t *testing.T, w *world) {
		const clients, each = 20, 10
		w.refusedByTLS(a, eve, clients, each)
		time.Sleep(5 * time.Minute)
		acme := wantTenant(t, w.figures(), "acme")
		if n, lines := acme.Events["login-refused"], w.log.FilterMessage("login-refused").Len(); n != clients*each || lines >= clients*each/2 {
			t.Errorf("%d of %d counted, by %d lines: %v", n, clients*each, lines, acme.Causes)
		}
	})
}

// crowded is a gateway that does not run, with so many tenants and sessions.
func crowded(t testing.TB, tenants, sessions int) *Gateway {
	t.Helper()
	conf, err := config.Parse("test.yaml", []byte(figuresConfig))
	if err != nil {
		t.Fatal(err)
	}
	conf.Workers = 1
	g, err := New(Config{Config: conf, Listen: simnet.New(goodRoad).Listen,
		OpenDevice: func(*config.Tenant) (tenant.Device, error) { return newEchoDevice(1500), nil }})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(g.Close)
	first := g.server.tenants[0]
	for n := len(g.server.tenants); n < tenants; n++ {
		conf := *first.Tenant
		conf.Name = fmt.Sprint("tenant", n)
		t := &tenantState{Tenant: &conf, pools: first.pools, device: first.device, port: first.port, left: new(carried)}
		t.way.Store(first.way.Load())
		g.server.tenants = append(g.server.tenants, t)
	}
	for n := range sessions {
		s := &session{Session: &engine.Session{ID: uint64(n), Peer: &engine.Peer{}, Plane: new(dataplane.Session), Up: time.Now()}, tenant: g.server.tenants[n%tenants]}
		g.server.sessions[s.ID] = s
	}
	return g
}

// TestFiguresInSlices: 20,000 sessions and 1,000 tenants do not hold up the control loop:
// it looks at a slice of them, and has a turn for others before the next.
func TestFiguresInSlices(t *testing.T) {
	const sessions, tenants = 20_000, 1000
	const first = 1 + (tenants+slice-1)/slice          // turns before the first slice of sessions
	const whole = first + (sessions+slice-1)/slice + 1 // and one that ends it
	for _, left := range []int{0, 1, 10, whole - first - 1} {
		g := crowded(t, tenants, sessions)
		taken := make(chan admin.Figures, 1)
		go func() {
			f, err := g.Figures(context.Background())
			if err != nil {
				t.Error(err)
			}
			taken <- f
		}()
		turns := 0
		for done := false; !done; {
			select {
			case turn := <-g.server.engine.Work.Requests:
				turn(time.Now())
				if turns++; turns == first+left {
					for _, s := range g.server.sessions { // who was not looked at by now is not in
						s.Ended = true
					}
				}
			case f := <-taken:
				done = true
				for len(g.server.engine.Work.Requests) > 0 { // what it has left behind
					(<-g.server.engine.Work.Requests)(time.Now())
					turns++
				}
				if want := min(left*slice, sessions); f.All.Sessions != want || len(f.Tenants) != tenants {
					t.Errorf("%d tenants; %d sessions in %d slices, want %d", len(f.Tenants), f.All.Sessions, left, want)
				}
			}
		}
		if turns != whole || len(g.server.taken) != 0 {
			t.Errorf("%d turns, want %d; %d figures are still being taken", turns, whole, len(g.server.taken))
		}
	}
}

// BenchmarkFigures is what the figures of 20,000 sessions of 1,000 tenants cost, and the
// longest of the turns that they take from the control loop, at best.
func BenchmarkFigures(b *testing.B) {
	g := crowded(b, 1000, 20_000)
	turns := make(chan time.Duration, 1024)
	go func() {
		for turn := range g.server.engine.Work.Requests {
			began := time.Now()
			turn(began)
			turns <- time.Since(began)
		}
	}()
	best := time.Hour
	for b.Loop() {
		if _, err := g.Figures(context.Background()); err != nil {
			b.Fatal(err)
		}
		var longest time.Duration
		for len(turns) > 0 {
			longest = max(longest, <-turns)
		}
		best = min(best, longest)
	}
	b.ReportMetric(float64(best.Microseconds()), "µs-longest-turn")
	close(g.server.engine.Work.Requests)
}

// TestDropsOfTheLogAreFigures: each number that the line dropped of the log can have is
// one of the figures.
func TestDropsOfTheLogAreFigures(t *testing.T) {
	inWorld(t, goodRoad, figuresConfig, func(t *testing.T, w *world) {
		w.server.server.engine.Work.Do(context.Background(), func(time.Time) {
			w.server.server.engine.Refused["ike"] = 3
			for _, of := range w.server.server.tenants {
				of.way.Store(&way{countedDevice{of.device.(*echoDevice)}, of.port})
			}
		})
		c := w.client(nil)
		conn := c.mustDial(ofAcme)
		c.ping(conn, netip.MustParseAddr("10.0.0.77"), time.Second)
		f := w.figures()
		var logged admin.Named
		w.server.server.engine.Work.Do(context.Background(), func(time.Time) { logged = w.server.server.drops().Losses() })
		if said := f.Losses(); !reflect.DeepEqual(said, logged) || said["neighbour"] != 1 || said["ike-messages"] != 3 || said["acme-flows"] != 7 || said["globex-dns-failed"] != 2 {
			t.Errorf("figures %v, log %v", said, logged)
		}
		acme := wantTenant(t, f, "acme")
		if *acme.Stack != (admin.Stack{Flows: 5, Refused: 7, Queue: 8, Echoes: 9}) || *acme.DNS != (admin.DNS{Queries: 1, Failed: 2, Malformed: 3, Dropped: 4}) {
			t.Errorf("%+v, %+v", acme.Stack, acme.DNS)
		}
	})
}
