//go:build !linux

package largepages

// join has nobody to ask.
func join(at, n uintptr) {}
