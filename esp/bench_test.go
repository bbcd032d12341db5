package esp

import (
	"fmt"
	"math"
	"testing"
)

var benchSizes = []int{64, 1400}

func forEachBench(b *testing.B, f func(b *testing.B, tr Transform, size int)) {
	for _, tr := range Transforms() {
		for _, size := range benchSizes {
			b.Run(fmt.Sprintf("%v/%d", tr, size), func(b *testing.B) {
				b.ReportAllocs()
				b.SetBytes(int64(size))
				f(b, tr, size)
			})
		}
	}
}

func BenchmarkSeal(b *testing.B) {
	forEachBench(b, func(b *testing.B, tr Transform, size int) {
		out, _, _ := wantPair(b, tr, false)
		buf := make([]byte, 2048)
		plain := buf[tr.HeaderLen():][:size]
		for b.Loop() {
			if out.HighSequence() == math.MaxUint32 {
				b.Fatal("out of sequence numbers")
			}
			if _, err := out.Seal(buf, plain, 17); err != nil {
				b.Fatal(err)
			}
		}
	})
}

// BenchmarkOpen includes copying the packet, since opening spoils it, and
// forgets the window's one bit so that it opens again.
func BenchmarkOpen(b *testing.B) {
	forEachBench(b, func(b *testing.B, tr Transform, size int) {
		out, in, _ := wantPair(b, tr, false)
		pkt, err := out.Seal(make([]byte, 2048), testPayload(size), 17)
		if err != nil {
			b.Fatal(err)
		}
		buf := make([]byte, len(pkt))
		for b.Loop() {
			copy(buf, pkt)
			in.window.ring[0] = 0
			if _, _, err := in.Open(buf); err != nil {
				b.Fatal(err)
			}
		}
	})
}
