package prefetch

import (
	"bytes"
	"testing"
	"unsafe"
)

// TestChangesNothing: whatever is asked for, nothing is changed, and no address
// is wrong: neither nil, nor what is behind the end of an object.
func TestChangesNothing(t *testing.T) {
	room := make([]byte, 4096)
	for i := range room {
		room[i] = byte(i * 7)
	}
	want := bytes.Clone(room)
	for n := range uintptr(300) {
		Lines(&room[n], n)
		Line(&room[n])
		Object((*[200]byte)(unsafe.Pointer(&room[n])))
	}
	Lines(&room[0], 1<<20)
	Object[[1000]byte](nil)
	Line[byte](nil)
	if !bytes.Equal(room, want) {
		t.Error("memory has changed")
	}
}
