package tun

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"

	"golang.org/x/sys/unix"
)

const namespaceDir = "/run/netns"

// namespacePath is the file of a network namespace given by name or path.
func namespacePath(name string) string {
	if strings.Contains(name, "/") {
		return name
	}
	return filepath.Join(namespaceDir, name)
}

// FindNamespace says what to do about a network namespace, given by name or path, that is
// not there.
func FindNamespace(name string) error {
	if name == "" {
		return nil
	}
	_, err := os.Stat(namespacePath(name))
	return noNamespace(name, err)
}

// noNamespace is what to do about a namespace that cannot be opened.
func noNamespace(name string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%w %q: %w; make it first, for example with: ip netns add %s", ErrNamespace, name, err, filepath.Base(namespacePath(name)))
}

// inNamespace runs f on a thread that is in the namespace; the empty name is
// the one that the process is in. f must not start threads or wait for other
// goroutines that should be there too.
func inNamespace(name string, f func() error) error {
	if name == "" {
		return f()
	}
	target, err := os.Open(namespacePath(name))
	if err != nil {
		return noNamespace(name, err)
	}
	defer target.Close()
	done := make(chan error)
	go func() { done <- onThreadOf(target, f) }()
	return <-done
}

// onThreadOf enters the namespace with the thread of its goroutine and comes
// back. A thread that cannot come back ends with the goroutine.
func onThreadOf(target *os.File, f func() error) error {
	runtime.LockOSThread()
	home, err := os.Open("/proc/thread-self/ns/net")
	if err != nil {
		runtime.UnlockOSThread()
		return fmt.Errorf("tun: own network namespace: %w", err)
	}
	defer home.Close()
	if err := unix.Setns(int(target.Fd()), unix.CLONE_NEWNET); err != nil {
		runtime.UnlockOSThread()
		return namespaceError(target.Name(), err)
	}
	result := f()
	if err := unix.Setns(int(home.Fd()), unix.CLONE_NEWNET); err == nil {
		runtime.UnlockOSThread()
	}
	return result
}

func namespaceError(path string, err error) error {
	switch {
	case errors.Is(err, unix.EPERM):
		return fmt.Errorf("%w: entering the namespace %s needs CAP_SYS_ADMIN: %w", ErrPermission, path, err)
	case errors.Is(err, unix.EINVAL):
		return fmt.Errorf("%w: %s is no network namespace: %w", ErrNamespace, path, err)
	}
	return fmt.Errorf("%w %s: %w", ErrNamespace, path, err)
}
