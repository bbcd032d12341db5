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

// BenchmarkBatchSeal has the payloads in their places, as many SAs as packets,
// and reports the time of a packet.
func BenchmarkBatchSeal(b *testing.B) {
	forEachBatch(b, func(b *testing.B, tr Transform, size, n int) {
		jobs := make([]SealJob, n)
		for i := range jobs {
			out, _, _ := wantPair(b, tr, false)
			buf := make([]byte, 2048)
			jobs[i] = SealJob{SA: out, Dst: buf, Plain: buf[tr.HeaderLen():][:size], NextHeader: 17}
		}
		var batch Batch
		for b.Loop() {
			batch.Seal(jobs)
		}
		if jobs[n-1].Err != nil {
			b.Fatal(jobs[n-1].Err)
		}
	})
}

func BenchmarkBatchOpen(b *testing.B) {
	forEachBatch(b, func(b *testing.B, tr Transform, size, n int) {
		jobs, pkts := make([]OpenJob, n), make([][]byte, n)
		for i := range jobs {
			out, in, _ := wantPair(b, tr, false)
			pkts[i], _ = out.Seal(make([]byte, 2048), testPayload(size), 17)
			jobs[i] = OpenJob{SA: in, Packet: make([]byte, len(pkts[i]))}
		}
		var batch Batch
		for b.Loop() {
			for i, j := range jobs {
				copy(j.Packet, pkts[i])
				j.SA.window.ring[0] = 0
			}
			batch.Open(jobs)
		}
		if jobs[n-1].Err != nil {
			b.Fatal(jobs[n-1].Err)
		}
	})
}

func forEachBatch(b *testing.B, f func(b *testing.B, tr Transform, size, n int)) {
	forEachBench(b, func(b *testing.B, tr Transform, size int) {
		for _, n := range []int{1, 2, 4, 8, 16, 64} {
			b.Run(fmt.Sprint(n), func(b *testing.B) {
				b.ReportAllocs()
				b.SetBytes(int64(size * n))
				f(b, tr, size, n)
				b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(n), "ns/packet")
			})
		}
	})
}
