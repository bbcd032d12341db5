package esp

import (
	"unsafe"

	"golang.org/x/sys/unix"
)

// chunk is memory of a Vault that the collector knows nothing of.
type chunk struct {
	room   []byte // from the beginning of a large page, if it is as long as one
	mapped []byte
}

// newChunk maps size bytes. Large pages are asked for, and left where the kernel
// has none.
func newChunk(size int) chunk {
	n := size
	if size >= chunkSize {
		n += chunkSize
	}
	b, err := unix.Mmap(-1, 0, n, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANON)
	if err != nil { // a limit, perhaps; the heap says so itself if it cannot grow
		return chunk{room: make([]byte, size)}
	}
	c := chunk{room: b, mapped: b}
	if n > size {
		c.room = b[-uintptr(unsafe.Pointer(&b[0]))&(chunkSize-1):][:size]
		_ = unix.Madvise(c.room, unix.MADV_HUGEPAGE)
	}
	_ = unix.Madvise(b, unix.MADV_DONTDUMP)
	return c
}

func (c chunk) close() {
	if c.mapped != nil {
		_ = unix.Munmap(c.mapped)
	}
}
