package gateway

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"net"
	"os"
	"reflect"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/culvert-vpn/culvert/internal/config"
	"github.com/culvert-vpn/culvert/internal/dialer"
	"github.com/culvert-vpn/culvert/internal/engine/tell"
	"github.com/culvert-vpn/culvert/internal/event"
	"github.com/culvert-vpn/culvert/internal/store"
	"github.com/culvert-vpn/culvert/internal/x/nstest"
	"github.com/culvert-vpn/culvert/tenant"
)

// parsed is a configuration for a world.
func parsed(t *testing.T, yaml string) *config.Config {
	t.Helper()
	c, err := config.Parse("test.yaml", []byte(yaml))
	if err != nil {
		t.Fatal(err)
	}
	c.Workers = 1
	return c
}

// apply applies a configuration, and fails the test if that cannot be done.
func (w *world) apply(yaml string) Changes {
	w.t.Helper()
	changes, err := w.server.Apply(context.Background(), parsed(w.t, yaml))
	if err != nil {
		w.t.Fatal(err)
	}
	return changes
}

// another is a tenant beside that of testConfig, whose user is carol.
func another(name string, rest ...string) string {
	return fmt.Sprintf("  - {name: %s, match: {realms: [%[1]s]}, psk: [the-long-key-of-%[1]s], auth: {local: {users: [{name: carol, password: carolpw}]}}, pool: [10.100.2.0/24]%s}\n",
		name, strings.Join(rest, ""))
}

// carol dials such a tenant.
func carol(name string) func(*dialer.DialConfig) {
	return func(d *dialer.DialConfig) {
		d.PSK, d.User, d.Password = []byte("the-long-key-of-"+name), "carol@"+name, "carolpw"
	}
}

// TestTenantsComeAndGo: a tenant that is added takes logins, one that is changed keeps its
// sessions, and one that is removed says goodbye and takes nobody any more; and whoever is
// connected to another one notices nothing.
func TestTenantsComeAndGo(t *testing.T) {
	inWorld(t, goodRoad, testConfig, func(t *testing.T, w *world) {
		alice := w.client(nil)
		stop := alice.stream(alice.mustDial())
		w.client(nil).wantRefused(carol("globex"))

		if got, want := w.apply(testConfig+another("globex")), (Changes{Added: []string{"globex"}}); !reflect.DeepEqual(got, want) {
			t.Errorf("%+v, want %+v", got, want)
		}
		w.wantLog("configuration-applied", "added", "[globex]")
		c := w.client(nil)
		conn := c.mustDial(carol("globex"))
		c.wantPing(conn, "198.18.0.2")

		changed := testConfig + another("globex", ", limits: {sessions: 1}")
		if got, want := w.apply(changed), (Changes{Changed: []string{"globex"}}); !reflect.DeepEqual(got, want) {
			t.Errorf("%+v, want %+v", got, want)
		}
		c.wantPing(conn, "198.18.0.2")
		w.client(nil).wantRefused(carol("globex")) // one session by now

		device, began := w.nets["globex"], time.Now()
		if got, want := w.apply(testConfig), (Changes{Removed: []string{"globex"}}); !reflect.DeepEqual(got, want) {
			t.Errorf("%+v, want %+v", got, want)
		}
		<-conn.Done()
		if took := time.Since(began); took > 5*time.Second {
			t.Errorf("the client learned of it after %v", took)
		}
		w.wantLog("session-down", "reason", "the tenant was removed")
		if slices.ContainsFunc(w.server.server.counter.Counts(), func(c event.Count) bool { return c.Tenant == "globex" }) {
			t.Error("its counts are kept")
		}
		select {
		case <-device.closed:
		default:
			t.Error("its device is open")
		}
		w.client(nil).wantRefused(carol("globex"))

		w.apply(testConfig + another("globex"))
		c.wantPing(c.mustDial(carol("globex")), "198.18.0.2")
		if lost, sent := stop(); lost > 0 {
			t.Errorf("who was connected to another tenant lost %d of %d packets", lost, sent)
		}
	})
}

// TestReplacedSecretsAreCleared: the secrets of a configuration that another one has replaced
// do not stay in memory, also if none comes after that; what runs is not touched.
func TestReplacedSecretsAreCleared(t *testing.T) {
	inWorld(t, goodRoad, testConfig, func(t *testing.T, w *world) {
		former := parsed(t, testConfig+another("globex"))
		if _, err := w.server.Apply(t.Context(), former); err != nil {
			t.Fatal(err)
		}
		w.apply(testConfig)
		key := former.Tenants[1].PSKs[0]
		wantCleared := func(want bool) {
			t.Helper()
			err := w.server.server.engine.Work.Do(t.Context(), func(time.Time) {
				if cleared := key.Len() == 0; cleared != want {
					t.Errorf("the key is cleared: %v, want %v", cleared, want)
				}
			})
			if err != nil {
				t.Fatal(err)
			}
		}
		wantCleared(false) // a login may have borrowed it
		time.Sleep(borrowed + 2*tell.ReportInterval)
		wantCleared(true)
		w.client(nil).mustDial()
	})
}

// TestRemovedTenantOfEveryProtocol: its clients are told, whatever they speak.
func TestRemovedTenantOfEveryProtocol(t *testing.T) {
	a := newAuthority(t, "a")
	lines, trusts := a.server(vpn), a.trusts(vpn)
	for name, c := range map[string]struct {
		yaml string
		edit func(*dialer.DialConfig)
	}{"L2TP": {testConfig, func(*dialer.DialConfig) {}}, "IKEv2": {eapConfig + lines, trusts}} {
		t.Run(name, func(t *testing.T) {
			yaml, edit := c.yaml, c.edit
			inWorld(t, goodRoad, yaml, func(t *testing.T, w *world) {
				c := w.client(nil)
				conn := c.mustDial(edit)
				began := time.Now()
				w.apply("listen: [203.0.113.1]\ntenants:\n" + another("globex"))
				<-conn.Done()
				if took := time.Since(began); took > 5*time.Second {
					t.Errorf("the client learned of it after %v", took)
				}
				time.Sleep(3 * time.Minute)
				w.wantEmpty()
			})
		})
	}
}

// TestApplyTwice: what runs already is not done again.
func TestApplyTwice(t *testing.T) {
	inWorld(t, goodRoad, testConfig+another("globex"), func(t *testing.T, w *world) {
		c := w.client(nil)
		conn := c.mustDial()
		before, opened := slices.Clone(w.server.server.tenants), w.nets["globex"]
		for range 2 {
			if got := w.apply(testConfig + another("globex")); !reflect.DeepEqual(got, Changes{}) {
				t.Errorf("%+v", got)
			}
		}
		if !slices.Equal(before, w.server.server.tenants) || opened != w.nets["globex"] {
			t.Error("tenants were opened anew")
		}
		c.wantPing(conn, "198.18.0.2")
	})
}

// TestApplyIsAllOrNothing: where a device cannot be opened, all that ran goes on as it
// was, what was opened is closed, and the error says which tenant it is about.
func TestApplyIsAllOrNothing(t *testing.T) {
	inWorld(t, goodRoad, testConfig, func(t *testing.T, w *world) {
		c := w.client(nil)
		stop := c.stream(c.mustDial())
		busy := errors.New("device or resource busy")
		open := w.server.server.config.OpenDevice
		w.server.server.config.OpenDevice = func(conf *config.Tenant) (tenant.Device, error) {
			if conf.Name == "initech" {
				return nil, busy
			}
			return open(conf)
		}
		before := w.server.server.roster
		yaml := strings.Replace(testConfig, "bobpw", "bobs new password", 1) + another("globex") + another("initech")
		next := parsed(t, yaml)
		changes, err := w.server.Apply(context.Background(), next)
		if !errors.Is(err, busy) || !strings.Contains(fmt.Sprint(err), "tenant initech") || !reflect.DeepEqual(changes, Changes{}) {
			t.Errorf("%+v, %v", changes, err)
		}
		if w.server.server.roster != before || w.server.server.config.Config != w.conf {
			t.Error("another configuration runs")
		}
		select {
		case <-w.nets["globex"].closed:
		default:
			t.Error("a device stays open that belongs to nothing")
		}
		w.client(nil).wantRefused(carol("globex"))
		w.client(nil).mustDial(func(d *dialer.DialConfig) { d.User, d.Password = "bob", "bobpw" })
		if lost, sent := stop(); lost > 0 {
			t.Errorf("who was connected lost %d of %d packets", lost, sent)
		}
	})
}

// TestLeasesOutliveTheirTenant: who had which address is known when a tenant that was
// removed is there again.
func TestLeasesOutliveTheirTenant(t *testing.T) {
	kept, err := store.Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer kept.Close()
	inWorldWith(t, kept, goodRoad, testConfig+another("globex"), func(t *testing.T, w *world) {
		w.client(nil).mustDial(carol("globex"))
		w.apply(testConfig)
		leases, err := kept.Leases("globex")
		if err != nil || len(leases) != 1 || leases[0].User != "carol" {
			t.Errorf("%v, %v", leases, err)
		}
		time.Sleep(time.Minute)
	})
}

// anyTenant is a tenant of that name, of a random kind: each of its parts is one of a few.
func anyTenant(name string, random *rand.Rand, egress ...string) string {
	pools := []string{"10.100.2.0/24", "10.100.2.0/24, 10.100.3.0/24", "10.100.2.0/25", "10.100.2.0/23", "10.100.4.0/24, 2001:db8:4::/48", "10.100.2.0/24, 2001:db8:4::/48, 2001:db8:5::/48"}
	pool := pools[random.IntN(len(pools))]
	var rest strings.Builder
	for _, part := range [][]string{
		{fmt.Sprintf(", limits: {sessions: %d}", 1+random.IntN(50)), ", limits: {flows: 99}"},
		{"", "", ", mtu: 1300"},
		{"", ", clients: open"},
		{"", ", leases: {carol: " + pool[:9] + "9}", ", leases: {dave: " + pool[:9] + "2}"},
		append(egress, ""),
	} {
		rest.WriteString(part[random.IntN(len(part))])
	}
	return strings.Replace(another(name, rest.String()), "10.100.2.0/24", pool, 1)
}

// anyChange adds, changes or removes one of the tenants that are here.
func anyChange(here map[string]string, random *rand.Rand, egress func(name string) []string) (name string) {
	name = fmt.Sprintf("t%d", random.IntN(8))
	if _, there := here[name]; there && random.IntN(3) == 0 {
		delete(here, name)
	} else {
		here[name] = anyTenant(name, random, egress(name)...)
	}
	return name
}

// inOrder are tenants by their names.
func inOrder(here map[string]string) string {
	var yaml strings.Builder
	for _, name := range slices.Sorted(maps.Keys(here)) {
		yaml.WriteString(here[name])
	}
	return yaml.String()
}

// TestHundredConfigurations: tenants come, go and change at random, their pools, leases,
// devices and rules, with clients in them that come and go, while others are connected to one
// that stays and whose pool and users change: these lose no packet, and nothing is left of the
// others.
func TestHundredConfigurations(t *testing.T) {
	const untouched, rounds = 50, 100
	seed := uint64(time.Now().UnixNano())
	random := rand.New(rand.NewPCG(seed, 1))
	t.Logf("seed %d", seed)
	base := func() string {
		pool := []string{"10.100.1.0/24", "10.100.1.0/24, 10.100.8.0/24", "10.100.1.0/25, 10.100.9.0/24, 2001:db8:1::/48"}[random.IntN(3)]
		return strings.Replace(pooled(pool, "    limits: {sessions_per_user: 100}"), "bobpw", fmt.Sprintf("bobpw%d", random.IntN(9)), 1)
	}
	first := pooled("10.100.1.0/24", "    limits: {sessions_per_user: 100}")
	inWorld(t, goodRoad, first, func(t *testing.T, w *world) {
		var devices []*echoDevice
		w.wrap = func(d *echoDevice) tenant.Device {
			devices = append(devices, d)
			return d
		}
		conns := make([]*dialer.Connection, untouched)
		for i := range conns {
			conns[i] = w.client(nil).mustDial()
		}
		clients, guests := w.clients, []*client{w.client(nil), w.client(nil), w.client(nil)}
		here, in := map[string]string{}, map[*client]*dialer.Connection{}
		round := func() {
			name := anyChange(here, random, func(string) []string { return nil })
			w.apply(base() + inOrder(here))
			guest := guests[random.IntN(len(guests))]
			if conn := in[guest]; conn != nil {
				conn.Close(t.Context())
				<-conn.Done()
				delete(in, guest)
			} else if here[name] != "" {
				in[guest] = guest.mustDial(carol(name))
				guest.wantPing(in[guest], "198.18.0.2")
			}
			time.Sleep(100 * time.Millisecond)
		}
		settle := func() (goroutines, heap int) {
			clear(here)
			for range 2 {
				w.apply(first)
				time.Sleep(15 * time.Minute) // everything that was let go has expired
			}
			w.apply(first)
			for _, conn := range in {
				<-conn.Done()
			}
			clear(in)
			open := slices.DeleteFunc(devices, func(d *echoDevice) bool {
				select {
				case <-d.closed:
					return true
				default:
					return false
				}
			})
			if devices = open; len(open) > 1 { // that of the tenant that stays may be the first
				t.Errorf("%d devices are open", len(open))
			}
			return runtime.NumGoroutine(), heapInUse()
		}
		for range 10 { // what grows once has grown
			round()
		}
		goroutines, heap := settle()
		stops := make([]func() (lost, sent int), untouched)
		for i, conn := range conns {
			stops[i] = clients[i].stream(conn)
		}
		for range rounds {
			round()
		}
		for i, stop := range stops {
			if lost, sent := stop(); lost > 0 || sent < rounds {
				t.Errorf("client %d lost %d of %d packets", i, lost, sent)
			}
		}
		after, heapAfter := settle()
		t.Logf("goroutines %d, then %d; heap %d, then %d", goroutines, after, heap, heapAfter)
		if after > goroutines+5 || heapAfter > heap+heap/10+1<<20 { // pools have workers that come and go
			t.Errorf("goroutines %d, then %d; heap %d, then %d", goroutines, after, heap, heapAfter)
		}
	})
}

// descriptors is how many files this process has open.
func descriptors(t *testing.T) int {
	t.Helper()
	list, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(list)
}

// TestRealDevicesComeAndGo: network stacks and devices of the kernel are made for tenants
// that are added, and nothing of them is left when they are removed; a device whose name is
// in use leaves all as it was.
func TestRealDevicesComeAndGo(t *testing.T) {
	nstest.WantAlone(t)
	w := realWorld(t, testConfig)
	defer w.close()
	more := testConfig + another("globex", ", egress: {tun: {device: globex0}}") + strings.Replace(another("initech"), "10.100.2.0/24", "10.100.3.0/24, 2001:db8:3::/48", 1)
	devices := func() bool {
		_, err := net.InterfaceByName("globex0")
		return err == nil
	}
	random := rand.New(rand.NewPCG(uint64(time.Now().UnixNano()), 2))
	alice := w.client(nil)
	untouched := alice.honest(t)
	egress := func(name string) []string {
		return []string{", egress: {tun: {device: " + name + "a}}", ", egress: {tun: {device: " + name + "b}}", ", egress: {netstack: {deny: [10.0.0.0/8]}}"}
	}
	here := map[string]string{}
	round := func() {
		clear(here) // devices of one namespace have no pool in common: there is one of them
		name := fmt.Sprintf("t%d", random.IntN(3))
		for range 3 {
			here[name] = anyTenant(name, random, egress(name)...)
			w.apply(testConfig + inOrder(here))
		}
		c := w.client(nil)
		conn := c.honest(t, carol(name))
		for range 3 {
			here[name] = anyTenant(name, random, egress(name)...)
			w.apply(testConfig + inOrder(here))
		}
		w.apply(testConfig)
		<-conn.Done()
		c.close()
		w.clients = w.clients[:len(w.clients)-1]
	}
	interfaces := func() int {
		list, err := net.Interfaces()
		if err != nil {
			t.Fatal(err)
		}
		return len(list)
	}
	there := interfaces()
	stop := alice.streamTo(untouched, "10.100.1.1")
	for range 3 {
		round()
	}
	if lost, sent := stop(); lost > 0 {
		t.Errorf("who is connected to another tenant lost %d of %d packets", lost, sent)
	}
	goroutines, files, heap := runtime.NumGoroutine(), descriptors(t), heapInUse()
	for range 10 {
		round()
	}
	if n := interfaces(); n != there {
		t.Errorf("%d network devices, and there were %d", n, there)
	}
	soon := func(what string, ok func() bool) {
		t.Helper()
		for range 100 {
			if ok() {
				return
			}
			time.Sleep(50 * time.Millisecond)
		}
		t.Error(what)
	}
	soon("goroutines are left", func() bool { return runtime.NumGoroutine() < goroutines+5 }) // pools have workers that come and go
	soon("descriptors are left", func() bool { return descriptors(t) <= files })
	after := heapInUse()
	t.Logf("goroutines %d, then %d; descriptors %d, then %d; heap %d, then %d", goroutines, runtime.NumGoroutine(), files, descriptors(t), heap, after)
	if after > heap+heap/10+1<<20 {
		t.Errorf("heap %d, then %d", heap, after)
	}

	w.apply(more)
	second := more + strings.Replace(another("hooli", ", egress: {tun: {device: lo}}"), "10.100.2.0/24", "10.100.4.0/24", 1)
	if _, err := w.server.Apply(t.Context(), parsed(t, second)); err == nil || !strings.Contains(err.Error(), "tenant hooli") {
		t.Errorf("a device that is another's: %v", err)
	}
	if !devices() {
		t.Error("the device of another tenant is gone")
	}
	w.apply(testConfig)
	if devices() {
		t.Error("the device is left")
	}
}
