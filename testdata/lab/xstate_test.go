package lab

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// compile compiles a file of xstate/, as a library if flags say so, and returns where it is.
func compile(t *testing.T, name string, flags ...string) string {
	t.Helper()
	to := filepath.Join(t.TempDir(), name)
	args := append([]string{"-Wall", "-Wextra", "-Werror", "-O2", "-o", to, filepath.Join("xstate", name+".c")}, flags...)
	if out, err := exec.Command("gcc", args...).CombinedOutput(); err != nil {
		t.Fatalf("gcc %s: %v\n%s", name, err, out)
	}
	return to
}

// Whoever gives back less state than the processor has, has it made whole: before a kernel with
// AMX, which takes all or nothing, and before the one that there is. Other requests are glibc's.
func TestStateOfTheProcessorIsMadeWhole(t *testing.T) {
	t.Parallel()
	probe, kernel := compile(t, "probe"), compile(t, "kernel", "-shared", "-fPIC")
	for _, x := range []struct {
		name, mode, preload string
		refused             bool
	}{
		{"AMX", "amx", preloaded() + ":" + kernel, false},
		{"this host", "host", preloaded(), false},
		{"this host as if with AMX", "host", preloaded() + ":" + kernel, false},
		{"AMX, nothing preloaded", "amx", kernel, true},
	} {
		cmd := exec.Command(probe, x.mode)
		cmd.Env = append(os.Environ(), "LD_PRELOAD="+x.preload)
		out, err := output(cmd)
		t.Logf("%s:\n%s", x.name, out)
		if err != nil || strings.Count(out, ": yes\n") < 10 || strings.Contains(out+"\n", ": no\n") != x.refused {
			t.Errorf("%s: not as it should be (%v)", x.name, err)
		}
	}
}

// A client lives on a host with AMX, and would not without what its kernel is started with.
func TestClientBootsOnAMX(t *testing.T) {
	t.Parallel()
	n := newNetwork(t)
	kernel := compile(t, "kernel", "-shared", "-fPIC")
	c := n.prepare(t, behindNAT, 2)
	c.preload += ":" + kernel
	if err := c.start(); err != nil {
		t.Fatal(err)
	}
	c.must(10*time.Second, "ping -q -c 1 -w 5 10.77.0.1 && awk 'BEGIN { exit (1 / 3) * 3 != 1 }'")
	bare := n.prepare(t, behindNAT, 3)
	bare.preload = kernel
	if err := bare.start(); err == nil {
		t.Error("a client boots without the remedy: this shows nothing")
	}
}
