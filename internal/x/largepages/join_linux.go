package largepages

import (
	"bytes"
	"os"

	"golang.org/x/sys/unix"
)

// setting is where the host says who may have large pages.
const setting = "/sys/kernel/mm/transparent_hugepage/enabled"

// join puts n bytes into large pages, as far as they are mapped and the kernel has
// such pages. It would do so where they are switched off, too; that is the host's
// word, so it is asked for here.
func join(at, n uintptr) {
	if said, err := os.ReadFile(setting); err != nil || isOff(said) {
		return
	}
	_, _, _ = unix.Syscall(unix.SYS_MADVISE, at, n, unix.MADV_COLLAPSE)
}

// isOff reads the setting: all words that it knows, with the one that counts in
// brackets.
func isOff(said []byte) bool { return bytes.Contains(said, []byte("[never]")) }
