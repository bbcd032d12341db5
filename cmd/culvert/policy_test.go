package main

import "testing"

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
