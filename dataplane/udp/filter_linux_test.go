package udp

import (
	"encoding/binary"
	"net/netip"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// filtered is a socket and somebody who sends to it.
type filtered struct {
	*testing.T
	*reader
	w Writer
}

func newFiltered(t *testing.T) filtered {
	s := wantSocket(t, "127.0.0.1:0")
	timer := time.AfterFunc(10*time.Second, func() { s.Close() })
	t.Cleanup(func() { timer.Stop() })
	return filtered{t, s.newReader(64, bufferLen), wantSocket(t, "127.0.0.1:0").NewWriter(1)}
}

// arrive sends n datagrams of each stream, and returns how many come through.
func (s filtered) arrive(n int, heads ...uint32) map[uint32]int {
	s.Helper()
	got := make(map[uint32]int)
	for range n {
		for _, head := range heads {
			s.send(headed(head)[8:])
		}
		s.send([]byte{0xff}) // a keepalive: the end
		for ended := false; !ended; {
			batch, err := s.Read()
			if err != nil {
				s.Fatal(err)
			}
			for _, m := range batch {
				if ended = len(m.Data) < 4; !ended {
					got[binary.BigEndian.Uint32(m.Data)]++
				}
			}
		}
	}
	return got
}

func (s filtered) send(data []byte) {
	s.w.Commit(data, s.s.LocalAddr(), netip.Addr{})
	s.w.Flush()
}

func (s filtered) thin(lease time.Duration, streams ...Stream) {
	s.Helper()
	if err := s.SetFilter(streams, lease); err != nil {
		s.Fatal(err)
	}
}

// The kernel drops what it is told to, takes other orders, and stops.
func TestFilter(t *testing.T) {
	s := newFiltered(t)
	s.thin(time.Minute, Stream{3000, 0.5}, Stream{1000, 0}, Stream{2000, 1})
	if got := s.arrive(200, 0, 1000, 2000, 3000, 4000); got[1000] > 0 || got[2000] != 200 || got[3000] < 50 || got[3000] > 150 || got[0] != 200 || got[4000] != 200 {
		t.Errorf("of 200 each %v arrived", got)
	}
	s.thin(time.Minute, Stream{2000, 0})
	if got := s.arrive(10, 1000, 2000); got[1000] != 10 || got[2000] > 0 {
		t.Errorf("of 10 each %v arrived", got)
	}
	s.thin(time.Minute)
	if got := s.arrive(10, 1000, 2000); got[1000] != 10 || got[2000] != 10 {
		t.Errorf("of 10 each %v arrived when nothing was to be dropped", got)
	}
}

// When the reader says no more, everything comes through again, although nothing
// arrives that could wake it.
func TestFilterIsLent(t *testing.T) {
	s := newFiltered(t)
	s.thin(50*time.Millisecond, Stream{1000, 0})
	time.AfterFunc(200*time.Millisecond, func() { s.send(headed(1000)[8:]) })
	if batch, err := s.Read(); err != nil || len(batch) != 1 {
		t.Fatalf("%d messages, %v", len(batch), err)
	}
	if s.filter.on {
		t.Error("the filter is still there")
	}
}

// What is dropped on purpose is not lost: only a socket that is full loses.
func TestFilterIsNoLoss(t *testing.T) {
	s := newFiltered(t)
	s.arrive(1)
	s.thin(time.Minute, Stream{1000, 0})
	s.arrive(100, 1000)
	fullness := func() (f float64) {
		if err := s.s.raw.Control(func(fd uintptr) { f = s.measure(fd) }); err != nil {
			t.Fatal(err)
		}
		return f
	}
	if f := fullness(); f >= 1 {
		t.Errorf("a thinned socket is said to be %v full", f)
	}
	s.thin(time.Minute)
	if f := fullness(); f >= 1 {
		t.Errorf("one that was thinned is said to be %v full", f)
	}
	for range 5000 {
		s.send(make([]byte, 1000))
	}
	if f := fullness(); f < 1 {
		t.Errorf("one that has lost something is said to be %v full", f)
	}
	s.thin(time.Minute, Stream{1000, 0})
	if f := fullness(); f < 1 {
		t.Errorf("a thinned one without any room is said to be %v full", f)
	}
}

// A system that refuses says so, and goes on as before.
func TestFilterRefused(t *testing.T) {
	s := newFiltered(t)
	s.thin(time.Minute, Stream{1000, 0})
	s.s.calls.filter = func(int, *unix.SockFprog) error { return syscall.ENOMEM }
	if err := s.SetFilter([]Stream{{2000, 0}}, time.Minute); err == nil {
		t.Error("no error")
	}
	if got := s.arrive(10, 1000, 2000); got[1000] != 10 || got[2000] != 10 {
		t.Errorf("of 10 each %v arrived", got)
	}
}

func TestFilterAllocatesLittle(t *testing.T) {
	s := newFiltered(t)
	streams := []Stream{{1000, 0.5}, {2000, 0.5}}
	if n := testing.AllocsPerRun(20, func() { s.thin(time.Minute, streams...) }); n > 2 {
		t.Errorf("%v allocations", n)
	}
}
