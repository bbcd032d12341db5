package tun

import (
	"errors"
	"os"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// TestNobodyWaitsForAFullQueue: what a device does not take now is lost, and who writes
// goes on.
func TestNobodyWaitsForAFullQueue(t *testing.T) {
	var ends [2]int
	if err := unix.Pipe2(ends[:], unix.O_NONBLOCK|unix.O_DIRECT); err != nil {
		t.Fatal(err)
	}
	r, file := os.NewFile(uintptr(ends[0]), "read"), os.NewFile(uintptr(ends[1]), "write")
	defer r.Close()
	defer file.Close()
	w, err := newWriter(file, false, false)
	if err != nil {
		t.Fatal(err)
	}
	refused := make(chan error, 1)
	go func() {
		for range 10000 {
			w.Commit(make([]byte, 1400))
			if err := w.Flush(); err != nil {
				refused <- err
				return
			}
		}
		refused <- nil
	}()
	select {
	case err := <-refused:
		if !errors.Is(err, unix.EAGAIN) {
			t.Errorf("%v", err)
		}
	case <-time.After(30 * time.Second):
		t.Fatal("who writes waits for the queue")
	}
}
