package largepages

import "unsafe"

// chunk is by how much the heap grows at least, and how that is aligned: two large
// pages.
const chunk = 4 << 20

// Heap is the parts of the heap that certain objects are in. The zero value is
// ready. It is for one goroutine at a time.
type Heap struct {
	known   map[uintptr]bool
	waiting []uintptr // to be joined, in the order they were found
}

// Note remembers where an object is, which is not kept. It reports whether that is
// a part of the heap where none was before.
func (h *Heap) Note(object unsafe.Pointer) bool {
	at := uintptr(object) &^ (chunk - 1)
	if h.known[at] {
		return false
	}
	if h.known == nil {
		h.known = make(map[uintptr]bool)
	}
	h.known[at] = true
	h.waiting = append(h.waiting, at)
	return true
}

// Join has what was noted put into large pages, but for the latest two: the heap is
// filling them. It takes about half a millisecond for each.
func (h *Heap) Join() {
	for len(h.waiting) > 2 {
		join(h.waiting[0], chunk)
		h.waiting = h.waiting[1:]
	}
}
