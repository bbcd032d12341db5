package largepages

import (
	"bufio"
	"fmt"
	"os"
	"runtime"
	"strings"
	"testing"
	"unsafe"
)

// TestJoin: objects all over a heap are in large pages then, but for those that were
// noted last, and are what they were.
func TestJoin(t *testing.T) {
	var h Heap
	objects := make([]*[48]uint64, 60000) // 22 MiB
	for i := range objects {
		objects[i] = &[48]uint64{uint64(i)}
		h.Note(unsafe.Pointer(objects[i]))
	}
	if n := len(h.known); n < 5 || n > 50 || len(h.waiting) != n {
		t.Fatalf("%d parts, %d wait", n, len(h.waiting))
	}
	h.Join()
	if got := largeKiB(t); got == 0 && supported() { // some: the system may be short of them
		t.Error("nothing is in large pages")
	}
	if len(h.waiting) != 2 || h.Note(unsafe.Pointer(objects[0])) {
		t.Errorf("%d wait", len(h.waiting))
	}
	for i, o := range objects {
		if *o != [48]uint64{uint64(i)} {
			t.Fatalf("object %d has changed", i)
		}
	}
	runtime.KeepAlive(objects)
}

// largeKiB is how much of this process is in large pages.
func largeKiB(t *testing.T) (sum int) {
	f, err := os.Open("/proc/self/smaps_rollup")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for lines := bufio.NewScanner(f); lines.Scan(); {
		if rest, ok := strings.CutPrefix(lines.Text(), "AnonHugePages:"); ok {
			_, _ = fmt.Sscan(rest, &sum)
		}
	}
	return sum
}

// TestIsOff: the word in brackets counts.
func TestIsOff(t *testing.T) {
	for said, want := range map[string]bool{
		"always madvise [never]\n": true, "always [madvise] never\n": false, "[always] madvise never\n": false, "": false,
	} {
		if isOff([]byte(said)) != want {
			t.Errorf("%q is off: %v", said, !want)
		}
	}
}

// supported reports whether the kernel joins pages when asked to, which it has done
// since 6.1, and may.
func supported() bool {
	if said, err := os.ReadFile(setting); err != nil || isOff(said) {
		return false
	}
	release, err := os.ReadFile("/proc/sys/kernel/osrelease")
	var major, minor int
	_, _ = fmt.Sscanf(string(release), "%d.%d", &major, &minor)
	return err == nil && (major > 6 || major == 6 && minor >= 1)
}
