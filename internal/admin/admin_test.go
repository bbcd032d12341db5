package admin

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"
)

// house is a Gateway with some sessions.
type house struct {
	sessions []Session
	figures  Figures
	bans     []Ban
	orders   []BanOrder
	policy   Policy
	flows    FlowList
	asked    []FlowQuery
	pools    PoolList
	leases   []Lease
	turn     uint64 // the pools change so often
	reloaded []bool
	refuses  error
}

func (h *house) Pools(context.Context) (PoolList, error) { return h.pools, nil }

// Leases has pages of two.
func (h *house) Leases(_ context.Context, q LeasesQuery) (p LeasesPage, err error) {
	if q.Tenant != "acme" || q.Pool != "vip" || !q.IPv6 {
		return p, ErrNoPool
	}
	if h.turn > 0 {
		h.turn--
	}
	p.Epoch, p.Next = h.turn, min(q.From+2, len(h.leases))
	p.Leases = h.leases[q.From:p.Next]
	if p.Next == len(h.leases) {
		p.Next = 0
	}
	return p, nil
}

func (h *house) Reload(_ context.Context, now bool) (Reloaded, error) {
	h.reloaded = append(h.reloaded, now)
	return Reloaded{Changed: []string{"acme"}, Outside: []Outside{{"acme", 3}}, Warnings: []string{"so so"}}, h.refuses
}

func (h *house) Policy(_ context.Context, tenant string) (Policy, error) {
	if tenant != h.policy.Tenant {
		return Policy{}, ErrNoTenant
	}
	return h.policy, nil
}

func (h *house) Flows(_ context.Context, q FlowQuery) (FlowList, error) {
	if h.asked = append(h.asked, q); q.Tenant != h.flows.Tenant {
		return FlowList{}, ErrNoTenant
	}
	return h.flows, nil
}

func (h *house) Figures(context.Context) (Figures, error) { return h.figures, nil }

func (h *house) Sessions(context.Context) ([]Session, error) { return h.sessions, nil }

func (h *house) CloseSession(_ context.Context, id uint64) error {
	for n, s := range h.sessions {
		if s.ID == id {
			h.sessions = append(h.sessions[:n], h.sessions[n+1:]...)
			return nil
		}
	}
	return ErrNoSession
}

func (h *house) Bans(context.Context) (Bans, error) { return Bans{Bans: h.bans, Feeds: []Feed{}}, nil }

func (h *house) Ban(_ context.Context, o BanOrder) (Banned, error) {
	if o.Prefix.Bits() == 0 && !o.Force {
		return Banned{}, Refused("that is everybody")
	}
	h.orders = append(h.orders, o)
	return Banned{Ban: Ban{Prefix: o.Prefix, By: "operator"}, Ended: 3}, nil
}

func (h *house) Unban(_ context.Context, p netip.Prefix, tenant string) (gone []Ban, err error) {
	for _, b := range h.bans {
		if b.Prefix == p && (tenant == "" || b.Tenant == tenant) {
			gone = append(gone, b)
		}
	}
	return gone, nil
}

// serve serves h in a state directory until the test ends.
func serve(t *testing.T, state string, h *house) {
	t.Helper()
	l, err := Listen(state)
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- Serve(ctx, l, h) }()
	t.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
}

func TestSessions(t *testing.T) {
	since := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	bob := Session{ID: 2, Tenant: "acme", User: "bob", Family: "apple", Protocol: "ikev2", Client: netip.MustParseAddrPort("[2001:db8::1]:4500"),
		Address: netip.MustParseAddr("10.0.0.2"), Prefix: netip.MustParsePrefix("2001:db8:1::/64"), Since: since, Idle: 3,
		Up: Traffic{1, 2}, Down: Traffic{3, 4}, Rekeys: 5}
	h := &house{sessions: []Session{{ID: 9, Tenant: "globex"}, bob, {ID: 1, Tenant: "acme", User: "carol"}, {ID: 3, Tenant: "acme", User: "alice"}}}
	state := filepath.Join(t.TempDir(), "state")
	serve(t, state, h)
	for path, mode := range map[string]os.FileMode{state: 0o700, filepath.Join(state, socketName): 0o600} {
		if info, err := os.Stat(path); err != nil || info.Mode().Perm() != mode {
			t.Errorf("%s: %v, %v", path, info.Mode(), err)
		}
	}
	c := NewClient(state)
	list, err := c.Sessions(t.Context())
	if err != nil || len(list) != 4 {
		t.Fatal(list, err)
	}
	for n, want := range []uint64{3, 2, 1, 9} { // alice, bob, carol, globex
		if list[n].ID != want {
			t.Errorf("%d comes as number %d", list[n].ID, n)
		}
	}
	if !reflect.DeepEqual(list[1], bob) {
		t.Errorf("%+v", list[1])
	}
	if err := c.CloseSession(t.Context(), 2); err != nil || len(h.sessions) != 3 {
		t.Error(err, h.sessions)
	}
	if err := c.CloseSession(t.Context(), 2); !errors.Is(err, ErrNoSession) {
		t.Error(err)
	}
}

func TestOneServer(t *testing.T) {
	state := t.TempDir()
	c := NewClient(state)
	if _, err := c.Sessions(t.Context()); err == nil || !strings.Contains(err.Error(), "no server is running") {
		t.Error(err)
	}
	// What a killed server left behind is in nobody's way.
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: filepath.Join(state, socketName), Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	l.SetUnlinkOnClose(false)
	l.Close()
	if _, err := c.Sessions(t.Context()); err == nil || !strings.Contains(err.Error(), "no server is running") {
		t.Error(err)
	}
	serve(t, state, &house{})
	if _, err := Listen(state); !errors.Is(err, ErrRunning) {
		t.Error(err)
	}
	if list, err := c.Sessions(t.Context()); err != nil || len(list) != 0 {
		t.Error(list, err)
	}
}

// TestFigures: what a server has counted arrives as it was counted, and an older server
// that knows of no figures is named as what it is.
func TestFigures(t *testing.T) {
	counted := NewCounted()
	counted.Sessions, counted.Up, counted.Dropped["replay"], counted.Events["session-up"] = 1, Traffic{2, 3}, 4, 5
	counted.Causes["login-refused"] = Named{"wrong password": 6}
	h := &house{figures: Figures{
		At: time.Date(2026, 1, 2, 3, 4, 6, 0, time.UTC), Since: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC),
		Version: "culvert", Listen: []netip.Addr{netip.MustParseAddr("::")}, IKEPort: 500, NATTPort: 4500, Peers: 7, All: counted, Refused: Named{"ike": 8},
		Tenants: []Tenant{{Name: "acme", Counted: counted, Addresses: Addresses{1, 2}, Prefixes: &Addresses{3, 4}, Stack: &Stack{Refused: 9}, DNS: &DNS{Failed: 10}}},
		IKE:     IKE{HalfOpen: 11, Dropped: Named{"ike: what": 12}}, L2TP: L2TP{Calls: 13}, Sockets: Sockets{Received: 14}, Computing: Jobs{1, 2, 3},
	}}
	state := t.TempDir()
	serve(t, state, h)
	f, err := NewClient(state).Figures(t.Context())
	if err != nil || !reflect.DeepEqual(f, h.figures) {
		t.Errorf("%v\n%+v\nwant\n%+v", err, f, h.figures)
	}
	losses := f.Losses()
	if acme, _ := f.Tenant("acme"); losses["replay"] != 4 || losses["ike-messages"] != 8 || losses["acme-flows"] != 9 || acme.Losses()["acme-dns-failed"] != 10 || acme.Losses()["ike-messages"] != 0 {
		t.Error(losses, acme.Losses())
	}
	if _, ok := f.Tenant("globex"); ok {
		t.Error("a tenant that there is none of")
	}
	old := t.TempDir()
	l, err := Listen(old)
	if err != nil {
		t.Fatal(err)
	}
	s := &http.Server{Handler: http.NewServeMux()}
	go s.Serve(l)
	defer s.Close()
	if _, err := NewClient(old).Figures(t.Context()); err == nil || !strings.Contains(err.Error(), "older than this command") {
		t.Error(err)
	}
}

// TestPolicyAndFlows: what is asked arrives, and so do the answers; a tenant that there is
// none of is told from a server that is too old.
func TestPolicyAndFlows(t *testing.T) {
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	h := &house{
		policy: Policy{Tenant: "acme", At: at, InForce: true, Clients: "open", Sets: []RuleSet{{Name: "policy", Default: Rule{Name: "default", Flows: 3, Last: at},
			Rules: []Rule{{Name: "web", From: []string{"group:a"}, To: []string{"service:b"}, Ports: []string{"tcp/80"}, When: "night", Now: true, Allow: true, Log: "first", Flows: 9}}}}},
		flows: FlowList{Tenant: "acme", At: at, Rules: true, More: 7, Counted: FlowCounts{1, 2, 3, 4, 5, 6, 7, 8, 9, 10},
			Flows: []Flow{{1, "ann", 6, netip.MustParseAddrPort("10.1.0.7:1"), netip.MustParseAddrPort("10.2.0.7:2"), "10.2.0.7:tcp/2", "policy", "web", 1, 2, 3, 4, "answered"}}},
	}
	state := t.TempDir()
	serve(t, state, h)
	c := NewClient(state)
	if p, err := c.Policy(t.Context(), "acme"); err != nil || !reflect.DeepEqual(p, h.policy) {
		t.Errorf("%v %+v", err, p)
	}
	q := FlowQuery{Tenant: "acme", User: "a&b=c d", To: netip.MustParsePrefix("2001:db8::/32"), Limit: 17}
	if l, err := c.Flows(t.Context(), q); err != nil || !reflect.DeepEqual(l, h.flows) || h.asked[0] != q {
		t.Errorf("%v %+v of %+v", err, l, h.asked)
	}
	if _, err := c.Policy(t.Context(), "glo/bex"); !errors.Is(err, ErrNoTenant) {
		t.Error(err)
	}
	if _, err := c.Flows(t.Context(), FlowQuery{Tenant: "globex", Limit: MaxFlows}); !errors.Is(err, ErrNoTenant) {
		t.Error(err)
	}
	for _, limit := range []int{0, -1, MaxFlows + 1} {
		if _, err := c.Flows(t.Context(), FlowQuery{Tenant: "acme", Limit: limit}); err == nil || !strings.Contains(err.Error(), "limit is a number") {
			t.Error(limit, err)
		}
	}
	if _, err := NewClient(t.TempDir()).Policy(t.Context(), "acme"); !errors.Is(err, ErrNoServer) {
		t.Error(err)
	}
	old := t.TempDir()
	l, err := Listen(old)
	if err != nil {
		t.Fatal(err)
	}
	s := &http.Server{Handler: http.NewServeMux()}
	go s.Serve(l)
	defer s.Close()
	if _, err := NewClient(old).Policy(t.Context(), "acme"); err == nil || !strings.Contains(err.Error(), "older than this command") {
		t.Error(err)
	}
}

func TestLongPath(t *testing.T) {
	if _, err := Listen(filepath.Join(t.TempDir(), strings.Repeat("x", 200))); !errors.Is(err, ErrLongPath) {
		t.Error(err)
	}
}
