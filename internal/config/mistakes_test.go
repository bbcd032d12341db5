package config

import (
	"crypto/rand"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/culvert-vpn/culvert/internal/ca"
)

// A fault is told once, as what it is: nothing that follows from it alone.
func TestFaultsAreWhatTheyAre(t *testing.T) {
	for text, want := range map[string]string{
		"hello\n":     "the file wants keys, and has a single value; write tenants:",
		"- name: a\n": "the file wants keys, and has a list; write tenants:",
		"tenants: [{name: a, psk: a-long-enough-secret, pool: [10.1.0.5/24, \"2001:db8:1::/48\"]}]\n": "names a host, not a range; write 10.1.0.0/24",
		"tenants: [{name: a, psk: a-long-enough-secret, pool: [nonsense, \"2001:db8:1::/48\"]}]\n":    "pool[0]",
	} {
		_, err := Parse("culvert.yaml", []byte(text))
		if err == nil || !strings.Contains(err.Error(), want) || strings.Count(err.Error(), "culvert.yaml:") != 1 {
			t.Errorf("%s: want one fault with %q, got:\n%v", text, want, err)
		}
	}
}

// A certificate that clients would refuse is told before they do.
func TestCertificateThatClientsRefuse(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "ca")
	a, err := ca.Init(dir, ca.Options{Name: "test", ECDSA: true, Now: time.Now().Add(-48 * time.Hour), Rand: rand.Reader})
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close()
	if _, err := a.Server(ca.ServerOptions{Names: []string{"good.example.com"}}); err != nil {
		t.Fatal(err)
	}
	if _, err := a.Server(ca.ServerOptions{Names: []string{"old.example.com"}, Valid: 24 * time.Hour}); err != nil {
		t.Fatal(err)
	}
	if _, err := a.Client(ca.ClientOptions{Name: "laptop", Password: "p"}); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{"good.example.com": "", "old.example.com": "has expired on", "laptop": "is not for servers"} {
		text := "tenants: [{name: a, pool: 10.0.0.0/24, certificate: {chain: " + name + ".crt, key: " + name + ".key}}]"
		c, err := Parse(filepath.Join(dir, "culvert.yaml"), []byte(text))
		if err != nil {
			t.Fatal(err)
		}
		var said []string
		for _, w := range c.Warnings {
			said = append(said, w.Headline())
		}
		if all := strings.Join(said, "\n"); !strings.Contains(all, want) || (want == "") != (all == "") {
			t.Errorf("%s: warned of %q, want %q", name, all, want)
		}
	}
}

// A key of several lines is told as that: it is mostly a file with more in it.
func TestKeyOfSeveralLines(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "a.psk"), []byte("a-long-enough-secret\nand its comment\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	c, err := Parse(filepath.Join(dir, "culvert.yaml"), []byte("tenants: [{name: a, pool: 10.0.0.0/24, psk: file:a.psk}]"))
	if err != nil {
		t.Fatal(err)
	}
	if len(c.Warnings) != 1 || !strings.Contains(c.Warnings[0].Headline(), "more than one line") {
		t.Errorf("warnings: %v", c.Warnings)
	}
}
