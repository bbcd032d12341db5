package main

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"runtime/debug"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"go.uber.org/zap"

	"github.com/culvert-vpn/culvert/internal/config"
)

// outcome is what a command line did.
type outcome struct {
	code     int
	out, err string
}

// call runs a command line with something on standard input.
func call(t *testing.T, in string, args ...string) outcome {
	t.Helper()
	var out, err bytes.Buffer
	args = append([]string{}, args...) // cobra takes none at all for those of the process
	code := run(context.Background(), args, streams{strings.NewReader(in), &out, &err})
	return outcome{code, out.String(), err.String()}
}

// wantCall runs a command line that ends with a code and says something.
func wantCall(t *testing.T, code int, says string, in string, args ...string) outcome {
	t.Helper()
	o := call(t, in, args...)
	if o.code != code || !strings.Contains(o.out+o.err, says) {
		t.Errorf("culvert %s: code %d, want %d and %q\n%s%s", strings.Join(args, " "), o.code, code, says, o.out, o.err)
	}
	return o
}

// write writes a file that only its owner may read, and returns its path.
func write(t *testing.T, name, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestExitCodes(t *testing.T) {
	bad := write(t, "bad.yaml", "tenant: []\n")
	for _, test := range []struct {
		code int
		says string
		args []string
	}{
		{exitOK, "culvert serve", nil},
		{exitOK, "Exit codes", []string{"--help"}},
		{exitOK, "culvert", []string{"version"}},
		{exitOK, "tenants:", []string{"config", "example"}},
		{exitOK, "check", []string{"config"}},
		{exitUsage, "unknown command", []string{"sevre"}},
		{exitUsage, "unknown command", []string{"config", "chekc"}},
		{exitUsage, "takes a FILE", []string{"config", "check"}},
		{exitUsage, "try culvert config check --help", []string{"config", "check"}},
		{exitUsage, "try culvert version --help", []string{"version", "--long"}},
		{exitUsage, "try culvert --help", []string{"sevre"}},
		{exitUsage, "takes no arguments", []string{"version", "now"}},
		{exitUsage, "unknown flag", []string{"version", "--long"}},
		{exitInvalid, "did you mean", []string{"serve", "--config", bad}},
		{exitUsage, "needs --psk, --user and --password", []string{"connect", "192.0.2.1"}},
		{exitUsage, "--local is not an address", []string{"connect", "192.0.2.1", "--psk", "x", "--user", "u", "--password", "p", "--local", "here"}},
		{exitUsage, "--route is not a network", []string{"connect", "192.0.2.1", "--psk", "x", "--user", "u", "--password", "p", "--route", "10.1.2.3/8"}},
		{exitUsage, "--log-level", []string{"connect", "192.0.2.1", "--psk", "x", "--user", "u", "--password", "p", "--log-level", "loud"}},
		{exitUsage, "--ike, --esp", []string{"connect", "192.0.2.1", "--psk", "x", "--user", "u", "--password", "p", "--esp", "rot13"}},
		{exitUsage, "L2TP with certificates needs", []string{"connect", "192.0.2.1", "--ca", "ca.crt"}},
		{exitUsage, "in place of --psk", []string{"connect", "192.0.2.1", "--psk", "x", "--user", "u", "--password", "p", "--ca", "ca.crt"}},
		{exitFailed, "--ca:", []string{"connect", "192.0.2.1", "--ca", "/nowhere/ca.crt", "--cert", "a.crt", "--key", "a.key", "--user", "u", "--password", "p"}},
		{exitUsage, "--group goes with --psk", []string{"connect", "192.0.2.1", "--group", "g", "--ikev2", "--psk", "x"}},
		{exitUsage, "--eap-tls needs --cert", []string{"connect", "192.0.2.1", "--psk", "x", "--eap-tls", "--ca", "ca.crt"}},
		{exitUsage, "--eap-tls needs --cert", []string{"connect", "192.0.2.1", "--eap-tls"}},
		{exitUsage, "--xauth is a way of its own", []string{"connect", "192.0.2.1", "--xauth", "--ikev2", "--psk", "x"}},
		{exitUsage, "--xauth is a way of its own", []string{"connect", "192.0.2.1", "--xauth", "--l2tp-secret", "x", "--psk", "x", "--user", "u", "--password", "p"}},
		{exitUsage, "needs --psk, --user and --password", []string{"connect", "192.0.2.1", "--xauth", "--psk", "x"}},
		{exitUsage, "--ikev2 needs --ca", []string{"connect", "192.0.2.1", "--ikev2", "--user", "u", "--password", "p"}},
		{exitUsage, "takes no --user", []string{"connect", "192.0.2.1", "--ikev2", "--psk", "x", "--user", "u"}},
		{exitFailed, "--ca:", []string{"connect", "192.0.2.1", "--ikev2", "--ca", "/nowhere/ca.crt", "--user", "u", "--password", "p"}},
		{exitFailed, "--psk:", []string{"connect", "192.0.2.1", "--psk", "file:/nowhere/psk", "--user", "u", "--password", "p"}},
		{exitFailed, "user's name", []string{"quickstart", "--state", t.TempDir(), "--user", ""}},
		{exitFailed, "does not exist", []string{"config", "check", "/nowhere/culvert.yaml"}},
		{exitInvalid, "did you mean \"tenants\"?", []string{"config", "check", bad}},
	} {
		o := wantCall(t, test.code, test.says, "", test.args...)
		if test.code != exitOK && o.out != "" {
			t.Errorf("%v: on standard output: %s", test.args, o.out)
		}
		if test.code == exitFailed && strings.Count(o.err, "\n") != 1 {
			t.Errorf("%v: more than one line: %s", test.args, o.err)
		}
	}
}

// TestServeSaysWhatToDo starts a server on a port that is taken, and one on an
// address that this host does not have.
func TestServeSaysWhatToDo(t *testing.T) {
	taken, err := net.ListenPacket("udp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	port := taken.LocalAddr().(*net.UDPAddr).Port
	for listen, says := range map[string]string{"127.0.0.1": "another culvert or IPsec daemon", "203.0.113.77": "does not have the address"} {
		text := fmt.Sprintf("listen: [%s]\nstate: %s\nports: {ike: %d, nat_t: 4500}\ntenants: [{name: a, psk: a-long-enough-key, pool: 10.1.0.0/24}]\n", listen, t.TempDir(), port)
		o := wantCall(t, exitFailed, says, "", "serve", "--config", write(t, "c.yaml", text))
		if !strings.Contains(o.err, "culvert: ") {
			t.Errorf("%s: %s", listen, o.err)
		}
	}
}

func TestLog(t *testing.T) {
	for format, want := range map[string]string{"console": `\tINFO\tup\t\{"tenant": "acme"\}\n$`, "json": `^\{"level":"info","time":"20.*","event":"up","tenant":"acme"\}\n$`} {
		var b bytes.Buffer
		log, err := newLog(&b, config.Log{Level: "info", Format: format})
		if err != nil {
			t.Fatal(err)
		}
		log.Debug("not shown")
		log.Info("up", zap.String("tenant", "acme"))
		if !regexp.MustCompile(want).MatchString(b.String()) {
			t.Errorf("%s: %s", format, b.String())
		}
	}
}

func TestConfigCheck(t *testing.T) {
	path := write(t, "good.yaml", `tenants:
  - {name: acme, psk: not-to-be-shown, match: {realms: [acme]}, pool: [10.1.0.0/24, "2001:db8:1::/48"]}
  - {name: globex, psk: short, pool: 10.1.0.0/24, egress: {tun: {device: tun0, netns: globex}}}
`)
	o := wantCall(t, exitOK, "acme: realms acme; 1 key(s); 0 user(s) in the file; pool 10.1.0.0/24; pool 2001:db8:1::/48; egress netstack", "", "config", "check", path)
	for _, says := range []string{"egress tun0 globex", "2 tenant(s)", "0.0.0.0, ::"} {
		if !strings.Contains(o.out, says) {
			t.Errorf("does not say %q:\n%s", says, o.out)
		}
	}
	if !strings.Contains(o.err, "warning: "+path+":3:") || strings.Contains(o.out+o.err, "not-to-be-shown") {
		t.Errorf("warnings:\n%s", o.err)
	}
}

// twoTenants writes a configuration with its state beside it.
func twoTenants(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	path := filepath.Join(dir, "culvert.yaml")
	text := `state: ` + dir + `/state
tenants:
  - {name: acme, match: {realms: [acme]}, psk: env:NOT_SET_HERE, pool: 10.1.0.0/24, auth: {local: {users: [{name: root, password: file:nowhere}]}}}
  - {name: globex, default: true, psk: another-long-key, pool: 10.1.0.0/24}
`
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestUser(t *testing.T) {
	path := twoTenants(t)
	user := func(code int, says, in string, args ...string) outcome {
		t.Helper()
		return wantCall(t, code, says, in, append([]string{"user", "--config", path}, args...)...)
	}
	user(exitOK, "user alice of tenant globex added", "secret\n", "add", "alice", "--password-stdin")
	user(exitFailed, "culvert user passwd Alice", "secret\n", "add", "Alice", "--password-stdin")
	o := user(exitOK, "user alice of tenant acme added", "", "add", "alice", "--tenant", "acme")
	if !regexp.MustCompile(`\npassword: \w{4}-\w{4}-\w{4}-\w{4}\n$`).MatchString(o.out) {
		t.Errorf("no password was made:\n%s", o.out)
	}
	user(exitFailed, "holds no password", "\n", "add", "bob", "--password-stdin")
	user(exitFailed, "is the realm of a tenant", "", "add", "bob@acme")
	user(exitFailed, "written in the configuration", "", "add", "root", "--tenant", "acme")
	user(exitFailed, "there is no tenant initech; there is acme, globex", "", "add", "bob", "--tenant", "initech")
	user(exitUsage, "takes a NAME", "", "add")

	user(exitOK, "another password", "new\n", "passwd", "alice", "--password-stdin")
	user(exitFailed, "has no user bob", "", "passwd", "bob")
	user(exitFailed, "change it there", "", "passwd", "root", "--tenant", "acme")
	user(exitOK, "disabled", "", "disable", "alice")
	list := user(exitOK, "TENANT", "", "list")
	for _, line := range []string{`acme +root +configuration +enabled`, `acme +alice +store +enabled +20`, `globex +alice +store +disabled +20`} {
		if !regexp.MustCompile(line).MatchString(list.out) {
			t.Errorf("list has no line %q:\n%s", line, list.out)
		}
	}
	if only := user(exitOK, "globex", "", "list", "--tenant", "globex"); strings.Contains(only.out, "acme") {
		t.Errorf("list of one tenant:\n%s", only.out)
	}
	user(exitOK, "enabled", "", "enable", "alice")
	user(exitOK, "removed", "", "del", "alice")
	user(exitFailed, "has no user alice, and tenant acme has: say --tenant acme", "", "del", "alice")
	user(exitFailed, "has no user root, and tenant acme has: say --tenant acme", "", "disable", "root")
	user(exitFailed, "has no user nobody; culvert user list", "", "disable", "nobody")
	user(exitFailed, "change it there", "", "del", "root", "--tenant", "acme")
}

func TestUserWithoutDefaultTenant(t *testing.T) {
	path := write(t, "c.yaml", `tenants:
  - {name: a, psk: a-long-enough-key, pool: 10.1.0.0/24}
  - {name: b, psk: another-long-key, pool: 10.1.0.0/24}
`)
	wantCall(t, exitUsage, "say --tenant, one of a, b", "", "user", "add", "alice", "--config", path)
}

// TestConnectWithoutNamespace: a namespace that is not there is told before anything is dialled.
func TestConnectWithoutNamespace(t *testing.T) {
	o := wantCall(t, exitFailed, "ip netns add no-such-namespace", "", "connect", "127.0.0.1", "--psk", "a-long-enough-key",
		"--user", "alice", "--password", "secret", "--netns", "no-such-namespace", "--once")
	if strings.Contains(o.err, "dialling") {
		t.Errorf("it was dialled first: %s", o.err)
	}
}

// TestHelp holds every command to a help text that is worth reading.
func TestHelp(t *testing.T) {
	var visit func(c *cobra.Command)
	visit = func(c *cobra.Command) {
		if c.Short == "" || strings.HasSuffix(c.Short, ".") || len(c.Long) <= len(c.Short) {
			t.Errorf("%s: short %q, long %q", c.CommandPath(), c.Short, c.Long)
		}
		for _, line := range strings.Split(c.Long, "\n") {
			if len(line) > 80 {
				t.Errorf("%s: a line of %d characters: %s", c.CommandPath(), len(line), line)
			}
		}
		for _, sub := range c.Commands() {
			visit(sub)
		}
	}
	visit(newRoot(streams{strings.NewReader(""), &bytes.Buffer{}, &bytes.Buffer{}}))
}

func TestVersion(t *testing.T) {
	info := &debug.BuildInfo{Main: debug.Module{Version: "v1.2.3"}, Settings: []debug.BuildSetting{{Key: "vcs.revision", Value: "abc"}, {Key: "vcs.modified", Value: "true"}}}
	if got := versionOf(info); !strings.HasPrefix(got, "culvert v1.2.3, commit abc and changes, go") {
		t.Error(got)
	}
	if got := versionOf(nil); !strings.HasPrefix(got, "culvert (unknown), go") {
		t.Error(got)
	}
}
