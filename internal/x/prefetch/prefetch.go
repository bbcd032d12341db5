package prefetch

import "unsafe"

// Object asks for all of *p.
func Object[T any](p *T) { fetch((*byte)(unsafe.Pointer(p)), unsafe.Sizeof(*p)) }

// Line asks for the line of memory in which *p begins: 64 bytes, or what of them
// is behind an alignment of 64.
func Line[T any](p *T) { fetch((*byte)(unsafe.Pointer(p)), 1) }

// Lines asks for the lines of the first n bytes from p on, of which *p may be
// the beginning only.
func Lines[T any](p *T, n uintptr) { fetch((*byte)(unsafe.Pointer(p)), n) }
