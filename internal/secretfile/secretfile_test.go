package secretfile

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

func put(t *testing.T, mode os.FileMode, content string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(path, mode); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestRead(t *testing.T) {
	if b, err := Read(put(t, 0o600, "hunter2\n"), 100); err != nil || string(b) != "hunter2\n" {
		t.Errorf("%q, %v", b, err)
	}
	if b, err := Read(put(t, 0o400, ""), 100); err != nil || len(b) != 0 {
		t.Errorf("empty: %q, %v", b, err)
	}
	dir := t.TempDir()
	for name, path := range map[string]string{
		"may be read by others": put(t, 0o640, "x"),
		"larger than 100 bytes": put(t, 0o600, strings.Repeat("hunter2", 20)),
		"does not exist":        filepath.Join(dir, "nothing"),
		"is not a file":         dir,
	} {
		b, err := Read(path, 100)
		var refused *Error
		if b != nil || !errors.As(err, &refused) || !strings.Contains(err.Error(), name) || refused.Remedy == "" {
			t.Errorf("%s: %q, %v", name, b, err)
		}
		if err != nil && strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s: shows the secret: %v", name, err)
		}
	}
}

// TestPipeDoesNotHang: a pipe that nobody writes to is refused, and not waited for.
func TestPipeDoesNotHang(t *testing.T) {
	path := filepath.Join(t.TempDir(), "pipe")
	if err := syscall.Mkfifo(path, 0o600); err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { _, err := Read(path, 100); done <- err }()
	select {
	case err := <-done:
		if err == nil || !strings.Contains(err.Error(), "is not a file") {
			t.Errorf("%v", err)
		}
	case <-time.After(20 * time.Second):
		t.Fatal("still waiting for somebody to write")
	}
}

// TestOwnerIsJudged: a file of somebody else's may be swapped by him at any time.
func TestOwnerIsJudged(t *testing.T) {
	path := put(t, 0o600, "x")
	if os.Geteuid() != 0 {
		// Without root no file can be given away; what can be seen is that root's are taken.
		if b, err := Read(path, 100, 0); err != nil || string(b) != "x" {
			t.Errorf("own file: %q, %v", b, err)
		}
		return
	}
	if err := os.Chown(path, 4242, 4242); err != nil {
		t.Fatal(err)
	}
	if _, err := Read(path, 100); err == nil || !strings.Contains(err.Error(), "belongs to user 4242") {
		t.Errorf("a file of user 4242: %v", err)
	}
	if b, err := Read(path, 100, 4242); err != nil || string(b) != "x" {
		t.Errorf("a file of user 4242, who owns the configuration too: %q, %v", b, err)
	}
}

// TestWhatIsJudgedIsWhatIsRead: while another file takes the path and gives it back, over
// and over, only the one that nobody else may read is ever read.
func TestWhatIsJudgedIsWhatIsRead(t *testing.T) {
	dir := t.TempDir()
	mine, open := filepath.Join(dir, "mine"), filepath.Join(dir, "open")
	for path, mode := range map[string]os.FileMode{mine: 0o600, open: 0o644} {
		if err := os.WriteFile(path, []byte(filepath.Base(path)), mode); err != nil {
			t.Fatal(err)
		}
	}
	path := filepath.Join(dir, "secret")
	stop := make(chan struct{})
	swapped := make(chan struct{})
	go func() {
		defer close(swapped)
		for i := 0; ; i++ {
			select {
			case <-stop:
				return
			default:
			}
			next := filepath.Join(dir, "next")
			_ = os.Symlink([]string{mine, open}[i%2], next)
			_ = os.Rename(next, path)
		}
	}()
	for range 5000 {
		if b, err := Read(path, 100); err == nil && !bytes.Equal(b, []byte("mine")) {
			t.Errorf("read %q", b)
			break
		}
	}
	close(stop)
	<-swapped
}
