package admin

import (
	"encoding/binary"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// TestSocketIsNeverOpenToOthers: not even for the moment after it was made, in a directory
// that others may enter, and without a umask: it comes with its mode, which nothing changes
// afterwards.
func TestSocketIsNeverOpenToOthers(t *testing.T) {
	state := t.TempDir()
	if err := os.Chmod(state, 0o755); err != nil {
		t.Fatal(err)
	}
	watch, err := syscall.InotifyInit1(syscall.IN_NONBLOCK | syscall.IN_CLOEXEC)
	if err != nil {
		t.Fatal(err)
	}
	defer syscall.Close(watch)
	if _, err := syscall.InotifyAddWatch(watch, state, syscall.IN_CREATE|syscall.IN_MOVED_TO|syscall.IN_ATTRIB); err != nil {
		t.Fatal(err)
	}
	old := syscall.Umask(0)
	l, err := Listen(state)
	syscall.Umask(old)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if info, err := os.Stat(filepath.Join(state, socketName)); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info, err)
	}
	made := false
	for _, e := range happened(t, watch) {
		switch {
		case e.name != socketName:
		case e.mask&syscall.IN_ATTRIB != 0:
			t.Errorf("the mode of %s was another one before", e.name)
		default:
			made = true
		}
	}
	if !made {
		t.Error("the socket was not seen to be made")
	}
}

// change is what happened to a file of a directory.
type change struct {
	mask uint32
	name string
}

// happened is what a watch has seen.
func happened(t *testing.T, watch int) (all []change) {
	t.Helper()
	b := make([]byte, 4096)
	n, err := syscall.Read(watch, b)
	if err != nil {
		t.Fatal(err)
	}
	for b = b[:n]; len(b) >= syscall.SizeofInotifyEvent; {
		size := syscall.SizeofInotifyEvent + int(binary.NativeEndian.Uint32(b[12:]))
		name := strings.TrimRight(string(b[syscall.SizeofInotifyEvent:size]), "\x00")
		all, b = append(all, change{binary.NativeEndian.Uint32(b[4:]), name}), b[size:]
	}
	return all
}
