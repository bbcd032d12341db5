//go:build !amd64 || purego

package ipkt

// sumWide adds up the words of b and returns what is left.
func sumWide(b []byte) (sum uint64, rest []byte) { return sumChain(b) }
