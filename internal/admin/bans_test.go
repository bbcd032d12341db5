package admin

import (
	"errors"
	"net"
	"net/http"
	"net/netip"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"
)

// TestBans: what a command says comes to the server as it was said, and what that answers comes
// back.
func TestBans(t *testing.T) {
	made := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	all := []Ban{
		{Prefix: netip.MustParsePrefix("192.0.2.0/24"), By: "operator", Made: made, Reason: "scans", Keep: true},
		{Prefix: netip.MustParsePrefix("2001:db8::/64"), Tenant: "acme", User: "alice", Device: "a&b", Strangers: true, By: "lockout", Made: made, Until: made.Add(time.Hour)},
	}
	h := &house{bans: all}
	state := t.TempDir()
	c := NewClient(state)
	if err := c.Reach(t.Context()); !errors.Is(err, ErrNoServer) {
		t.Errorf("without a server: %v", err)
	}
	serve(t, state, h)
	if err := c.Reach(t.Context()); err != nil {
		t.Error(err)
	}
	if got, err := c.Bans(t.Context()); err != nil || !reflect.DeepEqual(got, Bans{all, []Feed{}}) {
		t.Errorf("%+v, %v", got, err)
	}
	order := BanOrder{Prefix: netip.MustParsePrefix("198.51.100.0/24"), Tenant: "acme", For: 2 * time.Hour, Reason: "a\nb", Keep: true, Force: true}
	done, err := c.Ban(t.Context(), order)
	if err != nil || done.Ended != 3 || done.Ban.Prefix != order.Prefix || len(h.orders) != 1 || h.orders[0] != order {
		t.Errorf("%+v, %v: %+v", done, err, h.orders)
	}
	var refused Refused
	if _, err := c.Ban(t.Context(), BanOrder{Prefix: netip.MustParsePrefix("0.0.0.0/0")}); !errors.As(err, &refused) || err.Error() != "that is everybody" {
		t.Error(err)
	}
	for _, o := range []BanOrder{{}, {Prefix: order.Prefix, For: -1}} {
		if _, err := c.Ban(t.Context(), o); err == nil || !strings.Contains(err.Error(), "a network is wanted") {
			t.Errorf("%+v: %v", o, err)
		}
	}
	if gone, err := c.Unban(t.Context(), all[1].Prefix, "acme"); err != nil || !reflect.DeepEqual(gone, all[1:]) {
		t.Errorf("%+v, %v", gone, err)
	}
	if gone, err := c.Unban(t.Context(), all[1].Prefix, "globex"); err != nil || len(gone) != 0 {
		t.Errorf("%+v, %v", gone, err)
	}
}

// TestBansOfAnOlderServer: one that knows no bans is named as what it is.
func TestBansOfAnOlderServer(t *testing.T) {
	state := t.TempDir()
	l, err := net.Listen("unix", filepath.Join(state, socketName))
	if err != nil {
		t.Fatal(err)
	}
	s := &http.Server{Handler: http.NewServeMux()}
	ended := make(chan struct{})
	go func() { defer close(ended); s.Serve(l) }()
	defer func() { s.Close(); <-ended }()
	c := NewClient(state)
	if _, err := c.Ban(t.Context(), BanOrder{Prefix: netip.MustParsePrefix("192.0.2.0/24")}); err == nil || !strings.Contains(err.Error(), "older than this command") {
		t.Error(err)
	}
	if _, err := c.Bans(t.Context()); err == nil || !strings.Contains(err.Error(), "older than this command") {
		t.Error(err)
	}
}
