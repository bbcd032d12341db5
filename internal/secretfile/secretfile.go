package secretfile

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
	"syscall"
)

// Error is a file that was refused, or could not be read.
type Error struct {
	// Text says what is wrong, with the file's path, and nothing of its content.
	Text string
	// Remedy says what to do about it.
	Remedy string
	// Err is the cause, where the system gave one.
	Err error
}

// Error implements error.
func (e *Error) Error() string { return e.Text + "; " + e.Remedy }

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// Read returns what a file holds, most bytes at the most. Only its owner may be able to
// read or write it, and the owner is root, the user that this process runs as, or one of
// owners (user ids): whoever owns the file chooses the secret. The error is an *Error.
func Read(path string, most int, owners ...int) ([]byte, error) {
	// Without O_NONBLOCK the opening of a pipe waits for somebody to write.
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, unopened(path, err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, unopened(path, err)
	}
	if err := judge(path, info, owners); err != nil {
		return nil, err
	}
	b, err := io.ReadAll(io.LimitReader(f, int64(most)+1))
	if err == nil && len(b) <= most {
		return b, nil
	}
	clear(b)
	if err != nil {
		return nil, unopened(path, err)
	}
	return nil, &Error{Text: fmt.Sprintf("%s is larger than %d bytes", path, most), Remedy: "name a file that holds the secret and nothing else"}
}

// judge says what is against an open file.
func judge(path string, info fs.FileInfo, owners []int) error {
	if !info.Mode().IsRegular() {
		return &Error{Text: path + " is not a file", Remedy: "name a file that holds the secret and nothing else"}
	}
	if perm := info.Mode().Perm(); perm&0o077 != 0 {
		return &Error{
			Text:   fmt.Sprintf("%s may be read by others than its owner (mode %04o)", path, perm),
			Remedy: "chmod 600 " + path,
		}
	}
	if owner, ok := Owner(info); ok && owner != 0 && owner != os.Geteuid() && !slices.Contains(owners, owner) {
		return &Error{
			Text:   fmt.Sprintf("%s belongs to user %d, who could put another secret there", path, owner),
			Remedy: "chown it to root, or to the user culvert runs as",
		}
	}
	return nil
}

// Owner is the id of the user that a file belongs to, where the system knows one.
func Owner(info fs.FileInfo) (int, bool) {
	s, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return 0, false
	}
	return int(s.Uid), true
}

// unopened says what to do about a file that does not open.
func unopened(path string, err error) error {
	switch {
	case errors.Is(err, os.ErrNotExist):
		return &Error{path + " does not exist", "write the secret into it and chmod 600 " + path, err}
	case errors.Is(err, os.ErrPermission):
		return &Error{path + " may not be read by this user", "chown it to the user culvert runs as", err}
	}
	return &Error{path + " does not open: " + err.Error(), "see to the file system", err}
}
