package quickstart

import (
	"bytes"
	"crypto/rand"
	"errors"
	"io"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/culvert-vpn/culvert/internal/config"
)

// wantSetup prepares a first run in a directory.
func wantSetup(t *testing.T, o Options) *Setup {
	t.Helper()
	s, err := Prepare(o)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// options are those of a first run in a directory of its own.
func options(t *testing.T) Options {
	return Options{State: filepath.Join(t.TempDir(), "state"), User: "alice", Rand: rand.Reader}
}

func TestSecondRunUsesTheSameSecrets(t *testing.T) {
	o := options(t)
	first := wantSetup(t, o)
	second := wantSetup(t, o)
	if !first.Fresh || second.Fresh {
		t.Errorf("fresh is %v, then %v", first.Fresh, second.Fresh)
	}
	a, b := first.Config.Tenants[0], second.Config.Tenants[0]
	if !a.PSKs[0].Equal(b.PSKs[0]) || !a.Auth.Users[0].Password.Equal(b.Auth.Users[0].Password) {
		t.Errorf("the second run has other secrets")
	}
	if third := wantSetup(t, options(t)); third.Config.Tenants[0].PSKs[0].Equal(a.PSKs[0]) {
		t.Errorf("another directory has the same secrets")
	}
	info, err := os.Stat(first.Path)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
	if entries, _ := os.ReadDir(o.State); len(entries) != 1 {
		t.Errorf("left behind: %v", entries)
	}
	if len(first.Config.Warnings) != 0 {
		t.Errorf("warnings: %v", first.Config.Warnings)
	}
}

func TestPrepareRefuses(t *testing.T) {
	for name, change := range map[string]func(*Options){
		"a user with a domain":   func(o *Options) { o.User = `corp\alice` },
		"a relative directory":   func(o *Options) { o.State = "state" },
		"a broken random source": func(o *Options) { o.Rand = iotest.ErrReader(io.ErrUnexpectedEOF) },
	} {
		o := options(t)
		change(&o)
		if _, err := Prepare(o); err == nil {
			t.Errorf("%s is accepted", name)
		}
		if _, err := os.Stat(filepath.Join(o.State, FileName)); err == nil {
			t.Errorf("%s leaves a file", name)
		}
	}
}

func TestEditedFileIsRefusedWithItsLine(t *testing.T) {
	o := options(t)
	s := wantSetup(t, o)
	if err := os.WriteFile(s.Path, []byte("tenant: []\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Prepare(o); !errors.Is(err, config.ErrInvalid) {
		t.Errorf("error %v", err)
	}
}

func TestSecretsAreReadable(t *testing.T) {
	seen := map[string]bool{}
	for range 200 {
		psk, err := NewPSK(rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		if len(psk) != 29 || strings.Trim(psk, letters+"-") != "" || seen[psk] {
			t.Fatalf("psk has %d characters: %s", len(psk), psk)
		}
		seen[psk] = true
	}
	if p, err := NewPassword(bytes.NewReader(bytes.Repeat([]byte{255, 0, 30, 31}, 20))); err != nil || !strings.HasPrefix(p, "a9aa-9aa9") {
		t.Errorf("password %q, %v", p, err)
	}
}

func TestPoolKeepsOutOfTheHostsNetworks(t *testing.T) {
	o := options(t)
	o.Networks = []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("172.16.0.0/12")}
	if p := wantSetup(t, o).Config.Tenants[0].Pool[0]; p != netip.MustParsePrefix("192.168.217.0/24") {
		t.Errorf("pool %v", p)
	}
}

func TestSortAddresses(t *testing.T) {
	var found []netip.Prefix
	for _, s := range []string{"127.0.0.1/8", "10.0.0.5/24", "192.168.1.4/24", "100.64.3.2/10", "169.254.1.1/16", "203.0.113.9/24", "198.51.100.7/24", "2001:db8::1/64", "fe80::1/64"} {
		found = append(found, netip.MustParsePrefix(s))
	}
	a := sortAddresses(found, netip.MustParseAddr("198.51.100.7"))
	if list(a.Public) != "198.51.100.7, 203.0.113.9" || list(a.Private) != "10.0.0.5, 192.168.1.4, 100.64.3.2" || len(a.Networks) != 5 {
		t.Errorf("%+v", a)
	}
	if _, err := FindAddresses(); err != nil {
		t.Error(err)
	}
}

func TestGuide(t *testing.T) {
	s := wantSetup(t, options(t))
	tenant := s.Config.Tenants[0]
	public := netip.MustParseAddr("203.0.113.9")
	private := netip.MustParseAddr("10.0.0.5")
	for _, test := range []struct {
		at    Addresses
		wants []string
	}{
		{Addresses{Public: []netip.Addr{public}}, []string{"203.0.113.9"}},
		{Addresses{Private: []netip.Addr{private}}, []string{"10.0.0.5", "forward UDP ports 500 and 4500"}},
		{Addresses{}, []string{"no IPv4 address"}},
	} {
		var b strings.Builder
		if err := s.Guide(&b, test.at); err != nil {
			t.Fatal(err)
		}
		test.wants = append(test.wants, string(tenant.PSKs[0].Bytes()), string(tenant.Auth.Users[0].Password.Bytes()), "alice", s.Path,
			"Windows 10", "macOS", "iPhone", "Android", "NetworkManager", "made just now")
		for _, want := range test.wants {
			if !strings.Contains(b.String(), want) {
				t.Errorf("the guide does not say %q", want)
			}
		}
		if strings.ContainsAny(b.String(), "{}") {
			t.Errorf("a name in braces is left in the guide")
		}
	}
}

func TestGuideWithoutPasswords(t *testing.T) {
	for user, auth := range map[string]string{
		"culvert user add": "{}",
		"bob":              "{local: {users: [{name: bob, nt_hash: 0123456789abcdef0123456789abcdef}]}}",
	} {
		c, err := config.Parse("test.yaml", []byte("tenants: [{name: a, psk: a-long-enough-key, pool: 10.0.0.0/24, auth: "+auth+"}]"))
		if err != nil {
			t.Fatal(err)
		}
		var b strings.Builder
		if err := (&Setup{Path: "test.yaml", Config: c}).Guide(&b, Addresses{}); err != nil || !strings.Contains(b.String(), user) {
			t.Errorf("the guide does not name %s: %v", user, err)
		}
	}
	c, err := config.Parse("test.yaml", []byte("tenants: [{name: a, psk: a-long-enough-key, pool: 10.0.0.0/24}, {name: b, psk: another-long-key, pool: 10.0.0.0/24}]"))
	if err != nil {
		t.Fatal(err)
	}
	if err := (&Setup{Config: c}).Guide(io.Discard, Addresses{}); err == nil {
		t.Errorf("a guide for nobody in particular")
	}
}
