package esp

import (
	"testing"
	"unsafe"
)

// TestHotFields: what every packet needs of an SA is one line of memory on the
// way out, and two on the way in.
func TestHotFields(t *testing.T) {
	if in, out := unsafe.Sizeof(Inbound{}), unsafe.Sizeof(Outbound{}); in != 128 || out != 64 {
		t.Errorf("an Inbound has %d bytes, an Outbound %d", in, out)
	}
}

// TestPrefetch: it asks for the whole cipher, whatever it is, and changes nothing
// of an SA, with packets that are none either.
func TestPrefetch(t *testing.T) {
	forEach(t, func(t *testing.T, tr Transform, esn bool) {
		out, in, _ := wantPair(t, tr, esn)
		prefetch := func(pkt []byte) {
			for step := range PrefetchSteps + 1 {
				out.Prefetch(step)
				in.Prefetch(step, pkt)
			}
		}
		prefetch(nil)
		pkt, err := out.Seal(make([]byte, 0, 256), testPayload(1), 17)
		if err != nil {
			t.Fatal(err)
		}
		prefetch(pkt)
		if _, _, err := in.Open(pkt); err != nil {
			t.Error(err)
		}
		if (tr.enc.icv > 0) != (in.aead.size >= 32) {
			t.Errorf("%v: a cipher of %d bytes", tr, in.aead.size)
		}
	})
}
