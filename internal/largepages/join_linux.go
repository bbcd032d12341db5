package largepages

import "golang.org/x/sys/unix"

// join puts n bytes into large pages, as far as they are mapped and the kernel has
// such pages.
func join(at, n uintptr) {
	_, _, _ = unix.Syscall(unix.SYS_MADVISE, at, n, unix.MADV_COLLAPSE)
}
