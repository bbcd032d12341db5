//go:build !amd64 || purego

package x86

// Detect has nothing to find here.
func Detect() Features { return Features{} }
