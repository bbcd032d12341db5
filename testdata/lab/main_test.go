// Package lab dials into culvert with clients that are not culvert: strongSwan, xl2tpd and pppd
// of Debian on a real Linux kernel, each client one User-Mode Linux process. See README.md.
//
// The test binary starts itself again inside namespaces of its own (processes, mounts, network).
// Whatever the lab makes lives in there and ends with it, however it ends.
package lab

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
)

// The environment by which one start of the test binary tells the next what to be.
const (
	envRole    = "CULVERT_LAB_ROLE"    // a tool to be, see role_test.go
	envTree    = "CULVERT_LAB_TREE"    // the Debian tree; set: we are inside
	envWork    = "CULVERT_LAB_WORK"    // a directory for this run, removed afterwards
	envCulvert = "CULVERT_LAB_CULVERT" // the culvert under test; may be given, else it is built
)

// parallel is how many labs run at once unless -parallel says otherwise: clients mostly wait.
const parallel = "4"

func TestMain(m *testing.M) {
	if role := os.Getenv(envRole); role != "" {
		fmt.Fprintln(os.Stderr, "lab:", play(role, os.Args[1:]))
		os.Exit(1)
	}
	flag.Parse()
	if os.Getenv(envTree) == "" {
		os.Exit(outside())
	}
	if err := furnish(); err != nil {
		fmt.Fprintln(os.Stderr, "lab:", err)
		os.Exit(1)
	}
	if !given("test.parallel") {
		if err := flag.Set("test.parallel", parallel); err != nil {
			panic(err)
		}
	}
	os.Exit(m.Run())
}

func given(name string) (yes bool) {
	flag.Visit(func(f *flag.Flag) { yes = yes || f.Name == name })
	return yes
}

// outside prepares what needs the machine's own network and file system, runs the lab inside
// and clears up. It returns the exit status.
func outside() int {
	work, env, err := prepare()
	if work != "" {
		defer os.RemoveAll(work)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "lab:", err)
		return 1
	}
	// The child is killed when the thread that started it ends: stay on this one.
	runtime.LockOSThread()
	inside := exec.Command("/proc/self/exe", os.Args[1:]...)
	inside.Env = append(os.Environ(), env...)
	inside.Stdout, inside.Stderr = os.Stdout, os.Stderr
	inside.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags: syscall.CLONE_NEWPID | syscall.CLONE_NEWNS | syscall.CLONE_NEWNET,
		Pdeathsig:  syscall.SIGKILL,
	}
	if err := inside.Start(); err != nil {
		fmt.Fprintln(os.Stderr, "lab: namespaces:", err)
		return 1
	}
	stop := make(chan os.Signal, 1)
	signal.Notify(stop, os.Interrupt, syscall.SIGTERM)
	go func() {
		<-stop
		inside.Process.Kill()
	}()
	inside.Wait()
	return max(inside.ProcessState.ExitCode(), -inside.ProcessState.ExitCode())
}

// prepare checks the machine, builds culvert and says by which environment to go inside.
func prepare() (work string, env []string, err error) {
	if os.Geteuid() != 0 {
		return "", nil, errors.New("the lab makes namespaces and boots clients: run it as root")
	}
	check := exec.Command("./build", "check")
	check.Stderr = os.Stderr
	tree, err := check.Output()
	if err != nil {
		return "", nil, fmt.Errorf("this machine is not ready: %w", err)
	}
	if work, err = os.MkdirTemp("", "culvert-lab-"); err != nil {
		return "", nil, err
	}
	culvert, err := underTest(work)
	return work, []string{
		envTree + "=" + strings.TrimSpace(string(tree)),
		envWork + "=" + work,
		envCulvert + "=" + culvert,
	}, err
}

// underTest builds culvert, unless the environment names one already built.
func underTest(work string) (string, error) {
	if built := os.Getenv(envCulvert); built != "" {
		return filepath.Abs(built)
	}
	culvert := filepath.Join(work, "culvert")
	build := exec.Command("go", "build", "-o", culvert, "./cmd/culvert")
	build.Dir = filepath.Join("..", "..")
	if out, err := build.CombinedOutput(); err != nil {
		return "", fmt.Errorf("go build ./cmd/culvert: %w\n%s", err, out)
	}
	return culvert, nil
}

// furnish makes the namespaces we are in a place of our own: nothing mounted here is seen
// outside, /proc shows our processes, names of network namespaces are ours, and the resolver
// is the lab's site.
func furnish() error {
	resolv := filepath.Join(os.Getenv(envWork), "resolv.conf")
	if err := os.WriteFile(resolv, []byte("nameserver "+siteAddr+"\n"), 0o644); err != nil {
		return err
	}
	if err := os.MkdirAll("/run/netns", 0o755); err != nil {
		return err
	}
	for _, m := range []struct {
		source, target, kind string
		flags                uintptr
	}{
		{"", "/", "", syscall.MS_REC | syscall.MS_PRIVATE},
		{"proc", "/proc", "proc", 0},
		{"lab", "/run/netns", "tmpfs", 0},
		{resolv, "/etc/resolv.conf", "", syscall.MS_BIND},
	} {
		if err := syscall.Mount(m.source, m.target, m.kind, m.flags, ""); err != nil {
			return fmt.Errorf("mount %s: %w", m.target, err)
		}
	}
	return nil
}
