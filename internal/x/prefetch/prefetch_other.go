//go:build !amd64 || purego

package prefetch

// fetch has no instructions here.
func fetch(*byte, uintptr) {}
