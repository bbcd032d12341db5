package admin

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// house is a Gateway with some sessions.
type house struct{ sessions []Session }

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
	if list[1] != bob {
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

func TestLongPath(t *testing.T) {
	if _, err := Listen(filepath.Join(t.TempDir(), strings.Repeat("x", 200))); !errors.Is(err, ErrLongPath) {
		t.Error(err)
	}
}
