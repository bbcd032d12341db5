package esp

import (
	"bytes"
	"encoding/binary"
	"sync"
	"sync/atomic"
	"testing"
)

// More goroutines than lanes seal on one SA: every number once, every packet
// whole; and as many open them, each packet twice, of which one counts.
func TestConcurrent(t *testing.T) {
	forEach(t, func(t *testing.T, tr Transform, esn bool) {
		const workers, each = 2 * laneCount, 30
		out, in, _ := wantPair(t, tr, esn)
		pkts := make([][][]byte, workers)
		run := func(f func(w int)) {
			var wg sync.WaitGroup
			for w := range workers {
				wg.Go(func() { f(w) })
			}
			wg.Wait()
		}
		run(func(w int) {
			for range each {
				pkt, err := out.Seal(make([]byte, 0, 256), testPayload(w), 17)
				if err != nil {
					t.Error(err)
				}
				pkts[w] = append(pkts[w], pkt)
			}
		})
		seen := map[uint32]bool{}
		for _, list := range pkts {
			for _, pkt := range list {
				seen[binary.BigEndian.Uint32(pkt[4:])] = true
			}
		}
		if len(seen) != workers*each {
			t.Fatalf("%d sequence numbers for %d packets", len(seen), workers*each)
		}
		var opened, replayed atomic.Int64
		run(func(w int) {
			for k := range each {
				from := (w + k%2) % workers
				got, _, err := in.Open(bytes.Clone(pkts[from][k]))
				switch {
				case err == ErrReplay:
					replayed.Add(1)
				case err != nil || !bytes.Equal(got, testPayload(from)):
					t.Errorf("%x, %v", got, err)
				default:
					opened.Add(1)
				}
				if _, _, err := in.Open(bytes.Clone(pkts[from][k])); err != ErrReplay {
					t.Errorf("a second time: %v", err)
				}
			}
		})
		if opened.Load() != workers*each || replayed.Load() != 0 {
			t.Errorf("%d opened, %d replayed", opened.Load(), replayed.Load())
		}
	})
}

// The same packet from many goroutines at once is accepted once.
func TestConcurrentReplay(t *testing.T) {
	forEach(t, func(t *testing.T, tr Transform, esn bool) {
		out, in, _ := wantPair(t, tr, esn)
		for range 20 {
			pkt, _ := out.Seal(make([]byte, 0, 256), testPayload(100), 17)
			var opened atomic.Int64
			var wg sync.WaitGroup
			for range 8 {
				wg.Go(func() {
					if _, _, err := in.Open(bytes.Clone(pkt)); err == nil {
						opened.Add(1)
					}
				})
			}
			wg.Wait()
			if opened.Load() != 1 {
				t.Fatalf("opened %d times", opened.Load())
			}
		}
	})
}
