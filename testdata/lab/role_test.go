package lab

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// play is what a further start of the test binary does: it becomes one of the lab's tools, in
// the network namespace it was started in. It returns only when that failed.
func play(role string, args []string) error {
	switch role {
	case "site":
		return serveSite(":80", net.JoinHostPort(siteAddr, "53"))
	case "flood":
		return playFlood()
	case "mirror":
		return playMirror()
	case "tree":
		return enterTree(args)
	}
	return fmt.Errorf("unknown role %q", role)
}

// scratch lists what a tool started from the tree may write to. Each tool gets its own.
var scratch = []string{"tmp", "run", "var/lib/softether", "var/log/softether"}

// enterTree runs a program of the Debian tree. `ip netns exec` gave us a mount namespace of our
// own, so the mounts made here are seen by that program only. The run's directory is at /lab.
func enterTree(args []string) error {
	tree := os.Getenv(envTree)
	for _, dir := range scratch {
		if err := syscall.Mount("lab", filepath.Join(tree, dir), "tmpfs", 0, ""); err != nil {
			return fmt.Errorf("mount %s: %w", dir, err)
		}
	}
	for from, to := range map[string]string{"/proc": "proc", "/dev": "dev", os.Getenv(envWork): "lab"} {
		if err := syscall.Mount(from, filepath.Join(tree, to), "", syscall.MS_BIND|syscall.MS_REC, ""); err != nil {
			return fmt.Errorf("mount %s: %w", to, err)
		}
	}
	if err := os.MkdirAll(filepath.Join(tree, "run/softether"), 0o755); err != nil {
		return err
	}
	if err := syscall.Chroot(tree); err != nil {
		return err
	}
	if err := os.Chdir("/"); err != nil {
		return err
	}
	path, err := exec.LookPath(args[0])
	if err != nil {
		return err
	}
	return syscall.Exec(path, args, []string{"PATH=" + os.Getenv("PATH"), "HOME=/tmp", "LC_ALL=C.UTF-8"})
}

// command prepares a program of the machine to be run in a network namespace.
func command(ns string, args ...string) *exec.Cmd {
	cmd := exec.Command("ip", append([]string{"netns", "exec", ns}, args...)...)
	// Its own process group, so that kill reaches what it starts, and nothing else.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	return cmd
}

// treeCommand prepares a program of the Debian tree to be run in a network namespace.
func treeCommand(ns string, args ...string) *exec.Cmd {
	return roleCommand(ns, "tree", args...)
}

func roleCommand(ns, role string, args ...string) *exec.Cmd {
	self, err := os.Executable()
	if err != nil {
		panic(err)
	}
	cmd := command(ns, append([]string{self}, args...)...)
	cmd.Env = append(os.Environ(), envRole+"="+role)
	return cmd
}

// background starts a command that ends with the test. When the test has failed, the end of what
// the command wrote is part of the failure.
func background(t *testing.T, name string, cmd *exec.Cmd) {
	t.Helper()
	log, err := os.CreateTemp(os.Getenv(envWork), name+"-*.log")
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		kill(cmd)
		if end := tail(log.Name()); t.Failed() && end != "" {
			t.Logf("%s:\n%s", name, end)
		}
		log.Close()
		os.Remove(log.Name())
	})
}

const tailBytes = 8 << 10

func tail(path string) string {
	b, err := os.ReadFile(path)
	if err != nil {
		return err.Error()
	}
	return string(b[max(0, len(b)-tailBytes):])
}

// listens says whether something accepts TCP connections there.
func listens(ns, addr string, port int) bool {
	return command(ns, "bash", "-c", fmt.Sprintf("< /dev/tcp/%s/%d", addr, port)).Run() == nil
}

// kill ends a started command and all it started, without a word.
func kill(cmd *exec.Cmd) {
	syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
	cmd.Wait()
}

// output runs a command to its end and returns what it wrote, trimmed.
func output(cmd *exec.Cmd) (string, error) {
	out, err := cmd.CombinedOutput()
	text := strings.TrimSpace(string(out))
	if err != nil {
		return text, fmt.Errorf("%s: %w\n%s", strings.Join(cmd.Args, " "), err, text)
	}
	return text, nil
}

// patience is how many times longer than its limit anything may take. A limit is what is enough for a machine
// that does nothing else, and there to end what hangs; the machine may be slower, and busy.
const patience = 4

// within waits for a state, and fails the test when it does not come.
func within(t *testing.T, limit time.Duration, state string, reached func() bool) {
	t.Helper()
	limit *= patience
	for start := time.Now(); !reached(); time.Sleep(50 * time.Millisecond) {
		if time.Since(start) > limit {
			t.Fatalf("waited %v in vain until %s", limit, state)
		}
	}
}
