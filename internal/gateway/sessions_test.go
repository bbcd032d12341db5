package gateway

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/culvert-vpn/culvert/internal/admin"
	"github.com/culvert-vpn/culvert/internal/config"
	"github.com/culvert-vpn/culvert/internal/dialer"
)

func (w *world) sessions() []admin.Session {
	w.t.Helper()
	list, err := w.server.Sessions(context.Background())
	if err != nil {
		w.t.Fatal(err)
	}
	admin.Sort(list)
	return list
}

// TestSessions: who is logged in, with what, and what has passed.
func TestSessions(t *testing.T) {
	a := newAuthority(t, "a")
	inWorld(t, goodRoad, ipv6Config+a.server(vpn), func(t *testing.T, w *world) {
		one, two := w.client(nil), w.client(nil)
		conn := one.mustDial(func(d *dialer.DialConfig) { d.Persona, d.ChildLifetime = "windows10", 20*time.Minute })
		two.mustDial(a.trusts(vpn), func(d *dialer.DialConfig) { d.Persona, d.User, d.Password = "macos-ikev2", "bob", "bobpw" })
		one.wantPing(conn, "198.18.0.2")
		time.Sleep(time.Hour)
		list := w.sessions()
		if len(list) != 2 {
			t.Fatalf("%+v", list)
		}
		alice, bob := list[0], list[1]
		if alice.User != "alice" || alice.Tenant != "acme" || alice.Family != "windows10" || alice.Protocol != "l2tp/ikev1" ||
			alice.Client.String() != "192.0.2.1:4500" || alice.Address != conn.Local || !alice.Prefix.IsValid() ||
			alice.System == "" || alice.Host == "" || alice.IKE == "" || alice.ESP != "aes256-sha1" {
			t.Errorf("%+v", alice)
		}
		if alice.Up.Packets < 1 || alice.Up.Bytes < 84 || alice.Down.Packets < 1 || alice.Rekeys < 2 || time.Since(alice.Since) < time.Hour {
			t.Errorf("%+v", alice)
		}
		if alice.Idle < 3500 || alice.Idle > 3700 {
			t.Errorf("idle for %d s", alice.Idle)
		}
		if bob.User != "bob" || bob.Family != "apple" || bob.Protocol != "ikev2" || bob.ID == alice.ID {
			t.Errorf("%+v", bob)
		}
	})
}

// TestSessionsSayWhatIsGranted: an operator sees what each client has, and whether the tenant
// or the user's own entry says so; a new configuration changes it for who is connected.
func TestSessionsSayWhatIsGranted(t *testing.T) {
	const timeout, other = "    limits: {session_timeout: 8h}\n", "    limits: {session_timeout: 9h}\n"
	yaml := strings.Replace(testConfig, "password: bobpw}", "password: bobpw, address: 10.100.1.9}", 1)
	inWorld(t, goodRoad, yaml+timeout, func(t *testing.T, w *world) {
		w.client(nil).mustDial()
		w.client(nil).mustDial(func(d *dialer.DialConfig) { d.User, d.Password = "bob", "bobpw" })
		want := func(timeout string) {
			t.Helper()
			alice := []admin.Granted{{Name: "session_timeout", Value: timeout, From: "tenant"}, {Name: "dns", Value: "10.100.1.1", From: "tenant"}}
			bob := append([]admin.Granted{{Name: "address", Value: "10.100.1.9", From: "user"}}, alice...)
			if list := w.sessions(); len(list) != 2 || !slices.Equal(list[0].Granted, alice) || !slices.Equal(list[1].Granted, bob) {
				t.Errorf("%+v", list)
			}
		}
		want("8h0m0s")
		next, err := config.Parse("test.yaml", []byte(yaml+other))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := w.server.Apply(context.Background(), next); err != nil {
			t.Fatal(err)
		}
		want("9h0m0s")
	})
}

// TestCloseSession: the client of a session that an operator ends is told.
func TestCloseSession(t *testing.T) {
	a := newAuthority(t, "a")
	inWorld(t, goodRoad, testConfig+a.server(vpn), func(t *testing.T, w *world) {
		one, two := w.client(nil), w.client(nil)
		conns := []*dialer.Connection{one.mustDial(), two.mustDial(a.trusts(vpn), func(d *dialer.DialConfig) { d.User, d.Password = "bob", "bobpw" })}
		for n, s := range w.sessions() {
			began := time.Now()
			if err := w.server.CloseSession(context.Background(), s.ID); err != nil {
				t.Error(err)
			}
			<-conns[n].Done()
			if took := time.Since(began); took > time.Second {
				t.Errorf("%s learned of it after %v", s.User, took)
			}
			w.wantLog("session-down", "reason", "closed by the operator")
			if err := w.server.CloseSession(context.Background(), s.ID); !errors.Is(err, admin.ErrNoSession) {
				t.Error(err)
			}
		}
		time.Sleep(2 * time.Minute)
		w.wantEmpty()
	})
}
