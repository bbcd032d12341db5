package udp

import (
	"encoding/binary"
	"net/netip"
	"syscall"
	"testing"
	"time"

	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"
)

// machine runs a program with a number in place of the random one.
func machine(t *testing.T, program []unix.SockFilter, dice uint32) *bpf.VM {
	t.Helper()
	var all []bpf.Instruction
	for _, p := range program {
		raw := bpf.RawInstruction{Op: p.Code, Jt: p.Jt, Jf: p.Jf, K: p.K}
		one := raw.Disassemble()
		if one == (bpf.LoadExtension{Num: bpf.ExtRand}) {
			one = bpf.LoadConstant{Dst: bpf.RegA, Val: dice}
		}
		all = append(all, one)
	}
	vm, err := bpf.NewVM(all)
	if err != nil {
		t.Fatal(err)
	}
	return vm
}

// datagram is what a filter sees of one.
func headed(head uint32) []byte { return binary.BigEndian.AppendUint32(make([]byte, 8), head) }

// Each stream passes by its own measure, and what is in none, or too short to be,
// always does.
func TestSieveProgram(t *testing.T) {
	for _, n := range []int{1, 2, 3, 7, 64, MaxStreams} {
		var streams []Stream
		for i := range n {
			streams = append(streams, Stream{Head: uint32(i+1) << 20, Pass: float64(i+1) / float64(n+1)})
		}
		program := appendSieve(nil, streams)
		for _, dice := range []uint32{0, 1 << 30, 3 << 30, 1<<32 - 1} {
			vm := machine(t, program, dice)
			passes := func(packet []byte) bool {
				left, err := vm.Run(packet)
				if err != nil || left > 0 && left < len(packet) {
					t.Fatalf("%d bytes are left, %v", left, err)
				}
				return left > 0
			}
			for _, s := range streams {
				if want := float64(dice) < s.Pass*(1<<32); passes(headed(s.Head)) != want {
					t.Errorf("%d streams: %x of which %.2f passes at %.2f", n, s.Head, s.Pass, float64(dice)/(1<<32))
				}
				if !passes(headed(s.Head-1)) || !passes(headed(s.Head+1)) {
					t.Errorf("%d streams: a neighbour of %x is dropped", n, s.Head)
				}
			}
			if !passes(headed(0)) || !passes(append(make([]byte, 8), 0xff)) || !passes(make([]byte, 8)) {
				t.Errorf("%d streams: IKE or a keepalive is dropped", n)
			}
		}
	}
}

// sieved is a socket and somebody who sends to it.
type sieved struct {
	*testing.T
	*reader
	w Writer
}

func newSieved(t *testing.T) sieved {
	s := wantSocket(t, "127.0.0.1:0")
	timer := time.AfterFunc(10*time.Second, func() { s.Close() })
	t.Cleanup(func() { timer.Stop() })
	return sieved{t, s.newReader(64, bufferLen), wantSocket(t, "127.0.0.1:0").NewWriter(1)}
}

// arrive sends n datagrams of each stream, and returns how many come through.
func (s sieved) arrive(n int, heads ...uint32) map[uint32]int {
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

func (s sieved) send(data []byte) {
	s.w.Commit(data, s.s.LocalAddr(), netip.Addr{})
	s.w.Flush()
}

func (s sieved) thin(lease time.Duration, streams ...Stream) {
	s.Helper()
	if err := s.Thin(streams, lease); err != nil {
		s.Fatal(err)
	}
}

// The kernel drops what it is told to, takes other orders, and stops.
func TestSieve(t *testing.T) {
	s := newSieved(t)
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
func TestSieveIsLent(t *testing.T) {
	s := newSieved(t)
	s.thin(50*time.Millisecond, Stream{1000, 0})
	time.AfterFunc(200*time.Millisecond, func() { s.send(headed(1000)[8:]) })
	if batch, err := s.Read(); err != nil || len(batch) != 1 {
		t.Fatalf("%d messages, %v", len(batch), err)
	}
	if s.sieve.on {
		t.Error("the filter is still there")
	}
}

// What is dropped on purpose is not lost: only a socket that is full loses.
func TestSieveIsNoLoss(t *testing.T) {
	s := newSieved(t)
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
func TestSieveRefused(t *testing.T) {
	s := newSieved(t)
	s.thin(time.Minute, Stream{1000, 0})
	s.s.calls.filter = func(int, *unix.SockFprog) error { return syscall.ENOMEM }
	if err := s.Thin([]Stream{{2000, 0}}, time.Minute); err == nil {
		t.Error("no error")
	}
	if got := s.arrive(10, 1000, 2000); got[1000] != 10 || got[2000] != 10 {
		t.Errorf("of 10 each %v arrived", got)
	}
}

func TestSieveAllocatesLittle(t *testing.T) {
	s := newSieved(t)
	streams := []Stream{{1000, 0.5}, {2000, 0.5}}
	if n := testing.AllocsPerRun(20, func() { s.thin(time.Minute, streams...) }); n > 2 {
		t.Errorf("%v allocations", n)
	}
}
