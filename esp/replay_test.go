package esp

import (
	"math"
	"math/rand/v2"
	"testing"
)

// naive is the window as RFC 4303, section 3.4.3 says it, with nothing forgotten.
type naive struct {
	size, top uint64
	seen      map[uint64]bool
}

func (n *naive) accept(seq uint64) bool {
	if seq == 0 || n.seen[seq] || (seq <= n.top && n.top-seq >= n.size) {
		return false
	}
	n.seen[seq] = true
	n.top = max(n.top, seq)
	return true
}

func TestWindowAgainstNaive(t *testing.T) {
	for _, size := range []int{64, 128, 192, 1024, 4096} {
		for _, start := range []uint64{0, 63, math.MaxUint32 - 100, 1 << 40} {
			rng := rand.New(rand.NewPCG(uint64(size), start))
			w := newWindow(size, false, nil)
			n := &naive{size: uint64(size), seen: map[uint64]bool{}}
			w.accept(start)
			n.accept(start)
			for range 20000 {
				seq := wantNearby(rng, n.top, uint64(size))
				fresh := w.fresh(seq)
				got, want := w.accept(seq), n.accept(seq)
				if got != want || fresh != got {
					t.Fatalf("size %d, top %d: %d fresh %v, accepted %v, want %v", size, n.top, seq, fresh, got, want)
				}
				if w.top != n.top {
					t.Fatalf("top %d, want %d", w.top, n.top)
				}
			}
		}
	}
}

// wantNearby is a number around a window: mostly inside or little above it, now
// and then a leap.
func wantNearby(rng *rand.Rand, top, size uint64) uint64 {
	switch rng.IntN(20) {
	case 0:
		return top + rng.Uint64N(3*size)
	case 1:
		return top + size - 2 + rng.Uint64N(4)
	case 2:
		return top - min(top, size-2+rng.Uint64N(4))
	case 3:
		return rng.Uint64N(3)
	}
	return top + 4 - min(top+4, rng.Uint64N(size+8))
}

func TestWindowEdges(t *testing.T) {
	w := newWindow(64, false, nil)
	for _, row := range []struct {
		seq  uint64
		want bool
	}{
		{0, false}, {1, true}, {1, false}, {64, true}, {2, true}, {65, true},
		{1, false},  // 64 behind the top: forgotten
		{2, false},  // 63 behind: replayed
		{3, true},   // 62 behind
		{128, true}, // 65 becomes the oldest
		{64, false}, {65, false}, {66, true},
		{1 << 20, true}, {128, false}, {1<<20 - 63, true}, {1<<20 - 64, false},
	} {
		if got := w.accept(row.seq); got != row.want {
			t.Fatalf("%d accepted: %v (top %d)", row.seq, got, w.top)
		}
	}
}

// Appendix A2.2 of RFC 4303: whatever lies between the window's left edge and
// 2^32 less its size above its top is found from the low half.
func TestExtend(t *testing.T) {
	for _, size := range []uint64{64, 1024} {
		for _, top := range []uint64{
			0, 1, size - 2, size - 1, size, math.MaxUint32 - size, math.MaxUint32 - 1, math.MaxUint32,
			1 << 32, 1<<32 + 1, 1<<32 + size - 2, 1<<32 + size - 1, 1<<32 + size, 7<<32 + 12345, 8<<32 - 1,
		} {
			w := newWindow(int(size), false, nil)
			w.top = top
			lowest := top - min(top, size-1)
			for _, seq := range []uint64{
				lowest, lowest + 1, top - min(top, 1), top, top + 1, top + size, top + 1<<31,
				top + 1<<32 - size - 1, top + 1<<32 - size,
			} {
				if seq < lowest {
					continue
				}
				if got, ok := w.extend(uint32(seq)); !ok || got != seq {
					t.Errorf("size %d, top %#x: %#x taken for %#x, %v", size, top, seq, got, ok)
				}
			}
		}
	}
}

func TestExtendBeforeFirst(t *testing.T) {
	w := newWindow(64, false, nil)
	w.top = 5
	if seq, ok := w.extend(math.MaxUint32 - 3); ok {
		t.Errorf("a number from before the first one taken for %#x", seq)
	}
}

// Packets out of order around 2^32, where the low half starts again.
func TestRollover(t *testing.T) {
	forEach(t, func(t *testing.T, tr Transform, esn bool) {
		if !esn {
			return
		}
		out, in, _ := wantPair(t, tr, true)
		out.sequence.Store(math.MaxUint32 - 300)
		in.window.top = math.MaxUint32 - 300
		var pkts [][]byte
		for range 600 {
			pkt, err := out.Seal(make([]byte, 0, 128), nil, 17)
			if err != nil {
				t.Fatal(err)
			}
			pkts = append(pkts, pkt)
		}
		rand.New(rand.NewPCG(1, 2)).Shuffle(len(pkts), func(i, j int) { pkts[i], pkts[j] = pkts[j], pkts[i] })
		for _, pkt := range pkts {
			replay := append([]byte(nil), pkt...)
			if _, _, err := in.Open(pkt); err != nil {
				t.Fatalf("sequence %x: %v", replay[4:8], err)
			}
			if _, _, err := in.Open(replay); err != ErrReplay {
				t.Fatalf("sequence %x again: %v", replay[4:8], err)
			}
		}
		if in.HighSequence() != math.MaxUint32+300 {
			t.Errorf("highest %#x", in.HighSequence())
		}
	})
}

// RFC 4303, section 3.4.3: the window is moved only after the ICV was verified.
func TestForgeryDoesNotMoveWindow(t *testing.T) {
	forEach(t, func(t *testing.T, tr Transform, esn bool) {
		out, in, _ := wantPair(t, tr, esn)
		pkt, _ := out.Seal(make([]byte, 0, 128), nil, 17)
		forged := append([]byte(nil), pkt...)
		forged[4] = 0x7F
		if _, _, err := in.Open(forged); err != ErrAuth {
			t.Fatal(err)
		}
		if in.HighSequence() != 0 {
			t.Fatal("the window moved")
		}
		if _, _, err := in.Open(pkt); err != nil {
			t.Fatal(err)
		}
	})
}

func TestReplayWindowDefaultAndSize(t *testing.T) {
	tr, _ := ByIANA(EncryptionGCM16, 128, IntegrityNone)
	for _, size := range []int{0, 64, 2048} {
		in, err := NewInbound(InboundConfig{SPI: testSPI, Transform: tr, Keys: testKeys(tr), ReplayWindow: size})
		if err != nil {
			t.Fatal(err)
		}
		if size == 0 {
			size = DefaultReplayWindow
		}
		if in.window.size != uint32(size) || len(in.window.ring)*64 < size+64 {
			t.Errorf("window of %d: %d in %d words", size, in.window.size, len(in.window.ring))
		}
	}
}
