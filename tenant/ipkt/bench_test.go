package ipkt

import "testing"

func BenchmarkChecksum(b *testing.B) {
	pkt := make([]byte, 1380)
	b.SetBytes(int64(len(pkt)))
	for b.Loop() {
		Checksum(pkt, 7)
	}
}
