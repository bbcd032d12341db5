package lab

import (
	"bytes"
	"fmt"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"
)

// A shell is a place scripts run in: a client, or a namespace with the tools of the tree.
type shell interface {
	run(limit time.Duration, script string) (string, error)
}

// A treeShell runs scripts in a network namespace, with the tools of the Debian tree.
type treeShell struct{ ns string }

func (s treeShell) run(limit time.Duration, script string) (string, error) {
	cmd := treeCommand(s.ns, "sh", "-c", script)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	cmd.WaitDelay = 5 * time.Second
	if err := cmd.Start(); err != nil {
		return "", err
	}
	timer := time.AfterFunc(patience*limit, func() { syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) })
	defer timer.Stop()
	err := cmd.Wait()
	text := strings.TrimSpace(out.String())
	if err != nil {
		return text, fmt.Errorf("%s: %w\n%s", script, err, text)
	}
	return text, nil
}

// must runs a script that has no business failing.
func must(t *testing.T, s shell, limit time.Duration, script string) string {
	t.Helper()
	out, err := s.run(limit, script)
	if err != nil {
		t.Fatalf("%s: %v", script, err)
	}
	return out
}

const (
	fileTime = 3 * time.Minute
	bigFile  = 100_000_000
	someFile = 10_000_000
)

// moveFile fetches a file from the site and sends one to it, and compares the SHA-256 of both ends.
func moveFile(t *testing.T, s shell, name string, size int) {
	t.Helper()
	moveFileBy(t, s, siteAddr, name, size)
}

// moveFileBy is moveFile with the site's address as it stands in a URL.
func moveFileBy(t *testing.T, s shell, host, name string, size int) {
	t.Helper()
	start := time.Now()
	got := must(t, s, fileTime, fmt.Sprintf(`
		curl -sS -g -f 'http://%[1]s/file?bytes=%[2]d' | sha256sum | cut -d' ' -f1
		curl -sS -g -f 'http://%[1]s/sum?bytes=%[2]d'`, host, size))
	wantSame(t, name+" down", got)
	down := time.Since(start)
	start = time.Now()
	sent := must(t, s, fileTime, fmt.Sprintf(`
		mkfifo /tmp/copy
		sha256sum < /tmp/copy > /tmp/sum &
		head -c %[2]d /dev/urandom | tee /tmp/copy | curl -sS -g -f -T - http://%[1]s/upload
		wait; cut -d' ' -f1 /tmp/sum; rm /tmp/copy`, host, size))
	wantSame(t, name+" up", sent)
	t.Logf("%s: %d MB down in %.1f s, up in %.1f s, equal SHA-256",
		name, size/1_000_000, down.Seconds(), time.Since(start).Seconds())
}

// wantSame expects two equal sums on two lines.
func wantSame(t *testing.T, what, sums string) {
	t.Helper()
	f := strings.Fields(sums)
	if len(f) != 2 || len(f[0]) != 64 || f[0] != f[1] {
		t.Fatalf("%s: the SHA-256 at both ends: %q", what, sums)
	}
}

var received = regexp.MustCompile(`([0-9.]+) Mbits/sec.*receiver`)

// measure runs iperf3 both ways for a few seconds and prints what the receiver saw.
func measure(t *testing.T, s shell, name string, seconds int) {
	t.Helper()
	for _, way := range []struct{ name, flag string }{{"up", ""}, {"down", "-R"}} {
		out := must(t, s, time.Duration(seconds+30)*time.Second,
			fmt.Sprintf("iperf3 -f m -c %s -t %d %s", siteAddr, seconds, way.flag))
		m := received.FindStringSubmatch(out)
		if m == nil {
			t.Fatalf("%s: iperf3 %s: %s", name, way.name, out)
		}
		t.Logf("%s: iperf3 %s: %s Mbit/s", name, way.name, m[1])
	}
}

// ping expects an answer to each of some pings.
func ping(t *testing.T, s shell, to string) {
	t.Helper()
	must(t, s, 30*time.Second, "ping -q -c 5 -i 0.2 -w 20 "+to)
}
