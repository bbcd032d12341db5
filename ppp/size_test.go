package ppp

import (
	"testing"
	"unsafe"
)

// TestSize holds a link to its budget: 20,000 of them are nothing.
func TestSize(t *testing.T) {
	const budget = 1280
	if n := unsafe.Sizeof(Link{}); n > budget {
		t.Errorf("a Link has %d bytes, more than %d", n, budget)
	} else {
		t.Logf("a Link has %d bytes", n)
	}
}
