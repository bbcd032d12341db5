package dataplane

import (
	"testing"

	"github.com/culvert-vpn/culvert/dataplane/udp"
	"github.com/culvert-vpn/culvert/esp"
)

// BenchmarkUp opens batches of packets and carries them to a device that takes
// everything. Sealing the packets is not counted.
func BenchmarkUp(b *testing.B) {
	r := newRig(b, esp.EncryptionGCM16, 256, 0)
	r.device.discard = true
	ip := ipPacket(clientAddr, internet, 1400)
	batch := make([]udp.Message, batchSize)
	b.SetBytes(1400)
	b.ReportAllocs()
	for n := 0; n < b.N; n += batchSize {
		b.StopTimer()
		for i := range batch {
			batch[i] = r.message(r.seal(ip))
		}
		b.StartTimer()
		r.worker.batch(batch)
	}
}
