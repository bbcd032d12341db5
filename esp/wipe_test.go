package esp

import (
	"bytes"
	"runtime"
	"testing"
	"time"
	"unsafe"

	"github.com/culvert-vpn/culvert/esp/internal/aescbc"
	"github.com/culvert-vpn/culvert/esp/internal/mac"
)

// keysOf are those of an SA in CBC mode which are this package's own.
type keysOf struct {
	aes, iv *aescbc.Key
	sums    *mac.Key
}

func (k keysOf) wiped() bool { return zeroed(k.aes) && zeroed(k.iv) && zeroed(k.sums) }

// zeroed reports whether there is nothing but zeros where p points, or it points nowhere.
// The collector's goroutine may be writing them while it looks, which is no race of ours.
//
//go:norace
func zeroed[T any](p *T) bool {
	if p == nil {
		return true
	}
	for _, b := range unsafe.Slice((*byte)(unsafe.Pointer(p)), unsafe.Sizeof(*p)) {
		if b != 0 {
			return false
		}
	}
	return true
}

// The keys of an SA that is gone, in either direction, do not stay in memory.
func TestKeysAreWipedWithTheirSA(t *testing.T) {
	transform, err := ByIANA(EncryptionAESCBC, 256, 5)
	if err != nil {
		t.Fatal(err)
	}
	keys := Keys{Encryption: bytes.Repeat([]byte{1}, transform.EncryptionKeyLen()), Integrity: bytes.Repeat([]byte{2}, transform.IntegrityKeyLen())}
	left := func() []keysOf {
		out, err1 := NewOutbound(OutboundConfig{SPI: 300, Transform: transform, Keys: keys})
		in, err2 := NewInbound(InboundConfig{SPI: 300, Transform: transform, Keys: keys})
		if err1 != nil || err2 != nil {
			t.Fatal(err1, err2)
		}
		pkt, err := out.Seal(make([]byte, 0, 200), []byte("something"), 17)
		if err != nil {
			t.Fatal(err)
		}
		if _, _, err := in.Open(pkt); err != nil {
			t.Fatal(err)
		}
		return []keysOf{{out.cbc.aes, out.cbc.iv, out.cbc.mac.sums}, {in.cbc.aes, nil, in.cbc.mac.sums}}
	}()
	for end := time.Now().Add(20 * time.Second); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
		runtime.GC()
		if left[0].wiped() && left[1].wiped() {
			return
		}
	}
	t.Error("the keys are still there")
}

// An SA may begin behind numbers that count as used, and knows what is left.
func TestOutboundAfter(t *testing.T) {
	transform, err := ByIANA(EncryptionGCM16, 128, 0)
	if err != nil {
		t.Fatal(err)
	}
	o, err := NewOutbound(OutboundConfig{SPI: 300, Transform: transform, After: shortLimit - 2, Keys: Keys{Encryption: make([]byte, transform.EncryptionKeyLen())}})
	if err != nil {
		t.Fatal(err)
	}
	for n := uint64(2); n > 0; n-- {
		if o.Remaining() != n {
			t.Errorf("%d remain, want %d", o.Remaining(), n)
		}
		if _, err := o.Seal(make([]byte, 0, 200), []byte("x"), 17); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := o.Seal(make([]byte, 0, 200), []byte("x"), 17); err != ErrSequenceExhausted {
		t.Errorf("beyond the last: %v", err)
	}
}
