package gateway

import (
	"context"
	"crypto/x509"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/culvert-vpn/culvert/ike/wire"
	"github.com/culvert-vpn/culvert/internal/config"
	"github.com/culvert-vpn/culvert/internal/dialer"
)

// seen makes a call by IKEv2 that notes which certificate the server shows.
func (a *authority) seen(name string, serial *string) func(*dialer.DialConfig) {
	trusts := a.trusts(name)
	return func(d *dialer.DialConfig) {
		trusts(d)
		verify := d.V2.Verify
		d.V2.Verify = func(now time.Time, chain []*x509.Certificate, id wire.ID2) error {
			*serial = chain[0].SerialNumber.String()
			return verify(now, chain, id)
		}
	}
}

// TestRenewedCertificateIsShown: a certificate and its key that are renewed in their files
// are shown to the next client, and who is connected notices nothing.
func TestRenewedCertificateIsShown(t *testing.T) {
	a := newAuthority(t, "a")
	lines := eapConfig + a.server(vpn)
	inWorld(t, goodRoad, lines, func(t *testing.T, w *world) {
		var before, after string
		c := w.client(nil)
		conn := c.mustDial(a.seen(vpn, &before))
		stop := c.stream(conn)

		key := a.path(vpn + ".key")
		half, err := os.ReadFile(key)
		if err != nil {
			t.Fatal(err)
		}
		a.renew(vpn)
		whole, err := os.ReadFile(key)
		if err != nil {
			t.Fatal(err)
		}
		put(t, key, half) // the certificate is new, and its key is still to come
		time.Sleep(3 * watchInterval)
		if n := w.log.FilterMessage("files-refused").Len(); n != 1 {
			t.Errorf("half of a renewal was refused %d times in the log", n)
		}
		other := w.client(nil)
		other.mustDial(a.seen(vpn, &after))
		if after != before {
			t.Errorf("half of a renewal is shown: %s", after)
		}
		put(t, key, whole)
		time.Sleep(3 * watchInterval)
		w.client(nil).mustDial(a.seen(vpn, &after))
		if before == "" || after == before {
			t.Errorf("the certificate shown was %s and is %s", before, after)
		}
		if lost, sent := stop(); lost > 0 {
			t.Errorf("who was connected lost %d of %d packets", lost, sent)
		}
		w.wantLog("configuration-applied", "changed", "[acme]")
	})
}

// renew issues a server's certificate anew, over the old one's files.
func (a *authority) renew(name string) {
	a.t.Helper()
	for _, kind := range []string{".crt", ".key"} {
		if err := os.Rename(a.path(name+kind), a.path(name+kind+".old")); err != nil {
			a.t.Fatal(err)
		}
	}
	a.server(name)
}

func put(t *testing.T, path string, content []byte) {
	t.Helper()
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
}

// TestRenewedRightAfterReload: what is renewed in a file just after the configuration was
// read counts, as at any other time.
func TestRenewedRightAfterReload(t *testing.T) {
	password := filepath.Join(t.TempDir(), "password")
	put(t, password, []byte("alicepw"))
	yaml := strings.Replace(testConfig, "password: alicepw", "password: 'file:"+password+"'", 1)
	inWorld(t, goodRoad, yaml, func(t *testing.T, w *world) {
		time.Sleep(3 * watchInterval / 2)
		next, err := w.conf.Again()
		if err != nil {
			t.Fatal(err)
		}
		if _, err := w.server.Apply(t.Context(), next); err != nil {
			t.Fatal(err)
		}
		put(t, password, []byte("another password"))
		time.Sleep(2 * watchInterval)
		w.client(nil).mustDial(func(d *dialer.DialConfig) { d.Password = "another password" })
	})
}

// TestRenewedSecretsCount: a key and a password in files are what the files say, without
// a restart.
func TestRenewedSecretsCount(t *testing.T) {
	dir := t.TempDir()
	key, password := filepath.Join(dir, "psk"), filepath.Join(dir, "password")
	put(t, key, []byte(testPSK))
	put(t, password, []byte("alicepw\n"))
	yaml := strings.NewReplacer(`"correct horse battery staple"`, "file:"+key, "password: alicepw", "password: 'file:"+password+"'").Replace(testConfig)
	inWorld(t, goodRoad, yaml, func(t *testing.T, w *world) {
		c := w.client(nil)
		conn := c.mustDial()
		put(t, key, []byte("another key that is long"))
		put(t, password, []byte("another password"))
		time.Sleep(2 * watchInterval)
		c.wantPing(conn, "198.18.0.2")
		w.client(nil).wantRefused()
		renewed := func(d *dialer.DialConfig) { d.PSK, d.Password = []byte("another key that is long"), "another password" }
		w.client(nil).mustDial(renewed)
		w.client(nil).wantRefused(renewed, func(d *dialer.DialConfig) { d.Password = "alicepw" })
		put(t, key, nil)
		time.Sleep(2 * watchInterval)
		w.client(nil).mustDial(renewed)
	})
}

// TestReload: what can be changed is, what cannot is named, and a session goes on.
func TestReload(t *testing.T) {
	inWorld(t, goodRoad, testConfig, func(t *testing.T, w *world) {
		parse := func(yaml string) *config.Config {
			c, err := config.Parse("test.yaml", []byte(yaml))
			if err != nil {
				t.Fatal(err)
			}
			c.Workers = 1
			return c
		}
		c := w.client(nil)
		conn := c.mustDial()
		yaml := strings.NewReplacer("bobpw", "bobs new password", "pool: [10.100.1.0/24]", "pool: [10.100.1.0/24]\n    limits: {sessions: 2}", "listen: [203.0.113.1]", "listen: [203.0.113.2]").Replace(testConfig) +
			"  - {name: globex, match: {realms: [globex]}, psk: another-key-of-globex, pool: [10.100.1.0/24]}\n"
		if _, err := w.server.Apply(context.Background(), parse(yaml)); err != nil {
			t.Fatal(err)
		}
		w.wantLog("restart-needed", "what", "[listen (test.yaml:2)]")
		c.wantPing(conn, "198.18.0.2")
		bob := func(d *dialer.DialConfig) { d.User, d.Password = "bob", "bobs new password" }
		other := w.client(nil)
		second := other.mustDial(bob)
		w.wantLog("session-up", "address", "10.100.1.3")
		w.client(nil).wantRefused(bob) // two sessions by now
		w.wantLog("login-refused", "cause", "session limit reached")
		conn.Close(context.Background())
		<-conn.Done()
		if _, err := w.server.Apply(context.Background(), parse(testConfig)); err != nil {
			t.Fatal(err)
		}
		other.wantPing(second, "198.18.0.2")
		w.client(nil).wantRefused(bob)
		second.Close(context.Background())
		<-second.Done()
		time.Sleep(3 * time.Minute)
		w.wantEmpty()
	})
}

// TestRestartIsNamed: what only a restart changes is named with its line, at each time that
// a configuration says it, and nothing else of that configuration waits for it.
func TestRestartIsNamed(t *testing.T) {
	inWorld(t, goodRoad, testConfig, func(t *testing.T, w *world) {
		c := w.client(nil)
		stop := c.stream(c.mustDial())
		yaml := "ports: {ike: 501, nat_t: 4501}\nstate: /var/lib/other\nworkers: 3\nlog: {level: debug}\nredirect: {to: other.example.org, when: always}\n" +
			strings.NewReplacer("listen: [203.0.113.1]", "listen:\n  - 203.0.113.7", "bobpw", "bobs new password").Replace(testConfig)
		for range 2 {
			next, err := config.Parse("test.yaml", []byte(yaml))
			if err != nil {
				t.Fatal(err)
			}
			changes, err := w.server.Apply(t.Context(), next)
			want := []string{"listen (test.yaml:8)", "ports (test.yaml:1)", "state (test.yaml:2)", "workers (test.yaml:3)", "log (test.yaml:4)", "redirect.when (test.yaml:5)"}
			if err != nil || !slices.Equal(changes.RestartNeeded, want) {
				t.Errorf("%v, %v; want %v", changes.RestartNeeded, err, want)
			}
		}
		w.client(nil).mustDial(func(d *dialer.DialConfig) { d.User, d.Password = "bob", "bobs new password" })
		if lost, sent := stop(); lost > 0 {
			t.Errorf("lost %d of %d packets", lost, sent)
		}
	})
}
