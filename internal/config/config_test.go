package config

import (
	"bytes"
	"errors"
	"flag"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

var update = flag.Bool("update", false, "rewrite the expected errors of testdata/configs/bad")

const configs = "../../testdata/configs"

// stage puts the secret files that the test configurations name into a
// directory, with the modes that matter, and goes there.
func stage(t *testing.T) {
	t.Helper()
	dir := t.TempDir()
	for name, file := range map[string]struct {
		content string
		mode    os.FileMode
	}{
		"good.psk":  {"from-a-file-with-a-newline\n", 0o600},
		"open.psk":  {"not-to-be-shown\n", 0o644},
		"empty.psk": {"\n", 0o600},
	} {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(file.content), file.mode); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(path, file.mode); err != nil {
			t.Fatal(err)
		}
	}
	t.Chdir(dir)
	t.Setenv("CULVERT_TEST_PSK", "from-the-environment")
}

// texts returns the configurations of a directory, by name.
func texts(tb testing.TB, kind string) map[string][]byte {
	tb.Helper()
	paths, err := filepath.Glob(filepath.Join(configs, kind, "*.yaml"))
	if err != nil || len(paths) == 0 {
		tb.Fatalf("no configurations in %s: %v", kind, err)
	}
	all := map[string][]byte{}
	for _, path := range paths {
		b, err := os.ReadFile(path)
		if err != nil {
			tb.Fatal(err)
		}
		all[filepath.Base(path)] = b
	}
	return all
}

func TestBadConfigsSayWhatToWrite(t *testing.T) {
	dir, err := filepath.Abs(filepath.Join(configs, "bad"))
	if err != nil {
		t.Fatal(err)
	}
	files := texts(t, "bad")
	stage(t)
	for name, text := range files {
		t.Run(name, func(t *testing.T) {
			_, err := Parse(name, text)
			if !errors.Is(err, ErrInvalid) {
				t.Fatalf("error is %v, want ErrInvalid", err)
			}
			got := err.Error() + "\n"
			if strings.Contains(got, "to-be") || strings.Contains(got, "to be shown") || strings.Contains(got, "0123456789abcdef") {
				t.Errorf("a secret shows:\n%s", got)
			}
			golden := filepath.Join(dir, strings.TrimSuffix(name, ".yaml")+".err")
			if *update {
				if err := os.WriteFile(golden, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			if got != string(want) {
				t.Errorf("got\n%s\nwant\n%s", got, want)
			}
		})
	}
}

func TestGoodConfigs(t *testing.T) {
	files := texts(t, "good")
	stage(t)
	for name, text := range files {
		t.Run(name, func(t *testing.T) {
			c, err := Parse(name, text)
			if err != nil {
				t.Fatal(err)
			}
			for i := range c.Tenants {
				if !c.Tenants[i].Gateway().IsValid() {
					t.Errorf("tenant %s has no gateway", c.Tenants[i].Name)
				}
			}
		})
	}
}

// wantConfig parses a configuration that is right.
func wantConfig(t *testing.T, text string) *Config {
	t.Helper()
	c, err := Parse("test.yaml", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestDefaults(t *testing.T) {
	c := wantConfig(t, "tenants: [{name: office, psk: a-long-enough-secret, pool: 10.100.1.0/24}]")
	if want := []netip.Addr{netip.MustParseAddr("0.0.0.0"), netip.MustParseAddr("::")}; !slices.Equal(c.Listen, want) {
		t.Errorf("listen %v", c.Listen)
	}
	if c.Ports != (Ports{500, 4500}) || c.State != "/var/lib/culvert" || c.Log != (Log{"info", "console"}) || c.Workers != 0 {
		t.Errorf("top: %+v", c)
	}
	o := c.Tenants[0]
	if o.Auth.Allow != (Methods{MSCHAPv2: true}) || o.Legacy || o.Egress.Netstack == nil || o.Egress.TUN != nil || o.MTU != 0 {
		t.Errorf("tenant: %+v", o)
	}
	if o.IKE != (IKE{24 * time.Hour, 8 * time.Hour, false, DPD{30 * time.Second, 5}}) || o.Limits != (Limits{SessionsPerUser: 16, LoginFailures: 5, Lockout: Lockout{15 * time.Minute, 50, 50, 100}, Flows: 4096}) {
		t.Errorf("tenant: %+v %+v", o.IKE, o.Limits)
	}
	if got := o.Gateway(); got != netip.MustParseAddr("10.100.1.1") {
		t.Errorf("gateway %v", got)
	}
	if d, ok := c.DefaultTenant(); !ok || d.Name != "office" {
		t.Errorf("the only tenant is not the default")
	}
}

func TestEveryKeyIsRead(t *testing.T) {
	text := texts(t, "good")["rotation.yaml"]
	stage(t)
	c := wantConfig(t, string(text))
	if c.Ports != (Ports{5500, 5501}) || c.Log != (Log{"debug", "json"}) || c.Workers != 2 {
		t.Errorf("top: %+v", c)
	}
	o, ok := c.Tenant("office")
	if !ok || len(o.PSKs) != 2 || string(o.PSKs[0].Bytes()) != "from-a-file-with-a-newline" || string(o.PSKs[1].Bytes()) != "from-the-environment" {
		t.Fatalf("keys are not what the file and the environment hold")
	}
	if o.Match.Realms[0] != "office" || !o.Legacy || o.MTU != 1300 || o.Auth.Allow != (Methods{MSCHAPv2: true, EAP: true, CHAP: true, PAP: true}) {
		t.Errorf("tenant: %+v", o)
	}
	if u, ok := o.User("BOB"); !ok || u.NTHash.Len() != 16 || u.Password.Len() != 0 {
		t.Errorf("bob is not found by another case of letters, or without a hash")
	}
	want := []Lease{{User: "Bob", Addr: netip.MustParseAddr("10.100.1.9")}, {User: "carol", Addr: netip.MustParseAddr("10.100.2.2")}}
	if !slices.Equal(o.Leases, want) {
		t.Errorf("leases %v", o.Leases)
	}
	if o.IKE != (IKE{45 * time.Second, 20 * time.Second, true, DPD{0, 5}}) || o.Limits != (Limits{10, 3, 7, Lockout{time.Hour, 30, 0, 200}, 12 * time.Hour, 30 * time.Minute, 100}) {
		t.Errorf("tenant: %+v %+v", o.IKE, o.Limits)
	}
	if len(o.Routes) != 2 || len(o.DNS) != 1 || len(o.NBNS) != 1 || len(o.Egress.Netstack.Allow) != 2 || len(o.Egress.Netstack.Deny) != 1 {
		t.Errorf("tenant: %+v", o)
	}
}

func TestExampleIsValidAndComplete(t *testing.T) {
	c := wantConfig(t, string(Example()))
	if len(c.Warnings) != 0 {
		t.Errorf("the example is warned about:\n%v", c.Warnings)
	}
	sources, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	keys := map[string]bool{}
	for _, path := range sources {
		b, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if strings.HasSuffix(path, "_test.go") {
			continue
		}
		for _, m := range regexp.MustCompile(`\{"([a-z0-9_]+)", .*func\(v value\)`).FindAllSubmatch(b, -1) {
			keys[string(m[1])] = true
		}
	}
	if len(keys) < 50 {
		t.Errorf("only %d keys are read", len(keys))
	}
	for key := range keys {
		if !regexp.MustCompile(`[ {#]`+key+`: `).Match(Example()) && !regexp.MustCompile(`(?m)[ {#]`+key+`:?$|^`+key+`:`).Match(Example()) {
			t.Errorf("the example does not show %s", key)
		}
	}
}

func TestQuickstart(t *testing.T) {
	c := wantConfig(t, string(Quickstart(QuickstartConfig{State: "/var/lib/it's", PSK: "abc: 'def' #gh", User: "alice", Password: `"x\y"`})))
	o := c.Tenants[0]
	if string(o.PSKs[0].Bytes()) != "abc: 'def' #gh" || string(o.Auth.Users[0].Password.Bytes()) != `"x\y"` || c.State != "/var/lib/it's" {
		t.Errorf("what was put in did not come out")
	}
	if o.Legacy {
		t.Errorf("a first run allows what can be broken")
	}
}

// TestSecretsEndWithTheirLine: a block of YAML, a variable of the environment and a file
// end with a newline that no client's user types. It is left out, and said once.
func TestSecretsEndWithTheirLine(t *testing.T) {
	t.Setenv("CULVERT_TEST_LINE", "correct horse battery staple\r\n")
	const want = "correct horse battery staple"
	for name, text := range map[string]string{
		"block":    "tenants:\n  - name: a\n    psk:\n      - |\n        correct horse battery staple\n    pool: [10.0.0.0/24]\n",
		"folded":   "tenants:\n  - name: a\n    psk:\n      - >\n        correct horse\n        battery staple\n    pool: [10.0.0.0/24]\n",
		"quoted":   "tenants: [{name: a, psk: \"correct horse battery staple\\n\", pool: 10.0.0.0/24}]",
		"variable": "tenants: [{name: a, psk: 'env:CULVERT_TEST_LINE', pool: 10.0.0.0/24}]",
	} {
		c := wantConfig(t, text)
		if got := c.Tenants[0].PSKs[0].Bytes(); string(got) != want {
			t.Errorf("%s: the key is %q", name, got)
		}
		if len(c.Warnings) != 1 || !strings.Contains(c.Warnings.Error(), "ends with a newline") || strings.Contains(c.Warnings.Error(), "horse") {
			t.Errorf("%s: %v", name, c.Warnings)
		}
	}
	c := wantConfig(t, "tenants:\n  - name: a\n    psk: [long-enough-key]\n    pool: [10.0.0.0/24]\n    auth:\n      local:\n        users:\n          - name: alice\n            password: |\n              correct horse battery staple\n")
	if got := c.Tenants[0].Auth.Users[0].Password.Bytes(); string(got) != want || len(c.Warnings) != 1 {
		t.Errorf("password: %q, %v", got, c.Warnings)
	}
	if s, err := ResolveSecret("env:CULVERT_TEST_LINE"); err != nil || string(s.Bytes()) != want {
		t.Errorf("on a command line: %q, %v", s.Bytes(), err)
	}
	if _, err := ResolveSecret("\n"); err == nil {
		t.Errorf("a newline alone is taken for a secret")
	}
}

// TestSecretsHaveNothingThatNobodySees: what an editor puts before the text, and cannot be
// typed into a client, is left out; space at the ends is kept and told; a text of another
// encoding is refused.
func TestSecretsHaveNothingThatNobodySees(t *testing.T) {
	const key = "correct horse battery staple"
	dir := t.TempDir()
	psk := filepath.Join(dir, "a.psk")
	yaml := "tenants: [{name: a, psk: 'file:" + psk + "', pool: 10.0.0.0/24}]"
	for _, test := range []struct{ file, want, warning string }{
		{key, key, ""},
		{"\ufeff" + key + "\r\n", key, ""},
		{key + " \n", key + " ", "begins or ends with a space"},
		{"\t" + key, "\t" + key, "begins or ends with a space"},
		{"\u00a0" + key, "\u00a0" + key, "begins or ends with a space"},
		{"\xff\xfek\x00e\x00y\x00", "", "UTF-16"},
		{"\xfe\xff\x00k\x00e\x00y", "", "UTF-16"},
		{"\ufeff\n", "", "is empty"},
	} {
		if err := os.WriteFile(psk, []byte(test.file), 0o600); err != nil {
			t.Fatal(err)
		}
		typed, typedErr := ResolveSecret("file:" + psk)
		c, err := Parse(filepath.Join(dir, "culvert.yaml"), []byte(yaml))
		if test.want == "" {
			if err == nil || !strings.Contains(err.Error(), test.warning) || typedErr == nil {
				t.Errorf("%q: %v; on a command line: %v", test.file, err, typedErr)
			}
			continue
		}
		if err != nil || typedErr != nil {
			t.Errorf("%q: %v, %v", test.file, err, typedErr)
			continue
		}
		if got := c.Tenants[0].PSKs[0].Bytes(); string(got) != test.want || string(typed.Bytes()) != test.want {
			t.Errorf("%q: the key is %q, and on a command line %q", test.file, got, typed.Bytes())
		}
		if told := c.Warnings.Error(); (test.warning == "") != (len(c.Warnings) == 0) || !strings.Contains(told, test.warning) || strings.Contains(told, "horse") {
			t.Errorf("%q: %v", test.file, c.Warnings)
		}
	}
	c := wantConfig(t, "tenants: [{name: a, psk: ' long-enough-key', pool: 10.0.0.0/24}]")
	if len(c.Warnings) != 1 || !strings.Contains(c.Warnings.Error(), "begins or ends with a space") {
		t.Errorf("within the configuration: %v", c.Warnings)
	}
}

func TestWarnings(t *testing.T) {
	for _, test := range []struct{ text, want string }{
		{"tenants: [{name: a, psk: short, pool: 10.0.0.0/24}]", "can guess it"},
		{"tenants: [{name: a, psk: schlüssel-der-tür, pool: 10.0.0.0/24}]", "beyond plain ASCII"},
		{"tenants: [{name: a, match: {groups: [g]}, psk: schlicht-und-kurz, pool: 10.0.0.0/24}]", "this one of 17 bytes"},
		{"ports: {ike: 5000}\ntenants: [{name: a, psk: long-enough-key, pool: 10.0.0.0/24}]", "500 and 4500 only"},
	} {
		c := wantConfig(t, test.text)
		if len(c.Warnings) != 1 || !strings.Contains(c.Warnings.Error(), test.want) {
			t.Errorf("%s: warnings %v, want %q", test.text, c.Warnings, test.want)
		}
		if strings.Contains(c.Warnings.Error(), "short,") || strings.Contains(c.Warnings.Error(), "schl") {
			t.Errorf("a secret shows:\n%v", c.Warnings)
		}
	}
}

func TestLoad(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "culvert.yaml")
	if _, err := Load(path); err == nil || errors.Is(err, ErrInvalid) || !strings.Contains(err.Error(), "culvert config example") {
		t.Errorf("a missing file: %v", err)
	}
	text := []byte("tenants: [{name: a, psk: file:a.psk, pool: 10.0.0.0/24}]\n")
	for name, b := range map[string][]byte{path: text, filepath.Join(dir, "a.psk"): []byte("beside-the-file\r\n")} {
		if err := os.WriteFile(name, b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	c, err := Load(path)
	if err != nil {
		t.Fatal(err)
	}
	if got := string(c.Tenants[0].PSKs[0].Bytes()); got != "beside-the-file" {
		t.Errorf("psk %q", got)
	}
	if err := os.WriteFile(path, bytes.ReplaceAll(text, []byte("file:a.psk"), []byte("written-out")), 0o600); err != nil {
		t.Fatal(err)
	}
	for mode, want := range map[os.FileMode]int{0o600: 0, 0o640: 1} {
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
		c, err = Load(path)
		if err != nil || len(c.Warnings) != want {
			t.Errorf("mode %o: %v, warnings %v", mode, err, c.Warnings)
		}
	}
}

func TestColonsWithinBraces(t *testing.T) {
	t.Setenv("CULVERT_TEST_PSK", "from-the-environment")
	c := wantConfig(t, `{tenants: [{name: a, psk: [env:CULVERT_TEST_PSK, second-key], pool: [10.0.0.0/24], match: {local: [2001:db8::1]},
  auth: {local: {users: [{name: u, password: env:CULVERT_TEST_PSK}]}}, egress: {netstack: {allow: [2001:db8::/32, 10.0.0.0/8]}}}]}`)
	a := c.Tenants[0]
	if string(a.PSKs[0].Bytes()) != "from-the-environment" || a.Match.Local[0] != netip.MustParseAddr("2001:db8::1") || len(a.Egress.Netstack.Allow) != 2 {
		t.Errorf("tenant %+v", a)
	}
}

func TestLoadOutline(t *testing.T) {
	path := filepath.Join(t.TempDir(), "culvert.yaml")
	text := "tenants: [{name: a, psk: [env:NOWHERE, file:nowhere], pool: 10.0.0.0/24, auth: {local: {users: [{name: u, nt_hash: file:nowhere}]}}}]"
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Load(path); !errors.Is(err, ErrInvalid) {
		t.Errorf("secrets that are not there: %v", err)
	}
	c, err := LoadOutline(path)
	if err != nil || string(c.Tenants[0].PSKs[0].Bytes()) != "env:NOWHERE" {
		t.Errorf("the outline: %v", err)
	}
}

func TestZero(t *testing.T) {
	c := wantConfig(t, string(Example()))
	psk := c.Tenants[0].PSKs[0].Bytes()
	c.Zero()
	if !bytes.Equal(psk, make([]byte, len(psk))) {
		t.Errorf("the key is still there")
	}
	if c.Tenants[0].Auth.Users[0].Password.Len() != 0 {
		t.Errorf("the password is still there")
	}
}

func FuzzParse(f *testing.F) {
	for _, kind := range []string{"good", "bad"} {
		for _, text := range texts(f, kind) {
			f.Add(text)
		}
	}
	f.Add(Example())
	out := outside{
		file: func(string) ([]byte, error) { return []byte("from-a-file"), nil },
		env:  func(string) (string, bool) { return "from-the-environment", true },
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		c, err := parse("fuzz.yaml", text, out)
		if err != nil {
			for _, p := range err.(Problems) {
				if p.Line < 1 || p.Column < 1 || p.Text == "" || p.Remedy == "" {
					t.Errorf("a problem without a place or a remedy: %#v", p)
				}
			}
			return
		}
		if len(c.Tenants) == 0 || len(c.Listen) == 0 {
			t.Errorf("accepted with nothing to serve: %+v", c)
		}
		for i := range c.Tenants {
			if o := &c.Tenants[i]; o.Name == "" || len(o.PSKs) == 0 || len(o.Pool) == 0 || (o.Egress.Netstack == nil) == (o.Egress.TUN == nil) {
				t.Errorf("accepted without what it needs: %+v", o)
			}
		}
	})
}

// TestPlace: what a configuration says is found again, written however.
func TestPlace(t *testing.T) {
	c, err := Parse("c.yaml", []byte(`listen: &all [0.0.0.0]
tenants:
  - name: acme
    default: true
    psk: [a-long-enough-key]
    pool: 10.1.0.0/24
    egress:
      tun:
        device: acme0
  - {name: globex, match: {realms: [globex]}, psk: another-long-key,
     pool: 10.2.0.0/24}
`))
	if err != nil {
		t.Fatal(err)
	}
	for want, got := range map[string]string{
		"c.yaml:1": c.Place("", "listen"), "": c.Place("", "ports"), "c.yaml:9": c.Place("acme", "egress", "tun", "device"),
		"c.yaml:9 ": c.Place("acme", "egress", "tun") + " ", "c.yaml:10": c.Place("globex", "egress", "tun", "netns"), "c.yaml:11": c.Place("globex", "pool"),
		" ": c.Place("nobody", "pool") + " ", "  ": new(Config).Place("", "listen") + "  ",
	} {
		if strings.TrimSpace(got) != strings.TrimSpace(want) {
			t.Errorf("%q, want %q", got, want)
		}
	}
}
