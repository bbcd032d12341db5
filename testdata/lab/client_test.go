package lab

import (
	"bufio"
	"embed"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

//go:embed guest
var guest embed.FS

// A client is one User-Mode Linux process: a kernel with ESP and L2TP, and the Debian tree. Its
// console takes one script after another, see guest/init.
type client struct {
	t       *testing.T
	name    string
	ns, tap string
	job     string // a directory of ours that the client sees as /lab
	preload string // libraries the kernel is started with
	cmd     *exec.Cmd
	console io.Writer

	mu      sync.Mutex // one script at a time
	lines   chan string
	scripts int
}

// place is where a client is in the network, and what it has to dial there.
type place struct {
	name    string
	server  string
	gateway string
	prefix  string // of its addresses, up to the last octet
	bits    int
}

var (
	behindNAT = place{name: "nat", server: gatewayAddr, gateway: "10.77.0.1", prefix: "10.77.0.", bits: 16}
	direct    = place{name: "direct", server: directAddr, gateway: "192.0.2.1", prefix: "192.0.2.", bits: 24}
)

func (n *network) namespace(p place) string {
	if p.name == "direct" {
		return n.gw
	}
	return n.nat
}

const bootTime = 30 * time.Second

// boot starts a client as host number `host` of a place and waits until it takes scripts. Its
// tap and its process end with the test.
func (n *network) boot(t *testing.T, p place, host int) *client {
	t.Helper()
	c := n.prepare(t, p, host)
	if err := c.start(); err != nil {
		t.Fatalf("%s does not boot: %v", c.name, err)
	}
	return c
}

// preloaded is built from xstate/preload.c: without it no client lives on a host with AMX.
func preloaded() string { return filepath.Join(os.Getenv(envTree), "lab-preload.so") }

// prepare makes what a client needs before it is started.
func (n *network) prepare(t *testing.T, p place, host int) *client {
	t.Helper()
	ns := n.namespace(p)
	tap := fmt.Sprintf("tap%d", n.clients.Add(1))
	ip(t, ns, fmt.Sprintf(`
		tuntap add dev %[1]s mode tap
		link set %[1]s master br0 up`, tap))
	return &client{
		t:       t,
		name:    fmt.Sprintf("%s%d", p.name, host),
		ns:      ns,
		tap:     tap,
		job:     jobDir(t, fmt.Sprintf("ADDRESS=%s%d/%d\nGATEWAY=%s\nMTU=1500\n", p.prefix, host, p.bits, p.gateway)),
		preload: preloaded(),
		lines:   make(chan string, 1024),
	}
}

// jobDir makes the directory a client sees as /lab.
func jobDir(t *testing.T, env string) string {
	t.Helper()
	job, err := os.MkdirTemp(os.Getenv(envWork), "client-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(job) })
	if err := os.CopyFS(job, guest); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(filepath.Join(job, "guest", "init"), filepath.Join(job, "init")); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(job, "env"), []byte(env+"JOB="+job+"\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	return job
}

// start boots the client and waits until it takes scripts.
func (c *client) start() error {
	c.t.Helper()
	c.cmd = command(c.ns, "env", "LD_PRELOAD="+c.preload, "linux.uml", "mem=192M", "uml_dir="+c.job, "umid=uml", "quiet",
		"rootfstype=hostfs", "rootflags="+os.Getenv(envTree), "ro", "init=/lab-init",
		"con=null", "con0=fd:0,fd:1", "vec0:transport=tap,ifname="+c.tap+",depth=128,gro=1", "lab.job="+c.job)
	stdin, err := c.cmd.StdinPipe()
	if err != nil {
		return err
	}
	stdout, err := c.cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := c.cmd.Start(); err != nil {
		return err
	}
	c.console = stdin
	go c.read(stdout)
	c.t.Cleanup(c.kill)
	_, err = c.collect(0, bootTime)
	return err
}

// read turns the console into lines; the channel closes when the client is gone.
func (c *client) read(console io.Reader) {
	defer close(c.lines)
	for s := bufio.NewScanner(console); s.Scan(); {
		c.lines <- strings.TrimRight(s.Text(), "\r")
	}
}

// kill ends the client without a word to anybody.
func (c *client) kill() { kill(c.cmd) }

// A statusError is a script that ended with another status than 0.
type statusError struct {
	status string
	output string
}

func (e *statusError) Error() string { return "status " + e.status + "\n" + e.output }

var errGone = errors.New("the client is gone")

// run runs a shell script in the client and returns what it wrote.
func (c *client) run(limit time.Duration, script string) (string, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.scripts++
	path := filepath.Join(c.job, fmt.Sprintf("%d.sh", c.scripts))
	if err := os.WriteFile(path, []byte(script), 0o644); err != nil {
		return "", err
	}
	if _, err := fmt.Fprintln(c.console, c.scripts); err != nil {
		return "", errGone
	}
	return c.collect(c.scripts, limit)
}

// collect gathers the console until script number says that it has ended.
func (c *client) collect(number int, limit time.Duration) (string, error) {
	limit *= patience
	end := fmt.Sprintf("@@ %d ", number)
	var out strings.Builder
	for timer := time.After(limit); ; {
		select {
		case line, ok := <-c.lines:
			if !ok {
				return out.String(), errGone
			}
			if status, ok := strings.CutPrefix(line, end); ok {
				return finish(out.String(), status)
			}
			if strings.HasPrefix(line, "@@ ") { // of a script that we no longer waited for
				out.Reset()
				continue
			}
			out.WriteString(line + "\n")
		case <-timer:
			return out.String(), fmt.Errorf("not done within %v\n%s", limit, out.String())
		}
	}
}

func finish(out, status string) (string, error) {
	out = strings.TrimSpace(out)
	if status != "0" {
		return out, &statusError{status: status, output: out}
	}
	return out, nil
}

// must runs a script that has no business failing.
func (c *client) must(limit time.Duration, script string) string {
	c.t.Helper()
	return must(c.t, c, limit, script)
}
