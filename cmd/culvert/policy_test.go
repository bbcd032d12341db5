package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestPolicyTest: what decides is named, and scripts learn it by the exit code.
func TestPolicyTest(t *testing.T) {
	path := write(t, "c.yaml", `tenants:
  - name: acme
    psk: file:/nowhere/that/this/command/needs
    pool: 10.1.0.0/24
    groups: {engineers: [ann]}
    policy:
      default: deny
      rules:
        - {name: web, from: group:engineers, to: 10.20.0.0/16, ports: tcp/80, when: mon-fri 08:00-18:00 UTC, allow: true}
`)
	for _, c := range []struct {
		code int
		says string
		args []string
	}{
		{exitOK, "allowed by rule web", []string{"--user", "Ann", "--to", "10.20.0.5:tcp/80", "--at", "2026-01-05T09:00:00Z"}},
		{exitFailed, "denied by default of policy", []string{"--user", "ann", "--to", "10.20.0.5:tcp/80", "--at", "2026-01-04T09:00:00Z"}},
		{exitFailed, "denied by default of policy", []string{"--user", "bob", "--to", "10.20.0.5:tcp/80", "--tenant", "acme"}},
		{exitFailed, "clients: isolated", []string{"--user", "bob", "--to", "10.1.0.9:tcp/80"}},
		{exitFailed, "metadata", []string{"--user", "bob", "--to", "169.254.169.254:tcp/80"}},
		{exitOK, "design", []string{"--user", "bob", "--to", "10.1.0.1:udp/53"}},
		{exitFailed, "no tenant", []string{"--user", "bob", "--to", "10.1.0.1:udp/53", "--tenant", "globex"}},
		{exitUsage, "--to is not", []string{"--user", "bob", "--to", "10.1.0.1"}},
		{exitUsage, "--user", []string{"--to", "10.1.0.1:udp/53"}},
		{exitUsage, "--at is not", []string{"--user", "bob", "--to", "10.1.0.1:udp/53", "--at", "noon"}},
	} {
		wantCall(t, c.code, c.says, "", append([]string{"policy", "test", "--config", path}, c.args...)...)
	}
}

// TestPolicyTestAsksTheStore: groups and filters of a user who is kept there count, and it is
// said where they cannot be known.
func TestPolicyTestAsksTheStore(t *testing.T) {
	state := filepath.Join(t.TempDir(), "state")
	path := write(t, "c.yaml", fmt.Sprintf(`state: %s
tenants:
  - name: acme
    psk: a-long-enough-secret
    pool: 10.1.0.0/24
    pools: {vip: 10.9.0.0/24}
    auth: {local: {users: [{name: ann, password: anns-password, groups: [engineers]}]}}
    groups: {engineers: [], guests: {filters: [web-only]}}
    policy: {default: deny, rules: [{name: inside, from: [group:engineers, group:guests], to: 10.20.0.0/16, allow: true}, {name: vips, from: "pool:vip", to: 10.30.0.0/16, allow: true}]}
    filters:
      web-only: {default: deny, rules: [{name: web, ports: tcp/80, allow: true}]}
      nothing: {default: deny}
`, state))
	ask := func(code int, says, user, to string) outcome {
		t.Helper()
		return wantCall(t, code, says, "", "policy", "test", "--config", path, "--user", user, "--to", to)
	}
	run := func(says string, args ...string) {
		t.Helper()
		wantCall(t, exitOK, says, "a-password-of-bob\n", append([]string{"user", "--config", path}, args...)...)
	}
	ask(exitOK, "allowed by rule inside", "ann", "10.20.0.5:tcp/22")
	ask(exitFailed, "there is no state store in "+state, "bob", "10.20.0.5:tcp/22")
	run("added", "add", "bob", "--groups", "engineers", "--password-stdin")
	if o := ask(exitOK, "allowed by rule inside", "Bob", "10.20.0.5:tcp/22"); strings.Contains(o.err, "store") {
		t.Error(o.err)
	}
	run("groups guests, filters -, pool -", "set", "bob", "--groups", "guests")
	ask(exitOK, "allowed by rule inside", "bob", "10.20.0.5:tcp/80")
	ask(exitFailed, "denied by default of filter web-only", "bob", "10.20.0.5:tcp/22")
	run("groups engineers,guests, filters nothing", "set", "bob", "--groups", "guests,engineers", "--filters", "nothing")
	ask(exitFailed, "denied by default of filter nothing", "bob", "10.20.0.5:tcp/80")
	run("groups engineers,guests, filters -", "set", "bob", "--filters", "")
	run("filters -, pool vip", "set", "bob", "--pool", "vip")
	ask(exitOK, "allowed by rule vips", "bob", "10.30.0.5:tcp/80")
	run("filters -, pool -", "set", "bob", "--pool", "")
	ask(exitFailed, "denied by default", "bob", "10.30.0.5:tcp/80")
	ask(exitFailed, "neither in the configuration nor in the state store", "eve", "10.20.0.5:tcp/80")
	for says, args := range map[string][]string{
		"no pool gold": {"set", "bob", "--pool", "gold"}, "no filter web": {"set", "bob", "--filters", "web"}, "no group guest": {"add", "eve", "--groups", "guest"}, "no user eve": {"set", "eve", "--groups", "guests"},
		"is written in the configuration": {"set", "ann", "--groups", "guests"}, "--groups or --filters": {"set", "bob"},
	} {
		if o := call(t, "", append([]string{"user", "--config", path}, args...)...); o.code == exitOK || !strings.Contains(o.err, says) {
			t.Errorf("%v: %d, %s", args, o.code, o.err)
		}
	}
	o := wantCall(t, exitOK, "GROUPS", "", "user", "list", "--config", path)
	for _, want := range []string{"ann configuration enabled engineers -", " engineers,guests -"} {
		if !strings.Contains(strings.Join(strings.Fields(o.out), " "), want) {
			t.Errorf("%q is not in %s", want, o.out)
		}
	}
	again, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, bytes.Replace(bytes.ReplaceAll(again, []byte("group:guests"), []byte("group:others")), []byte("[], guests"), []byte("[], others"), 1), 0o600); err != nil {
		t.Fatal(err)
	}
	wantCall(t, exitOK, "refused: there is no group guests", "", "user", "list", "--config", path)
	ask(exitFailed, "denied by group guests, which the tenant does not have", "bob", "10.20.0.5:tcp/80")
}
