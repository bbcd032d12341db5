package bench

import (
	"context"
	"fmt"
	"net/netip"
	"strings"
)

// serverConfig is what a culvert under test is told.
type serverConfig struct {
	listen    netip.Addr
	ike, natt uint16
	secret    string // pre-shared key and password
	egress    string // as in the configuration file
	workers   int
	rules     int  // of its policy; 0: none
	older     bool // it may not know every key
}

// The inside of tunnels: who dials in gets one of these addresses.
const (
	poolNetwork = "10.128.0.0/16"
	poolGateway = "10.128.0.1"
	benchUser   = "bench"
)

// text writes the configuration file.
func (c serverConfig) text(state string) string {
	limits := "    limits: {sessions_per_user: 0}\n"
	if c.older {
		limits = ""
	}
	return fmt.Sprintf(`listen: [%s]
ports: {ike: %d, nat_t: %d}
state: %s
workers: %d
log: {level: error}
tenants:
  - name: bench
    default: true
    legacy: true
    psk: [%s]
    auth: {local: {users: [{name: %s, password: %s}]}}
    pool: [%s]
%s%s    egress: %s
`, c.listen, c.ike, c.natt, state, c.workers, c.secret, benchUser, c.secret, poolNetwork, limits, policyText(c.rules), c.egress)
}

// serve starts culvert and waits until it listens.
func (s *site) serve(ctx context.Context, ns *namespace, c serverConfig) (*process, error) {
	path, err := s.write("serve.yaml", c.text(s.dir+"/state"))
	if err != nil {
		return nil, err
	}
	p, err := s.start(ns, "culvert serve", s.program, "serve", "--config", path)
	if err != nil {
		return nil, err
	}
	limit, cancel := patient(ctx)
	defer cancel()
	return p, p.wantUDP(limit, c.natt)
}

// caller is what a culvert that dials is told.
type caller struct {
	secret, user string
	ike, esp     string
	route        string
	clients      int // 0: one, by culvert connect; else that many in one process
}

// dialIn has one or many dial in and waits until all stand.
func (r *road) dialIn(ctx context.Context, c caller) error {
	secret, err := r.write("secret", c.secret)
	if err != nil {
		return err
	}
	start := r.connect
	if c.clients > 0 {
		start = r.callers
	}
	p, err := start(ctx, c, secret)
	if err != nil {
		return err
	}
	limit, cancel := context.WithTimeout(ctx, 3*patience)
	defer cancel()
	line, err := p.wantLine(limit, "up:")
	if err == nil && c.esp != "" && !strings.Contains(line, c.esp) {
		return failed("asked for %s, and got %q", c.esp, line)
	}
	return err
}

// connect starts culvert connect.
func (r *road) connect(_ context.Context, c caller, secret string) (*process, error) {
	args := []string{
		r.program, "connect", serverAddr().String(), "--psk", "file:" + secret, "--password", "file:" + secret, "--user", c.user,
		"--route", c.route, "--device", "bench-connect", "--once", "--log-level", "warn",
	}
	for flag, value := range map[string]string{"--ike": c.ike, "--esp": c.esp} {
		if value != "" {
			args = append(args, flag, value)
		}
	}
	return r.start(r.client, "culvert connect", args...)
}
