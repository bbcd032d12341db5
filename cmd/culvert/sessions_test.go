package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/culvert-vpn/culvert/internal/admin"
	"github.com/culvert-vpn/culvert/internal/config"
	"github.com/culvert-vpn/culvert/internal/gateway"
)

// crowd is a gateway that has sessions.
type crowd struct {
	list    []admin.Session
	closed  []uint64
	figures admin.Figures
	bans    admin.Bans
	pools   admin.PoolList
	leases  []admin.Lease // of acme's default pool
	policy  admin.Policy
	flows   admin.FlowList
	asked   []admin.FlowQuery
}

func (c *crowd) Policy(_ context.Context, tenant string) (admin.Policy, error) {
	if tenant != c.policy.Tenant {
		return admin.Policy{}, admin.ErrNoTenant
	}
	return c.policy, nil
}

func (c *crowd) Flows(_ context.Context, q admin.FlowQuery) (admin.FlowList, error) {
	if c.asked = append(c.asked, q); q.Tenant != c.flows.Tenant {
		return admin.FlowList{}, admin.ErrNoTenant
	}
	return c.flows, nil
}

func (c *crowd) Pools(context.Context) (admin.PoolList, error) { return c.pools, nil }

func (c *crowd) Leases(_ context.Context, q admin.LeasesQuery) (admin.LeasesPage, error) {
	if q != (admin.LeasesQuery{Tenant: "acme", Pool: "default"}) {
		return admin.LeasesPage{}, nil
	}
	return admin.LeasesPage{Leases: c.leases}, nil
}

func (c *crowd) Reload(context.Context, bool) (admin.Reloaded, error) { return admin.Reloaded{}, nil }

func (c *crowd) Sessions(context.Context) ([]admin.Session, error) { return c.list, nil }

func (c *crowd) Figures(context.Context) (admin.Figures, error) { return c.figures, nil }

func (c *crowd) Bans(context.Context) (admin.Bans, error) { return c.bans, nil }

func (c *crowd) Ban(context.Context, admin.BanOrder) (admin.Banned, error) {
	return admin.Banned{}, admin.Refused("nobody is banned here")
}

func (c *crowd) Unban(context.Context, netip.Prefix, string) ([]admin.Ban, error) { return nil, nil }

func (c *crowd) CloseSession(_ context.Context, id uint64) error {
	c.closed = append(c.closed, id)
	return nil
}

// serveCrowd answers for c, and returns the configuration of the server.
func serveCrowd(t *testing.T, c *crowd) string {
	t.Helper()
	state := t.TempDir()
	l, err := admin.Listen(state)
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() { admin.Serve(ctx, l, c); close(ended) }()
	t.Cleanup(func() { stop(); <-ended })
	return write(t, "c.yaml", "state: "+state+"\ntenants: [{name: acme, psk: a-long-enough-key, pool: 10.1.0.0/24}, "+
		"{name: globex, psk: another-long-key, pool: 10.2.0.0/24}]\n")
}

func TestSessions(t *testing.T) {
	c := &crowd{list: []admin.Session{
		{ID: 1, Tenant: "acme", User: "alice", Family: "windows10", Protocol: "l2tp/ikev1", Client: netip.MustParseAddrPort("198.51.100.7:61022"),
			Address: netip.MustParseAddr("10.1.0.2"), Prefix: netip.MustParsePrefix("2001:db8::/64"), ESP: "aes256-sha1",
			Since: time.Now().Add(-3*time.Hour - 12*time.Minute), Idle: 75, Up: admin.Traffic{Bytes: 1000}, Down: admin.Traffic{Bytes: 51249152}},
		{ID: 2, Tenant: "acme", User: "eve\x1b[2J", Family: "other", Protocol: "ikev2", Since: time.Now()},
		{ID: 3, Tenant: "globex", User: "Alice", Family: "apple", Protocol: "ikev2", Since: time.Now()},
		{ID: 4, Tenant: "globex", User: "Alice", Family: "apple", Protocol: "ikev2", Since: time.Now()},
	}}
	conf := serveCrowd(t, c)
	o := wantCall(t, exitOK, "windows10", "", "sessions", "--config", conf)
	want := "1   acme    alice         windows10  l2tp/ikev1  198.51.100.7:61022  10.1.0.2,2001:db8::/64  aes256-sha1  3h12m  1m15s  1000B  48.9MiB  0\n"
	if lines := strings.SplitAfter(o.out, "\n"); len(lines) != 6 || lines[1] != want || !strings.Contains(lines[2], `"eve\x1b[2J"`) {
		t.Errorf("%s\nwant a line\n%s", o.out, want)
	}
	if o := wantCall(t, exitOK, "apple", "", "ls", "--tenant", "globex", "--config", conf); strings.Contains(o.out, "acme") {
		t.Error(o.out)
	}
	o = wantCall(t, exitOK, "", "", "sessions", "--json", "--config", conf)
	var list []admin.Session
	if err := json.Unmarshal([]byte(o.out), &list); err != nil || len(list) != 4 || list[0].Address != c.list[0].Address {
		t.Errorf("%v %s", err, o.out)
	}
	wantCall(t, exitFailed, "there is no tenant initech", "", "sessions", "--tenant", "initech", "--config", conf)
	wantCall(t, exitFailed, "acme and to globex: say --tenant", "", "sessions", "close", "alice", "--config", conf)
	wantCall(t, exitFailed, "no session has the number", "", "sessions", "close", "17", "--config", conf)
	wantCall(t, exitOK, "session 2 of", "", "sessions", "close", "2", "--config", conf)
	wantCall(t, exitOK, "session 4 of Alice", "", "sessions", "close", "alice", "--tenant", "globex", "--config", conf)
	if fmt.Sprint(c.closed) != "[2 3 4]" {
		t.Error(c.closed)
	}
}

// freePorts finds a port of the loopback device that is free for UDP, and the
// next one is too. They stay free: kernels give those above 32767 to whoever asks
// for any.
func freePorts(t *testing.T) int {
	t.Helper()
	for range 100 {
		port := 20_000 + rand.IntN(12_000)
		first, err := net.ListenPacket("udp4", fmt.Sprintf("127.0.0.1:%d", port))
		if err != nil {
			continue
		}
		first.Close()
		if next, err := net.ListenPacket("udp4", fmt.Sprintf("127.0.0.1:%d", port+1)); err == nil {
			next.Close()
			return port
		}
	}
	t.Fatal("no port is free, and the next one too")
	return 0
}

// TestServeAnswers: a server answers who is logged in, and only one is served
// from a state directory.
func TestServeAnswers(t *testing.T) {
	port := freePorts(t)
	conf := write(t, "c.yaml", fmt.Sprintf("listen: [127.0.0.1]\nstate: %s\nports: {ike: %d, nat_t: %d}\n"+
		"tenants: [{name: acme, psk: a-long-enough-key, pool: 10.1.0.0/24}]\n", t.TempDir(), port, port+1))
	wantCall(t, exitFailed, "no server is running", "", "sessions", "--config", conf)
	stop, ended, log := startServe(t, conf)
	var o outcome
	wantSoon(t, "answer", func() bool {
		o = call(t, "", "sessions", "--config", conf)
		return o.code == exitOK || len(ended) > 0
	})
	if !strings.HasPrefix(o.out, "ID  TENANT") {
		t.Errorf("%+v", o)
	}
	wantCall(t, exitFailed, "is running", "", "serve", "--config", conf)
	stop()
	if code := <-ended; code != exitOK {
		t.Errorf("code %d: %s", code, log)
	}
	wantCall(t, exitFailed, "no server is running", "", "sessions", "--config", conf)
}

// lockedBuffer is what a server writes while a test reads.
type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// startServe serves a configuration until stop is called; ended has the exit code then.
func startServe(t *testing.T, conf string) (stop func(), ended chan int, log *lockedBuffer) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	log, ended = new(lockedBuffer), make(chan int, 1)
	go func() {
		ended <- run(ctx, []string{"serve", "--config", conf}, streams{strings.NewReader(""), new(bytes.Buffer), log})
	}()
	t.Cleanup(cancel)
	return cancel, ended, log
}

// TestHangupAtTheStart: a SIGHUP that comes before the server runs ends it not, and counts as
// soon as it runs; one that comes while it ends is not called a fault of the file.
func TestHangupAtTheStart(t *testing.T) {
	port := freePorts(t)
	text := fmt.Sprintf("listen: [127.0.0.1]\nstate: %s\nports: {ike: %d, nat_t: %d}\ntenants:\n"+
		"  - {name: acme, default: true, psk: a-long-enough-key, pool: 10.1.0.0/24}\n", t.TempDir(), port, port+1)
	conf := filepath.Join(t.TempDir(), "c.yaml") // read when it is written, and not before
	if err := syscall.Mkfifo(conf, 0o600); err != nil {
		t.Fatal(err)
	}
	stop, ended, log := startServe(t, conf)
	for i, says := range []string{text, strings.Replace(text, "a-long", "a-longer", 1)} {
		f, err := os.OpenFile(conf, os.O_WRONLY, 0) // waits for who reads
		if err != nil {
			t.Fatal(err)
		}
		if i == 0 {
			if err := syscall.Kill(os.Getpid(), syscall.SIGHUP); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := f.WriteString(says); err != nil {
			t.Fatal(err)
		}
		f.Close()
		wantSoon(t, "serve", func() bool { return strings.Contains(log.String(), "serving") || len(ended) > 0 })
	}
	wantSoon(t, "reload", func() bool { return strings.Contains(log.String(), "configuration-applied") || len(ended) > 0 })
	stop()
	if code := <-ended; code != exitOK || !strings.Contains(log.String(), "acme") {
		t.Errorf("code %d: %s", code, log)
	}
}

// TestReloadAtTheEnd: a configuration that is read while the server ends has no fault, and
// the log does not say so.
func TestReloadAtTheEnd(t *testing.T) {
	port := freePorts(t)
	conf := write(t, "c.yaml", fmt.Sprintf("listen: [127.0.0.1]\nports: {ike: %d, nat_t: %d}\ntenants:\n"+
		"  - {name: acme, default: true, psk: a-long-enough-key, pool: 10.1.0.0/24}\n", port, port+1))
	c, err := config.Load(conf)
	if err != nil {
		t.Fatal(err)
	}
	g, err := gateway.New(gateway.Config{Config: c})
	if err != nil {
		t.Fatal(err)
	}
	over, end := context.WithCancel(t.Context())
	end()
	if err := g.Run(over); err != nil {
		t.Fatal(err)
	}
	core, lines := observer.New(zap.InfoLevel)
	if _, err := (&server{g, zap.New(core), conf}).Reload(t.Context(), false); !errors.Is(err, gateway.ErrEnded) {
		t.Error(err)
	}
	if n := lines.FilterMessage("reload-refused").Len(); n > 0 {
		t.Errorf("a file without a fault was refused: %v", lines.All())
	}
}

// TestHangupReloads: SIGHUP ends no server. What the file says now is in force, what needs
// a restart is named, and a file with a fault changes nothing.
func TestHangupReloads(t *testing.T) {
	port := freePorts(t)
	text := fmt.Sprintf("listen: [127.0.0.1]\nstate: %s\nports: {ike: %d, nat_t: %d}\ntenants:\n"+
		"  - {name: acme, default: true, psk: a-long-enough-key, pool: 10.1.0.0/24}\n", t.TempDir(), port, port+1)
	conf := write(t, "c.yaml", text)
	stop, ended, log := startServe(t, conf)
	wantSoon(t, "serve", func() bool { return call(t, "", "sessions", "--config", conf).code == exitOK || len(ended) > 0 })
	for _, step := range []struct{ text, want string }{
		{strings.Replace(text, "a-long", "a-longer", 1), `configuration-applied.*acme`},
		{text + "  - {name: [}\n", `reload-refused.*c.yaml:`},
		{strings.Replace(text, "/24}", `/24, tests: [{as: ann, to: "198.18.0.2:tcp/22", expect: deny}]}`, 1), `reload-refused.*c.yaml:5:.*tests\[0\] fails`},
		{text + "  - {name: globex, match: {realms: [globex]}, psk: another-long-key, pool: 10.1.0.0/24}\n", `configuration-applied.*globex`},
	} {
		if err := os.WriteFile(conf, []byte(step.text), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := syscall.Kill(os.Getpid(), syscall.SIGHUP); err != nil {
			t.Fatal(err)
		}
		wantSoon(t, "reload", func() bool { return regexp.MustCompile(step.want).MatchString(log.String()) || len(ended) > 0 })
		for _, what := range []string{"sessions", "status"} { // also while the file has a fault
			if o := call(t, "", what, "--config", conf); o.code != exitOK {
				t.Errorf("%s after a reload: %+v; the log: %s", what, o, log)
			}
		}
	}
	stop()
	if code := <-ended; code != exitOK {
		t.Errorf("code %d: %s", code, log)
	}
}
