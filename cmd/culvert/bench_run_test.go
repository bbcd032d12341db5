package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/culvert-vpn/culvert/bench"
	"github.com/culvert-vpn/culvert/internal/x/nstest"
)

// asProgram, in the environment, makes culvert of the test binary: bench runs
// its own file for what needs a process.
const asProgram = "CULVERT_TEST_AS_PROGRAM"

// asPowerless does so for somebody who is not root.
const asPowerless = "CULVERT_TEST_AS_POWERLESS"

func TestMain(m *testing.M) {
	switch {
	case os.Getenv(asPowerless) != "":
		runPowerless()
	case os.Getenv(asProgram) != "":
		main()
	}
	os.Exit(nstest.Run(func() int {
		os.Setenv(asProgram, "1")
		return m.Run()
	}))
}

// runPowerless runs culvert without the powers of root.
func runPowerless() {
	runtime.LockOSThread()
	for power := range uintptr(64) { // those that there are, and that we have
		unix.Prctl(unix.PR_CAPBSET_DROP, power, 0, 0, 0)
	}
	os.Unsetenv(asPowerless)
	err := unix.Exec(os.Args[0], os.Args, os.Environ())
	fmt.Fprintln(os.Stderr, err)
	os.Exit(exitOK)
}

// wantBench runs a measurement and returns its only section, whose figures of
// these names are above zero.
func wantBench(t *testing.T, names []string, args ...string) bench.Section {
	t.Helper()
	o := wantCall(t, exitOK, "", "", append([]string{"bench", "--json"}, args...)...)
	var r bench.Report
	if err := json.Unmarshal([]byte(o.out), &r); err != nil || len(r.Sections) != 1 {
		t.Fatalf("%v in %s\n%s", err, o.out, o.err)
	}
	for _, name := range names {
		if f, ok := r.Sections[0].Figure(name); !ok || f.Median <= 0 {
			t.Errorf("%s is %+v\n%s", name, f, o.err)
		}
	}
	return r.Sections[0]
}

func wantZero(t *testing.T, s bench.Section, name string) {
	t.Helper()
	if f, ok := s.Figure(name); !ok || f.Median != 0 {
		t.Errorf("%s: %+v", name, f)
	}
}

func TestBenchLogins(t *testing.T) {
	wantBench(t, []string{"dial-ins ecp256", "bare exponentiations ecp256", "dial-ins ecp256, a core of the server"},
		"logins", "--groups", "ecp256", "--persona", "macos", "--duration", "200ms", "--rounds", "1", "--parallel", "8")
}

func TestBenchSessions(t *testing.T) {
	s := wantBench(t, []string{"echo p50 at 3", "echo p99 after the hold", "memory a session at 6"},
		"sessions", "--sessions", "6", "--steps", "2", "--hold", "100ms")
	wantZero(t, s, "sessions without an answer after the hold")
	wantZero(t, s, "sessions lost while held")
}

func TestBenchStorm(t *testing.T) {
	s := wantBench(t, []string{"clients back", "the last back after"}, "storm", "--clients", "20", "--persona", "windows10", "--limit", "1m")
	wantZero(t, s, "clients not back")
	wantZero(t, s, "needed a third dial or more")
}

func TestBenchStrangers(t *testing.T) {
	s := wantBench(t, []string{"dial-ins alone", "dial-ins beside the flood", "slowest dial-in beside the flood", "offers a second"},
		"strangers", "--rate", "5000", "--dials", "5")
	wantZero(t, s, "failed beside the flood")
}

// TestBenchSaysWhatIsMissing: who cannot make namespaces is told so, and how to.
func TestBenchSaysWhatIsMissing(t *testing.T) {
	c := exec.Command(os.Args[0], "bench", "throughput", "--loads", "tcp", "--duration", "10ms", "--rounds", "1")
	c.Env = append(os.Environ(), asPowerless+"=1")
	out, _ := c.CombinedOutput()
	if c.ProcessState.ExitCode() != exitFailed || !strings.Contains(string(out), "missing: network namespaces") || !strings.Contains(string(out), "run as root") {
		t.Errorf("code %d: %s", c.ProcessState.ExitCode(), out)
	}
}

func TestBenchThroughput(t *testing.T) {
	nstest.Want(t)
	wantBench(t, []string{
		"culvert aes256gcm16 tun, TCP, one stream", "culvert aes256gcm16 tun, TCP, one stream down", "culvert aes256gcm16 tun, UDP, 512 B",
		"culvert aes256gcm16 tun, TCP, one stream, a core of the server", "no VPN, TCP, one stream",
	}, "throughput", "--suites", "aes256gcm16", "--egress", "tun", "--loads", "tcp,tcpdown,udp512", "--duration", "50ms", "--rounds", "1")
}

// TestBenchOverload: the curves are there, with something at three times capacity,
// and what is promised of them. Its windows are short, and who has no CPU in one
// measures nothing, so it has several tries.
func TestBenchOverload(t *testing.T) {
	nstest.Want(t)
	var o outcome
	for range 5 {
		o = call(t, "", "bench", "--json", "throughput", "--overload", "--suites", "aes256-sha256", "--egress", "tun", "--loads", "udp512", "--duration", "40ms", "--rounds", "1")
		var r bench.Report
		if o.code != exitOK || json.Unmarshal([]byte(o.out), &r) != nil || len(r.Sections) != 1 {
			continue
		}
		s := r.Sections[0]
		three, _ := s.Figure("culvert aes256-sha256 tun, 3 times capacity")
		left, _ := s.Figure("culvert aes256-sha256 tun: what is left of the peak at up to 3 times capacity")
		if three.Median > 0 && left.Goal != nil && left.Goal.Value == 0.9 {
			return
		}
	}
	t.Errorf("code %d\n%s%s", o.code, o.out, o.err)
}

func TestBenchCompare(t *testing.T) {
	nstest.Want(t)
	s := wantBench(t, []string{"culvert aes256gcm16 tun against wireguard-go, TCP, one stream", "culvert aes256-sha1 tun, 3 clients, TCP, one stream"},
		"compare", "--with", "culvert-tun-aes256gcm16,wireguard-go,culvert-tun-aes256-sha1-3", "--clients", "3", "--loads", "tcp", "--duration", "50ms", "--rounds", "2")
	if f, _ := s.Figure("culvert aes256gcm16 tun against wireguard-go, TCP, one stream"); f.Goal == nil || f.Goal.Value != 1.5 || len(f.Samples) != 2 {
		t.Errorf("%+v", f)
	}
}

// TestBenchPolicy: what a policy costs is measured of packets, of flows, and of TCP.
func TestBenchPolicy(t *testing.T) {
	wantBench(t, []string{"new flows", "packets of known flows", "memory a flow"}, "flows", "--flows", "20000", "--duration", "10ms", "--rounds", "1")
	wantBench(t, []string{"up left of the rate without a policy, aes256gcm16 64 B 10 rules"},
		"forward", "--policy", "10", "--suites", "aes256gcm16", "--sizes", "64", "--duration", "1ms", "--rounds", "1")
	nstest.Want(t)
	s := wantBench(t, []string{"culvert aes256gcm16 tun, 10 rules against culvert aes256gcm16 tun, TCP, one stream"},
		"compare", "--with", "culvert-tun-aes256gcm16,culvert-tun-aes256gcm16-policy", "--policy", "10", "--loads", "tcp", "--duration", "50ms", "--rounds", "1")
	if f, _ := s.Figure("culvert aes256gcm16 tun, 10 rules against culvert aes256gcm16 tun, TCP, one stream"); f.Goal == nil || f.Goal.Value != 0.95 {
		t.Errorf("%+v", f)
	}
}

func TestBenchAllNotesWhatFails(t *testing.T) {
	o := wantCall(t, exitOK, "", "", "bench", "all", "--parts", "crypto,flat", "--brief", "--json")
	var r bench.Report
	if err := json.Unmarshal([]byte(o.out), &r); err != nil || len(r.Sections) != 2 || r.Sections[1].Name != "flat" {
		t.Errorf("%v in %s", err, o.out)
	}
}

// TestBenchInterrupted: ^C leaves no process, no file and no device.
func TestBenchInterrupted(t *testing.T) {
	nstest.Want(t)
	tmp := t.TempDir()
	var said bytes.Buffer
	c := exec.Command(os.Args[0], "bench", "compare", "--with", "culvert-tun-aes256gcm16", "--loads", "tcp", "--duration", "30s", "--rounds", "1")
	c.Env = append(os.Environ(), "TMPDIR="+tmp)
	c.Stdout, c.Stderr = &said, &said
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	// With bench, both ends of the tunnel and both of the traffic, all is there.
	wantSoon(t, "traffic", func() bool { return len(processesWith(t, "TMPDIR="+tmp)) >= 5 })
	c.Process.Signal(syscall.SIGINT)
	err := c.Wait()
	if c.ProcessState.ExitCode() != exitFailed || !strings.Contains(said.String(), "interrupted; everything that was created is removed") {
		t.Errorf("%v: %s", err, &said)
	}
	if left := processesWith(t, "TMPDIR="+tmp); len(left) > 0 {
		t.Errorf("processes are left: %v", left)
	}
	if left, err := os.ReadDir(tmp); err != nil || len(left) > 0 {
		t.Errorf("files are left: %v, %v", left, err)
	}
}

// processesWith are the processes with that in their environment. A namespace
// that has no name, as those of bench, lives as long as the processes in it.
func processesWith(t *testing.T, variable string) (found []string) {
	t.Helper()
	all, err := filepath.Glob("/proc/[0-9]*/environ")
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range all {
		if b, err := os.ReadFile(path); err == nil && bytes.Contains(b, []byte(variable+"\x00")) {
			line, _ := os.ReadFile(filepath.Dir(path) + "/cmdline")
			found = append(found, fmt.Sprintf("%q", line))
		}
	}
	return found
}

func wantSoon(t *testing.T, what string, ready func() bool) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); !ready(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("no %s", what)
		}
	}
}
