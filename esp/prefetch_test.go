package esp

import (
	"testing"
	"unsafe"
)

// TestHotFields: what every packet needs of an SA is one line of memory on the
// way out, and two on the way in, with the ring behind them. What has such a size
// is allocated where a line begins.
func TestHotFields(t *testing.T) {
	if n := unsafe.Sizeof(Outbound{}); n != 64 {
		t.Errorf("an Outbound has %d bytes", n)
	}
	var i Inbound
	if at, n := unsafe.Offsetof(i.near), unsafe.Sizeof(i); at != InboundLines || (n+16)%64 != 0 {
		t.Errorf("an Inbound has %d bytes, its ring begins at %d", n, at)
	}
	if in := wantInbound(t); &in.window.ring[0] != &in.near[0] {
		t.Error("the default window's ring is elsewhere")
	}
}

func wantInbound(t *testing.T) *Inbound {
	_, in, _ := wantPair(t, Transforms()[0], false)
	return in
}

// TestPrefetch: it asks for the whole cipher, whatever it is, and changes nothing
// of an SA, with packets that are none either.
func TestPrefetch(t *testing.T) {
	forEach(t, func(t *testing.T, tr Transform, esn bool) {
		out, in, _ := wantPair(t, tr, esn)
		prefetch := func(pkt []byte) {
			for step := range 3 {
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
