package nstest

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"syscall"
	"testing"

	"github.com/vishvananda/netlink"
)

// within, in the environment, says that this is the binary that was started again.
const within = "CULVERT_TEST_IN_NAMESPACES"

// Run runs tests, and returns their exit code: here if we are root, else in a user
// and a network namespace that have nothing but a loopback device. Where that is
// not permitted they run here, and Want ends those that cannot.
func Run(tests func() int) int {
	if os.Getenv(within) != "" {
		if err := raiseLoopback(); err != nil {
			fmt.Fprintln(os.Stderr, "nstest:", err)
			return 1
		}
		return tests()
	}
	if os.Geteuid() == 0 {
		return tests()
	}
	return startAgain(tests, command())
}

// Alone is Run in a network namespace of its own also where we are root, so that
// tests may change addresses and routes. WantAlone is for the tests that do.
func Alone(tests func() int) int {
	if os.Getenv(within) != "" || os.Geteuid() != 0 {
		return Run(tests)
	}
	again := command()
	again.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET, Pdeathsig: syscall.SIGKILL}
	return startAgain(tests, again)
}

// startAgain runs the binary again, or the tests here where that is not permitted.
func startAgain(tests func() int, again *exec.Cmd) int {
	runtime.LockOSThread() // with the thread that starts it the binary ends
	defer runtime.UnlockOSThread()
	err := again.Run()
	if _, ended := errors.AsType[*exec.ExitError](err); err != nil && !ended {
		return tests()
	}
	return again.ProcessState.ExitCode()
}

func command() *exec.Cmd {
	c := exec.Command(os.Args[0], os.Args[1:]...)
	c.Stdin, c.Stdout, c.Stderr = os.Stdin, os.Stdout, os.Stderr
	c.Env = append(os.Environ(), within+"=1")
	c.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags:  syscall.CLONE_NEWUSER | syscall.CLONE_NEWNET,
		UidMappings: []syscall.SysProcIDMap{{HostID: os.Geteuid(), Size: 1}},
		GidMappings: []syscall.SysProcIDMap{{HostID: os.Getegid(), Size: 1}},
		Pdeathsig:   syscall.SIGKILL,
	}
	return c
}

func raiseLoopback() error {
	lo, err := netlink.LinkByName("lo")
	if err != nil {
		return err
	}
	return netlink.LinkSetUp(lo)
}

// Want skips a test that needs namespaces where only root could make them.
func Want(t testing.TB) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs network namespaces, and this kernel lets only root make some")
	}
}

// WantAlone skips a test that changes a network namespace where this one is not its
// own: see Alone.
func WantAlone(t testing.TB) {
	t.Helper()
	if os.Getenv(within) == "" {
		t.Skip("needs a network namespace of its own, and this kernel lets nobody make one")
	}
}
