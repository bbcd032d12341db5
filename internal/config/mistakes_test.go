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

// Editors of Windows write files in other ways than UTF-8 alone: what can be read is read,
// and of the rest the fault is told, not what the parser of YAML makes of it.
func TestFilesOfOtherEditors(t *testing.T) {
	const text = "tenants:\n  - name: a\n    psk: a-long-enough-secret\n    pool: 10.0.0.0/24\n"
	for _, good := range []string{"\ufeff" + text, strings.ReplaceAll("\ufeff"+text, "\n", "\r\n")} {
		c, err := Parse("culvert.yaml", []byte(good))
		if err != nil || len(c.Tenants) != 1 || string(c.Tenants[0].PSKs[0].Bytes()) != "a-long-enough-secret" {
			t.Errorf("%q: %v", good, err)
		}
	}
	var wide strings.Builder
	for _, b := range []byte(text) {
		wide.Write([]byte{b, 0})
	}
	for bad, want := range map[string]string{
		"\xff\xfe" + wide.String():                      "culvert.yaml:1:1: the file is written in UTF-16, or is no text; save it as UTF-8",
		wide.String():                                   "culvert.yaml:1:1: the file is written in UTF-16, or is no text; save it as UTF-8",
		strings.Replace(text, "long", "l\xf6ng", 1):     "culvert.yaml:3:13: here is a byte that is not UTF-8; save the file as UTF-8",
		"# K\xf6ln\n" + text:                            "culvert.yaml:1:4: here is a byte that is not UTF-8",
		"# K\u00f6ln is \xef\xbf\xbd, K\xf6ln\n" + text: "culvert.yaml:1:15: here is a byte that is not UTF-8",
	} {
		_, err := Parse("culvert.yaml", []byte(bad))
		if err == nil || !strings.Contains(err.Error(), want) || strings.Count(err.Error(), "culvert.yaml:") != 1 {
			t.Errorf("%q: want one fault with %q, got:\n%v", bad, want, err)
		}
		if err != nil && strings.Contains(err.Error(), "secret\n") {
			t.Errorf("%q: the secret is shown:\n%v", bad, err)
		}
	}
}

// A key whose file is not there is that fault, and not a tenant without a key as well.
func TestMissingKeyIsToldOnce(t *testing.T) {
	for _, allow := range []string{"mschapv2, xauth", "ikev2-psk"} {
		_, err := Parse("culvert.yaml", []byte("tenants: [{name: a, pool: 10.0.0.0/24, psk: file:nowhere.psk, auth: {allow: ["+allow+"]}}]"))
		if err == nil || !strings.Contains(err.Error(), "nowhere.psk does not exist") || strings.Count(err.Error(), "culvert.yaml:") != 1 {
			t.Errorf("%s: want one fault, got:\n%v", allow, err)
		}
	}
}
