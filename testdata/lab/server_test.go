package lab

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// A tenant is what the lab writes into culvert's configuration for one.
type tenant struct {
	name   string
	psk    string
	pool   string
	egress string
	allow  string   // methods of authentication; empty: what culvert allows by itself
	more   []string // further lines
}

const (
	netstack  = "netstack"
	tunDevice = "{tun: {device: tun-lab}}"
	userCount = 200
)

// labTenant is the tenant of alice, bob and user1 to user200.
func labTenant() tenant {
	return tenant{name: "lab", psk: labPSK, pool: "10.100.1.0/24", egress: netstack}
}

func (c tenant) yaml() string {
	users := []string{"{name: alice, password: alicepw}", "{name: bob, password: bobpw}"}
	for i := range userCount {
		users = append(users, fmt.Sprintf("{name: user%[1]d, password: user%[1]dpw}", i+1))
	}
	allow := ""
	if c.allow != "" {
		allow = "allow: [" + c.allow + "], "
	}
	return lines(
		"  - name: "+c.name,
		"    psk: ["+c.psk+"]",
		"    pool: ["+c.pool+"]",
		"    egress: "+c.egress,
		"    auth: {"+allow+"local: {users: ["+strings.Join(users, ", ")+"]}}",
	) + lines(c.more...)
}

// A server is one `culvert serve` in a network's gateway.
type server struct {
	n    *network
	dir  string // configuration, state and log
	caps string // the capabilities it gets, as setpriv has them
	cmd  *exec.Cmd
}

// Least privilege: what each egress needs and nothing else.
const (
	capsNetstack = "-all,+net_bind_service"
	capsTUN      = "-all,+net_bind_service,+net_admin"
)

// serve starts culvert for some tenants in the network's gateway, and waits until it serves.
func (n *network) serve(t *testing.T, tenants ...tenant) *server {
	t.Helper()
	dir, err := os.MkdirTemp(os.Getenv(envWork), "server-")
	if err != nil {
		t.Fatal(err)
	}
	s := &server{n: n, dir: dir, caps: capsNetstack}
	text := lines("listen: ["+gatewayAddr+", "+directAddr+"]", "state: "+filepath.Join(dir, "state"),
		"log: {level: debug}", "tenants:")
	for _, c := range tenants {
		text += c.yaml()
		if c.egress != netstack {
			s.caps = capsTUN
		}
	}
	if err := os.WriteFile(s.path("culvert.yaml"), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.end(t) })
	s.start(t)
	return s
}

func (s *server) path(name string) string { return filepath.Join(s.dir, name) }

// session is what culvert sessions --json says of a client, as far as tests ask.
type session struct {
	User, Family, Protocol string
}

// sessions are those that culvert sessions shows.
func (s *server) sessions(t *testing.T) (list []session) {
	t.Helper()
	out, err := exec.Command(os.Getenv(envCulvert), "sessions", "--json", "--config", s.path("culvert.yaml")).CombinedOutput()
	if err == nil {
		err = json.Unmarshal(out, &list)
	}
	if err != nil {
		t.Fatalf("culvert sessions: %v: %s", err, out)
	}
	return list
}

// log is what the server has said so far.
func (s *server) log(t *testing.T) string {
	t.Helper()
	b, err := os.ReadFile(s.path("log"))
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// start starts the server, for the first time or again.
func (s *server) start(t *testing.T) {
	t.Helper()
	log, err := os.OpenFile(s.path("log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	s.cmd = command(s.n.gw, "setpriv", "--bounding-set", s.caps, "--inh-caps", "-all",
		os.Getenv(envCulvert), "serve", "--config", s.path("culvert.yaml"))
	s.cmd.Stdout, s.cmd.Stderr = log, log
	if err := s.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	within(t, 20*time.Second, "culvert serves on UDP 4500", s.serves)
}

// serves says whether the socket clients move to is there: 203.0.113.1, UDP 4500, as the kernel
// writes it.
func (s *server) serves() bool {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/net/udp", s.cmd.Process.Pid))
	return err == nil && strings.Contains(string(b), "017100CB:1194")
}

// kill ends the server without a word to anybody.
func (s *server) kill() { kill(s.cmd) }

// stop ends the server as an operator does and returns how long it took.
func (s *server) stop(t *testing.T) time.Duration {
	t.Helper()
	start := time.Now()
	s.cmd.Process.Signal(syscall.SIGTERM)
	if err := s.cmd.Wait(); err != nil {
		t.Errorf("culvert serve ended with %v", err)
	}
	return time.Since(start)
}

func (s *server) end(t *testing.T) {
	kill(s.cmd)
	if t.Failed() {
		t.Logf("culvert:\n%s", tail(s.path("log")))
	}
	os.RemoveAll(s.dir)
}
